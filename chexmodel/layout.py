"""Where a CheXpert copy keeps its tables and its films."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd

from chexmodel.errors import DatasetError
from chexmodel.language import tr

_PREFIX: Final = re.compile(r"^CheXpert-v1\.0[^/]*/")
_PROBES: Final = 32
_NAMED: Final = 5


def csv_files(data: str | Path) -> tuple[Path, Path | None]:
    """Find the training table and, where there is one, the radiologists' `valid.csv`.

    Args:
        data: a table, or a directory that holds `train.csv`, itself or in its one sub-directory
            `CheXpert-v1.0*/`.

    Returns:
        The table, and the `valid.csv` beside it (None without one, or when it is the table itself).

    Raises:
        DatasetError: nothing lies there, no `train.csv` does, or several sub-directories have one.
    """
    data = Path(data)
    if data.is_dir():
        train = _train_csv(data)
    elif data.exists():
        train = data
    else:
        raise DatasetError(
            tr("{data} does not exist: give a CheXpert CSV or the directory that holds train.csv", data=data)
        )
    valid = train.with_name("valid.csv")
    return train, valid if valid.is_file() and valid != train else None


def _train_csv(directory: Path) -> Path:
    candidates = [directory / "train.csv"]
    if not candidates[0].is_file():
        candidates = [path / "train.csv" for path in _releases(directory)]
    found = [path for path in candidates if path.is_file()]
    if len(found) == 1:
        return found[0]
    if found:
        names = ", ".join(path.parent.name for path in found)
        raise DatasetError(
            tr(
                "{directory} holds several data sets ({names}): give one of these directories",
                directory=directory,
                names=names,
            )
        )
    raise DatasetError(
        tr(
            "{directory} has no train.csv: looked for {file} and {pattern}; give the CSV itself or "
            "the directory that holds it",
            directory=directory,
            file=directory / "train.csv",
            pattern=directory / "CheXpert-v1.0*" / "train.csv",
        )
    )


def _releases(directory: Path) -> list[Path]:
    return sorted(path for path in directory.glob("CheXpert-v1.0*") if path.is_dir())


def image_paths(table: pd.DataFrame, data: str | Path) -> list[Path]:
    """Resolve each row's `Path` to a file, which may or may not exist.

    The table may lie in the image root or beside it, and `Path` may or may not begin with
    `CheXpert-v1.0-small/`. The base is chosen once for the table: the one under which most of a few
    films, spread over the table, are found.

    Args:
        table: N rows of `read_table`.
        data: what `read_table` was given.

    Returns:
        N paths, in the table's order.

    Raises:
        DatasetError: as `csv_files`.
    """
    home = csv_files(data)[0].parent
    verbatim: list[str] = table["Path"].astype(object).tolist()
    stripped = [_PREFIX.sub("", path) for path in verbatim]
    candidates = [
        (home, verbatim),
        (home, stripped),
        (home.parent, verbatim),
        *((release, stripped) for release in _releases(home)),
        (home.parent, stripped),
        *((release, stripped) for release in _releases(home.parent)),
    ]
    # Spread, because the first films may be the very ones that a partial copy lacks.
    probes = sorted({round(i) for i in np.linspace(0, len(verbatim) - 1, _PROBES)}) if verbatim else []
    base, names = max(candidates, key=lambda c: sum((c[0] / c[1][i]).is_file() for i in probes))
    return [base / name for name in names]


def missing_images(paths: Sequence[Path]) -> list[int]:
    """Give the positions in `paths` at which no file lies, ascending."""
    return [position for position, path in enumerate(paths) if not path.is_file()]


def require_images(table: pd.DataFrame, paths: Sequence[Path]) -> None:
    """Check that every film of a table is there.

    Args:
        table: N rows of `read_table`.
        paths: its N `image_paths`.

    Raises:
        DatasetError: how many films are missing, the first five of them, and what to do.
    """
    missing = missing_images(paths)
    if not missing:
        return
    # Index and header: the row as a spreadsheet counts it, also in a part of a table.
    named = ", ".join(f"{paths[i]} (row {int(table.index[i]) + 2})" for i in missing[:_NAMED])
    if len(missing) > _NAMED:
        named = tr("{some} and {n:,} more", some=named, n=len(missing) - _NAMED)
    raise DatasetError(
        tr(
            "{missing:,} of {films:,} films are missing: {named}; complete the copy, or "
            "leave these rows out with --skip-missing",
            missing=len(missing),
            films=len(paths),
            named=named,
        )
    )
