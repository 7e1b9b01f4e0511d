"""From a label table to the films and targets of each split."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from chexmodel import reasons as why
from chexmodel.bundle import Fingerprint
from chexmodel.errors import DatasetError
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
from train.folds import assign_folds
from train.pack import Pack, Source, checksums, open_pack


@dataclass(frozen=True)
class Split:
    """The films of one split: sources, ids (the CSV's `Path`), patients and two sets of targets.

    `targets` (N, 14) follow the training policy; `truth` (N, 14) masks every uncertain label: no score
    is ever computed against a guess.
    """

    sources: list[Source]
    ids: list[str]
    patients: list[str]
    targets: NDArray[np.float32]
    truth: NDArray[np.float32]

    def __len__(self) -> int:
        """Number of films."""
        return len(self.sources)

    def take(self, chosen: NDArray[np.bool_]) -> "Split":
        """The films at which `chosen` (N,) is true, in their order."""
        where = np.flatnonzero(chosen)
        return Split(
            sources=[self.sources[i] for i in where],
            ids=[self.ids[i] for i in where],
            patients=[self.patients[i] for i in where],
            targets=self.targets[where],
            truth=self.truth[where],
        )


def together(splits: Sequence[Split]) -> Split:
    """One split of the films of several, one after another."""
    return Split(
        sources=[source for split in splits for source in split.sources],
        ids=[name for split in splits for name in split.ids],
        patients=[patient for split in splits for patient in split.patients],
        targets=np.concatenate([split.targets for split in splits]),
        truth=np.concatenate([split.truth for split in splits]),
    )


class Pair(NamedTuple):
    """What one network learns from, and the films of other patients on which it is validated."""

    train: Split
    validation: Split


@dataclass(frozen=True)
class Splits:
    """Training and validation films of each member, test films, and which files they come from.

    Without folds there is one pair. With K folds there are K, and each film is in one validation split.
    `pack` is None where the films come from a folder.
    """

    pairs: tuple[Pair, ...]
    test: Split
    fingerprint: Fingerprint
    pack: Pack | None


def load_splits(config: FitConfig) -> Splits:
    """Read the tables and split them by patient.

    With a `valid.csv`, that is the test set and `train.csv` gives training and validation; otherwise
    `train.csv` gives all three. Films that a pack had to reject are left out and counted as missing.

    Raises:
        DatasetError: the tables, the images, the pack or the split do not fit.
    """
    pack = open_pack(config.data)
    if pack is not None and pack.size < config.training_side:
        raise DatasetError(
            f"the films of pack {pack.path} have {pack.size} px, but {config.training_side} px are needed: "
            "pack them larger, train at a smaller --image-size, or give the folder of films"
        )
    train_csv, valid_csv = csv_files(config.data)
    shares = {"test": config.test} if valid_csv is None else {}
    if not config.folds:
        shares["validation"] = config.validation
    missing: list[int] = []
    splits = _read(train_csv, pack, config, {"train": 1.0 - sum(shares.values()), **shares}, missing)
    if valid_csv is not None:
        splits |= _read(valid_csv, pack, config, {"test": 1.0}, missing)
        known = {patient for name, split in splits.items() if name != "test" for patient in split.patients}
        shared = set(splits["test"].patients) & known
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
    fingerprint = Fingerprint(
        files=checksums(config.data),
        films={name: len(split) for name, split in splits.items()},
        patients={name: len(set(split.patients)) for name, split in splits.items()},
        missing_images=sum(missing),
    )
    return Splits(_pairs(splits, config), splits["test"], fingerprint, pack)


def _pairs(splits: dict[str, Split], config: FitConfig) -> tuple[Pair, ...]:
    if not config.folds:
        return (Pair(splits["train"], splits["validation"]),)
    pool = splits["train"]
    fold = assign_folds(pool.patients, pool.truth, folds=config.folds, seed=config.seed)
    return tuple(Pair(pool.take(fold != k), pool.take(fold == k)) for k in range(config.folds))


def _read(
    csv: Path, pack: Pack | None, config: FitConfig, fractions: dict[str, float], missing: list[int]
) -> dict[str, Split]:
    table = read_table(csv)
    # Targets of the whole file: whether a column is labelled at all is a fact of the file, not of a part.
    fitted = targets(table, uncertain=config.uncertain, blank=config.blank, seed=config.seed)
    truth = targets(table, uncertain="ignore", blank=config.blank)
    kept = select_views(table, config.views)
    found = _sources(kept, csv, pack, skip_missing=config.skip_missing)
    there = np.array([source is not None for source in found], dtype=bool)
    missing.append(int((~there).sum()))
    source_of = dict(zip(kept.index, found, strict=True))
    parts = split_by_patient(kept[there], fractions=fractions, seed=config.seed)
    return {
        name: Split(
            sources=[source for row in part.index if (source := source_of[row]) is not None],
            ids=part["Path"].tolist(),
            patients=part["patient"].tolist(),
            targets=fitted[part.index],
            truth=truth[part.index],
        )
        for name, part in parts.items()
    }


def _sources(
    table: pd.DataFrame, csv: Path, pack: Pack | None, *, skip_missing: bool
) -> Sequence[Source | None]:
    """Where each film of a table comes from; None where it is left out."""
    if pack is not None:
        return pack.films(csv.name, table["Path"].tolist())
    paths = image_paths(table, csv)
    if not skip_missing:
        require_images(table, paths)
    lost = set(missing_images(paths)) if skip_missing else set[int]()
    return [None if position in lost else path for position, path in enumerate(paths)]


def untrained(pairs: Sequence[Pair], names: Sequence[str]) -> dict[str, str]:
    """Observations that the training targets of any pair can't teach, with the reason."""
    reasons: dict[str, str] = {}
    for number, pair in enumerate(pairs):
        for k, name in enumerate(names):
            labels = pair.train.targets[:, k]
            known = labels[~np.isnan(labels)]
            if known.size == 0:
                reasons.setdefault(name, why.NO_LABEL)
            elif known.max() <= 0 or known.min() >= 1:
                of_whole, of_fold = (
                    (why.NO_POSITIVE, why.NO_POSITIVE_IN_FOLD)
                    if known.max() <= 0
                    else (why.NO_NEGATIVE, why.NO_NEGATIVE_IN_FOLD)
                )
                reason = of_fold if len(pairs) > 1 else of_whole
                reasons.setdefault(name, reason.format(labels=known.size, fold=number + 1))
    return reasons
