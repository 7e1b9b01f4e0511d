"""How far resampled patients would move a curve or a rate: pointwise 95 % ribbons and intervals."""

from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from chexmodel.bootstrap import Counted, Ranked, count, draw_weights, ratio

Floats = NDArray[np.float64]

_GRID: Final = np.linspace(0, 1, 101)
_INTERVAL: Final = (2.5, 97.5)
_CHUNK: Final = 1 << 19  # weights handled at once


class Ribbon(NamedTuple):
    """A pointwise 95 % interval along a curve: x, low, high (101,); x from 0 to 1, NaN where undefined."""

    x: Floats
    low: Floats
    high: Floats


class Ribbons(NamedTuple):
    """Around an ROC curve (x = 1 − specificity) and a precision-recall curve (x = recall)."""

    roc: Ribbon
    precision_recall: Ribbon


def ribbons(
    labels: Floats, probs: Floats, patients: Sequence[str] | NDArray[Any], *, bootstrap: int, seed: int
) -> Ribbons:
    """Resample patients and read each resample's curves at 101 places.

    Vertical averaging (Fawcett T., *An introduction to ROC analysis*, Pattern Recognition Letters 2006): the
    sensitivity at a given 1 − specificity, between two operating points by interpolation; the precision at
    the highest threshold that reaches a recall, without interpolation (Davis J., Goadrich M., ICML 2006).

    Args:
        labels: (N,) in {0, 1}, both present.
        probs: (N,) in [0, 1].
        patients: N ids.
        bootstrap: number of resamples; 0 leaves the ribbons undefined.
        seed: of the resampling.
    """
    ranked = Ranked.of(labels, probs, np.arange(len(labels)))
    descending = -np.sort(-probs)
    ends = np.flatnonzero(np.append(descending[1:] != descending[:-1], True)) + 1
    reached = np.searchsorted(ranked.positives, ends)

    def read(counted: Counted) -> tuple[Floats, Floats]:
        tp, called = counted.true[:, reached], counted.called[:, ends]
        heights = []
        for positive, all_called in zip(tp.astype(np.float64), called, strict=True):
            fp = all_called - positive
            if positive[-1] == 0 or fp[-1] == 0:
                heights.append(np.full((2, len(_GRID)), np.nan))
                continue
            tpr, fpr = np.append(0, positive / positive[-1]), np.append(0, fp / fp[-1])
            # Recall 0 has no precision, as nobody is called: that of the highest film drawn stands there.
            step = np.maximum(np.searchsorted(tpr[1:], _GRID - 1e-12), np.argmax(all_called > 0))
            precision = ratio(positive, all_called.astype(np.float64))[step]
            heights.append(np.stack([np.interp(_GRID, fpr, tpr), precision]))
        roc, precision_recall = np.stack(heights, axis=1)
        return roc, precision_recall

    curves = _over(ranked, patients, read, bootstrap=bootstrap, seed=seed)
    return Ribbons(*(Ribbon(_GRID, *_percentiles(curve[1:])) for curve in curves))


class Rates(NamedTuple):
    """Sensitivity and specificity at each of C cuts, (1 + R, C): of the films, then of each resample."""

    sensitivity: Floats
    specificity: Floats


def rates_at_cuts(
    labels: Floats,
    probs: Floats,
    patients: Sequence[str] | NDArray[Any],
    *,
    cuts: Floats,
    bootstrap: int,
    seed: int,
) -> Rates:
    """Count every resample at every cut (C,) in [0, 1], once; other arguments as in `ribbons`."""
    ranked = Ranked.of(labels, probs, np.arange(len(labels)))
    calls = len(probs) - np.searchsorted(np.sort(probs), cuts)  # films at or above each
    reached = np.searchsorted(ranked.positives, calls)

    def read(counted: Counted) -> tuple[Floats, Floats]:
        tp, called = counted.true[:, reached].astype(np.float64), counted.called[:, calls]
        positives = counted.true[:, -1:].astype(np.float64)
        negatives = counted.called[:, -1:] - positives
        true_negatives = negatives - (called - tp)
        return (
            ratio(tp, np.broadcast_to(positives, tp.shape)),
            ratio(true_negatives, np.broadcast_to(negatives, tp.shape)),
        )

    return Rates(*_over(ranked, patients, read, bootstrap=bootstrap, seed=seed))


def predictive_values(sensitivity: Floats, specificity: Floats, prevalence: float) -> tuple[Floats, Floats]:
    """Positive and negative predictive value where a share `prevalence` of the films is positive (Bayes).

    Args:
        sensitivity: in [0, 1], any shape.
        specificity: of the same shape.
        prevalence: in [0, 1].

    Returns:
        NaN where nobody is called positive, or nobody negative.
    """
    hit, miss = prevalence * sensitivity, prevalence * (1 - sensitivity)
    alarm, clear = (1 - prevalence) * (1 - specificity), (1 - prevalence) * specificity
    return ratio(hit, hit + alarm), ratio(clear, clear + miss)


def _over(
    ranked: Ranked,
    patients: Sequence[str] | NDArray[Any],
    read: Callable[[Counted], tuple[Floats, Floats]],
    *,
    bootstrap: int,
    seed: int,
) -> tuple[Floats, Floats]:
    """Read the films themselves and then each resample, some rows at a time."""
    groups = np.unique(np.asarray(patients), return_inverse=True)[1]
    resampled = draw_weights(groups, resamples=bootstrap, rng=np.random.default_rng(seed))
    weights = np.concatenate([np.ones((1, len(groups)), resampled.dtype), resampled])
    rows = max(1, _CHUNK // len(groups))
    parts = [
        read(count(ranked, weights[start : start + rows, ranked.order]))
        for start in range(0, len(weights), rows)
    ]
    first, second = (np.concatenate(part) for part in zip(*parts, strict=True))
    return first, second


def _percentiles(draws: Floats) -> tuple[Floats, Floats]:
    """2.5 % and 97.5 % of each column over the rows that define it."""
    defined = ~np.isnan(draws).all(axis=0) if len(draws) else np.zeros(draws.shape[1], bool)
    bounds = np.full((2, draws.shape[1]), np.nan)
    if defined.any():
        bounds[:, defined] = np.nanpercentile(draws[:, defined], _INTERVAL, axis=0)
    return bounds[0], bounds[1]
