"""An evaluation as tables of text: one wording for the shell, the card, the report and the page."""

import math
from collections.abc import Mapping, Sequence
from typing import Final

import pandas as pd

from chexmodel.baselines import LOWER_IS_BETTER
from chexmodel.calibration import Calibration
from chexmodel.reliability import Reliability
from chexmodel.scores import Average, Evaluation, ObservationScore, interval
from chexmodel.thresholds import Threshold

WORDS: Final = {
    "auroc": "AUROC",
    "average_precision": "average precision",
    "recall": "sensitivity (recall)",
    "specificity": "specificity",
    "precision": "PPV (precision)",
    "npv": "NPV",
    "f1": "F1",
    "balanced_accuracy": "balanced accuracy",
    "accuracy": "accuracy",
    "brier": "Brier score",
    "ece": "calibration error (ECE)",
    "f1_constant_yes": "F1 of a constant yes",
}
"""Metric → what it is called; the order in which they are read."""

SCARCE: Final = 10
"""With fewer positives or negatives an interval says little."""

READING: Final = (
    "A constant answer has AUROC 0.50 and balanced accuracy 0.50, and the share of positives as its average "
    "precision. Lift: how much better than the best of three constant answers (always yes, always no, always "
    "the prevalence) on the same films; at or below 0 the model shows nothing. Brier score and calibration "
    "error (10 adaptive bins) are better when lower; resampling adds noise to the latter, so that its "
    f"interval lies high. †: fewer than {SCARCE} positives or negatives, where the bootstrap understates how "
    "little is known."
)


def scores_table(evaluation: Evaluation) -> pd.DataFrame:
    """One row an observation: counts, every metric, lifts, the threshold, and why one is undefined."""
    return pd.DataFrame([_row(score) for score in evaluation.scores])


def _row(score: ObservationScore) -> dict[str, str | int]:
    lift = score.lift
    return {
        "observation": score.observation + (" †" if scarce(score) else ""),
        "positives": score.positives,
        "negatives": score.negatives,
        "masked": score.masked,
        "prevalence": number(score.prevalence, digits=3),
        "AUROC (95 %)": interval(score.auroc),
        "average precision (95 %)": interval(score.average_precision),
        "F1 (95 %)": interval(score.f1),
        "F1 of the best constant": number(best_constant(score, "f1")),
        "lift in F1": interval(lift["f1"], signed=True) if lift else "—",
        "sensitivity (95 %)": interval(score.recall),
        "specificity (95 %)": interval(score.specificity),
        "PPV": number(score.precision.value),
        "NPV": number(score.npv.value),
        "balanced accuracy": number(score.balanced_accuracy.value),
        "accuracy": number(score.accuracy.value),
        "lift in accuracy": interval(lift["accuracy"], signed=True) if lift else "—",
        "Brier (95 %)": interval(score.brier, digits=3),
        "lift in Brier": interval(lift["brier"], signed=True) if lift else "—",
        "ECE (95 %)": interval(score.ece, digits=3),
        "threshold": number(score.threshold, digits=3),
        "why undefined": why(score),
    }


def scarce(score: ObservationScore) -> bool:
    """Whether a defined observation has too few films of a class to say much."""
    return score.undefined is None and min(score.positives, score.negatives) < SCARCE


def best_constant(score: ObservationScore, metric: str) -> float:
    """What the best of the constant answers gets; NaN where unknown or undefined."""
    values = [answer[metric] for answer in score.constants.values() if not math.isnan(answer[metric])]
    if not values:
        return math.nan
    return min(values) if metric in LOWER_IS_BETTER else max(values)


def why(score: ObservationScore) -> str:
    """Why a figure of an observation is undefined; empty where none is."""
    if score.undefined:
        return score.undefined
    if math.isnan(score.precision.value):
        return "no film is called positive: no PPV"
    # An evaluation of a former version has no constants, and did not measure the NPV.
    return "every film is called positive: no NPV" if score.constants and math.isnan(score.npv.value) else ""


def averages_table(evaluation: Evaluation) -> pd.DataFrame:
    """One row a metric: macro averages, plain and with equivalent labels as one, lift, micro average."""

    def cell(found: Mapping[str, Average], metric: str, *, signed: bool = False) -> str:
        return f"{interval(found[metric], signed=signed)}" if metric in found else "—"

    rows = []
    for metric, words in WORDS.items():
        if metric in evaluation.macro:
            rows.append(
                {
                    "metric": words,
                    "macro": cell(evaluation.macro, metric),
                    "over": evaluation.macro[metric].observations,
                    "equivalent as one": cell(evaluation.macro_distinct, metric),
                    "over ": evaluation.macro_distinct[metric].observations,
                    "macro lift over the best constant": cell(evaluation.macro_lift, metric, signed=True),
                    "micro": cell(evaluation.micro, metric),
                }
            )
    return pd.DataFrame(rows)


def reliability_table(rows: list[Reliability]) -> pd.DataFrame:
    """One row an observation: method, and log-loss, Brier score and calibration error before and after."""
    return pd.DataFrame(
        [
            {
                "observation": row.observation,
                "positives": row.positives,
                "negatives": row.negatives,
                "method": row.method,
                "log-loss before": row.before.log_loss,
                "log-loss after": row.after.log_loss,
                "gain (95 %)": interval(row.gain, signed=True),
                "Brier before": row.before.brier,
                "Brier after": row.after.brier,
                "ECE before": row.before.ece,
                "ECE after": row.after.ece,
            }
            for row in rows
        ]
    )


def calibrations_table(calibrations: Sequence[Calibration]) -> pd.DataFrame:
    """One row an observation: method, slope and intercept where it has them, what it was fitted on."""
    return pd.DataFrame(
        [
            {
                "observation": row.observation,
                "method": row.method,
                "slope": math.nan if row.knots else row.slope,
                "intercept": math.nan if row.knots else row.intercept,
                "fitted on": f"{row.split}: {row.positives:,} positives, {row.negatives:,} negatives",
                "why a default": row.reason or "",
            }
            for row in calibrations
        ]
    )


def thresholds_table(thresholds: Sequence[Threshold]) -> pd.DataFrame:
    """One row an observation: its operating point, the indeterminate band, where both come from."""
    return pd.DataFrame(
        [
            {
                "observation": point.observation,
                "threshold": number(point.value, digits=3),
                "indeterminate band": "—" if math.isnan(point.low) else f"{point.low:.3f}–{point.high:.3f}",
                "rule": point.rule + (f" {point.wanted:.2f}" if point.wanted is not None else ""),
                "fitted on": f"{point.split}: {point.positives:,} positives, {point.negatives:,} negatives",
                "sensitivity there": interval(point.sensitivity),
                "specificity there": interval(point.specificity),
                "why a default": point.reason or "",
            }
            for point in thresholds
        ]
    )


def number(value: float, *, digits: int = 2) -> str:
    """So many decimals, or a dash where undefined."""
    return "—" if math.isnan(value) else f"{value:.{digits}f}".replace("-", "−")
