"""The one geometry rule: the whole film, aspect kept, padded with black to a centred square, resized once.

Pack, folder and app use these two functions and nothing else, so that a film gives the same tensor
everywhere and a heatmap finds its way back to the film's own pixels.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional as F


def to_square(pixels: NDArray[np.float32], size: int) -> torch.Tensor:
    """Bring a film to the network's square.

    Args:
        pixels: (H, W) float32, any range (0 is black).
        size: side of the result, px.

    Returns:
        (size, size) float32 in the range of the input: the film centred, black on the two short sides.
    """
    height, width = pixels.shape
    top, left, side = _placement((height, width))
    square = F.pad(
        torch.from_numpy(np.ascontiguousarray(pixels)),
        (left, side - width - left, top, side - height - top),
    )
    return F.interpolate(
        square[None, None], size=(size, size), mode="bilinear", antialias=True, align_corners=False
    )[0, 0]


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


def _placement(shape: tuple[int, int]) -> tuple[int, int, int]:
    """Return (top, left, side), px: where the film of shape (H, W) lies in its padded square."""
    side = max(shape)
    return (side - shape[0]) // 2, (side - shape[1]) // 2, side
