"""What every per-observation fit on a split starts from: enough unmasked films, or the reason why not."""

from collections.abc import Iterator
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from chexmodel.labels import OBSERVATIONS
from chexmodel.reasons import TOO_FEW

MIN_CLASS_COUNT: Final = 10
"""Fewer positives or negatives than this in the fitting split: nothing is fitted to them."""


class Provenance(BaseModel):
    """Which films a fitted value comes from; `reason` says why a default stands instead of a fit."""

    model_config = ConfigDict(frozen=True)

    observation: str
    split: str
    positives: int
    negatives: int
    reason: str | None = None


class Sample(NamedTuple):
    """The unmasked films of one observation: rows (n,), labels (n,) in {0, 1}, scores (n,), provenance."""

    films: NDArray[np.intp]
    labels: NDArray[np.floating]
    scores: NDArray[np.floating]
    provenance: Provenance


def samples(targets: NDArray[np.floating], scores: NDArray[np.floating], *, split: str) -> Iterator[Sample]:
    """Go through the observations; `provenance.reason` is set where there are too few films to fit.

    Args:
        targets: (N, 14) in {0, 1} or NaN.
        scores: (N, 14).
        split: name of the films' split.

    Yields:
        One sample per observation, in the order of `OBSERVATIONS`.
    """
    for index, observation in enumerate(OBSERVATIONS):
        films = np.flatnonzero(~np.isnan(targets[:, index]))
        labels = targets[films, index]
        positives, negatives = int((labels == 1).sum()), int((labels == 0).sum())
        reason = None
        if min(positives, negatives) < MIN_CLASS_COUNT:
            reason = TOO_FEW.format(
                positives=positives, negatives=negatives, split=split, needed=MIN_CLASS_COUNT
            )
        found = Provenance(
            observation=observation, split=split, positives=positives, negatives=negatives, reason=reason
        )
        yield Sample(films, labels, scores[films, index], found)
