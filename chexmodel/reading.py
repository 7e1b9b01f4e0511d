"""Read a CheXpert table from a file or from memory: checked as a whole, or row by row for an audit."""

import csv
import gzip
import re
import zlib
from io import BytesIO, StringIO
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd
from pandera.errors import SchemaErrors

from chexmodel.errors import DatasetError
from chexmodel.labels import OBSERVATIONS
from chexmodel.language import tr
from chexmodel.layout import csv_files
from chexmodel.schema import FIRST_ROW, SCHEMA, STUDY, VIEWS, explain, numbers

MAX_TEXT: Final = 100 * 2**20
"""Bytes of text that a table in memory may unpack to: four times CheXpert's. A small gzip can hide more."""

MAX_CELLS: Final = 40_000_000
"""Rows times columns of a table in memory: ten times CheXpert's. Rows of nothing are cheap to write."""

_HEADER: Final = 2**16  # bytes within which the first row of a table in memory has to end
_TEXT: Final = ("Path", "Sex", "Frontal/Lateral", "AP/PA")
_NUMBERS: Final = ("Age", *OBSERVATIONS)
_GZIP: Final = b"\x1f\x8b"


def read_table(csv_or_dir: str | Path) -> pd.DataFrame:
    """Read and check a table in CheXpert's layout.

    Args:
        csv_or_dir: a CSV (also gzipped), or a directory that holds `train.csv`, itself or in its one
            sub-directory `CheXpert-v1.0*/`.

    Returns:
        One row per film, index 0..n−1: `Path` verbatim, `Age` in years (float32), the 14 observations as
        float32 in {1, 0, −1, NaN}, further columns as they are, and `patient` and `study`, both unique
        over the whole file.

    Raises:
        DatasetError: no such file, not a CSV, no rows, or rows that break a rule: the message names the
            file, and the column and the row (the header is row 1) of the first five problems.
    """
    csv, _ = csv_files(csv_or_dir)
    return _checked(_read_cells(csv, str(csv)), str(csv))


def read_bytes(data: bytes, name: str) -> pd.DataFrame:
    """Read and check a table that lies in memory; nothing is written to the disk.

    Args:
        data: a CSV, also gzipped.
        name: what messages call it.

    Returns:
        As `read_table`.

    Raises:
        DatasetError: as `read_table`, or more than `MAX_TEXT` bytes of text or `MAX_CELLS` cells.
    """
    return _checked(_read_cells(data, name), name)


def read_loosely(source: Path | bytes, name: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Read what can be read of a table that may break rules.

    Args:
        source: a CSV, also gzipped: its path, or its bytes.
        name: what messages call it.

    Returns:
        The table as of `read_table`, but its index counts the file's rows from 0 and may have gaps, paths
        may repeat, and a label, age or view that breaks a rule is NaN; without the rows whose path names
        no patient and study. And those broken cells: row (as the index), column, cell.

    Raises:
        DatasetError: no such file, not a CSV, no rows, or a column is missing.
    """
    cells = _read_cells(source, name)
    try:
        SCHEMA.validate(cells.head(0), lazy=True)
    except SchemaErrors as error:
        raise DatasetError(explain(name, error.failure_cases)) from None
    broken = {column: _broken_numbers(cells[column]) for column in OBSERVATIONS}
    broken["Age"] = ~numbers(cells["Age"]).between(0, 120)
    broken["Frontal/Lateral"] = ~cells["Frontal/Lateral"].isin(VIEWS)
    broken["Path"] = ~cells["Path"].str.contains(STUDY).fillna(False).astype(bool)
    problems = pd.concat(
        [
            pd.DataFrame(
                {"row": cells.index[wrong], "column": column, "cell": cells.loc[wrong, column].astype(str)}
            )
            for column, wrong in broken.items()
            if wrong.any()
        ]
        or [pd.DataFrame(columns=["row", "column", "cell"])],
        ignore_index=True,
    )
    kept = ~broken["Path"]
    table = _named(cells[kept])
    for column in _NUMBERS:
        table.loc[broken[column][kept], column] = np.nan
    table["Frontal/Lateral"] = table["Frontal/Lateral"].where(~broken["Frontal/Lateral"][kept])
    return table, problems


def _broken_numbers(cells: "pd.Series[str]") -> "pd.Series[bool]":
    broken: pd.Series[bool] = cells.notna() & ~numbers(cells).isin([1, 0, -1])
    return broken


def _checked(cells: pd.DataFrame, name: str) -> pd.DataFrame:
    try:
        SCHEMA.validate(cells, lazy=True)
    except SchemaErrors as error:
        raise DatasetError(explain(name, error.failure_cases)) from None
    return _named(cells.reset_index(drop=True))


def _named(cells: pd.DataFrame) -> pd.DataFrame:
    """Turn categories into numbers and add the patient and the study that each path names."""
    paths = cells["Path"].to_numpy(dtype=object)  # iterating over the column itself takes seconds
    studies = [match[0] for match in map(re.compile(STUDY).search, paths) if match]
    return cells.assign(
        **{name: numbers(cells[name]) for name in _NUMBERS},
        patient=[study.partition("/")[0] for study in studies],
        study=studies,
    )


def _read_cells(source: Path | bytes, name: str) -> pd.DataFrame:
    """Read text and categories; the index counts the file's rows from 0."""
    try:
        compressed = _sniff(source, name)
        text: Path | BytesIO
        if isinstance(source, Path):
            text = source
        else:
            unpacked = _inflated(source, name) if compressed else source
            _check_cells(unpacked, name)
            text = BytesIO(unpacked)
            compressed = False
        cells = pd.read_csv(
            text,
            compression="gzip" if compressed else None,
            # Labels and ages have few distinct values: as categories they read fast and keep their text.
            dtype=dict.fromkeys(_TEXT, "str") | dict.fromkeys(_NUMBERS, "category"),
            keep_default_na=False,
            na_values=[""],
            skip_blank_lines=False,  # or the rows that messages name would shift
            low_memory=False,
        )
    except pd.errors.EmptyDataError:
        raise DatasetError(tr("{name} is empty: copy it again", name=name)) from None
    except UnicodeDecodeError as error:
        raise DatasetError(
            tr("{name} is not UTF-8 text ({reason}): save it as “CSV UTF-8”", name=name, reason=error.reason)
        ) from None
    except pd.errors.ParserError as error:
        reason = str(error).strip()
        raise DatasetError(
            tr(
                "{name} is not a CSV table ({reason}): correct this row, or export it again",
                name=name,
                reason=reason,
            )
        ) from None
    except (OSError, EOFError, zlib.error) as error:
        raise DatasetError(
            tr("{name} can't be read ({error}): check the file, or copy it again", name=name, error=error)
        ) from None
    if not isinstance(cells.index, pd.RangeIndex):
        # pandas makes the surplus leading cells an index: every column would be shifted.
        raise DatasetError(
            tr(
                "{name}: row {first_row} has more cells than the header: correct one of the two",
                name=name,
                first_row=FIRST_ROW,
            )
        )
    cells = cells.dropna(how="all")
    if cells.empty and set(SCHEMA.columns) <= set(cells.columns):
        raise DatasetError(tr("{name} has a header but no rows: copy it again", name=name))
    return cells


def _check_cells(text: bytes, name: str) -> None:
    """Raise `DatasetError` for more than `MAX_CELLS`: each takes 8 bytes at least, be there nothing in it."""
    rows = csv.reader(StringIO(text[:_HEADER].decode("utf-8", errors="replace"), newline=""))
    try:
        columns = len(next(rows, []))
        ended = len(text) <= _HEADER or next(rows, None) is not None
    except csv.Error:
        ended = False
    if not ended or (text.count(b"\n") + text.count(b"\r")) * columns > MAX_CELLS:
        raise DatasetError(
            tr(
                "{name} has more than {most} million cells, or a header without an end: split it, or "
                "count it with `python -m chexmodel statistics`",
                name=name,
                most=MAX_CELLS // 10**6,
            )
        )


def _inflated(data: bytes, name: str) -> bytes:
    with gzip.open(BytesIO(data)) as stream:
        text = stream.read(MAX_TEXT + 1)
    if len(text) > MAX_TEXT:
        raise DatasetError(
            tr(
                "{name} unpacks to more than {limit} MB of text: split it, or count it with `python -m "
                "chexmodel statistics`",
                name=name,
                limit=MAX_TEXT // 2**20,
            )
        )
    return text


def _sniff(source: Path | bytes, name: str) -> bool:
    """Tell whether the file is gzipped; refuse what its first bytes show to be no text."""
    with source.open("rb") if isinstance(source, Path) else BytesIO(source) as stream:
        compressed = stream.read(2) == _GZIP
        stream.seek(0)
        start = (gzip.GzipFile(fileobj=stream) if compressed else stream).read(4096)
    if start.startswith((b"PK\x03\x04", b"\xd0\xcf\x11\xe0")):
        raise DatasetError(
            tr("{name} is an Excel or ZIP file, not a CSV: unpack it, or export the sheet as CSV", name=name)
        )
    if b"\0" in start:
        raise DatasetError(
            tr(
                "{name} is binary (or UTF-16), not a CSV: give CheXpert's train.csv or its directory",
                name=name,
            )
        )
    return compressed
