"""Count what a label table contains."""

import hashlib
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd

from chexmodel.aggregates import (
    Ages,
    PerPatient,
    Provenance,
    States,
    Statistics,
    conditional,
    jaccard,
    load_statistics,
)
from chexmodel.audit import audit, count
from chexmodel.labels import OBSERVATIONS
from chexmodel.policies import explain_all
from chexmodel.table import csv_files
from chexmodel.version import __version__

# Counting and what is kept of it are one subject to a caller.
__all__ = [
    "Ages",
    "PerPatient",
    "Provenance",
    "States",
    "Statistics",
    "conditional",
    "describe",
    "jaccard",
    "load_statistics",
    "provenance_of",
]

_STATES: Final = {"positive": 1, "negative": 0, "uncertain": -1}
_AGES: Final = tuple(range(0, 121, 10))
_VISITS: Final = (1, 2, 3, 4, 5, 6, 11, 21, 51)
_BLANK: Final = "blank"


def describe(
    table: pd.DataFrame,
    *,
    provenance: Provenance | None = None,
    policies: bool = False,
    found: pd.DataFrame | None = None,
) -> Statistics:
    """Count what a table contains.

    Args:
        table: at least one row of `read_table`; the whole or a part.
        provenance: what to record beside the counts; see `provenance_of`.
        policies: also work out every combination of label policies (for a whole file); takes seconds.
        found: what `audit` found in this table, where that is known already.

    Returns:
        Aggregates only.
    """
    labels = table[list(OBSERVATIONS)].to_numpy(np.float32)
    positive = labels == 1
    counts = {name: (labels == value).sum(axis=0) for name, value in _STATES.items()}
    counts[_BLANK] = np.isnan(labels).sum(axis=0)
    view = table["Frontal/Lateral"].to_numpy(dtype=object)
    views = _counts(table["Frontal/Lateral"])
    by_patient = table.groupby("patient")
    pairs = positive.astype(np.float64)
    return Statistics(
        provenance=provenance,
        films=len(table),
        patients=by_patient.ngroups,
        studies=table["study"].nunique(),
        views=views,
        projections=_counts(table["AP/PA"]),
        projections_by_view={name: _counts(table.loc[view == name, "AP/PA"]) for name in views},
        sexes=_counts(table["Sex"]),
        ages=_ages(table),
        films_per_patient=_per_patient(by_patient.size()),
        studies_per_patient=_per_patient(by_patient["study"].nunique()),
        observations={
            name: States(**{state: int(count[k]) for state, count in counts.items()})
            for k, name in enumerate(OBSERVATIONS)
        },
        positives={
            name: dict(zip(OBSERVATIONS, positive[view == name].sum(axis=0).tolist(), strict=True))
            for name in views
        },
        positives_by_age={
            name: _histogram(table.loc[positive[:, k], "Age"]) for k, name in enumerate(OBSERVATIONS)
        },
        both=tuple(map(tuple, (pairs.T @ pairs).astype(int).tolist())),
        problems=count(audit({"table": table}) if found is None else found),
        policies=explain_all(table) if policies else (),
    )


def _counts(cells: "pd.Series[str]") -> dict[str, int]:
    """Count each text, the most frequent first."""
    return {str(text): int(count) for text, count in cells.fillna(_BLANK).value_counts().items()}


def _ages(table: pd.DataFrame) -> Ages:
    sexes = table["Sex"].fillna(_BLANK)
    films = {sex: _histogram(table.loc[sexes == sex, "Age"]) for sex in _counts(table["Sex"])}
    return Ages(edges=_AGES, films=films)


def _histogram(ages: "pd.Series[float]") -> tuple[int, ...]:
    return tuple(np.histogram(ages, bins=_AGES)[0].tolist())


def _per_patient(each: "pd.Series[int]") -> PerPatient:
    bins = np.bincount(np.searchsorted(_VISITS, each, side="right") - 1, minlength=len(_VISITS))
    return PerPatient(
        mean=float(each.mean()),
        quartiles=tuple(each.quantile([0.25, 0.5, 0.75])),
        maximum=int(each.max()),
        edges=_VISITS,
        patients=tuple(bins.tolist()),
    )


def provenance_of(data: str | Path, *, command: str) -> Provenance:
    """Record the table that `data` (as for `read_table`) stands for, without its directory.

    Raises:
        DatasetError: as `csv_files`.
    """
    csv, _ = csv_files(data)
    with csv.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    return Provenance(source=csv.name, sha256=digest, command=command, code=__version__)
