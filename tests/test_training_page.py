"""The page Training: runs that were judged on the same films, beside each other."""

import json
import shutil
from pathlib import Path

import pytest
from apps import ran
from streamlit.testing.v1 import AppTest
from tiny_bundle import HISTORY, UNTRAINED, write_tiny_bundle
from tiny_runs import sibling

from chexmodel.comparison import compare_judged
from chexmodel.runs import read_finished
from chexmodel.scores import interval

PAGE = Path(__file__).resolve().parents[1] / "chexmodel" / "ui" / "training.py"


@pytest.fixture(autouse=True)
def _runs_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave the shipped study out: its chart and table are not those of the runs."""
    monkeypatch.setattr("chexmodel.ui.study.study_section", lambda: None)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    runs = tmp_path_factory.mktemp("made") / "runs"
    sibling(write_tiny_bundle(runs / "good"), "noisy", worse=3.0, seed=1)
    sibling(runs / "good", "odd", worse=0.5, seed=2)
    return runs


@pytest.fixture
def runs(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy to spoil."""
    copied = Path(shutil.copytree(made, tmp_path / "runs"))
    monkeypatch.setenv("CHEXMODEL_RUNS", str(copied))
    monkeypatch.setattr("chexmodel.ui.differences._BOOTSTRAP", 50)
    return copied


def opened(*chosen: str) -> AppTest:
    at = ran(AppTest.from_file(str(PAGE), default_timeout=60))
    at.multiselect(key="training-runs").set_value([f"runs/{name}" for name in chosen])
    return ran(at)


def headings(at: AppTest) -> list[str]:
    return [heading.value for heading in at.subheader]


def table(at: AppTest, index_name: str, *, last: bool = False) -> object:
    found = [frame.value for frame in at.dataframe if frame.value.index.name == index_name]
    return found[-1 if last else 0]


def forest(at: AppTest) -> list[dict[str, object]]:
    return json.loads(at.get("plotly_chart")[-1].proto.spec)["data"]


def test_one_run_has_its_scores_and_no_difference(runs: Path) -> None:
    at = opened("good")
    evaluation = read_finished(runs / "good", "test", name="good").evaluation
    assert table(at, "run").loc["runs/good", "mean AUROC"] == interval(evaluation.macro["auroc"])
    assert "Differences" not in headings(at)


def test_differences_are_those_of_the_files(runs: Path) -> None:
    at = opened("good", "noisy")
    first, second = (read_finished(runs / name, "test", name=f"runs/{name}") for name in ("good", "noisy"))
    comparison = compare_judged(first.judged, second.judged, bootstrap=50)
    shown = table(at, "observation", last=True)
    for row in comparison.observations:
        assert shown.loc[row.observation, "F1"].removesuffix(" *") == interval(row.metrics["f1"], signed=True)
    assert shown.loc[UNTRAINED, "AUROC"] == "—"
    (marks,) = forest(at)
    defined = [row.metrics["auroc"].value for row in comparison.observations if not row.undefined]
    averages = [comparison.macro["auroc"].value, comparison.macro_distinct["auroc"].value]
    assert marks["x"] == pytest.approx([*defined, *averages])
    assert marks["marker"]["symbol"][-2:] == ["circle", "circle"]
    assert any("80 films of 40 patients in common" in caption.value for caption in at.caption)


def test_baseline_metric_and_films_are_chosen(runs: Path) -> None:
    at = opened("good", "noisy", "odd")
    assert [tab.label for tab in at.tabs] == ["runs/noisy", "runs/odd"]
    forward = table(at, "observation", last=True)
    assert not at.warning
    at.selectbox(key="training-baseline").set_value("runs/odd")
    ran(at)
    assert [tab.label for tab in at.tabs] == ["runs/good", "runs/noisy"]
    assert [line["name"] for line in forest(at)] == ["runs/good", "runs/noisy"]
    backward = at.tabs[0].dataframe[0].value
    value = forward.loc["Edema", "AUROC"].split()[0]
    assert backward.loc["Edema", "AUROC"].split()[0] == value.translate(str.maketrans("+−", "−+"))
    at.selectbox(key="training-metric").set_value("f1")
    ran(at)
    assert "F1" in forest(at)[0]["hovertemplate"]
    at.radio(key="training-split").set_value("validation")
    ran(at)
    assert "fitted on these films" in at.warning[0].value
    assert any("120 films of 60 patients" in caption.value for caption in at.caption)


def test_a_run_that_is_not_evaluated_is_listed(runs: Path) -> None:
    (runs / "going").mkdir()
    HISTORY.to_csv(runs / "going" / "history.csv", index=False)
    at = opened("going", "good", "noisy")
    (left,) = [caption.value for caption in at.caption if caption.value.startswith("Left out")]
    assert left.startswith("Left out: runs/going")
    assert "python -m train fit" in left
    assert table(at, "run").index.tolist() == ["runs/good", "runs/noisy"]
    only = opened("going")
    assert "None of these runs has been evaluated" in only.info[-1].value


def test_other_labels_are_a_sentence_beside_the_others(runs: Path) -> None:
    write_tiny_bundle(runs / "other", seed=1)
    at = opened("good", "other", "noisy")
    assert "differ between runs/good and runs/other" in at.error[0].value
    assert [tab.label for tab in at.tabs] == ["runs/noisy"]


def test_an_evaluation_anew_is_seen(runs: Path) -> None:
    at = opened("good", "noisy")
    before = table(at, "observation", last=True)
    for name in ("predictions.parquet", "metrics.json"):
        shutil.copy(runs / "odd" / name, runs / "noisy" / name)
    after = table(ran(at), "observation", last=True)
    assert before.loc["Edema", "AUROC"] != after.loc["Edema", "AUROC"]


@pytest.mark.parametrize("damaged", ["metrics.json", "predictions.parquet", "thresholds.json"])
def test_a_damaged_file_leaves_its_run_out(runs: Path, damaged: str) -> None:
    (runs / "noisy" / damaged).write_bytes(b"\0 not what it was")
    at = opened("good", "noisy")
    (left,) = [caption.value for caption in at.caption if caption.value.startswith("Left out")]
    assert "runs/noisy" in left
    assert table(at, "run").index.tolist() == ["runs/good"]
