"""Do probabilities mean what they say? Calibration error and reliability diagrams, before and after."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict
from scipy.special import expit, xlogy

from chexmodel.binning import adaptive_bins
from chexmodel.bootstrap import draw_weights, ratio
from chexmodel.calibration import Calibration, probabilities
from chexmodel.draws import estimate
from chexmodel.labels import OBSERVATIONS
from chexmodel.scores import Estimate

Floats = NDArray[np.float64]
_SURE = 1e-15  # probabilities are kept so far from 0 and 1, or one sure mistake has an infinite loss


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

    log_loss: mean of −log p(label), natural logarithm. brier: mean squared error (Brier G. W., Monthly
    Weather Review 1950). ece: expected calibration error over `adaptive_bins`; on few films that of a
    perfectly calibrated model is above 0 too.
    """

    model_config = ConfigDict(frozen=True)

    log_loss: float
    brier: float
    ece: float
    bins: tuple[Bin, ...]


class Reliability(BaseModel):
    """One observation on one split, before calibration (sigmoid of the raw logit) and after it.

    `gain` is by how much calibration lowers the log-loss, with its bootstrap interval over patients.
    """

    model_config = ConfigDict(frozen=True, ser_json_inf_nan="null")

    observation: str
    split: str
    positives: int
    negatives: int
    method: str
    before: Quality
    after: Quality
    gain: Estimate


def reliability(
    targets: Floats,
    logits: Floats,
    calibrations: Sequence[Calibration],
    *,
    split: str,
    patients: Sequence[str],
    bootstrap: int,
    seed: int,
) -> list[Reliability]:
    """Judge the probabilities of a split before and after calibration.

    Args:
        targets: (N, 14) in {0, 1} or NaN.
        logits: (N, 14) raw; NaN where not trained.
        calibrations: 14.
        split: name of the films' split.
        patients: N ids; whole patients are resampled.
        bootstrap: number of resamples.
        seed: of the resampling.

    Returns:
        One result for each observation with both classes, in the order of `OBSERVATIONS`.
    """
    before, after = expit(logits), probabilities(logits, calibrations)
    groups = np.unique(np.asarray(patients), return_inverse=True)[1]
    weights = draw_weights(groups, resamples=bootstrap, rng=np.random.default_rng(seed))
    weights = np.concatenate([np.ones((1, len(groups)), weights.dtype), weights])
    results = []
    for k, name in enumerate(OBSERVATIONS):
        known = ~np.isnan(targets[:, k]) & ~np.isnan(logits[:, k])
        labels = targets[known, k]
        if len(np.unique(labels)) < 2:
            continue
        drawn = weights[:, known].astype(np.float64)
        losses = _losses(labels, before[known, k]) - _losses(labels, after[known, k])
        results.append(
            Reliability(
                observation=name,
                split=split,
                positives=int(labels.sum()),
                negatives=int((1 - labels).sum()),
                method=calibrations[k].method,
                before=quality(labels, before[known, k]),
                after=quality(labels, after[known, k]),
                gain=estimate(ratio(drawn @ losses, drawn.sum(axis=1))),
            )
        )
    return results


def _losses(labels: Floats, probs: Floats) -> Floats:
    sure = np.clip(probs, _SURE, 1 - _SURE)
    losses: Floats = -(xlogy(labels, sure) + xlogy(1 - labels, 1 - sure))
    return losses


def quality(labels: Floats, probs: Floats) -> Quality:
    """Judge probabilities by their labels.

    Args:
        labels: (N,) in {0, 1}, N ≥ 1.
        probs: (N,) in [0, 1].
    """
    from scipy.stats import binomtest  # here, for reading a film needs none of it

    place = adaptive_bins(probs)
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
        log_loss=float(_losses(labels, probs).mean()),
        brier=float(np.mean((probs - labels) ** 2)),
        ece=sum(b.films * abs(b.share - b.probability) for b in bins) / len(probs),
        bins=tuple(bins),
    )
