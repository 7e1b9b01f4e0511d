"""Ridge regression by its dual, for few samples of very many features; out-of-fold scores come cheap."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import GroupKFold

Floats = NDArray[np.float64]
_COLUMNS = 8192  # of the features at a time: they are kept as float16, and widened only to be multiplied


class Ridge(NamedTuple):
    """Linear scores `features @ weights + biases`: weights (D, K) float32, biases (K,)."""

    weights: NDArray[np.float32]
    biases: Floats


class Samples:
    """Features (N, D) float16, each divided by its spread over `reference` rows, and their Gram matrix.

    A twentieth of the mean spread is added to each, so that features which hardly vary do not weigh most.
    """

    def __init__(self, features: NDArray[np.float16], reference: NDArray[np.bool_]) -> None:
        self.features = features
        spread = np.empty(features.shape[1], np.float32)
        for columns in self._columns():
            spread[columns] = features[reference, columns].astype(np.float32).std(axis=0)
        self.scale = 1 / (spread + max(0.05 * float(spread.mean()), 1e-6))
        self.gram = np.zeros((len(features), len(features)))
        for columns in self._columns():
            scaled = features[:, columns].astype(np.float32) * self.scale[columns]
            self.gram += scaled @ scaled.T

    def ridge(self, targets: Floats, *, penalty: float) -> Ridge:
        """Fit targets (N, K) of all samples; `penalty` is relative to the mean square of a centred sample."""
        everyone = np.arange(len(targets))
        dual, biases = self._solve(everyone, targets, penalty)
        weights = np.empty((self.features.shape[1], targets.shape[1]), np.float32)
        for columns in self._columns():
            scaled = self.features[:, columns].astype(np.float32) * self.scale[columns]
            weights[columns] = (scaled.T @ dual.astype(np.float32)) * self.scale[columns, None]
        return Ridge(weights, biases)

    def out_of_fold(self, targets: Floats, groups: NDArray[np.intp], *, penalty: float, folds: int) -> Floats:
        """Scores (N, K) of each sample by a fit to samples of other groups (patients) alone."""
        scores = np.empty_like(targets)
        for fitted, held in splits(groups, folds):
            dual, biases = self._solve(fitted, targets[fitted], penalty)
            scores[held] = self.gram[np.ix_(held, fitted)] @ dual + biases
        return scores

    def _solve(self, rows: NDArray[np.intp], targets: Floats, penalty: float) -> tuple[Floats, Floats]:
        gram = self.gram[np.ix_(rows, rows)]
        means = gram.mean(axis=0)
        centred = gram - means - means[:, None] + means.mean()
        centred[np.diag_indices_from(centred)] += penalty * max(np.trace(centred) / len(rows), 1e-9)
        dual = np.linalg.solve(centred, targets - targets.mean(axis=0))
        dual -= dual.mean(axis=0)
        return dual, targets.mean(axis=0) - (gram @ dual).mean(axis=0)

    def _columns(self) -> Sequence[slice]:
        return [slice(start, start + _COLUMNS) for start in range(0, self.features.shape[1], _COLUMNS)]


def splits(groups: NDArray[np.intp], folds: int) -> list[tuple[NDArray[np.intp], NDArray[np.intp]]]:
    """Deal groups out to folds, fewer where there are fewer groups: (rows to fit, rows held out) of each."""
    count = min(folds, len(np.unique(groups)))
    return list(GroupKFold(count).split(groups, groups=groups))
