"""Class and sample weights from a matrix of targets: what training uses and what the pages explain.

Targets are (N, 14) floats; 1 is a positive, 0 a negative, a value between them a smoothed uncertain
label, NaN no information. NaN entries count nowhere.
"""

from collections.abc import Mapping
from typing import Final

import numpy as np
from numpy.typing import NDArray

from chexmodel.errors import DatasetError
from chexmodel.labels import OBSERVATIONS

POS_WEIGHT_CAP: Final = 100.0
"""Largest class weight. CheXpert's rarest observation needs 62 (Pleural Other, blanks as negatives), so
the cap only bites where a handful of positives would otherwise rule the gradient."""

RARE_PREVALENCE: Final = 0.1
"""Below this share of positives among the unmasked entries an observation counts as rare."""

FACTOR_CAP: Final = 4.0
"""Largest sampling factor of one observation: more makes an epoch a few films shown again and again."""


def counts(targets: NDArray[np.floating]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Positives and negatives per observation over unmasked entries; a soft target counts by its parts.

    Args:
        targets: (N, K) in [0, 1] or NaN.

    Returns:
        Two (K,) arrays.
    """
    wide = np.asarray(targets, dtype=np.float64)
    return np.nansum(wide, axis=0), np.nansum(1.0 - wide, axis=0)


def pos_weight(targets: NDArray[np.floating], *, cap: float = POS_WEIGHT_CAP) -> NDArray[np.float64]:
    """Weight of the positives of each observation, `neg / (pos + 1e-6)` over unmasked entries.

    Args:
        targets: (N, K) in [0, 1] or NaN.
        cap: the largest weight given, ≥ 1; an observation without a positive would get neg · 10⁶.

    Returns:
        (K,) in [0, cap]; 0 where nothing is unmasked or nothing is negative.
    """
    return pos_weight_of(*counts(targets), cap=cap)


def pos_weight_of(
    positives: NDArray[np.float64], negatives: NDArray[np.float64], *, cap: float = POS_WEIGHT_CAP
) -> NDArray[np.float64]:
    """As `pos_weight`, from the (K,) numbers of positives and negatives that `counts` gives."""
    weights: NDArray[np.float64] = np.minimum(negatives / (positives + 1e-6), cap)
    return weights


def sampling_factors(
    targets: NDArray[np.floating], *, rare: float = RARE_PREVALENCE, cap: float = FACTOR_CAP
) -> NDArray[np.float64]:
    """Factor of each observation for `sample_weights`: `min(cap, max(1, sqrt(rare / prevalence)))`.

    The square root is the repeat factor of Gupta A. et al., *LVIS*, CVPR 2019, arXiv:1908.03195: a full
    `rare / prevalence` would show the same few films over and over.

    Args:
        targets: (N, K) in [0, 1] or NaN.
        rare: prevalence below which an observation is oversampled, in (0, 1].
        cap: largest factor, ≥ 1.

    Returns:
        (K,) in [1, cap]; 1 where there is no positive to oversample.
    """
    positives, negatives = counts(targets)
    total = positives + negatives
    prevalence = np.divide(positives, total, out=np.ones_like(total), where=positives > 0)
    factors: NDArray[np.float64] = np.clip(np.sqrt(rare / prevalence), 1.0, cap)
    return factors


def sample_weights(
    targets: NDArray[np.floating], *, factors: NDArray[np.floating] | Mapping[str, float]
) -> NDArray[np.float64]:
    """Weight of each sample for a weighted draw: the product of the factors of what it truly shows.

    Only an unmasked positive (exactly 1) counts: an uncertain label, smoothed or not, oversamples nothing.

    Args:
        targets: (N, 14) in [0, 1] or NaN.
        factors: finite and ≥ 1: (14,), for example of `sampling_factors`, or by name, 1 for those not named.

    Returns:
        (N,), ≥ 1.

    Raises:
        DatasetError: factors of another length or for unknown names, or one below 1 or not finite.
    """
    values = _by_name(factors) if isinstance(factors, Mapping) else np.asarray(factors, dtype=np.float64)
    if values.shape != (targets.shape[1],):
        raise DatasetError(
            f"sampling factors have shape {values.shape}; one per observation is needed: {targets.shape[1]}"
        )
    if not np.all(np.isfinite(values) & (values >= 1.0)):
        raise DatasetError(f"sampling factors must be finite and at least 1, got {values.tolist()}")
    weights: NDArray[np.float64] = np.exp((np.asarray(targets) == 1.0) @ np.log(values))
    return weights


def _by_name(factors: Mapping[str, float]) -> NDArray[np.float64]:
    unknown = sorted(set(factors) - set(OBSERVATIONS))
    if unknown:
        raise DatasetError(f"sampling factors name no observation: {', '.join(unknown)}")
    return np.array([factors.get(name, 1.0) for name in OBSERVATIONS], dtype=np.float64)
