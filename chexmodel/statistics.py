"""What a label table contains, in counts that name no patient."""

import hashlib
from pathlib import Path
from typing import Final, Self

import numpy as np
import pandas as pd
from pydantic import BaseModel, ConfigDict, NonNegativeInt, ValidationError, model_validator

from chexmodel.errors import DatasetError
from chexmodel.labels import OBSERVATIONS
from chexmodel.table import csv_files
from chexmodel.version import __version__

_STATES: Final = {"positive": 1, "negative": 0, "uncertain": -1}
_EDGES: Final = tuple(range(0, 121, 10))
_BLANK: Final = "blank"


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Provenance(_Frozen):
    """Where statistics come from: the file's name (no directory), its digest, and what counted it."""

    source: str
    sha256: str
    command: str
    code: str


class States(_Frozen):
    """Films by what the table says of one observation."""

    positive: NonNegativeInt
    negative: NonNegativeInt
    uncertain: NonNegativeInt
    blank: NonNegativeInt

    @property
    def total(self) -> int:
        """All films."""
        return self.positive + self.negative + self.uncertain + self.blank


class Ages(_Frozen):
    """Films by the patient's age in years, per sex.

    Bin i holds ages from `edges[i]` to below `edges[i + 1]`, the last one also its upper edge.
    """

    edges: tuple[int, ...]
    films: dict[str, tuple[NonNegativeInt, ...]]


class FilmsPerPatient(_Frozen):
    """How many films the patients have."""

    mean: float
    quartiles: tuple[float, float, float]
    maximum: int


class Statistics(_Frozen):
    """Counts of films unless the name says otherwise; a key "blank" counts empty cells.

    `positives[view][observation]` splits the positives by view; `both[i][j]` counts films on which
    observations i and j (in the order of `OBSERVATIONS`) are both positive.
    """

    provenance: Provenance | None = None
    films: NonNegativeInt
    patients: NonNegativeInt
    studies: NonNegativeInt
    views: dict[str, int]
    projections: dict[str, int]
    sexes: dict[str, int]
    ages: Ages
    films_per_patient: FilmsPerPatient
    observations: dict[str, States]
    positives: dict[str, dict[str, int]]
    both: tuple[tuple[NonNegativeInt, ...], ...]

    @model_validator(mode="after")
    def _adds_up(self) -> Self:
        size = len(OBSERVATIONS)
        if tuple(self.observations) != OBSERVATIONS or [len(row) for row in self.both] != [size] * size:
            raise ValueError("not the 14 observations in their order")
        if any(states.total != self.films for states in self.observations.values()):
            raise ValueError("the states of an observation do not add up to the films")
        return self

    def states(self) -> pd.DataFrame:
        """Give the (14, 4) counts: a row per observation; positive, negative, uncertain, blank."""
        return pd.DataFrame(
            [states.model_dump() for states in self.observations.values()],
            index=pd.Index(OBSERVATIONS, name="observation"),
        )

    def cooccurrence(self) -> pd.DataFrame:
        """Give the symmetric (14, 14) counts of films positive for both; the diagonal: for the one."""
        return pd.DataFrame(self.both, index=list(OBSERVATIONS), columns=list(OBSERVATIONS))


def describe(table: pd.DataFrame, *, provenance: Provenance | None = None) -> Statistics:
    """Count what a table contains.

    Args:
        table: at least one row of `read_table`; the whole or a part.
        provenance: what to record beside the counts; see `provenance_of`.

    Returns:
        Aggregates only.
    """
    labels = table[list(OBSERVATIONS)].to_numpy(np.float32)
    positive = labels == 1
    counts = {name: (labels == value).sum(axis=0) for name, value in _STATES.items()}
    counts[_BLANK] = np.isnan(labels).sum(axis=0)
    view = table["Frontal/Lateral"].to_numpy(dtype=object)
    views = _counts(table["Frontal/Lateral"])
    per_patient = table.groupby("patient").size()
    pairs = positive.astype(np.float64)
    return Statistics(
        provenance=provenance,
        films=len(table),
        patients=len(per_patient),
        studies=table["study"].nunique(),
        views=views,
        projections=_counts(table["AP/PA"]),
        sexes=_counts(table["Sex"]),
        ages=_ages(table),
        films_per_patient=FilmsPerPatient(
            mean=float(per_patient.mean()),
            quartiles=tuple(per_patient.quantile([0.25, 0.5, 0.75])),
            maximum=int(per_patient.max()),
        ),
        observations={
            name: States(**{state: int(count[k]) for state, count in counts.items()})
            for k, name in enumerate(OBSERVATIONS)
        },
        positives={
            name: dict(zip(OBSERVATIONS, positive[view == name].sum(axis=0).tolist(), strict=True))
            for name in views
        },
        both=tuple(map(tuple, (pairs.T @ pairs).astype(int).tolist())),
    )


def _counts(cells: "pd.Series[str]") -> dict[str, int]:
    """Count each text, the most frequent first."""
    return {str(text): int(count) for text, count in cells.fillna(_BLANK).value_counts().items()}


def _ages(table: pd.DataFrame) -> Ages:
    sexes = table["Sex"].fillna(_BLANK)
    films = {
        sex: tuple(np.histogram(table.loc[sexes == sex, "Age"], bins=_EDGES)[0].tolist())
        for sex in _counts(table["Sex"])
    }
    return Ages(edges=_EDGES, films=films)


def conditional(cooccurrence: pd.DataFrame) -> pd.DataFrame:
    """Turn co-occurrence counts into P(column positive | row positive).

    Args:
        cooccurrence: (14, 14) counts, as `Statistics.cooccurrence` gives them.

    Returns:
        (14, 14) in [0, 1]; a row without positives is NaN. Not symmetric.
    """
    given = pd.Series(np.diag(cooccurrence), index=cooccurrence.index, dtype=np.float64)
    return cooccurrence.div(given.where(given > 0), axis=0)


def provenance_of(data: str | Path, *, command: str) -> Provenance:
    """Record the table that `data` (as for `read_table`) stands for, without its directory.

    Raises:
        DatasetError: as `csv_files`.
    """
    csv, _ = csv_files(data)
    with csv.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    return Provenance(source=csv.name, sha256=digest, command=command, code=__version__)


def load_statistics(path: str | Path) -> Statistics:
    """Read what `python -m chexmodel statistics … --out PATH` wrote.

    Raises:
        DatasetError: the file is missing, or is not such a file.
    """
    again = "write it with `python -m chexmodel statistics CSV_OR_DIR --out FILE.json`"
    try:
        return Statistics.model_validate_json(Path(path).read_bytes())
    except OSError as error:
        raise DatasetError(f"{path} can't be read ({error.strerror}): {again}") from None
    except ValidationError as error:
        first = error.errors()[0]
        raise DatasetError(f"{path} holds no dataset statistics ({first['msg']}): {again}") from None
