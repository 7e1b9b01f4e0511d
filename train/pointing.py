"""Where training may look at: the boxes of a split, drawn on the network's square."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple

import torch
from torch.nn import functional as F

from chexmodel import images
from chexmodel.boxes import read_boxes
from chexmodel.errors import DatasetError
from chexmodel.geometry import box_on_square
from chexmodel.labels import OBSERVATIONS
from chexmodel.layout import csv_files
from train.dataset import Split
from train.pack import PackedFilm

GRID: Final = 28
"""Side of the grid on which boxes reach the loss: four cells to one of a 7 × 7 map, the size at 224 px."""


class Region(NamedTuple):
    """A box around an observation (its index), in shares of the film's padded square."""

    observation: int
    left: float
    top: float
    right: float
    bottom: float


Regions = Mapping[str, Sequence[Region]]


def load_regions(split: Split, data: Path) -> Regions:
    """Read the boxes of a split's films from `train_boxes.csv`.

    Args:
        split: of films.
        data: the directory, or the pack.

    Returns:
        The film's id (`Path` of the table) → its regions, of boxed films only.

    Raises:
        DatasetError: no film has a box.
    """
    boxes = read_boxes(csv_files(data)[0])
    regions: dict[str, list[Region]] = {}
    for name, source in zip(split.ids, split.sources, strict=True):
        if name not in boxes:
            continue
        shape = source.shape if isinstance(source, PackedFilm) else images.read(source).grey.shape
        regions[name] = [
            Region(OBSERVATIONS.index(finding), *box_on_square(box, shape)) for finding, *box in boxes[name]
        ]
    if not regions:
        raise DatasetError(
            f"--box-weight needs boxes, and none of the films to learn from has one in {data}: put "
            "train_boxes.csv beside train.csv, or leave the option out"
        )
    return regions


def draw(regions: Sequence[Region], side: int) -> torch.Tensor:
    """Draw the regions of a film.

    Args:
        regions: M of them.
        side: of the square, px.

    Returns:
        (M, side, side) uint8: 1 where a pixel's middle is inside.
    """
    if not regions:
        return torch.zeros(0, side, side, dtype=torch.uint8)
    middle = (torch.arange(side) + 0.5) / side
    masks = [
        ((middle >= top) & (middle < bottom))[:, None] & ((middle >= left) & (middle < right))[None, :]
        for _, left, top, right, bottom in regions
    ]
    return torch.stack(masks).to(torch.uint8)


def on_grid(regions: Sequence[Region], masks: torch.Tensor) -> torch.Tensor:
    """Gather the drawn regions of a film by observation.

    Args:
        regions: M of them.
        masks: (M, S, S) in {0, 1}, drawn and perhaps augmented.

    Returns:
        (14, GRID, GRID) in [0, 1]: the share of each cell in a box; NaN for an observation without boxes.
    """
    inside = torch.full((len(OBSERVATIONS), GRID, GRID), torch.nan)
    for observation in {region.observation for region in regions}:
        chosen = [
            mask for region, mask in zip(regions, masks, strict=True) if region.observation == observation
        ]
        union = torch.stack(chosen).amax(dim=0, keepdim=True).float()
        inside[observation] = F.adaptive_avg_pool2d(union, GRID)[0]
    return inside
