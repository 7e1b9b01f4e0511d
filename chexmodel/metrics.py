"""Masked multi-label metrics with bootstrap intervals, beside what a constant answer would get."""

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from chexmodel.bootstrap import confusion, draw_weights, ranking, ratio
from chexmodel.errors import DatasetError
from chexmodel.labels import OBSERVATIONS
from chexmodel.scores import Average, Estimate, Evaluation, ObservationScore

__all__ = [
    "Average",
    "Estimate",
    "Evaluation",
    "ObservationScore",
    "constant_yes_f1",
    "equivalent_groups",
    "evaluate",
]

MACRO: Final = ("auroc", "average_precision", "precision", "recall", "specificity", "f1", "accuracy")
_BASELINE: Final = "f1_constant_yes"  # averaged over the same observations as the metrics
_INTERVAL = (2.5, 97.5)
_CHUNK = 1 << 20  # weights handled at once: a handful of arrays of 8 MB stay near the cache


def evaluate(
    targets: NDArray[np.floating],
    probs: NDArray[np.floating],
    *,
    thresholds: float | Sequence[float] | NDArray[np.floating],
    patients: Sequence[str] | NDArray[np.object_] | None = None,
    bootstrap: int = 1000,
    seed: int = 0,
) -> Evaluation:
    """Score probabilities against targets.

    Args:
        targets: (N, 14) in {0, 1, −1, NaN}; −1 and NaN are masked.
        probs: (N, 14) in [0, 1]; a column that is NaN throughout was not trained and is undefined.
        thresholds: 14 values in [0, 1], or one for all; `probs >= threshold` is the decision.
        patients: N ids; whole patients are resampled. None takes every film for a patient of its own.
        bootstrap: number of resamples R; 0 leaves the intervals undefined.
        seed: of the resampling.

    Returns:
        The evaluation; estimates of one-class observations are NaN and say why.

    Raises:
        DatasetError: shapes that do not fit, no films, or values out of range.
    """
    labels, scores, cuts = _checked(targets, probs, thresholds)
    ids = np.arange(len(labels)) if patients is None else np.asarray(patients)
    if len(ids) != len(labels):
        raise DatasetError(f"{len(ids)} patient ids for {len(labels)} films: give one per film")
    unique, groups = np.unique(ids, return_inverse=True)
    rng = np.random.default_rng(seed)
    resampled = draw_weights(groups, resamples=bootstrap, rng=rng)
    # Row 0 is the sample itself, the others its resamples: one code path for value and interval.
    weights = np.concatenate([np.ones((1, len(labels)), resampled.dtype), resampled])
    draws = [_draws(labels[:, k], scores[:, k], float(cuts[k]), weights) for k in range(labels.shape[1])]
    equivalent = equivalent_groups(labels)
    return Evaluation(
        films=len(labels),
        patients=len(unique),
        bootstrap=bootstrap,
        seed=seed,
        scores=tuple(
            _score(name, labels[:, k], scores[:, k], float(cuts[k]), draws[k])
            for k, name in enumerate(OBSERVATIONS)
        ),
        macro=_macro(draws, [[k] for k in range(len(OBSERVATIONS))]),
        macro_distinct=_macro(draws, _partition(equivalent)),
        equivalent=tuple(tuple(OBSERVATIONS[k] for k in group) for group in equivalent),
    )


def constant_yes_f1(positives: float, negatives: float) -> float:
    """F1 of calling every film positive: 2P / (2P + N); NaN without a positive."""
    return float("nan") if positives == 0 else 2 * positives / (2 * positives + negatives)


def equivalent_groups(targets: NDArray[np.floating]) -> list[list[int]]:
    """Groups of observations whose labels are equal, or complementary, wherever both are known.

    Both have to be known on at least half of the films on which either is.

    Args:
        targets: (N, K) in {0, 1} or NaN.

    Returns:
        Groups of two or more column indices; a column of one class is equivalent to nothing.
    """
    groups: list[list[int]] = []
    for k in range(targets.shape[1]):
        for group in groups:
            known = ~np.isnan(targets[:, [k, group[0]]])
            both = known.all(axis=1)
            if 2 * both.sum() < known.sum(axis=0).max():
                continue  # agreeing on a few films that both happen to know is no equivalence
            a, b = targets[both, k], targets[both, group[0]]
            if len(np.unique(a)) == 2 and (np.all(a == b) or np.all(a == 1 - b)):
                group.append(k)
                break
        else:
            groups.append([k])
    return [group for group in groups if len(group) > 1]


def _checked(
    targets: NDArray[np.floating],
    probs: NDArray[np.floating],
    thresholds: float | Sequence[float] | NDArray[np.floating],
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    labels = np.array(targets, dtype=np.float64)
    scores = np.asarray(probs, dtype=np.float64)
    cuts = np.asarray(thresholds, dtype=np.float64)
    if cuts.ndim == 0:
        cuts = np.full(len(OBSERVATIONS), float(cuts))
    expected = (len(labels), len(OBSERVATIONS))
    if len(labels) == 0:
        raise DatasetError("there are no films to score: check the split and the views")
    if labels.shape != expected or scores.shape != expected or cuts.shape != expected[1:]:
        raise DatasetError(
            f"targets {labels.shape}, probabilities {scores.shape} and thresholds {cuts.shape} do not fit: "
            f"(N, {expected[1]}), (N, {expected[1]}) and ({expected[1]},) are needed"
        )
    labels[labels == -1] = np.nan
    if not np.isin(labels[~np.isnan(labels)], (0.0, 1.0)).all():
        raise DatasetError("targets to score must be 0, 1, −1 or NaN: evaluate with uncertain='ignore'")
    if not ((cuts >= 0) & (cuts <= 1)).all():
        raise DatasetError(f"thresholds must lie in [0, 1], got {cuts.tolist()}")
    if (scores < 0).any() or (scores > 1).any():
        raise DatasetError("probabilities lie outside [0, 1]: apply the sigmoid and the calibration first")
    missing = np.isnan(scores).mean(axis=0)
    if ((missing > 0) & (missing < 1)).any():
        partly = OBSERVATIONS[int(np.argmax((missing > 0) & (missing < 1)))]
        raise DatasetError(f"the probabilities of {partly} are NaN for some films: score every film, or none")
    return labels, scores, cuts


def _draws(
    labels: NDArray[np.float64], scores: NDArray[np.float64], cut: float, weights: NDArray[np.uint16]
) -> dict[str, NDArray[np.float64]]:
    """Every metric of one observation under each row of weights; NaN where it is undefined."""
    known = ~np.isnan(labels) & ~np.isnan(scores)
    if len(np.unique(labels[known])) < 2:
        return {name: np.full(len(weights), np.nan) for name in (*MACRO, _BASELINE)}
    y, p, w = labels[known], scores[known], weights[:, known]
    rows = max(1, _CHUNK // len(y))
    parts = [_metrics(y, p, cut, w[i : i + rows].astype(np.float64)) for i in range(0, len(w), rows)]
    return {name: np.concatenate([part[name] for part in parts]) for name in (*MACRO, _BASELINE)}


def _metrics(
    labels: NDArray[np.float64], scores: NDArray[np.float64], cut: float, weights: NDArray[np.float64]
) -> dict[str, NDArray[np.float64]]:
    auroc, average_precision = ranking(labels, scores, weights)
    tp, fp, fn, tn = confusion(labels, scores >= cut, weights)
    return {
        "auroc": auroc,
        "average_precision": average_precision,
        "precision": ratio(tp, tp + fp),
        "recall": ratio(tp, tp + fn),
        "specificity": ratio(tn, tn + fp),
        "f1": ratio(2 * tp, np.where(tp + fn > 0, 2 * tp + fp + fn, 0.0)),
        "accuracy": ratio(tp + tn, tp + fp + fn + tn),
        _BASELINE: ratio(2 * (tp + fn), np.where(tp + fn > 0, 2 * (tp + fn) + fp + tn, 0.0)),
    }


def _score(
    name: str,
    labels: NDArray[np.float64],
    scores: NDArray[np.float64],
    cut: float,
    draws: dict[str, NDArray[np.float64]],
) -> ObservationScore:
    positives, negatives = int((labels == 1).sum()), int((labels == 0).sum())
    undefined = None
    if np.isnan(scores).all():
        undefined, cut = "not trained in this model", float("nan")
    elif positives == 0 or negatives == 0:
        undefined = f"{positives} positives and {negatives} negatives among these films"
    estimates = {metric: _estimate(draws[metric]) for metric in MACRO}
    return ObservationScore(
        observation=name,
        positives=positives,
        negatives=negatives,
        masked=int(np.isnan(labels).sum()),
        threshold=cut,
        f1_constant_yes=constant_yes_f1(positives, negatives),
        undefined=undefined,
        **estimates,
    )


def _estimate(draws: NDArray[np.float64]) -> Estimate:
    low, high = _interval(draws)
    return Estimate(value=float(draws[0]), low=low, high=high)


def _interval(draws: NDArray[np.float64]) -> tuple[float, float]:
    resampled = draws[1:][~np.isnan(draws[1:])]
    if np.isnan(draws[0]) or len(resampled) == 0:
        return float("nan"), float("nan")
    low, high = np.percentile(resampled, _INTERVAL)
    return float(low), float(high)


def _partition(equivalent: list[list[int]]) -> list[list[int]]:
    grouped = {k for group in equivalent for k in group}
    return [*equivalent, *([k] for k in range(len(OBSERVATIONS)) if k not in grouped)]


def _macro(draws: list[dict[str, NDArray[np.float64]]], groups: list[list[int]]) -> dict[str, Average]:
    """Average each metric over groups of observations: first within a group, then over the groups."""
    averages = {}
    for metric in (*MACRO, _BASELINE):
        rows = []
        for group in groups:
            defined = [draws[k][metric] for k in group if not np.isnan(draws[k][metric][0])]
            if defined:
                rows.append(np.mean(defined, axis=0))
        if not rows:
            averages[metric] = Average(value=np.nan, low=np.nan, high=np.nan, observations=0)
            continue
        # A resample that lost a class of a rare observation leaves that one out, not the whole average.
        mean = ratio(np.nansum(rows, axis=0), np.sum(~np.isnan(rows), axis=0))
        low, high = _interval(mean)
        averages[metric] = Average(value=float(mean[0]), low=low, high=high, observations=len(rows))
    return averages
