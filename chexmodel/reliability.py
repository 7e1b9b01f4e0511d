"""Do probabilities mean what they say? Adaptive bins, calibration error, reliability diagrams."""

from typing import Final

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict
from scipy.special import xlogy
from scipy.stats import binomtest

Floats = NDArray[np.float64]

BINS: Final = 10
"""Bins of the expected calibration error; fewer where a bin would have under `MIN_PER_BIN` films."""
MIN_PER_BIN: Final = 10


def adaptive_bins(probs: Floats) -> NDArray[np.intp]:
    """Give each film a bin, the bins as equally filled as ties allow.

    Equal masses and not equal widths (Nixon J. et al., *Measuring Calibration in Deep Learning*, 2019,
    arXiv:1904.01685): the scores of a rare observation crowd near 0, where bins of equal width would put them
    all into one. Films with equal probabilities share a bin, so that the order of the rows has no say.

    Args:
        probs: (N,) in [0, 1], N ≥ 1.

    Returns:
        (N,) bin of each film, 0, 1, …, at most `BINS` of them.
    """
    bins = int(np.clip(len(probs) // MIN_PER_BIN, 1, BINS))
    values, place, counts = np.unique(probs, return_inverse=True, return_counts=True)
    middle = (np.cumsum(counts) - counts / 2) / len(probs)  # a tied group goes where its middle lies
    bin_of = np.minimum((middle * bins).astype(np.intp), bins - 1)
    return np.unique(bin_of, return_inverse=True)[1][place]


class Bin(BaseModel):
    """Films of similar probability: their number, mean probability, and share of positives.

    `low` and `high` are the 95 % Wilson interval of the share (Wilson E. B., JASA 1927).
    """

    model_config = ConfigDict(frozen=True)

    films: int
    probability: float
    share: float
    low: float
    high: float


class Quality(BaseModel):
    """How well probabilities fit the labels of N films: lower is better, in all three.

    log_loss: mean of −log p(label), natural logarithm. brier: mean squared error (Brier G. W., Monthly Weather
    Review 1950). ece: expected calibration error over `adaptive_bins`. Of a perfectly calibrated model on
    few films ece is above 0 all the same.
    """

    model_config = ConfigDict(frozen=True)

    log_loss: float
    brier: float
    ece: float
    bins: tuple[Bin, ...]


class Reliability(BaseModel):
    """One observation on one split, before calibration (sigmoid of the raw logit) and after it."""

    model_config = ConfigDict(frozen=True)

    observation: str
    split: str
    positives: int
    negatives: int
    method: str
    before: Quality
    after: Quality


def quality(labels: Floats, probs: Floats) -> Quality:
    """Judge probabilities by their labels.

    Args:
        labels: (N,) in {0, 1}, N ≥ 1.
        probs: (N,) in [0, 1]. A sure mistake (0 for a positive) has an infinite log-loss: probabilities are
            kept 1e-15 away from 0 and 1 for it, as scikit-learn does.
    """
    place = adaptive_bins(probs)
    sure = np.clip(probs, 1e-15, 1 - 1e-15)
    bins = []
    for number in range(place.max() + 1):
        inside = place == number
        positives, films = int(labels[inside].sum()), int(inside.sum())
        wilson = binomtest(positives, films).proportion_ci(method="wilson")
        bins.append(
            Bin(
                films=films,
                probability=float(probs[inside].mean()),
                share=positives / films,
                low=float(wilson.low),
                high=float(wilson.high),
            )
        )
    return Quality(
        log_loss=float(-np.mean(xlogy(labels, sure) + xlogy(1 - labels, 1 - sure))),
        brier=float(np.mean((probs - labels) ** 2)),
        ece=sum(b.films * abs(b.share - b.probability) for b in bins) / len(probs),
        bins=tuple(bins),
    )
