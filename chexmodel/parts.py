"""What is known of many films so far: rows in parts, each written once and whole; their table.

A part is a Parquet file of `SCHEMA` whose metadata tell with what it was read. Reading can be killed at any
moment and goes on with the files that no part has, or has from before they changed.
"""

import os
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final, Literal
from uuid import uuid4

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
from pydantic import BaseModel, ConfigDict, ValidationError

from chexmodel.atomic import replacing, write_file
from chexmodel.batch import SCORES
from chexmodel.errors import ChexError
from chexmodel.film_files import FilmFile
from chexmodel.spreadsheet import inert

Row = dict[str, object]
Format = Literal["parquet", "csv"]

TABLE: Final = "scores"
"""Name of the table of all films, without its suffix."""
OVERLAYS: Final = "overlays"
"""Folder of the overlays; the column of that name counts from it."""
_FOLDER: Final = "parts"
OWN: Final = (OVERLAYS, _FOLDER, f"{TABLE}.parquet", f"{TABLE}.csv")
"""All that is written into a folder of scores."""
_STAMP: Final = ("source", "bytes", "modified", "opened")
_SETTINGS: Final = b"chexmodel"

SCHEMA: Final = pa.schema(
    [
        *((name, pa.string()) for name in ("path", "status", "reason", "view")),
        ("frames", pa.int32()),
        *(
            (name, pa.string())
            for name in ("gate", "warnings", "sha256", "model", "weights_sha256", "engine")
        ),
        *((name, pa.float64() if name.startswith("probability") else pa.string()) for name in SCORES),
        ("overlays", pa.list_(pa.string())),
        ("source", pa.string()),
        ("bytes", pa.int64()),
        ("modified", pa.int64()),
        ("opened", pa.bool_()),
    ]
)
"""Columns of a part. `_STAMP`, which the table of all films lacks: the file that a film came from, its size
and its time when it was read, and whether it could be opened."""


class Settings(BaseModel):
    """What all rows of a folder have in common.

    root: the folder from which paths are counted. model: its name; checksum: of the files that make a
    reading; engine: the library that computes. version: of this program. overlays: the observations
    painted; "" none, "called" those at or above their threshold.
    """

    model_config = ConfigDict(frozen=True)

    root: str
    model: str
    checksum: str
    engine: str
    version: str
    overlays: str


def begin(out: Path, settings: Settings, *, restart: bool) -> None:
    """Make the folder, or check that what it has was read with the same settings.

    Args:
        out: the folder.
        settings: of this run.
        restart: remove what was read before, and its overlays.

    Raises:
        ChexError: it was read with other settings, or its tables are not of this program.
    """
    with told(out):
        tables = [name for name in OWN[2:] if os.path.lexists(out / name)]
        if tables and not (out / _FOLDER).is_dir():
            raise ChexError(f"{out} has a {tables[0]} that this program did not write: give another --out")
        if restart:
            _remove(out, tables)
        (out / _FOLDER).mkdir(parents=True, exist_ok=True)
        _tidy(out)
    for part in _parts(out):
        found = _settings(part)
        if found != settings:
            now, then = settings.model_dump(), found.model_dump()
            changed = [name for name in now if now[name] != then[name]]
            raise ChexError(
                f"{out} was read with another {' and '.join(changed)}: give another --out, "
                "or --restart to read all films again"
            )


def write(out: Path, rows: Sequence[Row], settings: Settings) -> None:
    """Add a part. The rows of one file belong in one part.

    Raises:
        ChexError: the disk is full or not writable.
    """
    schema = SCHEMA.with_metadata({_SETTINGS: settings.model_dump_json()})
    stream = pa.BufferOutputStream()
    pq.write_table(pa.Table.from_pylist(rows, schema=schema), stream, compression="zstd")
    with told(out):
        # Names sort by time: of two parts that have a file, the later one holds.
        write_file(out / _FOLDER / f"{time.time_ns():020d}-{uuid4().hex[:8]}.parquet", stream.getvalue())


def missing(out: Path, files: Sequence[FilmFile]) -> list[FilmFile]:
    """Give the files that are yet to be read, or to be tried again as they could not be opened."""
    stamps = _read(out, [*_STAMP])
    opened = stamps.filter(stamps["opened"])
    columns = (opened[name].to_pylist() for name in _STAMP[:3])
    done = set(zip(*columns, strict=True))
    return [file for file in files if (file.name, file.size, file.modified) not in done]


def table(out: Path, files: Sequence[FilmFile]) -> pa.Table:
    """Gather the rows of files in their order, without those of files that have changed since.

    Raises:
        ChexError: a part is damaged.
    """
    rows = _read(out, SCHEMA.names)
    latest = _latest(rows, {file.name: (file.size, file.modified) for file in files})
    order = [row for file in files for row in latest.get(file.name, [])]
    return rows.take(pa.array(order, pa.int64())).drop_columns(["part", *_STAMP])


def _latest(rows: pa.Table, wanted: Mapping[str, tuple[int, int]]) -> dict[str, list[int]]:
    """Find the rows of each file in the last part that has it as it is now."""
    found: dict[str, tuple[int, list[int]]] = {}
    columns = (rows[name].to_pylist() for name in ("part", "source", "bytes", "modified"))
    for row, (part, source, size, modified) in enumerate(zip(*columns, strict=True)):
        if wanted.get(source) != (size, modified):
            continue
        if source not in found or found[source][0] != part:
            found[source] = part, []
        found[source][1].append(row)
    return {source: numbers for source, (_, numbers) in found.items()}


def save(out: Path, rows: pa.Table, kind: Format) -> Path:
    """Write the table of all films.

    In the CSV a name that a spreadsheet would take for a formula gets an apostrophe before it.

    Raises:
        ChexError: the disk is full or not writable.
    """
    file = out / f"{TABLE}.{kind}"
    with told(out), replacing(file) as handle:
        if kind == "parquet":
            pq.write_table(rows, handle, compression="zstd")
            return file
        pyarrow.csv.write_csv(_for_csv(rows), handle)
    return file


def _for_csv(rows: pa.Table) -> pa.Table:
    texts = {name: [inert(text) for text in rows[name].to_pylist()] for name in ("path", "model")}
    texts["overlays"] = [inert(" | ".join(names or ())) for names in rows["overlays"].to_pylist()]
    for name, cells in texts.items():
        rows = rows.set_column(rows.column_names.index(name), name, pa.array(cells, pa.string()))
    return rows


@contextmanager
def told(out: Path) -> Iterator[None]:
    """Turn an error of the disk into a sentence."""
    try:
        yield
    except OSError as error:
        raise ChexError(
            f"{out} can't be written ({error.strerror or error}): make room or give another --out; "
            "what was read is kept, and the same command goes on from there"
        ) from None


def _parts(out: Path) -> list[Path]:
    return sorted((out / _FOLDER).glob("*.parquet"))


def _remove(out: Path, tables: Sequence[str]) -> None:
    for part in _parts(out):
        try:
            painted = _columns(part, ["overlays"])["overlays"].drop_null().to_pylist()
        except (OSError, pa.ArrowException):
            painted = []  # a damaged part must not keep one from starting again
        for name in (name for names in painted for name in names):
            if not Path(name).is_absolute() and ".." not in Path(name).parts:
                (out / OVERLAYS / name).unlink(missing_ok=True)
        part.unlink()
    for name in tables:
        (out / name).unlink()


def _tidy(out: Path) -> None:
    """Remove what a killed run left half-written, as `atomic.replacing` names it."""
    for folder, name in ((out, rf"{TABLE}\.(parquet|csv)"), (out / _FOLDER, r"\d{20}-[0-9a-f]{8}\.parquet")):
        for file in folder.iterdir():
            if re.fullmatch(rf"\.{name}\.[0-9a-f]{{8}}", file.name):
                file.unlink(missing_ok=True)


def _settings(part: Path) -> Settings:
    with _whole(part), part.open("rb") as file:
        return Settings.model_validate_json((pq.read_schema(file).metadata or {}).get(_SETTINGS, b""))


def _columns(part: Path, columns: list[str]) -> pa.Table:
    with part.open("rb") as file:  # a path would be taken for text, and for an address if it has a colon
        return pq.read_table(file, columns=columns)


def _read(out: Path, columns: list[str]) -> pa.Table:
    """Read all parts, with the number of each as a column."""
    tables = [SCHEMA.empty_table().select(columns).append_column("part", pa.array([], pa.int64()))]
    for number, part in enumerate(_parts(out)):
        with _whole(part):
            read = _columns(part, columns)
            tables.append(read.append_column("part", pa.array([number] * len(read), pa.int64())))
    return pa.concat_tables(tables).unify_dictionaries()


@contextmanager
def _whole(part: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, pa.ArrowException, ValidationError, KeyError) as error:
        raise ChexError(
            f"{part} is damaged ({type(error).__name__}): delete it, "
            "and the same command reads its films again"
        ) from None
