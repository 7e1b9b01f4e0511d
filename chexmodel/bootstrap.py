"""Ranking metrics under many sample weights at once: what a bootstrap needs, without a loop of scikit-learn.

A bootstrap resample is a vector of weights: how often each film was drawn. The scores are sorted once;
each resample is then a pass of cumulative sums.
"""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


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
    """
    total = int(groups.max()) + 1
    drawn = rng.multinomial(total, np.full(total, 1.0 / total), size=resamples)
    return drawn.astype(np.uint16)[:, groups]


def ranking(labels: Floats, scores: Floats, weights: Floats) -> tuple[Floats, Floats]:
    """AUROC and average precision under each row of weights; equal to scikit-learn's with `sample_weight`.

    Tied scores share one cut, as there.

    Args:
        labels: (N,) in {0, 1}.
        scores: (N,).
        weights: (R, N), ≥ 0.

    Returns:
        AUROC (R,) and average precision (R,); NaN where a resample drew one class only.
    """
    order = np.argsort(-scores, kind="stable")
    ranked = scores[order]
    last_of_tie = np.append(ranked[1:] != ranked[:-1], True)
    positive = labels[order] == 1
    weight = weights[:, order]
    true = np.cumsum(weight * positive, axis=1)[:, last_of_tie]
    false = np.cumsum(weight * ~positive, axis=1)[:, last_of_tie]
    positives, negatives = true[:, -1], false[:, -1]
    with np.errstate(invalid="ignore", divide="ignore"):
        gain_true = np.diff(true, axis=1, prepend=0.0)
        gain_false = np.diff(false, axis=1, prepend=0.0)
        # Trapezoids under the ROC curve: each step of false positives at the mean height of its two ends.
        auroc = ((true - gain_true / 2) * gain_false).sum(axis=1) / (positives * negatives)
        called = true + false
        precision = np.divide(true, called, out=np.zeros_like(true), where=called > 0)
        average = (gain_true * precision).sum(axis=1) / positives
    one_class = (positives == 0) | (negatives == 0)
    return np.where(one_class, np.nan, auroc), np.where(one_class, np.nan, average)


def confusion(
    labels: Floats, calls: NDArray[np.bool_], weights: Floats
) -> tuple[Floats, Floats, Floats, Floats]:
    """Weighted true positives, false positives, false negatives and true negatives, each (R,).

    Args:
        labels: (N,) in {0, 1}.
        calls: (N,), the decisions.
        weights: (R, N).
    """
    positive = labels == 1
    cells = [positive & calls, ~positive & calls, positive & ~calls, ~positive & ~calls]
    tp, fp, fn, tn = (weights[:, cell].sum(axis=1) for cell in cells)
    return tp, fp, fn, tn


def ratio(numerator: Floats, denominator: Floats) -> Floats:
    """Divide; NaN where the denominator is 0: undefined, not zero."""
    out = np.full_like(np.asarray(numerator, dtype=np.float64), np.nan)
    return np.divide(numerator, denominator, out=out, where=np.asarray(denominator) > 0)
