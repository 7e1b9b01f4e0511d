"""Metrics of one observation under many sample weights at once: what a bootstrap needs, without a loop.

A bootstrap resample is a vector of weights: how often each film was drawn. The scores are sorted once;
each resample is then one cumulative sum of its weights, read off where positives lie.
"""

from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from chexmodel.errors import DatasetError

Floats = NDArray[np.float64]
Numbers = NDArray[np.floating] | NDArray[np.integer]


def draw_weights(
    groups: NDArray[np.integer], *, resamples: int, rng: np.random.Generator
) -> NDArray[np.uint16]:
    """How often each film is drawn when whole groups (patients) are resampled with replacement.

    Args:
        groups: (N,) group number of each film, 0..G−1.
        resamples: R.
        rng: source of the draws.

    Returns:
        (R, N) counts.

    Raises:
        DatasetError: a negative number of resamples.
    """
    if resamples < 0:
        raise DatasetError(f"{resamples} bootstrap resamples are none: give 0 (no intervals) or more")
    total = int(groups.max()) + 1
    weights = np.empty((resamples, len(groups)), np.uint16)
    for row in weights:
        row[:] = np.bincount(rng.integers(total, size=total), minlength=total)[groups]
    return weights


class Ranked(NamedTuple):
    """The unmasked films of one observation, sorted once, for any number of resamples.

    Films with equal scores are one step. Only steps with a positive count: between two of them neither
    the sensitivity nor the precision at a positive changes.

    order: (n,) the films' columns in the weights, highest score first. positives: (P,) places of the positive
    films in that order. before, through: (m,) places of the last film before and of the last film of each
    step with a positive (−1: none before). reached: (m,) number of positive films up to each step's end.
    """

    order: NDArray[np.intp]
    positives: NDArray[np.intp]
    before: NDArray[np.intp]
    through: NDArray[np.intp]
    reached: NDArray[np.intp]

    @classmethod
    def of(cls, labels: NDArray[np.floating], scores: NDArray[np.floating], films: NDArray[np.intp]) -> Self:
        """Sort films by their scores.

        Args:
            labels: (n,) in {0, 1}.
            scores: (n,).
            films: (n,) their columns in the weights.
        """
        by_score = np.argsort(-scores, kind="stable")
        ranked, positive = scores[by_score], labels[by_score] == 1
        ends = np.flatnonzero(np.append(ranked[1:] != ranked[:-1], True))
        starts = np.append(-1, ends[:-1])
        reached = np.cumsum(positive)[ends]
        has_positive = np.diff(reached, prepend=0) > 0
        return cls(
            order=films[by_score],
            positives=np.flatnonzero(positive),
            before=starts[has_positive],
            through=ends[has_positive],
            reached=reached[has_positive],
        )


class Counted(NamedTuple):
    """Weights of resamples, summed up along a ranking, each with one row a resample.

    called: (R, n + 1) weight of the 0, 1, … n highest films. true: (R, P + 1) the same of the positive ones.
    """

    called: Numbers
    true: Numbers


def count(ranked: Ranked, drawn: Numbers) -> Counted:
    """Sum weights up along a ranking; whole numbers stay whole, hence exact.

    Args:
        ranked: n films.
        drawn: (R, n), ≥ 0, in the order of the ranking: `weights[:, ranked.order]`.
    """
    kind = np.int32 if drawn.dtype.kind in "iu" else np.float64
    called = np.zeros((len(drawn), drawn.shape[1] + 1), kind)
    true = np.zeros((len(drawn), len(ranked.positives) + 1), kind)
    np.cumsum(drawn, axis=1, out=called[:, 1:])
    np.cumsum(drawn[:, ranked.positives], axis=1, out=true[:, 1:])
    return Counted(called, true)


def ranking(ranked: Ranked, counted: Counted) -> tuple[Floats, Floats]:
    """AUROC and average precision under each row of weights; equal to scikit-learn's with `sample_weight`.

    Tied scores share one cut, as there.

    Returns:
        AUROC (R,) and average precision (R,); NaN where a resample drew one class only.
    """
    called, true = counted
    positives = true[:, -1].astype(np.float64)
    negatives = called[:, -1] - positives
    reached = true[:, ranked.reached]
    gained = np.diff(reached, axis=1, prepend=0)
    through = called[:, ranked.through + 1]
    # Trapezoids: below a step's positives lie the negatives behind it, and half of those tied with them.
    false = through - reached
    false_before = called[:, ranked.before + 1] - (reached - gained)
    above = np.einsum("rm,rm->r", gained, false + false_before, dtype=np.float64) / 2
    precision = np.divide(reached, through, out=np.zeros(reached.shape), where=through > 0)
    average = np.einsum("rm,rm->r", gained, precision)
    one_class = (positives == 0) | (negatives == 0)
    return (
        ratio(positives * negatives - above, np.where(one_class, 0.0, positives * negatives)),
        ratio(average, np.where(one_class, 0.0, positives)),
    )


class Confusion(NamedTuple):
    """Weights of true positives, false positives, false negatives and true negatives, each (R,)."""

    tp: Floats
    fp: Floats
    fn: Floats
    tn: Floats


def confusion(ranked: Ranked, counted: Counted, calls: int) -> Confusion:
    """What becomes of the films when the `calls` highest are called positive."""
    called, true = counted
    tp = true[:, np.searchsorted(ranked.positives, calls)].astype(np.float64)
    fp = called[:, calls] - tp
    fn = true[:, -1] - tp
    return Confusion(tp, fp, fn, called[:, -1] - tp - fp - fn)


def ratio(numerator: Floats, denominator: Floats) -> Floats:
    """Divide; NaN where the denominator is 0: undefined, not zero."""
    out = np.full_like(np.asarray(numerator, dtype=np.float64), np.nan)
    return np.divide(numerator, denominator, out=out, where=np.asarray(denominator) > 0)
