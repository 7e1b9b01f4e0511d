"""Does a model read all groups of patients alike? Metrics per group, and the gap between groups.

Films are grouped by a column of the label table (`chexmodel.grouping`). All groups share their bootstrap
resamples of patients, so that a difference between two of them is taken draw by draw.
"""

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from chexmodel.draws import Draws, draw, estimate
from chexmodel.grouping import Grouping
from chexmodel.labels import OBSERVATIONS
from chexmodel.language import mark
from chexmodel.metrics import equivalent_groups, partition
from chexmodel.reasons import FEW_NEGATIVES, FEW_POSITIVES, NOT_TRAINED
from chexmodel.subgroup_scores import Column, Gap, Group, GroupScore, Mean, Subgroups

METRICS: Final[dict[str, str]] = {
    "auroc": "AUROC",
    "average_precision": mark("average precision"),
    "recall": mark("sensitivity"),
    "specificity": mark("specificity"),
    "brier": mark("Brier score"),
}
"""Metrics of a group, of those that `chexmodel.draws` computes → what they are called, a message."""

MIN_CLASS: Final = 10
"""With fewer positives a group is counted but not scored; with fewer negatives only its sensitivity is."""

MEAN: Final = "mean"

Floats = NDArray[np.float64]


def score_groups(
    targets: NDArray[np.floating],
    probs: NDArray[np.floating],
    *,
    thresholds: float | Sequence[float] | NDArray[np.floating],
    patients: Sequence[str] | NDArray[np.object_],
    groupings: Sequence[Grouping],
    bootstrap: int = 1000,
    seed: int = 0,
) -> Subgroups:
    """Score every group of every grouping on the same resamples of patients.

    Args:
        targets: (N, 14) in {0, 1, −1, NaN}; −1 and NaN are masked.
        probs: (N, 14) in [0, 1]; a column that is NaN throughout was not trained.
        thresholds: 14 values in [0, 1], or one for all; sensitivity and specificity are at these.
        patients: N ids; whole patients are resampled, also where their films are in several groups.
        groupings: of the N films.
        bootstrap: number of resamples; 0 leaves the intervals undefined.
        seed: of the resampling.

    Returns:
        The groups that have a film here, in the groupings' order.

    Raises:
        DatasetError: shapes that do not fit, no films, or values out of range.
    """
    ids = np.asarray(patients, dtype=object)
    known = np.where(np.isin(targets, (0, 1)), targets, np.nan)
    parts = partition(equivalent_groups(known))
    columns = []
    for grouping in groupings:
        drawn = {
            name: draw(
                np.where((grouping.codes == code)[:, None], targets, np.nan),
                probs,
                thresholds=thresholds,
                patients=patients,
                bootstrap=bootstrap,
                seed=seed,
            )
            for code, name in enumerate(grouping.names)
            if (grouping.codes == code).any()
        }
        inside = {name: grouping.codes == grouping.names.index(name) for name in drawn}
        columns.append(_column(grouping, drawn, inside, ids, parts))
    return Subgroups(
        films=len(ids),
        patients=len(np.unique(ids.astype(str))),
        bootstrap=bootstrap,
        seed=seed,
        columns=tuple(columns),
    )


def _column(
    grouping: Grouping,
    drawn: Mapping[str, Draws],
    inside: Mapping[str, NDArray[np.bool_]],
    ids: NDArray[np.object_],
    parts: list[list[int]],
) -> Column:
    groups = []
    kept: dict[str, list[dict[str, Floats]]] = {}
    for name, draws in drawn.items():
        scored = [_score(draws, k, ids) for k in range(len(OBSERVATIONS))]
        kept[name] = [found for _, found in scored]
        mine = ids[inside[name]]
        scores = tuple(score for score, _ in scored)
        groups.append(Group(name=name, films=len(mine), patients=len(set(mine)), scores=scores))
    gaps = [
        _gap({name: rows[k][metric] for name, rows in kept.items() if metric in rows[k]}, finding, metric)
        for k, finding in enumerate(OBSERVATIONS)
        for metric in METRICS
    ]
    means = [_mean(kept, metric, parts) for metric in METRICS]
    return Column(
        name=grouping.column,
        cut=grouping.cut,
        groups=tuple(groups),
        gaps=tuple(gap for gap in gaps if gap is not None),
        means=tuple(mean for mean in means if mean is not None),
    )


def _score(draws: Draws, k: int, ids: NDArray[np.object_]) -> tuple[GroupScore, dict[str, Floats]]:
    """Score one observation of a group; beside it the draws of what is scored."""
    labels = draws.targets[:, k]
    positives, negatives = int((labels == 1).sum()), int((labels == 0).sum())
    untrained = bool(np.isnan(draws.probs[:, k]).all())
    found: dict[str, Floats] = {}
    reasons: dict[str, str] = {}
    for metric in METRICS:
        if metric not in draws.metrics[k]:
            continue
        reason = NOT_TRAINED if untrained else _too_few(metric, positives, negatives)
        if reason is None:
            found[metric] = draws.metrics[k][metric]
        else:
            reasons[metric] = reason
    score = GroupScore(
        observation=OBSERVATIONS[k],
        films=positives + negatives,
        patients=len(set(ids[~np.isnan(labels)])),
        positives=positives,
        negatives=negatives,
        metrics={metric: estimate(values) for metric, values in found.items()},
        reasons=reasons,
    )
    return score, found


def _too_few(metric: str, positives: int, negatives: int) -> str | None:
    if positives < MIN_CLASS:
        return FEW_POSITIVES.format(least=MIN_CLASS)
    # Sensitivity is of the positives alone; but of one class nothing is computed, nor is it.
    if negatives == 0 or (negatives < MIN_CLASS and metric != "recall"):
        return FEW_NEGATIVES.format(least=MIN_CLASS)
    return None


def _gap(draws: Mapping[str, Floats], observation: str, metric: str) -> Gap | None:
    """Take the gap of the scored groups' draws; None of fewer than two."""
    if len(draws) < 2:
        return None
    ranked = sorted(draws, key=lambda name: float(draws[name][0]))
    return Gap(
        observation=observation,
        metric=metric,
        lowest=ranked[0],
        highest=ranked[-1],
        groups=len(draws),
        gap=estimate(draws[ranked[-1]] - draws[ranked[0]]),
    )


def _mean(
    kept: Mapping[str, Sequence[Mapping[str, Floats]]], metric: str, parts: list[list[int]]
) -> Mean | None:
    """Average what all groups score that score anything; None where there is no such observation."""
    scored = {name: {k for k, row in enumerate(rows) if metric in row} for name, rows in kept.items()}
    those = [found for found in scored.values() if found]
    common = set.intersection(*those) if those else set()
    if not common:
        return None
    cells = [[k for k in part if k in common] for part in parts if common & set(part)]
    draws = {
        # A resample that lost a class of one of them is left out: it would be a mean of others.
        name: np.mean([np.mean([kept[name][k][metric] for k in cell], axis=0) for cell in cells], axis=0)
        for name, found in scored.items()
        if found
    }
    return Mean(
        metric=metric,
        observations=tuple(OBSERVATIONS[k] for k in sorted(common)),
        over=len(cells),
        groups={name: estimate(values) for name, values in draws.items()},
        left_out=tuple(name for name, found in scored.items() if not found),
        gap=_gap(draws, MEAN, metric),
    )
