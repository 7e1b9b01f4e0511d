"""What a bundle's predictions say of one observation: curves, and the four counts at a threshold."""

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.metrics import precision_recall_curve, roc_curve

from chexmodel.bundle import Bundle
from chexmodel.labels import OBSERVATIONS
from chexmodel.language import mark
from chexmodel.runs import judge


class Rate(NamedTuple):
    """A share of films, NaN where it is undefined; `reason` then says why, a message."""

    value: float
    of: int
    reason: str


class Counts(NamedTuple):
    """Films by label and by call: true and false positives, false and true negatives."""

    tp: int
    fp: int
    fn: int
    tn: int

    def rates(self) -> dict[str, Rate]:
        """Sensitivity, specificity, and the two predictive values on these films."""
        tp, fp, fn, tn = self
        return {
            "Sensitivity": _rate(tp, tp + fn, mark("no film is labelled positive")),
            "Specificity": _rate(tn, tn + fp, mark("no film is labelled negative")),
            "PPV": _rate(tp, tp + fp, mark("no film is called positive")),
            "NPV": _rate(tn, tn + fn, mark("no film is called negative")),
        }


@dataclass(frozen=True, eq=False)
class Scored:
    """The unmasked films of one observation.

    labels: (N,) in {0, 1}. probs: (N,) calibrated, in [0, 1]. threshold: the bundle's, in [0, 1].
    patients: (N,) ids.
    """

    observation: str
    labels: NDArray[np.float64]
    probs: NDArray[np.float64]
    threshold: float
    patients: NDArray[np.object_]

    @property
    def positives(self) -> int:
        """Films labelled positive."""
        return int((self.labels == 1).sum())

    @property
    def negatives(self) -> int:
        """Films labelled negative."""
        return int((self.labels == 0).sum())

    def at(self, threshold: float) -> Counts:
        """Count the films at a threshold; `probs >= threshold` is called positive."""
        called = self.probs >= threshold
        actual = self.labels == 1
        cells = (actual & called, ~actual & called, actual & ~called, ~actual & ~called)
        return Counts(*(int(cell.sum()) for cell in cells))

    def roc(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Give (1 − specificity, sensitivity), both ascending."""
        fpr, tpr, _ = roc_curve(self.labels, self.probs)
        return fpr, tpr

    def precision_recall(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Give (recall, precision), recall descending, to be drawn in steps."""
        precision, recall, _ = precision_recall_curve(self.labels, self.probs, drop_intermediate=True)
        # scikit-learn appends (recall 0, precision 1), which belongs to no threshold: the step that
        # reaches recall 0 has the height of the highest threshold.
        precision[-1] = precision[-2]
        return recall, precision


def read_scored(bundle: Bundle, predictions: pd.DataFrame, split: str) -> dict[str, Scored]:
    """Calibrate the predictions of one split.

    Args:
        bundle: for calibrations and thresholds.
        predictions: its `predictions()`.
        split: which of its splits.

    Returns:
        Observation → its unmasked films; only those where both classes occur.

    Raises:
        BundleError: columns or films are missing, or a film is there twice.
    """
    judged = judge(bundle, predictions, split, name=bundle.manifest.name)
    found = {}
    for k, name in enumerate(OBSERVATIONS):
        labels, probs = judged.targets[:, k], judged.probs[:, k]
        known = ~np.isnan(labels) & ~np.isnan(probs)
        scored = Scored(name, labels[known], probs[known], bundle.thresholds[k].value, judged.patients[known])
        if scored.positives and scored.negatives:
            found[name] = scored
    return found


def _rate(part: int, whole: int, reason: str) -> Rate:
    return Rate(part / whole, whole, "") if whole else Rate(math.nan, 0, reason)
