"""Each rule of the audit finds its problem, and nothing else; on the command line too."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from chexpert_rows import film, real_table, row, write
from PIL import Image

from chexmodel.__main__ import main
from chexmodel.audit import COLUMNS, audit, count
from chexmodel.audit_kinds import TABLE_KINDS
from chexmodel.errors import DatasetError
from chexmodel.inspection import inspect
from chexmodel.reading import MAX_TEXT, read_bytes, read_loosely, read_table

CLEAN = [
    row(film(1), No_Finding="1", Support_Devices="1"),
    row(film(2), Lung_Opacity="1", Edema="1"),
    row(film(3, view="lateral"), Fracture="0", **{"Frontal/Lateral": "Lateral", "AP/PA": ""}),
]


def found(tmp_path: Path, rows: list[dict[str, str]]) -> pd.DataFrame:
    csv = write(tmp_path / "t.csv", rows)
    table, broken = read_loosely(csv, "t.csv")
    return audit({"t.csv": table}, broken={"t.csv": broken})


def test_a_clean_table_has_no_problem(tmp_path: Path) -> None:
    none = found(tmp_path, CLEAN)
    assert list(none.columns) == list(COLUMNS)
    assert not len(none)
    assert count(none) == dict.fromkeys(TABLE_KINDS, 0)


@pytest.mark.parametrize(
    ("kind", "cells", "said"),
    [
        (
            "No Finding with a finding",
            {"No Finding": "1", "Edema": "1", "Lung Opacity": "1"},
            "Opacity, Edema",
        ),
        ("finding whose parent is negative", {"Edema": "1", "Lung Opacity": "0"}, "Lung Opacity negative"),
        ("finding whose parent is blank or uncertain", {"Edema": "1"}, "Lung Opacity blank"),
        (
            "finding whose parent is blank or uncertain",
            {"Pneumonia": "1", "Consolidation": "-1"},
            "Consolidation uncertain",
        ),
        ("age 0", {"Age": "0", "Fracture": "1"}, "0 years"),
        ("age below 18", {"Age": "17", "Fracture": "1"}, "17 years"),
        ("age above 100", {"Age": "101", "Fracture": "1"}, "101 years"),
        ("sex not stated", {"Sex": "Unknown", "Fracture": "1"}, "Unknown"),
        ("sex not stated", {"Sex": "", "Fracture": "1"}, "blank"),
        ("frontal film without AP or PA", {"AP/PA": "LL", "Fracture": "1"}, "LL"),
        ("frontal film without AP or PA", {"AP/PA": "", "Fracture": "1"}, "blank"),
        ("view contradicts path", {"Frontal/Lateral": "Lateral", "Fracture": "1"}, "Lateral"),
        ("film without any label", {}, "no observation"),
        ("unreadable cell", {"Edema": "2", "Fracture": "1"}, "Edema is “2”"),
        ("unreadable cell", {"Age": "", "Fracture": "1"}, "Age is blank"),
        ("unreadable cell", {"Frontal/Lateral": "Oblique", "Fracture": "1"}, "Oblique"),
        ("unreadable cell", {"Path": "somewhere.jpg", "Fracture": "1"}, "somewhere.jpg"),
    ],
)
def test_each_rule(tmp_path: Path, kind: str, cells: dict[str, str], said: str) -> None:
    problems = found(tmp_path, [*CLEAN, row(film(9)) | cells])
    assert problems["kind"].tolist() == [kind]
    problem = problems.iloc[0]
    assert said in problem["what"]
    assert (problem["file"], problem["row"], problem["severity"]) == ("t.csv", 5, TABLE_KINDS[kind].severity)
    assert problem["remedy"] == TABLE_KINDS[kind].remedy
    if "Path" not in cells:
        assert (problem["Path"], problem["patient"]) == (film(9), "patient00009")


@pytest.mark.parametrize(("age", "kinds"), [("18", []), ("100", []), ("90", [])])
def test_ages_within_the_rules(tmp_path: Path, age: str, kinds: list[str]) -> None:
    assert found(tmp_path, [row(film(1), Fracture="1", Age=age)])["kind"].tolist() == kinds


def test_a_repeated_path_names_the_earlier_row(tmp_path: Path) -> None:
    problems = found(tmp_path, [*CLEAN, CLEAN[0], CLEAN[0]])
    assert problems["kind"].tolist() == ["repeated path"] * 2
    assert problems["row"].tolist() == [5, 6]
    assert problems["what"].unique().tolist() == ["as in row 2 of t.csv"]


def test_patients_of_two_sexes_and_of_two_folders(tmp_path: Path) -> None:
    other = film(1, study=2).replace("/train/", "/valid/")
    problems = found(tmp_path, [*CLEAN, row(other, Fracture="1", Sex="Male")])
    both = [film(1), other]
    for kind, said in (
        ("patient in several splits", "CheXpert-v1.0-small/train; CheXpert-v1.0-small/valid"),
        ("patient of two sexes", "Female; Male"),
    ):
        part = problems[problems["kind"] == kind]
        assert part["Path"].tolist() == both
        assert set(part["what"]) == {said}
    assert len(problems) == 4


def test_a_folder_called_after_patients_hides_no_split(tmp_path: Path) -> None:
    paths = [film(1, study=n, prefix="patients/CheXpert/") for n in (1, 2)]
    paths[1] = paths[1].replace("/train/", "/valid/")
    problems = found(tmp_path, [row(path, Fracture="1") for path in paths])
    assert problems["kind"].tolist() == ["patient in several splits"] * 2
    assert set(problems["what"]) == {"patients/CheXpert/train; patients/CheXpert/valid"}


def test_a_patient_in_two_tables(tmp_path: Path) -> None:
    train = read_table(write(tmp_path / "train.csv", [CLEAN[0], CLEAN[1]]))
    valid = read_table(write(tmp_path / "valid.csv", [row(film(1, study=2), Fracture="1")]))
    problems = audit({"train.csv": train, "valid.csv": valid})
    assert problems["kind"].tolist() == ["patient in several splits"] * 2
    assert problems[["file", "row"]].to_numpy().tolist() == [["train.csv", 2], ["valid.csv", 2]]
    assert "train.csv: " in problems["what"][0]
    assert "valid.csv: " in problems["what"][0]


def test_the_order_of_the_rows_does_not_matter(tmp_path: Path) -> None:
    rows = [*CLEAN, row(film(4)), row(film(1, study=2), Sex="Male", Age="0"), CLEAN[1]]
    forwards, backwards = count(found(tmp_path, rows)), count(found(tmp_path, rows[::-1]))
    assert forwards == backwards
    assert sum(forwards.values()) == 6  # age 0, two of two sexes, two unlabelled, one repeated


def test_the_real_table() -> None:
    numbers = count(audit({"chexpert": read_table(real_table())}))
    assert numbers["No Finding with a finding"] == 0  # the labeler's own rule
    assert numbers["age 0"] == 3
    assert numbers["patient in several splits"] == 0


# ------------------------------------------------------------------------------------- loose reading


def test_what_can_be_read_is_read(tmp_path: Path) -> None:
    rows = [
        row("nowhere.jpg"),
        row(film(2), Edema="yes", Fracture="1"),
        row(film(3), Age="old"),
        row(film(3)),
    ]
    table, broken = read_loosely(write(tmp_path / "t.csv", rows), "t.csv")
    assert table.index.tolist() == [1, 2, 3]
    assert table["patient"].tolist() == ["patient00002", "patient00003", "patient00003"]
    assert np.isnan(table.loc[1, "Edema"])
    assert table.loc[1, "Fracture"] == 1
    assert np.isnan(table.loc[2, "Age"])
    assert sorted(broken[["row", "column", "cell"]].to_numpy().tolist()) == [
        [0, "Path", "nowhere.jpg"],
        [1, "Edema", "yes"],
        [2, "Age", "old"],
    ]


def test_a_good_table_reads_the_same_both_ways(tmp_path: Path) -> None:
    csv = write(tmp_path / "t.csv", CLEAN)
    table, broken = read_loosely(csv, "t.csv")
    pd.testing.assert_frame_equal(table, read_table(csv))
    pd.testing.assert_frame_equal(read_bytes(csv.read_bytes(), "t.csv"), read_table(csv))
    assert not len(broken)


def test_a_missing_column_can_not_be_audited(tmp_path: Path) -> None:
    csv = write(tmp_path / "t.csv", CLEAN, header=["Path", "Sex"])
    with pytest.raises(DatasetError, match="lacks the columns"):
        read_loosely(csv, "t.csv")


def test_a_small_gzip_does_not_fill_the_memory() -> None:
    import gzip

    bomb = gzip.compress(b"Path,Sex\n" + b"a" * (MAX_TEXT + 1), compresslevel=1)
    assert len(bomb) < MAX_TEXT / 50
    with pytest.raises(DatasetError, match="more than 100 MB"):
        read_bytes(bomb, "bomb.csv.gz")


# ---------------------------------------------------------------------------------------- the command


def spoilt(root: Path) -> Path:
    """A copy of the tiny data set, with one problem of each kind that films can have.

    Phantoms resemble each other more than films do: here every film has a pattern of its own.
    """
    rng = np.random.default_rng(0)
    for path in root.glob("*/*/*/*.jpg"):
        pattern = Image.fromarray(rng.integers(0, 256, (16, 16), dtype=np.uint8))
        pattern.resize((96, 96), Image.Resampling.BICUBIC).save(path, quality=92)
    films = sorted(root.glob("train/*/*/*.jpg"))
    films[0].unlink()
    films[1].write_bytes(films[1].read_bytes()[:200])
    Image.new("L", (64, 64), 90).save(films[2])
    films[4].write_bytes(films[3].read_bytes())
    with Image.open(films[5]) as picture:
        picture.resize((64, 64)).save(films[6], quality=40)
    return root


def test_films_are_audited(copied_data: Path) -> None:
    told: list[tuple[int, int]] = []
    result = inspect(spoilt(copied_data), progress=lambda done, total: told.append((done, total)))
    assert told[-1] == (36, 36)
    in_films = {
        kind: number for kind, number in result.counts.items() if "film" in kind and "label" not in kind
    }
    assert in_films == {
        "frontal film without AP or PA": 0,
        "missing film": 1,
        "unreadable film": 1,
        "film of one grey value": 1,
        "identical films": 2,
        "near-identical films": 2,
    }
    assert result.errors >= 5
    assert (result.files, result.rows, result.unchecked) == (("train.csv", "valid.csv"), 36, "")
    twins = result.found[result.found["kind"] == "identical films"]
    near = result.found[result.found["kind"] == "near-identical films"]
    for pair in (twins, near):
        assert pair["Path"].iloc[1] in pair["what"].iloc[0]
        assert pair["Path"].iloc[0] in pair["what"].iloc[1]
    assert not result.found["what"].str.contains(str(copied_data), regex=False).any()


def test_films_none_of_which_can_be_read(tmp_path: Path) -> None:
    csv = write(tmp_path / "train.csv", CLEAN)
    for line in CLEAN:
        path = tmp_path / line["Path"]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"no film")
    result = inspect(csv)
    assert result.counts["unreadable film"] == len(CLEAN)
    assert result.counts["identical films"] == result.counts["near-identical films"] == 0


def test_the_command_audits_a_directory(
    copied_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    csv = tmp_path / "problems.csv"
    assert main(["statistics", str(copied_data), "--audit", "--no-images"]) == 0
    assert "not looked at: not asked for" in capsys.readouterr().err
    assert main(["statistics", str(spoilt(copied_data)), "--audit", "--csv", str(csv)]) == 1
    printed = capsys.readouterr().out
    written = pd.read_csv(csv)
    assert list(written.columns) == list(COLUMNS)
    assert f"{len(written)} problems in 36 rows of train.csv and valid.csv" in printed
    assert (written["kind"] == "missing film").sum() == 1


def test_a_table_without_films_says_so(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    csv = write(tmp_path / "t.csv", [*CLEAN, CLEAN[0]])
    assert main(["statistics", str(csv), "--audit"]) == 1  # a repeated path is an error
    assert "no film lies at the paths of t.csv" in capsys.readouterr().err


def test_a_table_of_which_no_row_can_be_read(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    csv = write(tmp_path / "t.csv", [row("nowhere.jpg", Fracture="1")])
    assert main(["statistics", str(csv), "--audit"]) == 1
    assert "1 problems in 1 rows of t.csv" in capsys.readouterr().out


@pytest.mark.parametrize("options", [["--audit", "--out", "x.json"], ["--csv", "x.csv"]])
def test_options_that_do_not_fit_are_refused(
    tmp_path: Path, options: list[str], capsys: pytest.CaptureFixture
) -> None:
    assert main(["statistics", str(write(tmp_path / "t.csv", CLEAN)), *options]) == 2
    assert "give" in capsys.readouterr().err
