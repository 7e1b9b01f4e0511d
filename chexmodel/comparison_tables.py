"""Runs side by side as tables of text: one wording for the shell, the report and the page."""

import math
from collections.abc import Iterable, Mapping
from typing import Final

import pandas as pd

from chexmodel.comparison import METRICS, Comparison, excludes_zero
from chexmodel.labels import OBSERVATIONS
from chexmodel.scores import Average, Estimate, Evaluation, interval

METRIC_WORDS: Final = {"auroc": "AUROC", "average_precision": "average precision", "f1": "F1"}

FLATTERED: Final = "Thresholds and calibration were fitted on these films: the figures flatter the models."

READING: Final = (
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
            "films": f"{evaluation.films:,}",
            "patients": f"{evaluation.patients:,}",
            "mean AUROC": interval(macro["auroc"]),
            "over": str(macro["auroc"].observations),
            "equivalent labels as one": interval(distinct),
            "over ": str(distinct.observations),
            "average precision": interval(macro["average_precision"]),
            "F1": interval(macro["f1"]),
            "F1 of constant yes": "—" if yes is None or math.isnan(yes.value) else f"{yes.value:.2f}",
        }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("run")


def auroc_table(evaluations: Mapping[str, Evaluation]) -> pd.DataFrame:
    """One row per observation: positives and negatives, and the AUROC of each run with its interval."""
    rows = {}
    for k, name in enumerate(OBSERVATIONS):
        scores = {run: evaluation.scores[k] for run, evaluation in evaluations.items()}
        rows[name] = {
            "positives": _agreed(score.positives for score in scores.values()),
            "negatives": _agreed(score.negatives for score in scores.values()),
            **{run: interval(score.auroc) for run, score in scores.items()},
        }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("observation")


def differences_table(comparison: Comparison) -> pd.DataFrame:
    """One row per observation and two for the averages; a star marks an interval that excludes 0."""
    rows: dict[str, dict[str, str]] = {}
    for row in comparison.observations:
        rows[row.observation] = {
            "positives": f"{row.positives:,}",
            "negatives": f"{row.negatives:,}",
            **_cells(row.metrics),
        }
    averages = {"mean": comparison.macro, "mean, equivalent as one": comparison.macro_distinct}
    for name, macro in averages.items():
        label = f"{name} ({macro['auroc'].observations})"
        rows[label] = {"positives": "", "negatives": "", **_cells(macro)}
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("observation")


def conditions(comparison: Comparison) -> str:
    """Say on which films a comparison was made, how to read it, and why something is undefined."""
    first, second = comparison.left_out
    reasons: dict[str, list[str]] = {}
    for row in comparison.observations:
        if row.undefined:
            reasons.setdefault(row.undefined, []).append(row.observation)
    undefined = "; ".join(f"{', '.join(names)} ({reason})" for reason, names in reasons.items())
    return (
        f"{comparison.films:,} films of {comparison.patients:,} patients in common; left out: {first:,} of "
        f"the baseline alone, {second:,} of the other run alone. {comparison.bootstrap:,} resamples of "
        f"patients, the same for both, seed {comparison.seed}. The interval of a * excludes 0; by "
        f"chance alone about one in twenty does." + (f" Undefined (“—”): {undefined}." if undefined else "")
    )


def _cells(found: Mapping[str, Estimate] | Mapping[str, Average]) -> dict[str, str]:
    return {
        METRIC_WORDS[metric]: interval(found[metric], signed=True) + " *" * excludes_zero(found[metric])
        for metric in METRICS
    }


def _agreed(counts: Iterable[int]) -> str:
    """One number where the runs agree, else all of them."""
    return " / ".join(f"{count:,}" for count in dict.fromkeys(counts))
