"""The table that the Dataset page shows: shipped counts, a visitor's upload, or the server's data folder."""

import hashlib
import os
from pathlib import Path
from typing import Final, NamedTuple

import pandas as pd
import streamlit as st

from chexmodel.audit import audit, count
from chexmodel.errors import DatasetError
from chexmodel.inspection import Inspection, inspect, rows_of
from chexmodel.labels import OBSERVATIONS
from chexmodel.language import current, mark, tr
from chexmodel.reading import read_bytes, read_loosely, read_table
from chexmodel.statistics import Provenance, Statistics, describe, load_statistics, provenance_of
from chexmodel.table import csv_files
from chexmodel.ui.bundles import ROOT

COMMITTED: Final = ROOT / "assets" / "statistics" / "chexpert.json"
MAX_MB: Final = 50
"""Largest upload: a table is read into memory as a whole. The browser's limit is not the server's."""
LOADED_KEY: Final = "dataset-loaded"
"""Session key of the last upload, read: one at a time, so that a session's memory stays bounded."""

_COMMAND: Final = "python -m chexmodel statistics"


class Loaded(NamedTuple):
    """A table to show.

    Attributes:
        key: what tells it from other tables.
        statistics: its counts; None where the table breaks rules.
        table: path, view and labels per film, for the policies; None where only counts are known.
        inspection: the audit; None where only counts are known.
        refused: why there are no counts.
    """

    key: str
    statistics: Statistics | None
    table: pd.DataFrame | None = None
    inspection: Inspection | None = None
    refused: str = ""


def shipped() -> Loaded:
    """Load the counts of CheXpert's own table.

    Raises:
        DatasetError: as `load_statistics`.
    """
    return Loaded("chexpert", load_statistics(COMMITTED))


def uploaded(data: bytes, name: str) -> Loaded:
    """Read an upload; nothing is written to the disk, and it is kept in this session until the next one.

    Raises:
        DatasetError: it is too large or can't be read at all; a table that breaks rules is audited instead.
    """
    if len(data) > MAX_MB * 2**20:
        raise DatasetError(
            tr(
                "This table is more than {limit} MB: split it, or count it with `python -m chexmodel "
                "statistics`",
                limit=MAX_MB,
            )
        )
    digest = hashlib.sha256(data).hexdigest()
    key = f"{name} {digest} {current()}"  # a refusal is a sentence
    kept = st.session_state.get(LOADED_KEY)
    if isinstance(kept, Loaded) and kept.key == key:
        return kept
    st.session_state.pop(LOADED_KEY, None)  # make room first
    with st.spinner(tr("Reading the table …")):
        made = Provenance(source=name, sha256=digest, command=f"{_COMMAND} {name}", code=mark("this app"))
        loaded = _read(data, name, made, key)
    st.session_state[LOADED_KEY] = loaded
    return loaded


def _read(data: bytes, name: str, made: Provenance, key: str) -> Loaded:
    unchecked = mark("a table alone was uploaded")
    try:
        table = read_bytes(data, name)
    except DatasetError as error:
        table, broken = read_loosely(data, name)
        found = audit({name: table}, broken={name: broken})
        inspection = Inspection(_lean(found), count(found), (name,), rows_of(table, broken), unchecked)
        return Loaded(key, None, inspection=inspection, refused=str(error))
    found = audit({name: table})
    statistics = describe(table, provenance=made, found=found)
    inspection = Inspection(_lean(found), count(found), (name,), len(table), unchecked)
    return Loaded(key, statistics, _needed(table), inspection)


def folder() -> Path | None:
    """The data folder of this server: what CHEXMODEL_DATA names. A visitor can't choose it."""
    named = os.environ.get("CHEXMODEL_DATA")
    return Path(named) if named else None


def of_folder(data: Path) -> Loaded:
    """Read the tables of the data folder; kept for all sessions until a file changes.

    Raises:
        DatasetError: as `csv_files` and `read_loosely`.
    """
    try:
        files = [csv for csv in csv_files(data) if csv is not None]
        states = tuple((csv.name, csv.stat().st_mtime_ns, csv.stat().st_size) for csv in files)
        with st.spinner(tr("Reading the tables …")):
            return _of_folder(str(data), states, current())
    except DatasetError as error:
        # Where it lies is no matter of a visitor's.
        raise DatasetError(str(error).replace(str(data), tr("the data folder"))) from error


@st.cache_resource(max_entries=2, show_spinner=False)
def _of_folder(data: str, states: tuple[tuple[str, int, int], ...], language: str) -> Loaded:  # noqa: ARG001
    # The language is part of the key: a refusal is a sentence.
    inspection = inspect(Path(data), films=False)
    inspection = inspection._replace(found=_lean(inspection.found))
    key = f"{data} {states}"
    csv, _ = csv_files(data)
    try:
        table = read_table(csv)
    except DatasetError as error:
        return Loaded(key, None, inspection=inspection, refused=str(error).replace(str(csv), csv.name))
    made = provenance_of(csv, command=f"{_COMMAND} {csv.name}")
    return Loaded(key, describe(table, provenance=made), _needed(table), inspection)


def _needed(table: pd.DataFrame) -> pd.DataFrame:
    return table[["Path", "Frontal/Lateral", *OBSERVATIONS]]


def _lean(found: pd.DataFrame) -> pd.DataFrame:
    """Keep what repeats once: tens of thousands of rows have a handful of kinds."""
    return found.astype(dict.fromkeys(("kind", "severity", "file", "what", "remedy"), "category"))
