"""Counts of a table, their JSON, and the command that prints them."""

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from chexpert_rows import film, real_table, row, write

from chexmodel.__main__ import main
from chexmodel.errors import DatasetError
from chexmodel.labels import OBSERVATIONS
from chexmodel.policies import explain_policy
from chexmodel.statistics import (
    Statistics,
    conditional,
    describe,
    jaccard,
    load_statistics,
    provenance_of,
)
from chexmodel.table import read_table

ROOT = Path(__file__).resolve().parents[1]
COMMITTED = ROOT / "assets" / "statistics" / "chexpert.json"


@pytest.fixture
def csv(tmp_path: Path) -> Path:
    """Four films of two patients in three studies."""
    rows = [
        row(film(1), Edema="1", Fracture="1", Age="9"),
        row(
            film(1, view="lateral"), **{"Edema": "1", "Frontal/Lateral": "Lateral", "AP/PA": "", "Age": "10"}
        ),
        row(film(1, study=2), Edema="-1", Age="120", Sex="Male"),
        row(film(2), Edema="0", Fracture="1", Age="10", Sex=""),
    ]
    return write(tmp_path / "train.csv", rows)


def test_counts(csv: Path) -> None:
    result = describe(read_table(csv))
    assert (result.films, result.patients, result.studies) == (4, 2, 3)
    assert result.views == {"Frontal": 3, "Lateral": 1}
    assert result.projections == {"AP": 3, "blank": 1}
    assert result.sexes == {"Female": 2, "Male": 1, "blank": 1}
    assert result.ages.edges == tuple(range(0, 121, 10))
    assert (result.ages.names()[0], result.ages.names()[-1]) == (
        "0–9",
        "110–120",
    )  # 120 is an age, in the last
    assert {sex: list(np.flatnonzero(films)) for sex, films in result.ages.films.items()} == {
        "Female": [0, 1],
        "Male": [11],
        "blank": [1],
    }
    assert result.films_per_patient.mean == 2
    assert result.films_per_patient.maximum == 3
    assert result.films_per_patient.bins() == {"1": 1, "2": 0, "3": 1, "4": 0, "5": 0} | dict.fromkeys(
        ("6–10", "11–20", "21–50", "51 and more"), 0
    )
    assert result.studies_per_patient.patients[:3] == (1, 1, 0)
    assert result.studies_per_patient.mean == 1.5
    assert result.projections_by_view == {"Frontal": {"AP": 3}, "Lateral": {"blank": 1}}
    assert result.positives_by_age["Edema"][:3] == (1, 1, 0)
    assert result.positives_by_age["Fracture"][:3] == (1, 1, 0)
    assert result.ages.totals() == [1, 2] + 9 * [0] + [1]
    assert result.positives["Frontal"]["Edema"] == result.positives["Lateral"]["Edema"] == 1
    assert result.states().loc["Edema"].to_dict() == {
        "positive": 2,
        "negative": 1,
        "uncertain": 1,
        "blank": 0,
    }
    together = result.cooccurrence()
    assert together.loc["Edema", "Edema"] == together.loc["Fracture", "Fracture"] == 2
    assert together.loc["Edema", "Fracture"] == together.loc["Fracture", "Edema"] == 1


def test_conditional_probabilities_are_undefined_without_positives(csv: Path) -> None:
    given_row = conditional(describe(read_table(csv)).cooccurrence())
    assert given_row.loc["Edema", "Fracture"] == 0.5
    assert given_row.loc["Edema", "Edema"] == 1
    assert given_row.loc["Edema", "Pneumonia"] == 0
    assert given_row.loc["Pneumonia"].isna().all()


def test_jaccard_is_both_of_either(csv: Path) -> None:
    shared = jaccard(describe(read_table(csv)).cooccurrence())
    assert shared.loc["Edema", "Fracture"] == shared.loc["Fracture", "Edema"] == pytest.approx(1 / 3)
    assert shared.loc["Edema", "Edema"] == 1
    assert shared.loc["Edema", "Pneumonia"] == 0
    assert np.isnan(shared.loc["Pneumonia", "Cardiomegaly"])


def test_the_order_of_the_rows_does_not_matter(csv: Path) -> None:
    table = read_table(csv)
    assert describe(table.iloc[::-1]) == describe(table)


def test_json_round_trip(csv: Path, tmp_path: Path) -> None:
    result = describe(read_table(csv), provenance=provenance_of(csv.parent, command="x"))
    assert Statistics.model_validate_json(result.model_dump_json()) == result
    assert result.provenance is not None
    assert result.provenance.source == "train.csv"
    assert re.fullmatch("[0-9a-f]{64}", result.provenance.sha256)


@pytest.mark.parametrize("content", [None, b"", b"{}", b"\xff"])
def test_a_wrong_file_of_statistics_says_how_to_write_one(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "s.json"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(DatasetError, match="python -m chexmodel statistics"):
        load_statistics(path)


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("films", 5, "do not add up to the films"),
        ("patients", 3, "do not add up to the patients"),
        ("positives_by_age", {"Edema": [1]}, "not in the bins"),
        ("both", [], "not the 14 observations"),
    ],
)
def test_statistics_that_do_not_add_up_are_refused(
    csv: Path, tmp_path: Path, field: str, value: object, said: str
) -> None:
    document = describe(read_table(csv)).model_dump(mode="json") | {field: value}
    (tmp_path / "s.json").write_text(json.dumps(document))
    with pytest.raises(DatasetError, match=said):
        load_statistics(tmp_path / "s.json")


@pytest.mark.parametrize("field", ["studies_per_patient", "positives_by_age", "problems"])
def test_statistics_of_an_older_version_say_so(csv: Path, tmp_path: Path, field: str) -> None:
    document = describe(read_table(csv)).model_dump(mode="json")
    del document[field]
    (tmp_path / "s.json").write_text(json.dumps(document))
    with pytest.raises(DatasetError, match=f"lacks {field}: it is of an older version"):
        load_statistics(tmp_path / "s.json")


def test_policies_that_were_not_worked_out_say_how_to(csv: Path) -> None:
    with pytest.raises(DatasetError, match="python -m chexmodel statistics"):
        describe(read_table(csv)).policy(uncertain="ignore", blank="negative", views="all")


# ------------------------------------------------------------------------------------------ the command


def test_the_command_prints_a_table_and_writes_json(
    csv: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    out = tmp_path / "new" / "s.json"
    assert main(["statistics", str(csv), "--out", str(out)]) == 0
    printed = capsys.readouterr().out
    assert re.search(r"^Edema +2 +1 +1 +0$", printed, re.MULTILINE)
    assert "4 films of 2 patients in 3 studies" in printed
    written = load_statistics(out)
    assert written.films == 4
    assert len(written.policies) == 2 * 5 * 2
    chosen = written.policy(uncertain="ones", blank="ignore", views="frontal")
    again = explain_policy(read_table(csv), uncertain="ones", blank="ignore", views="frontal")
    assert chosen.model_dump_json() == again.model_dump_json()  # as text: NaN equals nothing
    assert "patient0" not in out.read_text()
    assert str(tmp_path) not in out.read_text()


def test_an_expected_error_is_one_sentence_and_exit_code_2(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "chexmodel", "statistics", str(tmp_path / "none.csv")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1
    assert "none.csv does not exist" in done.stderr


def test_an_unwritable_output_is_an_expected_error(csv: Path, capsys: pytest.CaptureFixture) -> None:
    assert main(["statistics", str(csv), "--out", str(csv / "s.json")]) == 2
    assert "can't be written" in capsys.readouterr().err


def test_help_names_argument_and_option(capsys: pytest.CaptureFixture) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["statistics", "--help"])
    assert stop.value.code == 0
    printed = capsys.readouterr().out
    assert all(word in printed for word in ("CSV_OR_DIR", "--out FILE.json", "years", "default"))


def test_the_shell_imports_nothing_heavy() -> None:
    code = "import sys, chexmodel.__main__; print({'torch', 'pandas', 'pandera'} & sys.modules.keys())"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


# --------------------------------------------------------------------------------------- CheXpert itself

FACTS = {
    "No Finding": (22_381, 0, 0, 201_033),
    "Atelectasis": (33_376, 1_328, 33_739, 154_971),
    "Pleural Other": (3_523, 316, 2_653, 216_922),
}


def check_facts(result: Statistics) -> None:
    assert (result.films, result.patients) == (223_414, 64_540)
    for name, counts in FACTS.items():
        assert tuple(result.states().loc[name]) == counts
    together = result.cooccurrence()
    np.testing.assert_array_equal(together, together.T)
    assert np.diag(together).tolist() == result.states()["positive"].tolist()
    by_view = [sum(view[name] for view in result.positives.values()) for name in OBSERVATIONS]
    assert by_view == result.states()["positive"].tolist()
    by_age = [sum(bins) for bins in result.positives_by_age.values()]
    assert by_age == result.states()["positive"].tolist()
    assert sum(result.studies_per_patient.patients) == 64_540
    assert result.problems["patient in several splits"] == result.problems["repeated path"] == 0
    assert result.problems["frontal film without AP or PA"] == 17
    macro, over = result.policy(uncertain="ignore", blank="ignore", views="all").macro_constant_yes()
    assert (round(macro, 3), over) == (0.816, 14)
    for counts in (result.views, result.projections, result.sexes):
        assert sum(counts.values()) == result.films
    assert sum(map(sum, result.ages.films.values())) == result.films


def test_the_committed_statistics() -> None:
    check_facts(load_statistics(COMMITTED))


def test_the_committed_statistics_are_those_of_the_table() -> None:
    csv = real_table()
    committed = load_statistics(COMMITTED)
    table = read_table(csv)
    counted = committed.model_copy(update={"policies": ()})
    assert describe(table, provenance=committed.provenance) == counted
    for effect in committed.policies[::7]:
        again = explain_policy(table, uncertain=effect.uncertain, blank=effect.blank, views=effect.views)
        pd.testing.assert_frame_equal(again.frame(), effect.frame(), rtol=1e-9)
        assert again.distinct == pytest.approx(effect.distinct)
    assert committed.provenance is not None
    assert provenance_of(csv, command=committed.provenance.command).sha256 == committed.provenance.sha256
