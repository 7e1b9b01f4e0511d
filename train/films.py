"""From the films of a split to batches, augmented or as they are."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import DataLoader, Dataset, Sampler
from torchvision import tv_tensors
from torchvision.transforms import v2

from chexmodel import images
from chexmodel.errors import DatasetError, ImageError
from chexmodel.geometry import to_square8
from chexmodel.preprocessing import Preprocessing
from train.config import FitConfig
from train.dataset import Split
from train.pack import PackedFilm, Source
from train.pointing import Region, Regions, on_grid
from train.pointing import draw as draw_regions
from train.sampling import Draw

Batch = tuple[torch.Tensor, ...]
"""Normalised images (B, C, S, S), targets (B, 14) and, where boxes are learnt from, their grids
(B, 14, GRID, GRID) as `train.pointing.on_grid` gives them."""


class Augmentation(NamedTuple):
    """A random change: of a grey (1, side, side) uint8 square, to (1, S, S) uint8, or float32 in [0, 1].

    Masks (M, side, side) that are given with the square are moved along with it.
    """

    side: int
    change: Callable[..., Any]


def augmentation(config: FitConfig) -> Augmentation | None:
    """Small changes of pose, scale and exposure, as between two films of one patient.

    "affine" turns, shifts and scales the whole film. "crop" takes a window of 7/8 of its side, which is much
    faster, but shows the film 8/7 as large as evaluation does.

    No vertical flip: a chest hangs from its shoulders. No horizontal flip by default: the side of heart,
    stomach bubble and aortic arch is a finding, and a mirrored film is a patient with situs inversus.

    Returns:
        The change, a function of torch's random state; None where there is none.
    """
    if config.augment == "none":
        return None
    affine = v2.RandomAffine(
        degrees=config.rotation,
        translate=(config.shift, config.shift),
        scale=(1 - config.zoom, 1 + config.zoom),
        interpolation=v2.InterpolationMode.BILINEAR,
    )
    unit = v2.ToDtype(torch.float32, scale=True)
    steps: list[Callable[..., Any]] = (
        [partial(_crop, size=config.image_size)] if config.augment == "crop" else [unit, affine]
    )
    if config.contrast:
        steps += [unit, v2.ColorJitter(brightness=config.contrast, contrast=config.contrast)]
    if config.horizontal_flip:
        steps.append(v2.RandomHorizontalFlip())
    return Augmentation(config.training_side, v2.Compose(steps))


def _crop(*planes: torch.Tensor, size: int) -> Any:
    """Cut the same random window from all planes: v2.RandomCrop in a fifth of its time."""
    height, width = planes[0].shape[-2:]
    top, left = int(torch.randint(height - size + 1, ())), int(torch.randint(width - size + 1, ()))
    window = (..., slice(top, top + size), slice(left, left + size))
    cut = [plane[window].as_subclass(type(plane)) for plane in planes]
    return cut[0] if len(cut) == 1 else tuple(cut)


class Films(Dataset[Batch]):
    """Films as (normalised image (C, S, S), targets (14,)); augmented where an augmentation is given."""

    def __init__(
        self,
        split: Split,
        labels: NDArray[np.float32],
        preprocessing: Preprocessing,
        augment: Augmentation | None = None,
        regions: Regions | None = None,
    ) -> None:
        self.split = split
        self.regions = regions
        self.labels = torch.from_numpy(labels)
        self.preprocessing = preprocessing
        self.augment = augment

    def __len__(self) -> int:
        """Number of films."""
        return len(self.split)

    def __getitem__(self, draw: int | Draw) -> Batch:
        """Load one film; a `Draw` brings the seed of its augmentation, and may mask its targets."""
        position, seed, masked = draw if isinstance(draw, Draw) else Draw(draw)
        source, labels = self.split.sources[position], self.labels[position]
        if masked:
            labels = torch.full_like(labels, torch.nan)
        if self.regions is None:
            return self.preprocessing.normalise(self._load(source, seed, [])[0]), labels
        regions = [] if masked else self.regions.get(self.split.ids[position], [])
        square, masks = self._load(source, seed, regions)
        return self.preprocessing.normalise(square), labels, on_grid(regions, masks)

    def _load(
        self, source: Source, seed: int | None, regions: Sequence[Region]
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """The square (S, S), and its regions as masks (M, S, S), moved along with it."""
        if self.augment is None or seed is None:
            size = self.preprocessing.size
            return load_square(source, size), draw_regions(regions, size)
        square = load_square(source, self.augment.side)
        masks = draw_regions(regions, self.augment.side)
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(seed)  # torch.manual_seed sees to GPUs too, and takes longer
            if not regions:
                return self.augment.change(square.unsqueeze(0)).squeeze(0), masks
            image, moved = self.augment.change(tv_tensors.Image(square.unsqueeze(0)), tv_tensors.Mask(masks))
            return image.as_subclass(torch.Tensor).squeeze(0), moved.as_subclass(torch.Tensor)


def load_square(source: Source, size: int) -> torch.Tensor:
    """Read a film as the 8-bit square (size, size) that evaluation and app see.

    Raises:
        DatasetError: it can't be read.
    """
    if isinstance(source, PackedFilm):
        return source.square(size)
    try:
        return to_square8(images.read(source).grey, size)
    except ImageError as error:
        raise DatasetError(f"film {source} of the data set can't be read: {error}") from error


def loader(films: Films, config: FitConfig, *, sampler: Sampler[Draw] | None = None) -> DataLoader[Batch]:
    """Batches of films, in order or as the sampler draws them."""
    return DataLoader(
        films,
        batch_size=config.batch_size,
        sampler=sampler,
        num_workers=config.workers,
        persistent_workers=False,
        pin_memory=torch.cuda.is_available(),
        # Its own, so that opening a loader takes nothing from the state that a checkpoint carries.
        generator=torch.Generator(),
    )
