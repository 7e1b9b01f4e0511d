"""Where on the picture a map is strongest, in words: the place of a map's peak, never of a disease."""

from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray

from chexmodel.geometry import to_film
from chexmodel.language import mark, tr

ZONES: Final[tuple[tuple[str, str, str], ...]] = (
    (
        mark("upper third of the picture, viewer's left"),
        mark("upper third of the picture, centre"),
        mark("upper third of the picture, viewer's right"),
    ),
    (
        mark("middle third of the picture, viewer's left"),
        mark("middle third of the picture, centre"),
        mark("middle third of the picture, viewer's right"),
    ),
    (
        mark("lower third of the picture, viewer's left"),
        mark("lower third of the picture, centre"),
        mark("lower third of the picture, viewer's right"),
    ),
)
"""Thirds of the picture from top to bottom, and from the viewer's left to right."""

SIDE_CAVEAT: Final = mark(
    "Sides are the viewer's. Which side of the patient that is, the marker on the film tells the reader: the "
    "program does not read it."
)

_SIDE: Final = 224  # px of the grid that is searched: a peak between two cells is found, a film not enlarged


def peak(grid: NDArray[np.floating], shape: tuple[int, int]) -> tuple[float, float] | None:
    """Find a map's highest point on the film.

    Args:
        grid: (h, w) over the padded square, in log-odds or relative.
        shape: (H, W) of the film, px.

    Returns:
        (y, x) as shares of the film's height and width, in (0, 1); None where the map is nowhere positive
        on the film, or NaN (not trained).
    """
    scale = _SIDE / max(shape)
    small = (max(1, round(scale * shape[0])), max(1, round(scale * shape[1])))
    heat = to_film(torch.from_numpy(np.ascontiguousarray(grid, dtype=np.float32)), small).numpy()
    if not heat.max() > 0:  # NaN compares as false
        return None
    y, x = np.unravel_index(int(heat.argmax()), heat.shape)
    return (int(y) + 0.5) / small[0], (int(x) + 0.5) / small[1]


def position(grid: NDArray[np.floating], shape: tuple[int, int]) -> str:
    """Say in which ninth of the picture a map is strongest; nothing where it is nowhere positive.

    Args and the rule of the peak: as `peak`.
    """
    found = peak(grid, shape)
    if found is None:
        return ""
    row, column = (min(2, int(3 * share)) for share in found)
    return tr(ZONES[row][column])
