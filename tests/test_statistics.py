"""Counts of a table, their JSON, and the command that prints them."""

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from chexpert_rows import film, real_table, row, write

from chexmodel.__main__ import main
from chexmodel.errors import DatasetError
from chexmodel.labels import OBSERVATIONS
from chexmodel.statistics import Statistics, conditional, describe, load_statistics, provenance_of
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
    assert {sex: list(np.flatnonzero(films)) for sex, films in result.ages.films.items()} == {
        "Female": [0, 1],
        "Male": [11],
        "blank": [1],
    }
    assert result.films_per_patient.mean == 2
    assert result.films_per_patient.maximum == 3
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


def test_statistics_that_do_not_add_up_are_refused(csv: Path, tmp_path: Path) -> None:
    document = describe(read_table(csv)).model_dump(mode="json")
    document["films"] += 1
    (tmp_path / "s.json").write_text(json.dumps(document))
    with pytest.raises(DatasetError, match="do not add up"):
        load_statistics(tmp_path / "s.json")


# ------------------------------------------------------------------------------------------ the command


def test_the_command_prints_a_table_and_writes_json(
    csv: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    out = tmp_path / "new" / "s.json"
    assert main(["statistics", str(csv), "--out", str(out)]) == 0
    printed = capsys.readouterr().out
    assert re.search(r"^Edema +2 +1 +1 +0$", printed, re.MULTILINE)
    assert "4 films of 2 patients in 3 studies" in printed
    assert load_statistics(out).films == 4
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
    for counts in (result.views, result.projections, result.sexes):
        assert sum(counts.values()) == result.films
    assert sum(map(sum, result.ages.films.values())) == result.films


def test_the_committed_statistics() -> None:
    check_facts(load_statistics(COMMITTED))


def test_the_committed_statistics_are_those_of_the_table() -> None:
    csv = real_table()
    committed = load_statistics(COMMITTED)
    assert describe(read_table(csv), provenance=committed.provenance) == committed
    assert committed.provenance is not None
    assert provenance_of(csv, command=committed.provenance.command).sha256 == committed.provenance.sha256
