"""Finding the tables and films of a CheXpert copy."""

from pathlib import Path

import numpy as np
import pytest
from chexpert_rows import SHARED, film, row, write

from chexmodel.errors import DatasetError
from chexmodel.labels import OBSERVATIONS
from chexmodel.layout import csv_files, image_paths, missing_images, require_images
from chexmodel.table import read_table, targets


@pytest.mark.parametrize("home", ["", "CheXpert-v1.0-small", "CheXpert-v1.0"])
def test_a_directory_stands_for_its_tables(tmp_path: Path, home: str) -> None:
    train = write(tmp_path / home / "train.csv", [row(film(1))])
    assert csv_files(tmp_path) == (train, None)
    valid = write(tmp_path / home / "valid.csv", [row(film(2))])
    assert csv_files(tmp_path) == (train, valid)
    assert csv_files(train) == (train, valid)
    assert csv_files(valid) == (valid, None)
    assert len(read_table(tmp_path)) == 1


def test_a_directory_without_a_table_says_what_was_looked_for(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"CheXpert-v1\.0\*") as caught:
        csv_files(tmp_path)
    assert str(tmp_path / "train.csv") in str(caught.value)


def test_a_directory_with_two_data_sets_asks_for_one(tmp_path: Path) -> None:
    for name in ("CheXpert-v1.0", "CheXpert-v1.0-small"):
        write(tmp_path / name / "train.csv", [row(film(1))])
    with pytest.raises(DatasetError, match=r"CheXpert-v1\.0, CheXpert-v1\.0-small"):
        csv_files(tmp_path)


@pytest.mark.parametrize("prefix", ["CheXpert-v1.0-small/", "CheXpert-v1.0/", ""])
@pytest.mark.parametrize(
    ("table_at", "films_at"),
    [
        ("train.csv", ""),
        ("train.csv", "CheXpert-v1.0-small"),
        ("CheXpert-v1.0-small/train.csv", "CheXpert-v1.0-small"),
        ("labels/train.csv", ""),
        ("labels/train.csv", "CheXpert-v1.0-small"),
    ],
)
def test_films_are_found_beside_or_under_the_table(
    tmp_path: Path, prefix: str, table_at: str, films_at: str
) -> None:
    csv = write(tmp_path / table_at, [row(film(i, prefix=prefix)) for i in range(1, 4)])
    for i in (2, 3):  # the first is missing: it must not decide
        path = tmp_path / films_at / film(i, prefix="")
        path.parent.mkdir(parents=True)
        path.touch()
    table = read_table(csv)
    for data in (csv, csv.parent):
        paths = image_paths(table, data)
        assert [path.is_file() for path in paths] == [False, True, True]
        assert missing_images(paths) == [0]


def test_missing_films_are_counted_and_the_first_named(tmp_path: Path) -> None:
    csv = write(tmp_path / "train.csv", [row(film(i)) for i in range(1, 8)])
    table = read_table(csv)
    paths = image_paths(table, csv)
    with pytest.raises(DatasetError, match="7 of 7 films are missing") as caught:
        require_images(table, paths)
    message = str(caught.value)
    assert film(1) in message
    assert f"{film(5)} (row 6) and 2 more" in message
    assert film(6) not in message
    assert "--skip-missing" in message
    for path in paths:
        path.parent.mkdir(parents=True)
        path.touch()
    require_images(table, paths)


def test_an_empty_part_of_a_table_has_no_films(tmp_path: Path) -> None:
    csv = write(tmp_path / "train.csv", [row(film(1))])
    assert image_paths(read_table(csv).iloc[:0], csv) == []


@pytest.mark.shared
@pytest.mark.skipif(not (SHARED / "xrays").is_dir(), reason="the shared X-rays (../shared/data) are missing")
def test_the_shared_films() -> None:
    table = read_table(SHARED / "xrays")
    assert len(table) == 622
    require_images(table, image_paths(table, SHARED / "xrays"))
    valid = csv_files(SHARED / "xrays")[1]
    assert valid is not None
    held_out = read_table(valid)
    require_images(held_out, image_paths(held_out, valid))
    assert not set(table["patient"]) & set(held_out["patient"])
    unlabelled = np.isnan(targets(table)).all(axis=0)
    assert [name for name, blank in zip(OBSERVATIONS, unlabelled, strict=True) if blank] == [
        "Enlarged Cardiomediastinum",
        "Fracture",
        "Support Devices",
    ]
