"""Runs side by side as tables of text: one wording for the shell, the report and the page."""

import math
from collections.abc import Iterable, Mapping
from typing import Final

import pandas as pd

from chexmodel.comparison import METRICS, Comparison, excludes_zero
from chexmodel.labels import OBSERVATIONS
from chexmodel.language import mark, number, tr
from chexmodel.reasons import told
from chexmodel.scores import Average, Estimate, Evaluation, interval

METRIC_WORDS: Final = {"auroc": "AUROC", "average_precision": mark("average precision"), "f1": "F1"}

FLATTERED: Final = mark(
    "Thresholds and calibration were fitted on these films: the figures flatter the models."
)

READING: Final = mark(
    "Intervals: 95 %, percentile bootstrap over patients. They hold for other films of this kind, not for "
    "training again with another seed."
)


def averages_table(evaluations: Mapping[str, Evaluation]) -> pd.DataFrame:
    """One row per run: films, and macro averages with their intervals and the F1 of a constant yes."""
    rows = {}
    for run, evaluation in evaluations.items():
        macro, distinct = evaluation.macro, evaluation.macro_distinct["auroc"]
        yes = macro.get("f1_constant_yes")  # bundles of the first version have none
        rows[run] = {
            mark("films"): number(evaluation.films, ","),
            mark("patients"): number(evaluation.patients, ","),
            mark("mean AUROC"): interval(macro["auroc"]),
            mark("over"): str(macro["auroc"].observations),
            mark("equivalent labels as one"): interval(distinct),
            mark("over "): str(distinct.observations),
            mark("average precision"): interval(macro["average_precision"]),
            mark("F1"): interval(macro["f1"]),
            mark("F1 of constant yes"): number(math.nan if yes is None else yes.value),
        }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis(mark("run"))


def auroc_table(evaluations: Mapping[str, Evaluation]) -> pd.DataFrame:
    """One row per observation: positives and negatives, and the AUROC of each run with its interval."""
    rows = {}
    for k, name in enumerate(OBSERVATIONS):
        scores = {run: evaluation.scores[k] for run, evaluation in evaluations.items()}
        rows[tr(name)] = {
            mark("positives"): _agreed(score.positives for score in scores.values()),
            mark("negatives"): _agreed(score.negatives for score in scores.values()),
            **{run: interval(score.auroc) for run, score in scores.items()},
        }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis(mark("observation"))


def differences_table(comparison: Comparison) -> pd.DataFrame:
    """One row per observation and two for the averages; a star marks an interval that excludes 0."""
    rows: dict[str, dict[str, str]] = {}
    for row in comparison.observations:
        rows[tr(row.observation)] = {
            mark("positives"): number(row.positives, ","),
            mark("negatives"): number(row.negatives, ","),
            **_cells(row.metrics),
        }
    averages = {
        mark("mean"): comparison.macro,
        mark("mean, equivalent as one"): comparison.macro_distinct,
    }
    for name, macro in averages.items():
        label = f"{tr(name)} ({macro['auroc'].observations})"
        rows[label] = {"positives": "", "negatives": "", **_cells(macro)}
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis(mark("observation"))


def conditions(comparison: Comparison) -> str:
    """Say on which films a comparison was made, how to read it, and why something is undefined."""
    first, second = comparison.left_out
    reasons: dict[str, list[str]] = {}
    for row in comparison.observations:
        if row.undefined:
            reasons.setdefault(told(row.undefined), []).append(tr(row.observation))
    undefined = "; ".join(f"{', '.join(names)} ({reason})" for reason, names in reasons.items())
    said = tr(
        "{films:,} films of {patients:,} patients in common; left out: {first:,} of the baseline alone, "
        "{second:,} of the other run alone. {bootstrap:,} resamples of patients, the same for both, seed "
        "{seed}. The interval of a * excludes 0; by chance alone about one in twenty does.",
        films=comparison.films,
        patients=comparison.patients,
        first=first,
        second=second,
        bootstrap=comparison.bootstrap,
        seed=comparison.seed,
    )
    return said + " " + tr("Undefined (“—”): {those}.", those=undefined) if undefined else said


def _cells(found: Mapping[str, Estimate] | Mapping[str, Average]) -> dict[str, str]:
    return {
        METRIC_WORDS[metric]: interval(found[metric], signed=True) + " *" * excludes_zero(found[metric])
        for metric in METRICS
    }


def _agreed(counts: Iterable[int]) -> str:
    """One number where the runs agree, else all of them."""
    return " / ".join(number(count, ",") for count in dict.fromkeys(counts))
