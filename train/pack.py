"""A pack: the films of a data set, decoded once, as 8-bit squares in one memory-mapped array.

    pack.json      the manifest; written last: a directory with films but without it is unfinished
    films.npy      (N, size, size) uint8: the films of train.csv, then those of valid.csv
    index.parquet  N rows: file, Path, row of films.npy, height and width of the film in px, rejected
    rejects.csv    Path and reason of the films that could not be read; their rows are black
    train.csv …    copies of the tables, their boxes and masks, so that a pack is itself a data directory

`train.packing` writes it.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Final, Literal, NamedTuple, TypeVar

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, ValidationError

from chexmodel.errors import DatasetError
from chexmodel.geometry import to_square8
from chexmodel.layout import csv_files

MANIFEST: Final = "pack.json"
FILMS: Final = "films.npy"
INDEX: Final = "index.parquet"
REJECTS: Final = "rejects.csv"
_Plan = TypeVar("_Plan", bound="Plan")


class Plan(BaseModel):
    """What is packed and how, settled before the first film: `files` maps each CSV to its SHA-256."""

    model_config = ConfigDict(frozen=True)

    format_version: Literal[1] = 1
    source: Path
    files: dict[str, str]
    size: int
    geometry: Literal["pad-square"] = "pad-square"
    films: int


class Manifest(Plan):
    """`pack.json`: the plan, and how many of its films could not be read."""

    rejected: int


@dataclass(frozen=True)
class Pack:
    """A finished pack whose tables are those that it was made from."""

    path: Path
    manifest: Manifest

    @property
    def size(self) -> int:
        """Side of a square, px."""
        return self.manifest.size

    @property
    def squares(self) -> NDArray[np.uint8]:
        """All films, (N, size, size) uint8, read-only; mapped once in each process that asks for it."""
        return _mapped(self.path)

    def index(self) -> pd.DataFrame:
        """Read `index.parquet`.

        Raises:
            DatasetError: it is missing or damaged.
        """
        try:
            return pd.read_parquet(self.path / INDEX)
        except (OSError, ValueError) as error:
            raise damaged(self.path, INDEX, error) from error

    def films(self, file: str, ids: Sequence[str]) -> "list[PackedFilm | None]":
        """Find films.

        Args:
            file: name of the CSV that they are in.
            ids: M values of its `Path`.

        Returns:
            M films; None for those that were rejected.

        Raises:
            DatasetError: the index is damaged, or lacks one of the films.
        """
        index = self.index()
        index = index[index["file"] == file].set_index("Path")
        try:
            found = index.loc[list(ids)]
        except KeyError as error:
            raise damaged(self.path, INDEX, error) from error
        columns = ("row", "height", "width", "rejected")
        places = zip(*(found[column].tolist() for column in columns), strict=True)
        return [
            None if rejected else PackedFilm(self, row, (height, width))
            for row, height, width, rejected in places
        ]


class PackedFilm(NamedTuple):
    """One film of a pack; `shape` is the (H, W) that it had as a file, px."""

    pack: Pack
    row: int
    shape: tuple[int, int]

    def square(self, size: int) -> torch.Tensor:
        """Give the film as a (size, size) uint8 square; at another size than the pack's it is resized."""
        stored = np.array(self.pack.squares[self.row])
        return torch.from_numpy(stored) if size == self.pack.size else to_square8(stored, size)


Source = Path | PackedFilm
"""Where a film comes from: a file, or a place in a pack."""


def open_pack(data: Path) -> Pack | None:
    """Open a directory as a pack.

    Args:
        data: the directory.

    Returns:
        The pack; None when the directory is none, but a folder of films.

    Raises:
        DatasetError: it is unfinished or damaged, or its tables, or those of its source where that still
            exists, have changed since it was made.
    """
    if not (data / MANIFEST).is_file():
        if (data / FILMS).is_file():
            raise DatasetError(
                f"{data} is an unfinished pack: run the same pack command again, it goes on where it stopped"
            )
        return None
    manifest = parse(data, MANIFEST, Manifest)
    _require_tables(data, manifest)
    try:
        shape = _mapped(data).shape
    except (OSError, ValueError) as error:
        raise damaged(data, FILMS, error) from error
    if shape != (manifest.films, manifest.size, manifest.size):
        raise damaged(data, FILMS, ValueError(f"its shape is {shape}"))
    return Pack(data, manifest)


def _require_tables(data: Path, manifest: Manifest) -> None:
    if checksums(data) != manifest.files:
        raise DatasetError(
            f"the tables in pack {data} are not those that it was made from (SHA-256 differs): copy "
            f"{' and '.join(manifest.files)} back from {manifest.source}, or pack again to another --out"
        )
    try:
        now = checksums(manifest.source)
    except (DatasetError, OSError):
        return  # the source was moved or is not on this machine: the pack stands for itself
    if now != manifest.files:
        raise DatasetError(
            f"the tables in {manifest.source} have changed since {data} was packed from it: pack it again "
            "to another --out, or restore them"
        )


def checksums(data: Path) -> dict[str, str]:
    """Give the SHA-256 of each table of a data directory, by file name.

    Raises:
        DatasetError: as `csv_files`.
    """
    found = {}
    for path in csv_files(data):
        if path is not None:
            with path.open("rb") as stream:
                found[path.name] = hashlib.file_digest(stream, "sha256").hexdigest()
    return found


def parse(data: Path, name: str, kind: type[_Plan]) -> _Plan:
    """Read a plan or manifest.

    Raises:
        DatasetError: it is damaged, or of another version of this program.
    """
    try:
        return kind.model_validate_json((data / name).read_bytes())
    except (OSError, ValidationError) as error:
        raise damaged(data, name, error) from error


def damaged(data: Path, name: str, error: Exception) -> DatasetError:
    """Say that a file of a pack can't be used."""
    reason = " ".join(str(error).split())[:200]
    return DatasetError(
        f"{name} of pack {data} is damaged or of another version ({reason}): pack again to another --out"
    )


@lru_cache(maxsize=8)
def _mapped(pack: Path) -> NDArray[np.uint8]:
    squares: NDArray[np.uint8] = np.load(pack / FILMS, mmap_mode="r")
    return squares
