"""Every metric of a set of films and of bootstrap resamples of its patients: where intervals come from."""

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from chexmodel.bootstrap import confusion, draw_weights, ranking, ratio
from chexmodel.errors import DatasetError
from chexmodel.labels import OBSERVATIONS
from chexmodel.scores import Average, Estimate

MACRO: Final = ("auroc", "average_precision", "precision", "recall", "specificity", "f1", "accuracy")
_BASELINE: Final = "f1_constant_yes"  # averaged over the same observations as the metrics
_INTERVAL = (2.5, 97.5)
_CHUNK = 1 << 20  # weights handled at once: a handful of arrays of 8 MB stay near the cache


class Draws(NamedTuple):
    """Checked films, and every metric of every observation on them and on each of their resamples.

    targets: (N, 14) in {0, 1, NaN}. probs: (N, 14) in [0, 1] or NaN. thresholds: (14,). patients: their
    number. metrics: 14 times name → (1 + R,) values, of the films themselves and then of R resamples of
    their patients; NaN where undefined.
    """

    targets: NDArray[np.float64]
    probs: NDArray[np.float64]
    thresholds: NDArray[np.float64]
    patients: int
    metrics: list[dict[str, NDArray[np.float64]]]


def draw(
    targets: NDArray[np.floating],
    probs: NDArray[np.floating],
    *,
    thresholds: float | Sequence[float] | NDArray[np.floating],
    patients: Sequence[str] | NDArray[np.object_] | None,
    bootstrap: int,
    seed: int,
) -> Draws:
    """Compute every metric on the films and on each resample; arguments and errors as in `evaluate`.

    The same patients and seed give the same resamples whatever the probabilities: two models are compared
    draw by draw.
    """
    labels, scores, cuts = _checked(targets, probs, thresholds)
    ids = np.arange(len(labels)) if patients is None else np.asarray(patients)
    if len(ids) != len(labels):
        raise DatasetError(f"{len(ids)} patient ids for {len(labels)} films: give one per film")
    unique, groups = np.unique(ids, return_inverse=True)
    resampled = draw_weights(groups, resamples=bootstrap, rng=np.random.default_rng(seed))
    # Row 0 is the sample itself, the others its resamples: one code path for value and interval.
    weights = np.concatenate([np.ones((1, len(labels)), resampled.dtype), resampled])
    metrics = [_draws(labels[:, k], scores[:, k], float(cuts[k]), weights) for k in range(labels.shape[1])]
    return Draws(labels, scores, cuts, len(unique), metrics)


def estimate(draws: NDArray[np.float64]) -> Estimate:
    """Take the value (the first draw) and its 95 % percentile interval (of the others that are defined)."""
    low, high = _interval(draws)
    return Estimate(value=float(draws[0]), low=low, high=high)


def _interval(draws: NDArray[np.float64]) -> tuple[float, float]:
    resampled = draws[1:][~np.isnan(draws[1:])]
    if np.isnan(draws[0]) or len(resampled) == 0:
        return float("nan"), float("nan")
    low, high = np.percentile(resampled, _INTERVAL)
    return float(low), float(high)


def averages(draws: list[dict[str, NDArray[np.float64]]], groups: list[list[int]]) -> dict[str, Average]:
    """Average each metric over groups of observations: first within a group, then over the groups.

    Args:
        draws: 14 times metric → (1 + R,) values, as in `Draws.metrics`.
        groups: of indices of observations.
    """
    found = {}
    for metric in draws[0]:
        rows = []
        for group in groups:
            defined = [draws[k][metric] for k in group if not np.isnan(draws[k][metric][0])]
            if defined:
                rows.append(np.mean(defined, axis=0))
        if not rows:
            found[metric] = Average(value=np.nan, low=np.nan, high=np.nan, observations=0)
            continue
        # A resample that lost a class of a rare observation leaves that one out, not the whole average.
        mean = ratio(np.nansum(rows, axis=0), np.sum(~np.isnan(rows), axis=0))
        low, high = _interval(mean)
        found[metric] = Average(value=float(mean[0]), low=low, high=high, observations=len(rows))
    return found


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
