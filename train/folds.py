"""Patient-wise folds, stratified by label."""

import numpy as np
from iterstrat.ml_stratifiers import MultilabelStratifiedKFold
from numpy.typing import NDArray

from chexmodel.errors import DatasetError


def assign_folds(
    patients: list[str], targets: NDArray[np.floating], *, folds: int, seed: int
) -> NDArray[np.int64]:
    """Give every film a fold, so that no patient is in two and each has its share of every label.

    Iterative stratification (Sechidis K. et al., *On the Stratification of Multi-Label Data*, ECML 2011) over
    patients: a patient is positive where any of their films is. It does not depend on the films' order.

    Args:
        patients: N ids.
        targets: (N, K) in [0, 1] or NaN; only 1 counts as a positive.
        folds: number of folds, ≥ 2.
        seed: of the order in which patients are dealt out.

    Returns:
        (N,) fold of each film, 0 … folds − 1.

    Raises:
        DatasetError: fewer patients than folds.
    """
    names, patient_of = np.unique(np.asarray(patients), return_inverse=True)
    if len(names) < folds:
        raise DatasetError(f"{len(names)} patients can't be dealt out to {folds} folds: choose fewer --folds")
    positive = np.zeros((len(names), targets.shape[1]), dtype=np.int64)
    np.maximum.at(positive, patient_of, (targets == 1).astype(np.int64))
    fold_of = np.empty(len(names), dtype=np.int64)
    splitter = MultilabelStratifiedKFold(n_splits=folds, shuffle=True, random_state=seed)
    for fold, (_, held_out) in enumerate(splitter.split(positive, positive)):
        fold_of[held_out] = fold
    return fold_of[patient_of]
