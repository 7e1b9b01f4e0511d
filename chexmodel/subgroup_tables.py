"""Groups of films as tables of text, and what no skill gets in each: for the page and the report."""

import math
from typing import Final

import pandas as pd

from chexmodel.language import mark, number, tr
from chexmodel.reasons import told
from chexmodel.scores import Estimate, interval
from chexmodel.subgroup_scores import Column, Gap, GroupScore

STARS: Final = mark(
    "The interval of a * excludes 0. Among many gaps about one in twenty does by chance alone; the extreme "
    "pair of three or more groups does so more often, since it was chosen for being far apart."
)

BY_PREVALENCE: Final = ("average_precision", "brier")
"""Metrics that follow the share of positives: a gap can be one between the groups' patients."""


def no_skill(metric: str, score: GroupScore) -> float:
    """What an answer that looks at no film gets in a group; NaN where any value can be had so."""
    known = score.positives + score.negatives
    share = score.positives / known if known else math.nan
    # Sensitivity and specificity are each 1 for one of the two constant answers: there is no baseline.
    return {"auroc": 0.5, "average_precision": share, "brier": share * (1 - share)}.get(metric, math.nan)


def sizes_table(column: Column, metric: str) -> pd.DataFrame:
    """One row per group: films, patients, and how many observations are scored in it."""
    rows = {
        tr(group.name): {
            mark("films"): group.films,
            mark("patients"): group.patients,
            mark("observations scored"): sum(metric in score.metrics for score in group.scores),
        }
        for group in column.groups
    }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis(mark("group"))


def unscored(column: Column, metric: str) -> dict[str, str]:
    """Group → which observations are counted but not scored in it, and why.

    A number behind an observation is that of its positives, or negatives, which are too few.
    """
    found = {}
    for group in column.groups:
        why: dict[str, list[str]] = {}
        for score in group.scores:
            reason = score.reasons.get(metric)
            if reason is not None:
                few = {"positives": score.positives, "negatives": score.negatives}.get(reason.split()[-1])
                name = tr(score.observation)
                why.setdefault(told(reason), []).append(name if few is None else f"{name} {number(few, ',')}")
        if why:
            found[tr(group.name)] = "; ".join(
                f"{reason}: {', '.join(names)}" for reason, names in why.items()
            )
    return found


def gaps_table(column: Column, metric: str) -> pd.DataFrame:
    """One row per observation that two groups score, the mean first; a star marks what excludes 0."""
    rows = {}
    for mean in column.means:
        if mean.metric == metric and mean.gap is not None and mean.over > 1:
            rows[tr("mean of {n}", n=mean.over)] = _gap(mean.gap, mean.groups)
    for gap in column.gaps:
        if gap.metric == metric:
            scored = {
                group.name: score.metrics[metric]
                for group in column.groups
                for score in group.scores
                if score.observation == gap.observation and metric in score.metrics
            }
            rows[tr(gap.observation)] = _gap(gap, scored)
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis(mark("observation"))


def mean_sentence(column: Column, metric: str) -> str:
    """Say what the mean goes over, and which groups it leaves out."""
    mean = next((mean for mean in column.means if mean.metric == metric), None)
    if mean is None or mean.over < 2:
        return tr("Too few observations are scored in all groups for a mean.")
    text = tr(
        "The mean goes over the observations that all its groups score: {observations}; equal or "
        "complementary labels count as one, which makes {n}.",
        observations=", ".join(map(tr, mean.observations)),
        n=mean.over,
    )
    if not mean.left_out:
        return text
    left_out = tr(
        "Groups that score none are left out of it: {groups}.", groups=", ".join(map(tr, mean.left_out))
    )
    return f"{text} {left_out}"


def _gap(gap: Gap, scored: dict[str, Estimate]) -> dict[str, str]:
    low, high = (f"{tr(name)}: {interval(scored[name])}" for name in (gap.lowest, gap.highest))
    return {
        mark("gap (95 %)"): interval(gap.gap, signed=True) + " *" * (gap.gap.low > 0),
        mark("highest"): high,
        mark("lowest"): low,
        mark("groups"): str(gap.groups),
    }
