"""Label tables, damaged as bytes and as tables; read as the Dataset page reads them."""

import gzip
from functools import cache
from typing import Final

import numpy as np
from chexpert_rows import HEADER, film, row
from mutators import PLAIN

from chexmodel.audit import COLUMNS, audit
from chexmodel.errors import DatasetError
from chexmodel.reading import read_bytes, read_loosely
from chexmodel.statistics import describe

CELLS: Final = (
    *("", "nan", "inf", "-inf", "1e999", "-1", "2", "0.5", "True", '"', '""', "'", "=1+1", "\0", "\ufeff"),
    *("é" * 99, "9" * 400, "-" * 5000, "a,b", "a\nb", "a\rb", "patient1/study1", "../../etc/passwd"),
    *("\U0001fa7b", " 1 ", "1.0"),
)


def table() -> bytes:
    """A valid table of 60 films."""
    rng = np.random.default_rng(0)
    cells = ["", "0.0", "1.0", "-1.0"]
    lines = [",".join(HEADER)]
    for number in range(60):
        labels = dict(zip(HEADER[5:], rng.choice(cells, size=len(HEADER) - 5), strict=True))
        line = row(film(number // 2, number % 2 + 1), Age=str(20 + number)) | labels
        lines.append(",".join(line.get(name, "") for name in HEADER))
    return ("\n".join(lines) + "\n").encode()


def damaged(number: int) -> bytes:
    """The table of that number, damaged."""
    rng = np.random.default_rng([3, number])
    data = table()
    for _ in range(int(rng.integers(1, 4))):
        ways = (*PLAIN, _cells, _cells, _rows, _columns, _written)
        data = ways[int(rng.integers(len(ways)))](data, rng) or b"\n"
    return data


def read(data: bytes) -> None:
    """Read one; what rules forbid is audited."""
    name = "train.csv"
    try:
        found = read_bytes(data, name)
    except DatasetError:
        loose, broken = read_loosely(data, name)
        assert tuple(audit({name: loose}, broken={name: broken})) == COLUMNS
        raise
    assert tuple(audit({name: found})) == COLUMNS
    assert describe(found).films == len(found)


def _cells(data: bytes, rng: np.random.Generator) -> bytes:
    lines = [line.split(b",") for line in data.split(b"\n")]
    for _ in range(int(rng.integers(1, 30))):
        line = lines[int(rng.integers(len(lines)))]
        line[int(rng.integers(len(line)))] = CELLS[int(rng.integers(len(CELLS)))].encode()
    return b"\n".join(map(b",".join, lines))


def _rows(data: bytes, rng: np.random.Generator) -> bytes:
    lines = data.split(b"\n")
    at = int(rng.integers(len(lines)))
    some = lines[at : at + int(rng.integers(1, 9))]
    return b"\n".join([*lines[:at], *some * int(rng.choice([0, 2, 500])), *lines[at:]])


def _columns(data: bytes, rng: np.random.Generator) -> bytes:
    lines = [line.split(b",") for line in data.split(b"\n")]
    at, what = int(rng.integers(len(HEADER))), int(rng.integers(4))
    for line in lines:
        if at < len(line):
            line[at : at + 1] = ([], [line[at]] * 2, [line[at]] * 300, [b""])[what]
    return b"\n".join(map(b",".join, lines))


@cache
def _bomb(letter: bytes, megabytes: int) -> bytes:
    """A further member of a gzip file."""
    return gzip.compress(letter * (megabytes * 2**20), 1, mtime=0)


def _written(data: bytes, rng: np.random.Generator) -> bytes:
    """The same, or not quite, in another coding of text or packed."""
    text = data.decode(errors="replace")
    ways = (
        lambda: gzip.compress(data, mtime=0),
        lambda: gzip.compress(data, mtime=0)[: int(rng.integers(1, 200))],
        lambda: gzip.compress(data, mtime=0) + _bomb(b"\0", 150),
        lambda: gzip.compress(data, mtime=0) + _bomb(b"\n", 99),
        lambda: text.encode("utf-16"),
        lambda: text.encode("latin-1", errors="replace"),
        lambda: text.encode("utf-8-sig"),
        lambda: data.replace(b",", b";"),
        lambda: data.replace(b"\n", b"\r"),
        lambda: data.replace(b"\n", b"\r\n"),
        lambda: data.replace(b",", b',"', 1),
        lambda: b"PK\x03\x04" + data,
    )
    return ways[int(rng.integers(len(ways)))]()
