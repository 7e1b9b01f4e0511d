"""What radiologists marked on films, boxes and masks alike: one region per finding per film."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from chexmodel.boxes import Box, read_boxes
from chexmodel.errors import DatasetError
from chexmodel.labels import OBSERVATIONS
from chexmodel.language import tr
from chexmodel.layout import csv_files
from chexmodel.masks import Mask, image_id, read_masks

_SAME_ASPECT: Final = 0.02  # a smaller copy of a film is rounded to whole pixels, and no further off


@dataclass(frozen=True)
class Region:
    """Where a finding was marked on a film: in boxes (px of the film), or by a mask."""

    film: str
    finding: str
    boxes: tuple[Box, ...] = ()
    mask: Mask | None = None

    def drawn(self, film: tuple[int, int], shape: tuple[int, int]) -> NDArray[np.bool_]:
        """Draw the union of what was marked.

        Args:
            film: (H, W) of the film, px, in which boxes are given.
            shape: (h, w) of the grid to draw on: the film's own, or a coarser one over the whole film.

        Returns:
            (h, w): whether the middle of each cell is inside; of a region between the middles of a coarse
            grid's cells the one cell that it lies in.

        Raises:
            DatasetError: it does not lie on the film, or the mask is of a picture of other proportions.
        """
        inside = self._mask(film, shape) if self.mask is not None else self._boxes(film, shape)
        if not inside.any():
            y, x = self._middle(film)
            if not (0 <= y < 1 and 0 <= x < 1):
                raise DatasetError(
                    tr(
                        "the box of {finding} on {film} does not lie on the film ({film_height} × "
                        "{film_width} px, height × width): correct *_boxes.csv",
                        finding=self.finding,
                        film=self.film,
                        film_height=film[0],
                        film_width=film[1],
                    )
                )
            inside[int(y * shape[0]), int(x * shape[1])] = True
        return inside

    def _boxes(self, film: tuple[int, int], shape: tuple[int, int]) -> NDArray[np.bool_]:
        y = (np.arange(shape[0])[:, None] + 0.5) * film[0] / shape[0]
        x = (np.arange(shape[1])[None, :] + 0.5) * film[1] / shape[1]
        inside = np.zeros(shape, bool)
        for box in self.boxes:
            inside |= (y >= box.top) & (y < box.bottom) & (x >= box.left) & (x < box.right)
        return inside

    def _mask(self, film: tuple[int, int], shape: tuple[int, int]) -> NDArray[np.bool_]:
        assert self.mask is not None
        height, width = self.mask.size
        if abs(height * film[1] / (width * film[0]) - 1) > _SAME_ASPECT:
            raise DatasetError(
                tr(
                    "the mask of {finding} on {film} has {height} × {width} px, the film {film_height} × "
                    "{film_width}: it is of another picture; correct *_masks.json, or move it away",
                    finding=self.finding,
                    film=self.film,
                    height=height,
                    width=width,
                    film_height=film[0],
                    film_width=film[1],
                )
            )
        rows = ((np.arange(shape[0]) + 0.5) / shape[0] * height).astype(int)
        columns = ((np.arange(shape[1]) + 0.5) / shape[1] * width).astype(int)
        inside: NDArray[np.bool_] = self.mask.pixels()[np.ix_(rows, columns)]
        return inside

    def _middle(self, film: tuple[int, int]) -> tuple[float, float]:
        """Middle of what is marked, (y, x) as shares of the film's height and width."""
        if self.mask is not None:
            y, x = np.argwhere(self.mask.pixels()).mean(axis=0) + 0.5
            return float(y / self.mask.size[0]), float(x / self.mask.size[1])
        box = self.boxes[0]
        return (box.top + box.bottom) / 2 / film[0], (box.left + box.right) / 2 / film[1]


@dataclass(frozen=True)
class Regions:
    """Boxes by a film's `Path` and masks by its image id. A finding's mask stands in for its boxes."""

    boxes: dict[str, list[Box]] = field(default_factory=dict)
    masks: dict[str, list[Mask]] = field(default_factory=dict)

    def of(self, path: str) -> list[Region]:
        """Regions of a film, by its `Path` in the table, in the order of `OBSERVATIONS`."""
        masks = {mask.finding: mask for mask in self.masks.get(image_id(path), ())}
        boxes = self.boxes.get(path, [])
        marked = masks.keys() | {box.finding for box in boxes}
        return [
            Region(
                path,
                finding,
                () if finding in masks else tuple(box for box in boxes if box.finding == finding),
                masks.get(finding),
            )
            for finding in OBSERVATIONS
            if finding in marked
        ]

    def __len__(self) -> int:
        """Number of films that have a box or a mask; one named in both files counts once."""
        return len(self.masks.keys() | {image_id(path) for path in self.boxes})


def read_regions(data: str | Path) -> Regions:
    """Read the boxes and masks beside both tables of a data directory.

    Raises:
        DatasetError: there is no table, or a file is not of its format.
    """
    boxes: dict[str, list[Box]] = {}
    masks: dict[str, list[Mask]] = {}
    for csv in csv_files(data):
        if csv is not None:
            boxes |= read_boxes(csv)
            masks |= read_masks(csv)
    return Regions(boxes, masks)
