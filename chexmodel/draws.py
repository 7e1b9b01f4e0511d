"""Every metric of a set of films and of bootstrap resamples of its patients: where intervals come from."""

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from chexmodel.baselines import constant_answers, lift
from chexmodel.binning import adaptive_bins
from chexmodel.bootstrap import Confusion, Ranked, confusion, count, draw_weights, ranking, ratio
from chexmodel.errors import DatasetError
from chexmodel.labels import OBSERVATIONS
from chexmodel.language import tr
from chexmodel.scores import Average, Estimate

DECIDED: Final = (*("precision", "recall", "specificity", "npv", "f1", "accuracy", "balanced_accuracy"),)
"""Metrics of the decisions; these have a micro average too."""
MACRO: Final = ("auroc", "average_precision", *DECIDED, "brier", "ece")
_BASELINE: Final = "f1_constant_yes"  # averaged over the same observations as the metrics
_INTERVAL = (2.5, 97.5)
_CHUNK = 1 << 19  # weights handled at once: a handful of arrays of a few MB stay near the cache

Floats = NDArray[np.float64]


class Draws(NamedTuple):
    """Checked films, and every metric of every observation on them and on each of their resamples.

    targets: (N, 14) in {0, 1, NaN}. probs: (N, 14) in [0, 1] or NaN. thresholds: (14,). patients: their
    number. metrics: 14 times name → (1 + R,) values, of the films themselves and then of R resamples of
    their patients; NaN where undefined. lifts: 14 times metric → (1 + R,), over the best constant answer.
    micro: name → (1 + R,), of the decisions of all defined observations together.
    """

    targets: Floats
    probs: Floats
    thresholds: Floats
    patients: int
    metrics: list[dict[str, Floats]]
    lifts: list[dict[str, Floats]]
    micro: dict[str, Floats]


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
        raise DatasetError(
            tr("{ids} patient ids for {films} films: give one per film", ids=len(ids), films=len(labels))
        )
    unique, groups = np.unique(ids, return_inverse=True)
    resampled = draw_weights(groups, resamples=bootstrap, rng=np.random.default_rng(seed))
    # Row 0 is the sample itself, the others its resamples: one code path for value and interval.
    weights = np.concatenate([np.ones((1, len(labels)), resampled.dtype), resampled])
    columns = [_column(labels[:, k], scores[:, k], float(cuts[k])) for k in range(len(OBSERVATIONS))]
    rows = max(1, _CHUNK // len(labels))
    parts = [weights[i : i + rows] for i in range(0, len(weights), rows)]
    with ThreadPoolExecutor(os.cpu_count()) as pool:  # numpy lets go of the interpreter in its loops
        counted = list(pool.map(lambda part: [_count(column, part) for column in columns], parts))
    joined = [_Sums(*map(np.concatenate, zip(*sums, strict=True))) for sums in zip(*counted, strict=True)]
    metrics = [_metrics(sums) for sums in joined]
    constants = [constant_answers(sums.tp + sums.fn, sums.fp + sums.tn) for sums in joined]
    for found, answers in zip(metrics, constants, strict=True):
        found[_BASELINE] = answers["yes"]["f1"]
    pooled = np.nansum([sums[:4] for sums in joined], axis=0)
    return Draws(
        labels,
        scores,
        cuts,
        len(unique),
        metrics,
        [lift(found, answers) for found, answers in zip(metrics, constants, strict=True)],
        decided(Confusion(*pooled)),
    )


def estimate(draws: Floats) -> Estimate:
    """Take the value (the first draw) and its 95 % percentile interval (of the others that are defined)."""
    low, high = _interval(draws)
    return Estimate(value=float(draws[0]), low=low, high=high)


def _interval(draws: Floats) -> tuple[float, float]:
    resampled = draws[1:][~np.isnan(draws[1:])]
    if np.isnan(draws[0]) or len(resampled) == 0:
        return float("nan"), float("nan")
    low, high = np.percentile(resampled, _INTERVAL)
    return float(low), float(high)


def averages(draws: list[dict[str, Floats]], groups: list[list[int]]) -> dict[str, Average]:
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
        found[metric] = average(ratio(np.nansum(rows, axis=0), np.sum(~np.isnan(rows), axis=0)), len(rows))
    return found


def average(draws: Floats, observations: int) -> Average:
    """As `estimate`, of a value over so many observations."""
    return Average(**estimate(draws).model_dump(), observations=observations)


def _checked(
    targets: NDArray[np.floating],
    probs: NDArray[np.floating],
    thresholds: float | Sequence[float] | NDArray[np.floating],
) -> tuple[Floats, Floats, Floats]:
    labels = np.array(targets, dtype=np.float64)
    scores = np.asarray(probs, dtype=np.float64)
    cuts = np.asarray(thresholds, dtype=np.float64)
    if cuts.ndim == 0:
        cuts = np.full(len(OBSERVATIONS), float(cuts))
    expected = (len(labels), len(OBSERVATIONS))
    if len(labels) == 0:
        raise DatasetError(tr("there are no films to score: check the split and the views"))
    if labels.shape != expected or scores.shape != expected or cuts.shape != expected[1:]:
        raise DatasetError(
            tr(
                "targets {targets}, probabilities {probabilities} and thresholds {thresholds} do not "
                "fit: (N, {n}), (N, {n}) and ({n},) are needed",
                targets=labels.shape,
                probabilities=scores.shape,
                thresholds=cuts.shape,
                n=expected[1],
            )
        )
    labels[labels == -1] = np.nan
    if not np.isin(labels[~np.isnan(labels)], (0.0, 1.0)).all():
        raise DatasetError(tr("targets to score must be 0, 1, −1 or NaN: evaluate with uncertain='ignore'"))
    if not ((cuts >= 0) & (cuts <= 1)).all():
        raise DatasetError(tr("thresholds must lie in [0, 1], got {values}", values=cuts.tolist()))
    if (scores < 0).any() or (scores > 1).any():
        raise DatasetError(
            tr("probabilities lie outside [0, 1]: apply the sigmoid and the calibration first")
        )
    missing = np.isnan(scores).mean(axis=0)
    if ((missing > 0) & (missing < 1)).any():
        partly = OBSERVATIONS[int(np.argmax((missing > 0) & (missing < 1)))]
        raise DatasetError(
            tr(
                "the probabilities of {partly} are NaN for some films: score every film, or none",
                partly=partly,
            )
        )
    return labels, scores, cuts


class _Column(NamedTuple):
    """One observation with both classes: its ranking, how many films are called positive, and its errors.

    errors: (n, 1 + B) in the order of the ranking: the squared error; label − probability in the column of
    the film's bin, 0 in the other bins.
    """

    ranked: Ranked
    calls: int
    errors: Floats


def _column(labels: Floats, scores: Floats, cut: float) -> _Column | None:
    known = np.flatnonzero(~np.isnan(labels) & ~np.isnan(scores))
    y, p = labels[known], scores[known]
    if len(np.unique(y)) < 2:
        return None
    ranked = Ranked.of(y, p, known)
    y, p = labels[ranked.order], scores[ranked.order]
    bins = adaptive_bins(p)
    residuals = np.where(bins[:, None] == np.arange(bins.max() + 1), (y - p)[:, None], 0.0)
    return _Column(ranked, int((p >= cut).sum()), np.column_stack([(y - p) ** 2, residuals]))


class _Sums(NamedTuple):
    """What the metrics of one observation are made of, each (R,); NaN where the observation is undefined."""

    tp: Floats
    fp: Floats
    fn: Floats
    tn: Floats
    auroc: Floats
    average_precision: Floats
    brier: Floats
    ece: Floats


def _count(column: _Column | None, weights: NDArray[np.uint16]) -> _Sums:
    if column is None:
        return _Sums(*np.full((len(_Sums._fields), len(weights)), np.nan))
    drawn = weights[:, column.ranked.order]
    counted = count(column.ranked, drawn)
    auroc, average_precision = ranking(column.ranked, counted)
    errors = drawn.astype(np.float64) @ column.errors
    whole = counted.called[:, -1].astype(np.float64)
    return _Sums(
        *confusion(column.ranked, counted, column.calls),
        auroc,
        average_precision,
        brier=ratio(errors[:, 0], whole),
        ece=ratio(np.abs(errors[:, 1:]).sum(axis=1), whole),
    )


def _metrics(sums: _Sums) -> dict[str, Floats]:
    ranked = {"auroc": sums.auroc, "average_precision": sums.average_precision}
    return {**ranked, **decided(Confusion(*sums[:4])), "brier": sums.brier, "ece": sums.ece}


def decided(counts: Confusion) -> dict[str, Floats]:
    """Metrics of decisions from their counts, each (R,): the names of `DECIDED`; NaN where undefined."""
    tp, fp, fn, tn = counts
    recall, specificity = ratio(tp, tp + fn), ratio(tn, tn + fp)
    return {
        "precision": ratio(tp, tp + fp),
        "recall": recall,
        "specificity": specificity,
        "npv": ratio(tn, tn + fn),
        "f1": ratio(2 * tp, np.where(tp + fn > 0, 2 * tp + fp + fn, 0.0)),
        "accuracy": ratio(tp + tn, tp + fp + fn + tn),
        "balanced_accuracy": (recall + specificity) / 2,
    }
