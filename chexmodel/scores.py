"""What an evaluation consists of: estimates with intervals, scores per observation, averages."""

import math
from typing import Annotated

import pandas as pd
from pydantic import BaseModel, BeforeValidator, ConfigDict

Undefinable = Annotated[float, BeforeValidator(lambda value: float("nan") if value is None else value)]
"""A float that may be NaN (undefined), null in JSON."""


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, ser_json_inf_nan="null")


class Estimate(_Frozen):
    """A value with its 95 % percentile bootstrap interval; NaN where undefined."""

    value: Undefinable
    low: Undefinable
    high: Undefinable


class ObservationScore(_Frozen):
    """How one observation is read. `undefined` says why the metrics are NaN, where they are.

    `threshold` is NaN where the observation was not trained, `precision` where no film is called positive.
    `f1_constant_yes` is the F1 of calling every film positive: a score at or below it shows no skill.
    """

    observation: str
    positives: int
    negatives: int
    masked: int
    threshold: Undefinable
    auroc: Estimate
    average_precision: Estimate
    f1: Estimate
    precision: Estimate
    recall: Estimate
    specificity: Estimate
    accuracy: Estimate
    f1_constant_yes: Undefinable
    undefined: str | None = None


class Average(_Frozen):
    """A macro average with its interval, and over how many observations it goes."""

    value: Undefinable
    low: Undefinable
    high: Undefinable
    observations: int


def interval(estimate: Estimate | Average, *, signed: bool = False, digits: int = 2) -> str:
    """Value with its 95 % interval; a difference is `signed` and has three decimals. A dash is undefined."""
    if math.isnan(estimate.value):
        return "—"
    form, to = ("+.3f", " to ") if signed else (f".{digits}f", "–")
    value, low, high = (
        format(number, form).replace("-", "−") for number in (estimate.value, estimate.low, estimate.high)
    )
    return value if math.isnan(estimate.low) else f"{value} ({low}{to}{high})"


class Evaluation(_Frozen):
    """Scores of 14 observations on one set of films, with the conditions under which they hold.

    `macro_distinct` counts observations with the same or the complementary labels on these films (listed
    in `equivalent`) as one: a macro average over copies counts one label several times.
    """

    films: int
    patients: int
    bootstrap: int
    seed: int
    scores: tuple[ObservationScore, ...]
    macro: dict[str, Average]
    macro_distinct: dict[str, Average]
    equivalent: tuple[tuple[str, ...], ...]

    def frame(self) -> pd.DataFrame:
        """One row per observation; each estimate as three columns (`auroc`, `auroc_low`, `auroc_high`)."""
        rows = []
        for score in self.scores:
            row: dict[str, object] = {}
            for name in ObservationScore.model_fields:
                value = getattr(score, name)
                if isinstance(value, Estimate):
                    row |= {name: value.value, f"{name}_low": value.low, f"{name}_high": value.high}
                else:
                    row[name] = value
            rows.append(row)
        return pd.DataFrame(rows)
