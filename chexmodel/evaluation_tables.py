"""An evaluation as tables of text: one wording for the shell, the card, the report and the page."""

import math
from collections.abc import Mapping, Sequence
from typing import Final

import pandas as pd

from chexmodel import language
from chexmodel.baselines import LOWER_IS_BETTER
from chexmodel.calibration import METHOD_WORDS, Calibration
from chexmodel.fitting import Provenance
from chexmodel.language import mark, tr
from chexmodel.reasons import told
from chexmodel.reliability import Reliability
from chexmodel.scores import Average, Evaluation, ObservationScore, interval
from chexmodel.thresholds import RULE_WORDS, Threshold

WORDS: Final = {
    "auroc": "AUROC",
    "average_precision": mark("average precision"),
    "recall": mark("sensitivity (recall)"),
    "specificity": mark("specificity"),
    "precision": mark("PPV (precision)"),
    "npv": mark("NPV"),
    "f1": "F1",
    "balanced_accuracy": mark("balanced accuracy"),
    "accuracy": mark("accuracy"),
    "brier": mark("Brier score"),
    "ece": mark("calibration error (ECE)"),
    "f1_constant_yes": mark("F1 of a constant yes"),
}
"""Metric → what it is called, a message; the order in which they are read."""

SCARCE: Final = 10
"""With fewer positives or negatives an interval says little; `READING` names it too."""

READING: Final = mark(
    "A constant answer has AUROC 0.50 and balanced accuracy 0.50, and the share of positives as its average "
    "precision. Lift: how much better than the best of three constant answers (always yes, always no, always "
    "the prevalence) on the same films; at or below 0 the model shows nothing. Brier score and calibration "
    "error (10 adaptive bins) are better when lower; resampling adds noise to the latter, so that its "
    "interval lies high. †: fewer than 10 positives or negatives, where the bootstrap understates how "
    "little is known."
)


def scores_table(evaluation: Evaluation) -> pd.DataFrame:
    """One row an observation: counts, every metric, lifts, the threshold, and why one is undefined."""
    return pd.DataFrame([_row(score) for score in evaluation.scores])


def _row(score: ObservationScore) -> dict[str, str | int]:
    lift = score.lift
    return {
        mark("observation"): tr(score.observation) + (" †" if scarce(score) else ""),
        mark("positives"): score.positives,
        mark("negatives"): score.negatives,
        mark("masked"): score.masked,
        mark("prevalence"): number(score.prevalence, digits=3),
        mark("AUROC (95 %)"): interval(score.auroc),
        mark("average precision (95 %)"): interval(score.average_precision),
        mark("F1 (95 %)"): interval(score.f1),
        mark("F1 of the best constant"): number(best_constant(score, "f1")),
        mark("lift in F1"): interval(lift["f1"], signed=True) if lift else "—",
        mark("sensitivity (95 %)"): interval(score.recall),
        mark("specificity (95 %)"): interval(score.specificity),
        mark("PPV"): number(score.precision.value),
        mark("NPV"): number(score.npv.value),
        mark("balanced accuracy"): number(score.balanced_accuracy.value),
        mark("accuracy"): number(score.accuracy.value),
        mark("lift in accuracy"): interval(lift["accuracy"], signed=True) if lift else "—",
        mark("Brier (95 %)"): interval(score.brier, digits=3),
        mark("lift in Brier"): interval(lift["brier"], signed=True) if lift else "—",
        mark("ECE (95 %)"): interval(score.ece, digits=3),
        mark("threshold"): number(score.threshold, digits=3),
        mark("why undefined"): why(score),
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
        return told(score.undefined)
    if math.isnan(score.precision.value):
        return tr("no film is called positive: no PPV")
    # An evaluation of a former version has no constants, and did not measure the NPV.
    no_npv = score.constants and math.isnan(score.npv.value)
    return tr("every film is called positive: no NPV") if no_npv else ""


def averages_table(evaluation: Evaluation) -> pd.DataFrame:
    """One row a metric: macro averages, plain and with equivalent labels as one, lift, micro average."""

    def cell(found: Mapping[str, Average], metric: str, *, signed: bool = False) -> str:
        return f"{interval(found[metric], signed=signed)}" if metric in found else "—"

    rows = []
    for metric, words in WORDS.items():
        if metric in evaluation.macro:
            rows.append(
                {
                    mark("metric"): tr(words),
                    mark("macro"): cell(evaluation.macro, metric),
                    mark("over"): evaluation.macro[metric].observations,
                    mark("equivalent as one"): cell(evaluation.macro_distinct, metric),
                    mark("over "): evaluation.macro_distinct[metric].observations,
                    mark("macro lift over the best constant"): cell(
                        evaluation.macro_lift, metric, signed=True
                    ),
                    mark("micro"): cell(evaluation.micro, metric),
                }
            )
    return pd.DataFrame(rows)


def reliability_table(rows: list[Reliability]) -> pd.DataFrame:
    """One row an observation: method, and log-loss, Brier score and calibration error before and after."""
    return pd.DataFrame(
        [
            {
                mark("observation"): tr(row.observation),
                mark("positives"): row.positives,
                mark("negatives"): row.negatives,
                mark("method"): tr(METHOD_WORDS[row.method]),
                mark("log-loss before"): row.before.log_loss,
                mark("log-loss after"): row.after.log_loss,
                mark("gain (95 %)"): interval(row.gain, signed=True),
                mark("Brier before"): row.before.brier,
                mark("Brier after"): row.after.brier,
                mark("ECE before"): row.before.ece,
                mark("ECE after"): row.after.ece,
            }
            for row in rows
        ]
    )


def calibrations_table(calibrations: Sequence[Calibration]) -> pd.DataFrame:
    """One row an observation: method, slope and intercept where it has them, what it was fitted on."""
    return pd.DataFrame(
        [
            {
                mark("observation"): tr(row.observation),
                mark("method"): tr(METHOD_WORDS[row.method]),
                mark("slope"): math.nan if row.knots else row.slope,
                mark("intercept"): math.nan if row.knots else row.intercept,
                mark("fitted on"): _fit(row),
                mark("why a default"): told(row.reason),
            }
            for row in calibrations
        ]
    )


def thresholds_table(thresholds: Sequence[Threshold]) -> pd.DataFrame:
    """One row an observation: its operating point, the indeterminate band, where both come from."""
    return pd.DataFrame(
        [
            {
                mark("observation"): tr(point.observation),
                mark("threshold"): number(point.value, digits=3),
                mark("indeterminate band"): _band(point),
                mark("rule"): tr(RULE_WORDS[point.rule])
                + ("" if point.wanted is None else f" {number(point.wanted)}"),
                mark("fitted on"): _fit(point),
                mark("sensitivity there"): interval(point.sensitivity),
                mark("specificity there"): interval(point.specificity),
                mark("why a default"): told(point.reason),
            }
            for point in thresholds
        ]
    )


def number(value: float, *, digits: int = 2) -> str:
    """So many decimals, or a dash where undefined."""
    return language.number(value, f".{digits}f").replace("-", "−")


def _fit(row: Provenance) -> str:
    return tr(
        "{split}: {positives:,} positives, {negatives:,} negatives",
        split=tr(row.split),
        positives=row.positives,
        negatives=row.negatives,
    )


def _band(point: Threshold) -> str:
    if math.isnan(point.low):
        return "—"
    return f"{number(point.low, digits=3)}–{number(point.high, digits=3)}"
