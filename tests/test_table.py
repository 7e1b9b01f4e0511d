"""Reading a label table: what it accepts, and how it complains."""

import gzip
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from chexpert_rows import HEADER, film, real_table, row, write

from chexmodel.errors import DatasetError
from chexmodel.labels import OBSERVATIONS
from chexmodel.reading import read_bytes
from chexmodel.table import read_table, select_views


def complaint(path: Path) -> str:
    with pytest.raises(DatasetError) as caught:
        read_table(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_table_keeps_paths_and_gains_patient_and_study(tmp_path: Path) -> None:
    rows = [row(film(2, 3), Edema="1.0", Fracture="-1"), row(film(1), Sex="Unknown", Pneumonia="0")]
    table = read_table(write(tmp_path / "any.csv", rows))
    assert table["Path"].tolist() == [film(2, 3), film(1)]
    assert table["patient"].tolist() == ["patient00002", "patient00001"]
    assert table["study"].tolist() == ["patient00002/study3", "patient00001/study1"]
    assert table.index.tolist() == [0, 1]
    assert table["Age"].tolist() == [68, 68]
    labels = table[list(OBSERVATIONS)]
    assert (labels.dtypes == np.float32).all()
    assert labels.loc[0, ["Edema", "Fracture"]].tolist() == [1, -1]
    assert labels.loc[1, "Pneumonia"] == 0
    assert labels.isna().sum().sum() == 2 * 14 - 3


def test_projections_and_sexes_may_be_blank_or_any_text(tmp_path: Path) -> None:
    rows = [row(film(1), **{"AP/PA": "LL", "Sex": "Unknown"}), row(film(2), **{"AP/PA": "", "Sex": ""})]
    table = read_table(write(tmp_path / "a.csv", rows))
    assert table["AP/PA"].isna().tolist() == [False, True]


def test_extra_columns_are_kept_and_blank_lines_passed_over(tmp_path: Path) -> None:
    csv = write(tmp_path / "a.csv", [row(film(1), score="3")], [*HEADER, "score"])
    csv.write_text("\ufeff" + csv.read_text() + "\n\n", encoding="utf-8")
    table = read_table(csv)
    assert len(table) == 1
    assert table["score"].tolist() == [3]


def test_gzip_is_known_by_its_content(tmp_path: Path) -> None:
    plain = write(tmp_path / "a.csv", [row(film(1), Edema="1")])
    for name in ("b.csv.gz", "b.csv"):
        (tmp_path / name).write_bytes(gzip.compress(plain.read_bytes()))
        pd.testing.assert_frame_equal(read_table(tmp_path / name), read_table(plain))


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        ({"Edema": "2"}, "row 3, column Edema: “2” is none of 1, 0, −1 and blank"),
        ({"Lung_Lesion": "yes"}, "row 3, column Lung Lesion: “yes” is none of"),
        ({"Edema": "True"}, "row 3, column Edema: “True” is none of"),
        ({"Edema": "nan"}, "row 3, column Edema: “nan” is none of"),
        ({"Edema": "0.5"}, "row 3, column Edema: “0.5” is none of"),
        ({"Age": "121"}, "row 3, column Age: “121” is not a number from 0 to 120"),
        ({"Age": "-1"}, "row 3, column Age: “-1” is not a number"),
        ({"Age": "old"}, "row 3, column Age: “old” is not a number"),
        ({"Age": ""}, "row 3, column Age: is blank"),
        ({"Path": "train/1.jpg"}, "row 3, column Path: “train/1.jpg” has no patient<number>/study<number>"),
        ({"Path": ""}, "row 3, column Path: is blank"),
        ({"Path": film(1)}, f"row 3, column Path: “{film(1)}” is the path of an earlier row too"),
        ({"Frontal/Lateral": "Oblique"}, "row 3, column Frontal/Lateral: “Oblique” is neither"),
        ({"Frontal/Lateral": ""}, "row 3, column Frontal/Lateral: is blank"),
    ],
)
def test_a_wrong_cell_is_named(tmp_path: Path, cells: dict[str, str], expected: str) -> None:
    rows = [row(film(1)), row(**({"path": film(2)} | cells)), row(film(3))]
    if "Path" in cells:
        rows[1]["Path"] = cells["Path"]
    message = complaint(write(tmp_path / "a.csv", rows))
    assert expected in message
    assert message.count(", column ") == 1
    assert "correct or remove" in message


def test_five_problems_are_named_and_more_announced(tmp_path: Path) -> None:
    rows = [row(film(i), Edema="7", Age="999") for i in range(2)]
    assert complaint(write(tmp_path / "a.csv", rows)).count("; row") == 3
    message = complaint(write(tmp_path / "b.csv", [row(film(i), Edema="7") for i in range(9)]))
    assert [f"row {i}," in message for i in range(2, 8)] == [True] * 5 + [False]
    assert "the first 5 problems" in message


def test_a_blank_line_does_not_shift_the_rows(tmp_path: Path) -> None:
    csv = write(tmp_path / "a.csv", [row(film(1)), {}, row(film(2), Edema="x")])
    csv.write_text(csv.read_text().replace("\n" + "," * (len(HEADER) - 1) + "\n", "\n\n"))
    assert "row 4, column Edema" in complaint(csv)


def test_missing_columns_are_named(tmp_path: Path) -> None:
    message = complaint(write(tmp_path / "a.csv", [row(film(1))], HEADER[:-1]))
    assert "row 1 (the header) lacks the column Support Devices:" in message
    message = complaint(write(tmp_path / "b.csv", [row(film(1))], HEADER[:5]))
    assert "columns No Finding, Enlarged Cardiomediastinum, " in message
    assert "and 9 more" in message


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", "is empty"),
        (b"\n", "is empty"),
        (",".join(HEADER).encode() + b"\n", "has a header but no rows"),
        (b"\xff\xd8\xff\xe0\x00\x10JFIF\x00\x01", "is binary"),
        (b"PK\x03\x04\x14\x00\x06\x00", "Excel or ZIP file"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "Excel or ZIP file"),
        (b"\x1f\x8b\x08\x00broken", "can't be read"),
        (",".join(HEADER).encode() + b"\n\xe9t\xe9,Male,1,Frontal,AP\n", "is not UTF-8 text"),
        (",".join(HEADER).encode() + b"\n" + b"," * 30 + b"\n", "row 2 has more cells than the header"),
        (b"a,b\n1,2\n1,2,3\n", "Expected 2 fields in line 3, saw 3"),
        (";".join(HEADER).encode() + b"\n", "give a comma-separated table"),
    ],
)
def test_what_is_no_table_is_refused(tmp_path: Path, content: bytes, expected: str) -> None:
    csv = tmp_path / "a.csv"
    csv.write_bytes(content)
    assert expected in complaint(csv)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    assert "does not exist" in complaint(tmp_path / "none.csv")


def test_views(tmp_path: Path) -> None:
    rows = [row(film(1, view="lateral"), **{"Frontal/Lateral": "Lateral", "AP/PA": ""}), row(film(1))]
    table = read_table(write(tmp_path / "a.csv", rows))
    assert select_views(table, "frontal").index.tolist() == [1]
    assert select_views(table, "all").index.tolist() == [0, 1]
    with pytest.raises(DatasetError, match="frontal, all"):
        select_views(table, "lateral")


def test_the_real_table() -> None:
    table = read_table(real_table())
    assert len(table) == 223_414
    assert table["patient"].nunique() == 64_540


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(b"\n" * (50 * 2**20), id="rows of nothing"),
        pytest.param(b"\r" * (50 * 2**20), id="of another system"),
        pytest.param(b"," * (50 * 2**20), id="a header without an end"),
        pytest.param(b'"a\n' + b"," * (50 * 2**20), id="a quote without an end"),
        pytest.param(b"," * 30_000 + b"\n" * 3_000, id="wide"),
    ],
)
def test_a_table_of_more_cells_than_fit_into_memory_is_refused(text: bytes) -> None:
    """As pandas holds them, each takes 8 bytes, which in the file were a comma at most."""
    names = ",".join(HEADER).encode() + b"\n"
    with pytest.raises(DatasetError, match=r"million cells.*split it"):
        read_bytes(gzip.compress(names + text if text[:1] in b"\r\n" else text, 1), "train.csv")
