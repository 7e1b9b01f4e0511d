"""A film with a map over it, what the map marks at its cut-off, and what radiologists marked."""

from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import binary_erosion
from torch.nn import functional as F

from chexmodel.explain import paint
from chexmodel.geometry import to_film
from chexmodel.regions import Region

SHOWN_SIDE: Final = 960
"""Longest side of the picture, px: lines are drawn after the film is enlarged, so that they stay thin."""

MARKED: Final = (0, 229, 255)
CALLED: Final = (255, 255, 255)
_WIDTH: Final = 3  # px
_DASH: Final = 12  # px
_ARM: Final = 14  # px


def outlined(
    film: NDArray[np.float32], grid: torch.Tensor, region: Region, *, cutoff: float, alpha: float
) -> Image.Image:
    """Paint a map over a film: a cross at its peak, dashed what it marks, solid what radiologists marked.

    Args:
        film: (H, W) in [0, 1].
        grid: (h, w), the map over the film's padded square.
        region: what radiologists marked on the film.
        cutoff: share of the map's maximum from which it marks; NaN draws no dashed outline.
        alpha: opacity of the map's maximum, in [0, 1]; 0 shows the film alone, with its region.

    Returns:
        RGB, its longest side `SHOWN_SIDE`.
    """
    scale = SHOWN_SIDE / max(film.shape)
    shape = round(film.shape[0] * scale), round(film.shape[1] * scale)
    enlarged = F.interpolate(
        torch.from_numpy(film)[None, None], size=shape, mode="bilinear", align_corners=False, antialias=True
    )[0, 0].numpy()
    heat = to_film(grid, shape).numpy()
    top = float(heat.max())
    picture = paint(enlarged, heat / top if top > 0 else np.zeros_like(heat), alpha=alpha)
    if alpha > 0 and top > 0 and not np.isnan(cutoff):
        rows, columns = np.indices(shape)
        picture[_edge(heat >= cutoff * top) & ((rows + columns) // _DASH % 2 == 0)] = CALLED
    picture[_edge(region.drawn((film.shape[0], film.shape[1]), shape))] = MARKED
    if alpha > 0 and top > 0:
        y, x = np.unravel_index(int(np.argmax(heat)), heat.shape)
        for thickness, colour in ((_WIDTH, 0), (1, 255)):
            picture[_cross(shape, int(y), int(x), thickness)] = colour
    return Image.fromarray(picture)


def _cross(shape: tuple[int, int], y: int, x: int, thickness: int) -> NDArray[np.bool_]:
    """Pixels of an upright cross around (y, x)."""
    down, along = np.abs(np.arange(shape[0]) - y)[:, None], np.abs(np.arange(shape[1]) - x)[None, :]
    cross: NDArray[np.bool_] = (np.minimum(down, along) <= thickness) & (np.maximum(down, along) <= _ARM)
    return cross


def _edge(inside: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Pixels of a region that lie at its border, the picture's own border among them."""
    edge: NDArray[np.bool_] = inside & ~binary_erosion(inside, iterations=_WIDTH)
    return edge
