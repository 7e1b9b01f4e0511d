"""What an evaluation consists of: estimates with intervals, scores per observation, averages."""

import math
from typing import Annotated, Final

import pandas as pd
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from chexmodel.language import localised, tr

Undefinable = Annotated[float, BeforeValidator(lambda value: float("nan") if value is None else value)]
"""A float that may be NaN (undefined), null in JSON."""


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, ser_json_inf_nan="null")


class Estimate(_Frozen):
    """A value with its 95 % percentile bootstrap interval; NaN where undefined."""

    value: Undefinable
    low: Undefinable
    high: Undefinable


UNKNOWN: Final = Estimate(value=math.nan, low=math.nan, high=math.nan)
"""What an evaluation by a former version did not measure."""


class ObservationScore(_Frozen):
    """How one observation is read. `undefined` says why the metrics are NaN, where they are.

    `recall` is the sensitivity, `precision` the positive predictive value (NaN where no film is called
    positive), `npv` the negative one, `prevalence` the share of positives among the unmasked films, which is
    the average precision of chance. `brier` and `ece` judge the probabilities (see `reliability`), lower is
    better; resampling adds noise, so that the interval of `ece` lies high and may miss its value.
    `threshold` is NaN where the observation was not trained. `f1_constant_yes` is the F1 of calling every
    film positive: a score at or below it shows no skill. `constants` has the metrics of the answers "yes",
    "no" and "prevalence" (see `baselines`), `lift` the gain over the best of the three.
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
    npv: Estimate = UNKNOWN
    balanced_accuracy: Estimate = UNKNOWN
    brier: Estimate = UNKNOWN
    ece: Estimate = UNKNOWN
    prevalence: Undefinable = math.nan
    f1_constant_yes: Undefinable
    constants: dict[str, dict[str, Undefinable]] = Field(default={})
    lift: dict[str, Estimate] = Field(default={})
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
    spec = "+.3f" if signed else f".{digits}f"
    value, low, high = (
        localised(format(bound, spec).replace("-", "−"))
        for bound in (estimate.value, estimate.low, estimate.high)
    )
    if math.isnan(estimate.low):
        return value
    if signed:
        return tr("{value} ({low} to {high})", value=value, low=low, high=high)
    return f"{value} ({low}–{high})"


class Evaluation(_Frozen):
    """Scores of 14 observations on one set of films, with the conditions under which they hold.

    `macro_distinct` counts observations with the same or the complementary labels on these films (listed
    in `equivalent`) as one: a macro average over copies counts one label several times. `macro_lift` averages
    the lifts over the best constant answer. `micro` takes the decisions on all defined observations together;
    metrics of ranking and calibration have none, as scores of two observations do not compare.
    """

    films: int
    patients: int
    bootstrap: int
    seed: int
    scores: tuple[ObservationScore, ...]
    macro: dict[str, Average]
    macro_distinct: dict[str, Average]
    macro_lift: dict[str, Average] = Field(default={})
    micro: dict[str, Average] = Field(default={})
    equivalent: tuple[tuple[str, ...], ...]

    def frame(self) -> pd.DataFrame:
        """One row per observation; each estimate as three columns (`auroc`, `auroc_low`, `auroc_high`).

        Lifts are `lift_METRIC`, constant answers `METRIC_constant_ANSWER`.
        """
        rows = []
        for score in self.scores:
            row: dict[str, object] = {}
            for name in ObservationScore.model_fields:
                if name in ("lift", "constants"):
                    continue
                value = getattr(score, name)
                row |= _columns(name, value) if isinstance(value, Estimate) else {name: value}
            for name, gain in score.lift.items():
                row |= _columns(f"lift_{name}", gain)
            for answer, metrics in score.constants.items():
                row |= {f"{name}_constant_{answer}": value for name, value in metrics.items()}
            rows.append(row)
        return pd.DataFrame(rows)


def _columns(name: str, estimate: Estimate) -> dict[str, object]:
    return {name: estimate.value, f"{name}_low": estimate.low, f"{name}_high": estimate.high}
