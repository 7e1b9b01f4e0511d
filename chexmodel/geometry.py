"""The one geometry rule: the whole film, aspect kept, padded with black to a centred square, resized once.

Pack, folder and app use these functions and nothing else, so that a film gives the same tensor
everywhere and a heatmap finds its way back to the film's own pixels.
"""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional as F

from chexmodel.film import strips


def to_square(pixels: NDArray[np.float32] | NDArray[np.uint8], size: int) -> torch.Tensor:
    """Bring a film to a square.

    Args:
        pixels: (H, W) float32 of any range, or uint8 (0 is black).
        size: side of the result, px.

    Returns:
        (size, size) of the input's type and range: the film centred, black on the two short sides.
    """
    height, width = pixels.shape
    top, left, side = _placement((height, width))
    film = _padded(torch.from_numpy(np.ascontiguousarray(pixels)), left, side - width - left)
    if film.dtype == torch.uint8:
        film = _narrowed(film, size)
    square = _padded(film, 0, 0, top, side - height - top)
    return _resized(square[None, None], (size, size))[0, 0]


def _narrowed(film: torch.Tensor, size: int) -> torch.Tensor:
    """Resize the rows of an 8-bit film alone: (H, W) to (H, size).

    The first of the two steps that `_resized` takes by itself, bit for bit. But torch works on four channels
    of 8 bits whatever there are: four parts of the film as channels take a quarter of the time.
    """
    height, width = film.shape
    parts = _padded(film, 0, 0, 0, -height % 4).reshape(1, 4, -1, width)
    return _resized(parts, (parts.shape[2], size)).reshape(-1, size)[:height]


def _padded(film: torch.Tensor, *borders: int) -> torch.Tensor:
    """Add black borders, as `F.pad`; but don't copy 5 million pixels where there are none to add."""
    return F.pad(film, borders) if any(borders) else film


def _resized(pictures: torch.Tensor, shape: tuple[int, int]) -> torch.Tensor:
    return F.interpolate(pictures, size=shape, mode="bilinear", antialias=True, align_corners=False)


def to_square8(pixels: NDArray[np.float32] | NDArray[np.uint8], size: int) -> torch.Tensor:
    """Bring a film to the 8-bit square that a pack stores and a network is given.

    A float film is rounded to 8 bits first and resized then, in integers: an 8-bit film gives the same
    square whether it comes as uint8 or as float, and takes half the time as uint8.

    Args:
        pixels: (H, W) float32 in [0, 1], or uint8.
        size: side of the result, px.

    Returns:
        (size, size) uint8, within 1 of `to_square` on the scale of 255 (1.5 for films of more than 8 bits).
    """
    if pixels.dtype != np.uint8:
        deep, pixels = pixels, np.empty(pixels.shape, np.uint8)
        for rows in strips(deep.shape):
            scaled: NDArray[np.float32] = np.clip(deep[rows], 0, 1)
            scaled *= 255
            pixels[rows] = np.rint(scaled, out=scaled)
    return to_square(pixels, size)


def to_film(maps: torch.Tensor, shape: tuple[int, int]) -> torch.Tensor:
    """Bring maps of the square back onto the film's own pixels: the inverse of `to_square` up to resolution.

    Args:
        maps: (…, h, w) float, over the padded square; any h and w.
        shape: (H, W) of the film, px.

    Returns:
        (…, H, W), bilinear, in the maps' unit and never beyond their range. Each map takes 4·max(H, W)²
        bytes on the way: pass large films' maps one at a time.
    """
    top, left, side = _placement(shape)
    flat = maps.reshape(-1, 1, *maps.shape[-2:])
    square = F.interpolate(flat, size=(side, side), mode="bilinear", align_corners=False)
    cropped = square[:, 0, top : top + shape[0], left : left + shape[1]]
    return cropped.reshape(*maps.shape[:-2], *shape)


def box_on_square(box: Sequence[float], shape: tuple[int, int]) -> tuple[float, float, float, float]:
    """Bring a box of the film onto its square.

    Args:
        box: left, top, right, bottom, px of the film.
        shape: (H, W) of the film, px.

    Returns:
        The same four as shares of the padded square's side.
    """
    top, left, side = _placement(shape)
    return (box[0] + left) / side, (box[1] + top) / side, (box[2] + left) / side, (box[3] + top) / side


def _placement(shape: tuple[int, int]) -> tuple[int, int, int]:
    """Return (top, left, side), px: where the film of shape (H, W) lies in its padded square."""
    side = max(shape)
    return (side - shape[0]) // 2, (side - shape[1]) // 2, side
