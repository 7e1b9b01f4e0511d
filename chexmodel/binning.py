"""Bins of similar probability, about equally filled."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

BINS: Final = 10
"""Bins of the expected calibration error; fewer where a bin would have under `MIN_PER_BIN` films."""
MIN_PER_BIN: Final = 10


def adaptive_bins(probs: NDArray[np.float64]) -> NDArray[np.intp]:
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
    _, place, counts = np.unique(probs, return_inverse=True, return_counts=True)
    middle = (np.cumsum(counts) - counts / 2) / len(probs)  # a tied group goes where its middle lies
    bin_of = np.minimum((middle * bins).astype(np.intp), bins - 1)
    return np.unique(bin_of, return_inverse=True)[1][place]
