"""What is kept to look at of a film among many: a thumbnail, and overlays of a bounded size; as PNG."""

import io
import re
from pathlib import PurePosixPath
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from chexmodel import explain
from chexmodel.geometry import to_film
from chexmodel.labels import OBSERVATIONS
from chexmodel.prediction import Prediction

THUMBNAIL: Final = 96
"""Longest side of a thumbnail, px."""
OVERLAY_SIDE: Final = 1024
"""Longest side of an overlay, px: larger films are reduced, so that those of 200 films can be held."""
_ALPHA: Final = 0.55


def thumbnail_png(prediction: Prediction) -> bytes:
    """Give the film itself, grey, at most `THUMBNAIL` a side."""
    return _png(_reduced(prediction.film, THUMBNAIL))


def overlay_png(prediction: Prediction, finding: str) -> bytes:
    """Paint the heatmap of one finding over the film, at most `OVERLAY_SIDE` a side."""
    film = _reduced(prediction.film, OVERLAY_SIDE)
    grid = torch.from_numpy(prediction.heatmaps[OBSERVATIONS.index(finding)])
    heat = to_film(grid, film.shape).numpy() / explain.strength(prediction.heatmaps)
    return _png(explain.paint(film, heat, alpha=_ALPHA))


def file_name(film: str, finding: str) -> str:
    """Name an overlay by its film's path and its finding, with letters that any file system takes."""
    stem = cut(re.sub(r"[^\w.-]+", "_", PurePosixPath(film).stem)[:60], 150)
    return f"{stem}-{finding.lower().replace(' ', '-')}.png"


def cut(name: str, most: int) -> str:
    """Give so many bytes of a name at most, in whole letters: file systems count bytes."""
    return name.encode()[:most].decode(errors="ignore")


def _reduced(film: NDArray[np.float32], side: int) -> NDArray[np.float32]:
    height, width = film.shape
    scale = side / max(height, width)
    if scale >= 1:
        return film
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    resized = Image.fromarray(film).resize(size, Image.Resampling.BOX)
    return np.asarray(resized).clip(0, 1).astype(np.float32)


def _png(pixels: NDArray[np.floating] | NDArray[np.uint8]) -> bytes:
    if pixels.dtype != np.uint8:
        pixels = np.round(pixels * 255).astype(np.uint8)
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG")
    return stream.getvalue()
