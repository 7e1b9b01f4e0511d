"""A file of films → its rows in `parts.SCHEMA`, whatever goes wrong; overlays are written on the way."""

import hashlib
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final

from chexmodel.atomic import write_file
from chexmodel.batch import Findings, facts, read_film, scores
from chexmodel.batch_pictures import cut, file_name
from chexmodel.containers import Entry, open_uploads
from chexmodel.errors import ImageError
from chexmodel.filetype import ZIP
from chexmodel.film import check_bytes
from chexmodel.film_files import FilmFile
from chexmodel.language import tr
from chexmodel.parts import OVERLAYS, Row, told
from chexmodel.predictor import Predictor

MAX_ARCHIVE: Final = 500 * 2**20
"""Largest ZIP that is opened, bytes; each worker holds one at a time."""


@dataclass(frozen=True)
class Order:
    """What to do with each file: the observations to paint, None for no overlays, and the folder for them."""

    findings: Findings | None
    out: Path


def read_file(predictor: Predictor, file: FilmFile, order: Order) -> list[Row]:
    """Read the film in a file, or the films of a ZIP: a row each, also for what is none.

    Raises:
        ChexError: an overlay can't be written.
    """
    manifest = predictor.bundle.manifest
    common: Row = {
        "model": manifest.name,
        "weights_sha256": manifest.weights_sha256,
        "engine": predictor.engine,
        "source": file.name,
        "bytes": file.size,
        "modified": file.modified,
        "opened": True,
    }
    try:
        data = _bytes(file)
    except ImageError as error:
        rows = [_refused(file.name, str(error), None)]
        common["opened"] = False
    else:
        rows = _rows(predictor, file.name, data, order)
    return [{name: _known(cell) for name, cell in (common | row).items()} for row in rows]


def _rows(predictor: Predictor, name: str, data: bytes, order: Order) -> list[Row]:
    films, refused = open_uploads([(name, data)], seconds=None)  # a busy machine must not lose films
    if not data.startswith(ZIP):
        digest = films[0].key if films else hashlib.sha256(data).hexdigest()  # a lone film's key is that
        rows = [_read(predictor, film, name, digest, order, PurePosixPath(name).parent) for film in films]
        return rows + [_refused(name, reason, digest) for _, reason in refused]
    rows = [
        _read(predictor, film, f"{name}/{film.name}", _digest(film), order, PurePosixPath(name))
        for film in films
    ]
    return rows + [_refused(f"{name}/{member}", reason, None) for member, reason in refused]


def _read(
    predictor: Predictor, film: Entry, path: str, digest: str | None, order: Order, folder: PurePosixPath
) -> Row:
    result = read_film(predictor, film, findings=order.findings)
    overlays = [
        _save(order.out, folder / f"{str(digest)[:8]}-{file_name(film.name, finding)}", png)
        for finding, png in result.overlays
    ]
    return {"path": path, "sha256": digest} | facts(result) | scores(result) | {"overlays": overlays}


def _refused(path: str, reason: str, digest: str | None) -> Row:
    return {"path": path, "status": "not read", "reason": reason, "sha256": digest}


def _save(out: Path, name: PurePosixPath, png: bytes) -> str:
    # Escaped bytes make a folder's name longer than it was.
    name = PurePosixPath(*(cut(part, 255) for part in name.parts))
    file = out / OVERLAYS / name
    with told(out):
        file.parent.mkdir(parents=True, exist_ok=True)
        write_file(file, png)
    return str(name)


def _digest(film: Entry) -> str | None:
    try:
        return hashlib.sha256(film.data).hexdigest()
    except ImageError:  # the archive is damaged here, as the reading will say
        return None


def _known(cell: object) -> object:
    """Give None for what there is not: NaN, and no text."""
    return None if cell == "" or cell != cell else cell


def _bytes(file: FilmFile) -> bytes:
    """Read a file.

    Raises:
        ImageError: it can't be opened, is empty or too large.
    """
    try:
        if file.size == 0 and Path(file.path).exists():
            check_bytes(0)  # before opening: a pipe would wait for its writer
        with Path(file.path).open("rb") as handle:
            head = handle.read(len(ZIP))
            if head != ZIP:
                check_bytes(file.size)
            elif file.size > MAX_ARCHIVE:
                size, most = file.size // 2**20, MAX_ARCHIVE // 2**20
                raise ImageError(f"The archive is {size} MB; the limit is {most} MB: unpack it.")
            return head + handle.read(file.size - len(head))
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise ImageError(
            tr("can't be opened ({reason}): check the path and your rights on it.", reason=reason)
        ) from error
