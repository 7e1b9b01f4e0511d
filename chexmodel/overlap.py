"""How a heat map lies on what radiologists marked: hit, intersection over union, and trivial maps.

A map is measured as the reader is shown it, brought onto the film (`geometry.to_film`), and at most
`MEASURED_SIDE` px a side: it has some 7 × 7 cells, and finer pixels would only take time.
"""

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
from torch.nn import functional as F

MEASURED_SIDE: Final = 512
"""Longest side of the grid on which a film is measured, px; a smaller film's own pixels are the grid."""

CUTOFFS: Final[tuple[float, ...]] = tuple(round(0.05 * step, 2) for step in range(1, 20))
"""Cut-offs that are tried: shares of a map's own maximum. Of the methods only the exact one has a unit, so
this is the rule that all of them, and the baselines, can share."""

MEAN_GRID: Final = (128, 128)
"""Cells, over the whole film, on which regions of several films are averaged."""

_SMOOTH = 3.0  # cells of MEAN_GRID: a plateau of the mean peaks in its middle, not in its first corner


class Measured(NamedTuple):
    """A map against a region: is its peak inside, is it positive anywhere, and its IoU at each cut-off."""

    hit: bool
    positive: bool
    ious: NDArray[np.float64]


def measured_shape(film: tuple[int, int]) -> tuple[int, int]:
    """Size (h, w) of the grid on which a film of (H, W) px is measured."""
    shrink = min(1.0, MEASURED_SIDE / max(film))
    return max(1, round(film[0] * shrink)), max(1, round(film[1] * shrink))


def measure(heat: NDArray[np.floating], region: NDArray[np.bool_]) -> Measured:
    """Play the pointing game, and take the intersection over union at each of `CUTOFFS`.

    The pointing game is that of Zhang J. et al., *Top-down Neural Attention by Excitation Backprop*, ECCV
    2016, arXiv:1608.00507, without a tolerance around the region: the highest point has to lie in it, the
    first in reading order where there are several. At a cut-off c the map marks the pixels that reach c times
    its maximum.
    A map that is nowhere positive speaks of no place: no hit, and an IoU of 0 at every cut-off.

    Args:
        heat: (h, w).
        region: (h, w), with a pixel inside.
    """
    top = float(heat.max())
    if top <= 0:
        return Measured(hit=False, positive=False, ious=np.zeros(len(CUTOFFS)))
    # The level of a pixel is the number of cut-offs that it reaches: one pass for all of them.
    level = np.searchsorted(top * np.array(CUTOFFS), heat.ravel(), side="right")
    inside = region.ravel()
    called, common = (
        np.bincount(levels, minlength=len(CUTOFFS) + 1)[::-1].cumsum()[::-1][1:]
        for levels in (level, level[inside])
    )
    ious = common / (called + inside.sum() - common)
    return Measured(hit=bool(inside[np.argmax(heat)]), positive=True, ious=ious.astype(np.float64))


def best_cutoff(ious: Sequence[NDArray[np.float64]]) -> int:
    """Index in `CUTOFFS` of the best mean IoU over films, each (len(CUTOFFS),); of equals the lowest."""
    return int(np.argmax(np.mean(ious, axis=0)))


def centre_map(shape: tuple[int, int]) -> NDArray[np.float64]:
    """Give a map that knows nothing but the film's middle, where it peaks.

    It falls to 0 at the film's edges so that what it marks at a cut-off c is a centred box of (1 − c) times
    the film's sides: tuning the cut-off tunes the size of that box.

    Args:
        shape: (h, w).
    """
    y, x = (np.abs(np.arange(side) - side // 2) / (side / 2) for side in shape)
    return 1.0 - np.maximum(y[:, None], x[None, :])


def mean_region(regions: Sequence[NDArray[np.bool_]]) -> NDArray[np.float64]:
    """Average the regions of films, each drawn on `MEAN_GRID`: how often each place of a film is marked.

    Slightly smoothed (by 3 of 128 cells). The result, in [0, 1], is a map that knows no film.
    """
    return np.asarray(gaussian_filter(np.mean(regions, axis=0), _SMOOTH, mode="nearest"), dtype=np.float64)


def stretched(mean: NDArray[np.float64], shape: tuple[int, int]) -> NDArray[np.float64]:
    """Bring a mean region from `MEAN_GRID` to a film's grid (h, w), bilinear."""
    whole = torch.from_numpy(mean)[None, None]
    return F.interpolate(whole, size=shape, mode="bilinear", align_corners=False)[0, 0].numpy()
