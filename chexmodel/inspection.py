"""Audit a data set as it lies on the disk: its tables, and its films where they are there."""

from collections.abc import Callable
from pathlib import Path
from typing import Final, NamedTuple

import pandas as pd

from chexmodel.audit import audit, count, in_order
from chexmodel.audit_kinds import TABLE_KINDS, TABLE_MESSAGES, Kind
from chexmodel.film_audit import FILM_KINDS, FILM_MESSAGES, audit_films
from chexmodel.language import mark
from chexmodel.layout import csv_files, image_paths
from chexmodel.reading import read_loosely

ALL_KINDS: dict[str, Kind] = TABLE_KINDS | FILM_KINDS
NOT_ASKED: Final = mark("not asked for")
NO_FILMS: Final = mark("no film lies at the paths of {tables}")
MESSAGES: Final = (*TABLE_MESSAGES, *FILM_MESSAGES, NOT_ASKED, NO_FILMS)
"""What `retelling.retold` tells an inspection by: its sentences are English."""


class Inspection(NamedTuple):
    """What an audit found.

    Attributes:
        found: a row per problem, in the columns `audit.COLUMNS`.
        counts: problems per kind that was looked for, 0 included.
        files: names of the tables.
        rows: rows of all tables together.
        unchecked: why the films were not looked at; "" when they were.
    """

    found: pd.DataFrame
    counts: dict[str, int]
    files: tuple[str, ...]
    rows: int
    unchecked: str

    @property
    def errors(self) -> int:
        """Problems of severity "error"."""
        return int((self.found["severity"] == "error").sum())


def inspect(
    data: Path, *, films: bool = True, progress: Callable[[int, int], None] | None = None
) -> Inspection:
    """Audit the tables of a data set, and its films.

    Args:
        data: a CheXpert CSV, or the directory that holds train.csv; there valid.csv is audited with it.
        films: also read every film; without one at its place none is looked for.
        progress: called with the number of films done and of all.

    Raises:
        DatasetError: as `read_loosely`.
    """
    train, valid = csv_files(data)
    files = [train, valid] if valid is not None and Path(data).is_dir() else [train]
    loose = {csv.name: read_loosely(csv, str(csv)) for csv in files}
    tables = {name: table for name, (table, _) in loose.items()}
    found = audit(tables, broken={name: broken for name, (_, broken) in loose.items()})
    counts = count(found)
    unchecked = "" if films else NOT_ASKED
    if films:
        paths = {csv.name: image_paths(tables[csv.name], csv) for csv in files}
        if any(path.is_file() for some in paths.values() for path in some):
            in_films = audit_films(tables, paths, progress=progress)
            found, counts = in_order([found, in_films]), counts | count(in_films, FILM_KINDS)
        else:
            unchecked = NO_FILMS.format(tables=" or ".join(tables))
    rows = sum(rows_of(table, broken) for table, broken in loose.values())
    return Inspection(found, counts, tuple(tables), rows, unchecked)


def rows_of(table: pd.DataFrame, broken: pd.DataFrame) -> int:
    """Rows of the file that `read_loosely` read: it leaves out those whose path names no patient."""
    return len(table) + int((broken["column"] == "Path").sum())
