"""What is kept of a label table: counts that name no patient, as one JSON document."""

from pathlib import Path
from typing import Final, Self

import numpy as np
import pandas as pd
from pydantic import BaseModel, ConfigDict, NonNegativeInt, ValidationError, model_validator

from chexmodel.errors import DatasetError
from chexmodel.labels import OBSERVATIONS, BlankPolicy, UncertainPolicy
from chexmodel.language import mark, tr
from chexmodel.policies import PolicyEffect
from chexmodel.table import Views

AGAIN: Final = mark("write it with `python -m chexmodel statistics CSV_OR_DIR --out FILE.json`")


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="null")


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


AND_MORE: Final = mark("{least} and more")
"""What the last bin of `PerPatient` is called."""


class Ages(_Frozen):
    """Films by the patient's age in years, per sex.

    Bin i holds ages from `edges[i]` to below `edges[i + 1]`, the last one also its upper edge.
    """

    edges: tuple[int, ...]
    films: dict[str, tuple[NonNegativeInt, ...]]

    def names(self) -> list[str]:
        """What the bins are called, for example "0–9"; the last one says its upper edge."""
        last = [*(edge - 1 for edge in self.edges[1:-1]), self.edges[-1]]
        return [f"{low}–{high}" for low, high in zip(self.edges, last, strict=False)]

    def totals(self) -> list[int]:
        """Films per bin, all sexes together."""
        return [sum(films) for films in zip(*self.films.values(), strict=True)]


class PerPatient(_Frozen):
    """How many films, or studies, the patients have.

    `patients[i]` counts those with `edges[i]` to below `edges[i + 1]`; the last bin is open above, so that
    no patient is singled out by an extreme number of visits.
    """

    mean: float
    quartiles: tuple[float, float, float]
    maximum: int
    edges: tuple[int, ...]
    patients: tuple[NonNegativeInt, ...]

    def bins(self) -> dict[str, int]:
        """Give the name of each bin ("1", "6–10", "51 and more") and its patients."""
        last = [*(edge - 1 for edge in self.edges[1:]), None]
        return {
            AND_MORE.format(least=low)
            if high is None
            else str(low)
            if low == high
            else f"{low}–{high}": count
            for low, high, count in zip(self.edges, last, self.patients, strict=True)
        }


class Statistics(_Frozen):
    """Counts of films unless the name says otherwise; a key "blank" counts empty cells.

    Attributes:
        provenance: of which file.
        films: rows of the table.
        patients: different patients.
        studies: different studies.
        views: films per Frontal/Lateral.
        projections: films per AP/PA.
        projections_by_view: view → projection → films.
        sexes: films per sex.
        ages: films per decade and sex.
        films_per_patient: how many films the patients have.
        studies_per_patient: how many studies they have.
        observations: the four states of each observation.
        positives: view → observation → positive films.
        positives_by_age: observation → positive films per bin of `ages`.
        both: (14, 14) films on which observations i and j (in the order of `OBSERVATIONS`) are both positive.
        problems: what `audit.audit` finds in the table: kind → rows.
        policies: what each combination of label policies does; empty where that was not asked for.
    """

    provenance: Provenance | None = None
    films: NonNegativeInt
    patients: NonNegativeInt
    studies: NonNegativeInt
    views: dict[str, int]
    projections: dict[str, int]
    projections_by_view: dict[str, dict[str, int]]
    sexes: dict[str, int]
    ages: Ages
    films_per_patient: PerPatient
    studies_per_patient: PerPatient
    observations: dict[str, States]
    positives: dict[str, dict[str, int]]
    positives_by_age: dict[str, tuple[NonNegativeInt, ...]]
    both: tuple[tuple[NonNegativeInt, ...], ...]
    problems: dict[str, int]
    policies: tuple[PolicyEffect, ...] = ()

    @model_validator(mode="after")
    def _adds_up(self) -> Self:
        size = len(OBSERVATIONS)
        if tuple(self.observations) != OBSERVATIONS or [len(row) for row in self.both] != [size] * size:
            raise ValueError("not the 14 observations in their order")
        if any(states.total != self.films for states in self.observations.values()):
            raise ValueError("the states of an observation do not add up to the films")
        if any(
            sum(each.patients) != self.patients for each in (self.films_per_patient, self.studies_per_patient)
        ):
            raise ValueError("the films or studies per patient do not add up to the patients")
        if {len(bins) for bins in self.positives_by_age.values()} != {len(self.ages.edges) - 1}:
            raise ValueError("the positives by age are not in the bins of the ages")
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

    def policy(self, *, uncertain: UncertainPolicy, blank: BlankPolicy, views: Views) -> PolicyEffect:
        """Look up what a combination of policies does.

        Raises:
            DatasetError: it was not counted.
        """
        for effect in self.policies:
            if (effect.uncertain, effect.blank, effect.views) == (uncertain, blank, views):
                return effect
        raise DatasetError(
            tr("the policies were not worked out in these statistics: {again}", again=tr(AGAIN))
        )


def conditional(cooccurrence: pd.DataFrame) -> pd.DataFrame:
    """Turn co-occurrence counts into P(column positive | row positive).

    Args:
        cooccurrence: (14, 14) counts, as `Statistics.cooccurrence` gives them.

    Returns:
        (14, 14) in [0, 1]; a row without positives is NaN. Not symmetric.
    """
    given = pd.Series(np.diag(cooccurrence), index=cooccurrence.index, dtype=np.float64)
    return cooccurrence.div(given.where(given > 0), axis=0)


def jaccard(cooccurrence: pd.DataFrame) -> pd.DataFrame:
    """Turn co-occurrence counts into Jaccard indices: films with both / films with either.

    Unlike a conditional probability it is symmetric, and a frequent observation does not look close to all
    others. Jaccard P., *The distribution of the flora in the alpine zone*, New Phytologist 1912.

    Args:
        cooccurrence: (14, 14) counts, as `Statistics.cooccurrence` gives them.

    Returns:
        (14, 14) in [0, 1], 1 on the diagonal; NaN where neither has a positive.
    """
    alone = np.diag(cooccurrence)
    either = alone[:, None] + alone[None, :] - cooccurrence
    return cooccurrence.div(either.where(either > 0))


def load_statistics(path: str | Path) -> Statistics:
    """Read what `python -m chexmodel statistics … --out PATH` wrote.

    Raises:
        DatasetError: the file is missing, of an older version, or not such a file.
    """
    try:
        return Statistics.model_validate_json(Path(path).read_bytes())
    except OSError as error:
        raise DatasetError(
            tr("{path} can't be read ({error}): {again}", path=path, error=error.strerror, again=tr(AGAIN))
        ) from None
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(map(str, first["loc"]))
        if first["type"] == "missing":
            raise DatasetError(
                tr(
                    "{path} lacks {field}: it is of an older version: {again}",
                    path=path,
                    field=field,
                    again=tr(AGAIN),
                )
            ) from None
        raise DatasetError(
            tr(
                "{path} holds no dataset statistics ({reason}): {again}",
                path=path,
                reason=first["msg"],
                again=tr(AGAIN),
            )
        ) from None
