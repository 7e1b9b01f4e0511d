"""`python -m train compare`: what it prints and the page that it writes."""

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from tiny_bundle import HISTORY, RARE, UNTRAINED, write_tiny_bundle
from tiny_runs import sibling

from chexmodel import bundle
from chexmodel.labels import OBSERVATIONS
from chexmodel.scores import interval
from train.__main__ import main
from train.commands import CompareConfig
from train.compare import compare


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two runs on the same films, and one that has not become a bundle yet."""
    runs = tmp_path_factory.mktemp("made") / "runs"
    sibling(write_tiny_bundle(runs / "good"), "noisy", worse=3.0, seed=1, gamma=3.5)
    (runs / "going").mkdir()
    HISTORY.head(1).to_csv(runs / "going" / "history.csv", index=False)
    return runs


@pytest.fixture
def runs(made: Path, tmp_path: Path) -> Path:
    """A copy to spoil."""
    return Path(shutil.copytree(made, tmp_path / "runs"))


def run(*paths: Path, flags: tuple[str, ...] = ()) -> int:
    return main(["compare", *map(str, paths), "--bootstrap", "40", *flags])


def line(text: str, start: str) -> str:
    """The last line that starts so: of the last table."""
    return [row for row in text.splitlines() if row.startswith(start)][-1]


def test_the_tables_show_the_scores_of_the_files(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(runs / "good", runs / "noisy") == 0
    shown = capsys.readouterr().out
    assert line(shown, "gamma").split() == ["gamma", "2.0", "3.5"]
    assert "epochs" not in shown
    evaluation = bundle.load(runs / "good").metrics().splits["test"]
    averages = next(row for row in shown.splitlines() if row.startswith("good "))
    for average in ("auroc", "average_precision", "f1"):
        assert interval(evaluation.macro[average]) in averages
    assert averages.endswith(f"{evaluation.macro['f1_constant_yes'].value:.2f}")
    edema = next(row for row in shown.splitlines() if row.startswith("Edema"))
    score = evaluation.scores[OBSERVATIONS.index("Edema")]
    assert edema.split()[1:3] == [str(score.positives), str(score.negatives)]
    assert interval(score.auroc) in edema


def test_the_differences_are_those_of_the_same_films(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    report = compare(CompareConfig(runs=(runs / "good", runs / "noisy"), bootstrap=40))
    shown = capsys.readouterr().out
    assert "## noisy minus good, test split" in shown
    assert "80 films of 40 patients in common" in shown
    comparison = report.comparisons["noisy"]
    assert comparison.macro["auroc"].high < 0  # noise of three times the scores' own spread
    assert line(shown, "mean (").count("*") >= 1
    assert interval(comparison.macro["f1"], signed=True) in line(shown, "mean (12)")
    assert line(shown, UNTRAINED).split()[-3:] == ["—"] * 3
    assert f"{UNTRAINED} (not trained in good and noisy)" in shown
    assert re.search(rf"{RARE} \(0 positives and \d+ negatives among these films\)", shown)


def test_the_validation_films_can_be_compared_too(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(runs / "good", runs / "noisy", flags=("--split", "validation")) == 0
    assert "120 films of 60 patients in common" in capsys.readouterr().out


def test_an_unfinished_run_is_listed_with_what_to_do(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (runs / "noisy" / "predictions.parquet").unlink()
    assert run(*sorted(runs.iterdir())) == 0
    shown = capsys.readouterr().out
    assert "left out: going:" in shown
    assert "python -m train fit" in line(shown, "left out: going")
    assert f"python -m train evaluate {runs / 'noisy'}" in line(shown, "left out: noisy")
    assert "minus" not in shown
    assert "good" in line(shown, "good ")


def test_without_a_finished_run_there_is_nothing(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(runs / "going", runs / "nowhere") == 2
    said = capsys.readouterr().err
    assert "none of these can be compared" in said
    assert "there is no bundle" in said


def test_other_labels_are_not_subtracted(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_tiny_bundle(runs / "other", seed=1)
    assert run(runs / "good", runs / "other", runs / "noisy") == 0
    shown = capsys.readouterr().out
    assert "differ between good and other" in line(shown, "other is not compared:")
    assert "## noisy minus good" in shown
    assert "## other minus good" not in shown


def test_runs_of_one_name_are_told_apart_by_their_path(
    runs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    twin = Path(shutil.copytree(runs / "good", runs / "more" / "good"))
    assert run(runs / "good", twin) == 0
    assert f"## {twin} minus {runs / 'good'}, test split" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (lambda table: table.drop(columns="id"), "lacks column 'id'"),
        (lambda table: table[table["split"] == "validation"], "lacks films of the test split"),
        (lambda table: table.assign(id=7), "has a film of the test split twice"),
    ],
)
def test_damaged_predictions_are_a_sentence(
    runs: Path, capsys: pytest.CaptureFixture[str], spoil: object, sentence: str
) -> None:
    file = runs / "noisy" / "predictions.parquet"
    spoil(pd.read_parquet(file)).to_parquet(file, index=False)
    assert run(runs / "good", runs / "noisy") == 0
    assert sentence in line(capsys.readouterr().out, "left out: noisy")


def test_scores_of_other_weights_are_left_out(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = runs / "noisy" / "metrics.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"weights_sha256": "0" * 64}))
    assert run(runs / "good", runs / "noisy") == 0
    assert "of other weights" in line(capsys.readouterr().out, "left out: noisy")


def test_the_page_needs_no_network_and_escapes_names(runs: Path, tmp_path: Path) -> None:
    strange = sibling(runs / "good", "<b>&", worse=0.5, seed=2)
    file = tmp_path / "report.html"
    assert run(runs / "good", runs / "noisy", strange, runs / "going", flags=("--html", str(file))) == 0
    page = file.read_text()
    assert not re.search(r"<(script|link|img|iframe)[^>]+(src|href)\s*=", page)
    assert page.count("<script>") >= 1
    assert len(page) > 3_000_000  # the charts' script is inside, once
    assert len(page) < 8_000_000
    outside = re.sub(r"<script.*?</script>", "", page, flags=re.DOTALL)
    assert "<b>&<" not in outside
    assert "&lt;b&gt;&amp; minus good, test split" in outside
    assert "<b>going</b> is left out" in outside
    assert outside.count("plotly-graph-div") == 3 + 8  # a chart a metric, and the panels of the curves


def test_the_page_says_how_to_make_it_again(runs: Path, tmp_path: Path) -> None:
    file = tmp_path / "report.html"
    assert run(runs / "good", runs / "noisy", flags=("--seed", "3", "--html", str(file))) == 0
    command = f"python -m train compare {runs / 'good'} {runs / 'noisy'} --bootstrap 40 --seed 3"
    assert f"<code>{command}</code>" in file.read_text()


def test_a_page_that_cannot_be_written_is_a_sentence(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(runs / "good", flags=("--html", str(runs / "nowhere" / "report.html"))) == 2
    assert "can't be written" in capsys.readouterr().err


def test_a_run_without_curves_is_compared(runs: Path, tmp_path: Path) -> None:
    for name in ("good", "noisy"):
        (runs / name / "history.csv").unlink()
    file = tmp_path / "report.html"
    assert run(runs / "good", runs / "noisy", flags=("--html", str(file))) == 0
    assert "<h2>Curves</h2>" not in file.read_text()


def test_two_ways_to_the_same_difference(runs: Path) -> None:
    report = compare(CompareConfig(runs=(runs / "good", runs / "noisy"), bootstrap=0))
    k = OBSERVATIONS.index("Edema")
    predictions = [bundle.load(runs / name).predictions() for name in ("good", "noisy")]
    aurocs = []
    for table in predictions:
        test = table[table["split"] == "test"].dropna(subset="target Edema")
        positive = test.loc[test["target Edema"] == 1, "logit Edema"].to_numpy()
        negative = test.loc[test["target Edema"] == 0, "logit Edema"].to_numpy()
        aurocs.append(np.mean(positive[:, None] > negative))  # Mann and Whitney's count; no ties here
    found = report.comparisons["noisy"].observations[k].metrics["auroc"].value
    assert found == pytest.approx(aurocs[1] - aurocs[0], abs=1e-12)
