"""What is wrong with the films of a data set: missing, unreadable, empty, or there twice."""

import hashlib
import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from chexmodel import images
from chexmodel.audit import in_order, problems
from chexmodel.audit_kinds import Kind
from chexmodel.duplicates import FINE_RADIUS, distances, near_pairs, perceptual_hash
from chexmodel.errors import ImageError
from chexmodel.language import mark
from chexmodel.schema import FIRST_ROW

_LOOKS_LIKE: Final = mark(
    "the film looks like another one: at most {bits} of 255 bits of their hashes differ"
)
_NO_FILE: Final = mark("no such file")
_ONE_VALUE: Final = mark("all pixels are {value}")
_SAME_OWN: Final = mark("the same file as {path} ({file}), of the same patient")
_SAME_OTHER: Final = mark("the same file as {path} ({file}), of another patient")
_NEAR_OWN: Final = mark("{bits} of 255 bits from {path} ({file}), of the same patient")
_NEAR_OTHER: Final = mark("{bits} of 255 bits from {path} ({file}), of another patient")

FILM_MESSAGES: Final = (
    _LOOKS_LIKE,
    _NO_FILE,
    _ONE_VALUE,
    _SAME_OWN,
    _SAME_OTHER,
    _NEAR_OWN,
    _NEAR_OTHER,
)
"""As `audit.TABLE_MESSAGES`, and the one rule with a number; why a film can't be read is English as well."""

FILM_KINDS: Final[dict[str, Kind]] = {
    mark("missing film"): Kind(
        "error", mark("there is no file at the path"), mark("complete the copy, or leave the row out")
    ),
    mark("unreadable film"): Kind("error", mark("the file can't be decoded"), mark("copy the film again")),
    mark("film of one grey value"): Kind(
        "error", mark("all pixels have the same value"), mark("copy the film again, or leave it out")
    ),
    mark("identical films"): Kind(
        "error",
        mark("another film's file has the same bytes (SHA-256)"),
        mark("keep one of them, in one split"),
    ),
    mark("near-identical films"): Kind(
        "warning",
        _LOOKS_LIKE.format(bits=FINE_RADIUS),
        mark("compare the two; keep one if they are one picture, in one split"),
    ),
}
"""What `audit_films` looks for."""


class _Seen(NamedTuple):
    """One film: the kind of problem and what it is, or its digest and hash."""

    kind: str = ""
    what: str = ""
    digest: str = ""
    hash: NDArray[np.uint64] | None = None


def audit_films(
    tables: Mapping[str, pd.DataFrame],
    paths: Mapping[str, Sequence[Path]],
    *,
    workers: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> pd.DataFrame:
    """Read every film of a data set and look for problems.

    Each film is decoded once, a few at a time; then duplicates are searched (see `duplicates`). Decoding is
    what takes long: some 3 ms per film of 320 px and core.

    Args:
        tables: file's name → rows of `read_table` or `read_loosely`.
        paths: file's name → its `image_paths`.
        workers: threads that decode; by default one per core, at most 8.
        progress: called with the number of films done and of all, after each.

    Returns:
        A row per problem, in the columns `audit.COLUMNS` and the order of `FILM_KINDS`.
    """
    films = pd.concat(
        [
            table[["Path", "patient"]].assign(
                file=name, row=table.index + FIRST_ROW, place=list(map(str, paths[name]))
            )
            for name, table in tables.items()
        ],
        ignore_index=True,
    ).drop_duplicates("place", ignore_index=True)
    seen = []
    with ThreadPoolExecutor(workers or min(8, os.cpu_count() or 1)) as pool:
        for film in pool.map(_look, films["place"]):
            seen.append(film)
            if progress is not None:
                progress(len(seen), len(films))
    found = []
    for kind in ("missing film", "unreadable film", "film of one grey value"):
        at = [i for i, film in enumerate(seen) if film.kind == kind]
        found.append(problems(kind, films.iloc[at], [seen[i].what for i in at], kinds=FILM_KINDS))
    return in_order([*found, *_twins(films, seen)])


def _look(place: str) -> _Seen:
    path = Path(place)
    if not path.is_file():
        return _Seen("missing film", _NO_FILE)
    try:
        grey = images.read(path).grey
        with path.open("rb") as stream:
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
    except (ImageError, OSError) as error:
        # Without the directory: it may be shown to visitors.
        return _Seen("unreadable film", str(error).removeprefix(f"{path}: "))
    if grey.min() == grey.max():
        return _Seen("film of one grey value", _ONE_VALUE.format(value=f"{grey.flat[0]:g}"))
    return _Seen(digest=digest, hash=perceptual_hash(grey))


def _twins(films: pd.DataFrame, seen: list[_Seen]) -> list[pd.DataFrame]:
    """Rows for films that are the same file, or look the same."""
    readable = [i for i, film in enumerate(seen) if film.hash is not None]
    first: dict[str, int] = {}
    same: list[tuple[int, int]] = []  # film, the first film of its bytes
    for i in readable:
        other = first.setdefault(seen[i].digest, i)
        if other != i:
            same.append((i, other))
    originals = sorted(first.values())
    return [
        _pairs("identical films", films, [*same, *((other, i) for i, other in same)]),
        _near(films, seen, originals),
    ]


def _pairs(kind: str, films: pd.DataFrame, pairs: list[tuple[int, int]]) -> pd.DataFrame:
    """A row per film with a twin, in the films' order; a film with several names one."""
    twin = dict(reversed(pairs))
    at = sorted(twin)
    said = [_named(films, i, twin[i], _SAME_OWN, _SAME_OTHER) for i in at]
    return problems(kind, films.iloc[at], said, kinds=FILM_KINDS)


def _named(films: pd.DataFrame, film: int, other: int, own: str, others: str, bits: int = 0) -> str:
    one, two = films.iloc[film], films.iloc[other]
    message = own if one["patient"] == two["patient"] else others
    return message.format(path=two["Path"], file=two["file"], bits=bits)


def _near(films: pd.DataFrame, seen: list[_Seen], originals: list[int]) -> pd.DataFrame:
    kind = "near-identical films"
    if not originals:  # not one film could be read
        return problems(kind, films.iloc[:0], [], kinds=FILM_KINDS)
    hashes = np.array([seen[i].hash for i in originals], np.uint64)
    pairs = near_pairs(hashes)
    links = coo_array((np.ones(len(pairs), bool), (pairs[:, 0], pairs[:, 1])), shape=(len(hashes),) * 2)
    _, groups = connected_components(links, directed=False)
    nearest: dict[int, tuple[int, int]] = {}  # film → distance, its nearest twin
    for (a, b), bits in zip(pairs.tolist(), distances(*hashes[pairs.T]).tolist(), strict=True):
        for film, other in ((a, b), (b, a)):
            nearest[film] = min(nearest.get(film, (bits, other)), (bits, other))
    rows = sorted(nearest, key=lambda film: (groups[film], film))
    at = [originals[film] for film in rows]
    said = [
        _named(films, originals[film], originals[other], _NEAR_OWN, _NEAR_OTHER, bits)
        for film in rows
        for bits, other in (nearest[film],)
    ]
    return problems(kind, films.iloc[at], said, kinds=FILM_KINDS)
