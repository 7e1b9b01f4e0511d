"""From a label table and its films to batches."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch.utils.data import DataLoader, Dataset
from torchvision.transforms import v2

from chexmodel import images
from chexmodel.bundle import Fingerprint
from chexmodel.errors import DatasetError, ImageError
from chexmodel.geometry import to_square
from chexmodel.preprocessing import Preprocessing
from chexmodel.table import (
    csv_files,
    image_paths,
    missing_images,
    read_table,
    require_images,
    select_views,
    split_by_patient,
    targets,
)
from train.config import FitConfig
from train.sampling import Draw, EpochSampler

Augmentation = Callable[[torch.Tensor], torch.Tensor]
Batch = tuple[torch.Tensor, torch.Tensor]


@dataclass(frozen=True)
class Split:
    """The films of one split: paths, ids (the CSV's `Path`), patients and two sets of targets.

    `targets` (N, 14) follow the training policy; `truth` (N, 14) masks every uncertain label: no score
    is ever computed against a guess.
    """

    paths: list[Path]
    ids: list[str]
    patients: list[str]
    targets: NDArray[np.float32]
    truth: NDArray[np.float32]

    def __len__(self) -> int:
        """Number of films."""
        return len(self.paths)


@dataclass(frozen=True)
class Splits:
    """Training, validation and test films, and which files they come from."""

    train: Split
    validation: Split
    test: Split
    fingerprint: Fingerprint


def load_splits(config: FitConfig) -> Splits:
    """Read the tables and split them by patient.

    With a `valid.csv`, that is the test set and `train.csv` gives training and validation; otherwise
    `train.csv` gives all three.

    Raises:
        DatasetError: the tables, the images or the split do not fit.
    """
    train_csv, valid_csv = csv_files(config.data)
    if valid_csv is None:
        rest = 1.0 - config.validation - config.test
        fractions = {"train": rest, "validation": config.validation, "test": config.test}
    else:
        fractions = {"train": 1.0 - config.validation, "validation": config.validation}
    missing: list[int] = []
    splits = _read(train_csv, config, fractions, missing)
    if valid_csv is not None:
        splits |= _read(valid_csv, config, {"test": 1.0}, missing)
        shared = set(splits["test"].patients) & {*splits["train"].patients, *splits["validation"].patients}
        if shared:
            raise DatasetError(
                f"{len(shared)} patients of {valid_csv} are in {train_csv} too, for example {min(shared)}: "
                "a score on them would not be on unseen patients; remove them from one of the files"
            )
    for name, split in splits.items():
        if not len(split):
            raise DatasetError(
                f"the {name} split of {config.data} has no films: change its share or the seed"
            )
    files = [path for path in (train_csv, valid_csv) if path is not None]
    fingerprint = Fingerprint(
        files={path.name: _sha256(path) for path in files},
        films={name: len(split) for name, split in splits.items()},
        patients={name: len(set(split.patients)) for name, split in splits.items()},
        missing_images=sum(missing),
    )
    return Splits(splits["train"], splits["validation"], splits["test"], fingerprint)


def _read(csv: Path, config: FitConfig, fractions: dict[str, float], missing: list[int]) -> dict[str, Split]:
    table = read_table(csv)
    # Targets of the whole file: whether a column is labelled at all is a fact of the file, not of a part.
    fitted = targets(table, uncertain=config.uncertain, blank=config.blank, seed=config.seed)
    truth = targets(table, uncertain="ignore", blank=config.blank)
    kept = select_views(table, config.views)
    paths = image_paths(kept, csv)
    if config.skip_missing:
        there = np.ones(len(paths), dtype=bool)
        there[missing_images(paths)] = False
        missing.append(int((~there).sum()))
        kept, paths = kept[there], [path for path, found in zip(paths, there, strict=True) if found]
    else:
        require_images(kept, paths)
    file_of = pd.Series(paths, index=kept.index, dtype=object)
    parts = (
        {"test": kept}
        if len(fractions) == 1
        else split_by_patient(kept, fractions=fractions, seed=config.seed)
    )
    return {
        name: Split(
            paths=file_of[part.index].tolist(),
            ids=part["Path"].tolist(),
            patients=part["patient"].tolist(),
            targets=fitted[part.index],
            truth=truth[part.index],
        )
        for name, part in parts.items()
    }


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def augmentation(config: FitConfig) -> Augmentation:
    """Small changes of pose, scale and exposure, as between two films of one patient.

    No vertical flip: a chest hangs from its shoulders. No horizontal flip by default: the side of heart,
    stomach bubble and aortic arch is a finding, and a mirrored film is a patient with situs inversus.

    Returns:
        A function of a grey (1, S, S) tensor in [0, 1], to the same.
    """
    steps: list[v2.Transform] = [
        v2.RandomAffine(
            degrees=config.rotation,
            translate=(config.shift, config.shift),
            scale=(1 - config.zoom, 1 + config.zoom),
            interpolation=v2.InterpolationMode.BILINEAR,
        ),
        v2.ColorJitter(brightness=config.contrast, contrast=config.contrast),
    ]
    if config.horizontal_flip:
        steps.append(v2.RandomHorizontalFlip())
    composed: Augmentation = v2.Compose(steps)
    return composed


class Films(Dataset[Batch]):
    """Films as (normalised image (3, S, S), targets (14,)); augmented where an augmentation is given."""

    def __init__(
        self,
        split: Split,
        labels: NDArray[np.float32],
        preprocessing: Preprocessing,
        augment: Augmentation | None = None,
    ) -> None:
        self.split = split
        self.labels = torch.from_numpy(labels)
        self.preprocessing = preprocessing
        self.augment = augment

    def __len__(self) -> int:
        """Number of films."""
        return len(self.split)

    def __getitem__(self, draw: int | Draw) -> Batch:
        """Load one film; a `Draw` brings the seed of its augmentation."""
        position, seed = draw if isinstance(draw, Draw) else (draw, None)
        path = self.split.paths[position]
        try:
            square = to_square(images.read(path).pixels, self.preprocessing.size)
        except ImageError as error:
            raise DatasetError(f"film {path} of the data set can't be read: {error}") from error
        if self.augment is not None and seed is not None:
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(seed)
                square = self.augment(square.unsqueeze(0)).squeeze(0)
        return self.preprocessing.normalise(square), self.labels[position]


def loader(films: Films, config: FitConfig, *, sampler: EpochSampler | None = None) -> DataLoader[Batch]:
    """Batches of films, in order or as the sampler draws them."""
    # A last batch of one film would give batch norm a variance of nothing.
    dropped = sampler is not None and len(films) > config.batch_size and len(films) % config.batch_size == 1
    return DataLoader(
        films,
        batch_size=config.batch_size,
        sampler=sampler,
        num_workers=config.workers,
        persistent_workers=False,
        pin_memory=torch.cuda.is_available(),
        drop_last=dropped,
    )


def untrained(labels: NDArray[np.floating], names: Sequence[str]) -> dict[str, str]:
    """Observations that these training targets (N, K) can't teach, with the reason."""
    reasons = {}
    for k, name in enumerate(names):
        known = labels[:, k][~np.isnan(labels[:, k])]
        if known.size == 0:
            reasons[name] = "no label in the training data"
        elif known.max() <= 0 or known.min() >= 1:
            kind = "positive" if known.max() <= 0 else "negative"
            reasons[name] = f"no {kind} among the {known.size} labels of the training data"
    return reasons
