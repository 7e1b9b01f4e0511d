"""ZIPs as attackers make them, and damaged ones; opened and read as the Analyse page does."""

import io
import struct
import warnings
import zipfile
from collections.abc import Callable
from functools import cache
from typing import Final

import numpy as np
from campaign import assert_right
from dicom_files import RAMP, written
from mutators import PLAIN
from seeds import unchanging

from chexmodel import phantom
from chexmodel.containers import open_uploads
from chexmodel.decoding import Decoders
from chexmodel.errors import ChexError, ImageError

FILMS: Final = 5
"""How many films of an archive are read: each of them is a file of its own, with its own limits."""
PNG: Final = phantom.png(size=64)
DICOM: Final = written(unchanging(RAMP))
Maker = Callable[[np.random.Generator], bytes]


def made(number: int) -> bytes:
    """The archive of that number: of each kind in turn, every second one damaged besides."""
    rng = np.random.default_rng([4, number])
    data = MAKERS[number % len(MAKERS)](rng)
    if number // len(MAKERS) % 2:
        data = PLAIN[int(rng.integers(len(PLAIN)))](data, rng)
    return data or b"PK\x03\x04"


def read(data: bytes, decoders: Decoders) -> None:
    """Open one, and read its first films; if none can be, the first refusal is raised."""
    opened = open_uploads([("upload.zip", data)], peek=decoders.peek)
    refusals = [refused.reason for refused in opened.refused]
    films = 0
    for entry in opened.films[:FILMS]:
        assert len(entry.name) <= 1024
        assert entry.name.isprintable()
        try:
            assert_right(decoders.read(entry.data))
            films += 1
        except ChexError as error:
            refusals.append(str(error))
    assert films or refusals
    if not films:
        raise ImageError(refusals[0])


def _packed(files: list[tuple[str, bytes]], compression: int = zipfile.ZIP_DEFLATED) -> bytes:
    stream = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(stream, "w", compression) as archive:
        warnings.simplefilter("ignore")  # of names that are there twice
        for name, data in files:
            info = zipfile.ZipInfo(name)  # of 1980: the same in every run
            info.external_attr = 0o600 << 16
            archive.writestr(info, data, compression)
    return stream.getvalue()


def _films(rng: np.random.Generator) -> bytes:
    return _packed([("a/film.png", PNG), ("b/IM1", DICOM), ("readme.txt", b"hello")])


def _traversal(rng: np.random.Generator) -> bytes:
    names = (
        "../../etc/passwd",
        "/etc/cron.d/x",
        "..\\..\\win\\x.png",
        "C:\\x.png",
        "a/../../b.png",
        "//x/y",
    )
    return _packed([(name, PNG) for name in names])


def _names(rng: np.random.Generator) -> bytes:
    odd = ("é" * 300, "\u202egnp.exe", "x" * 60000, "a\nb.png", "\x1b[31m.png", "🩻.png")
    return _packed([(name, PNG) for name in (*odd, "CON", " ", ".", "a\u0301")] * 2)


@cache
def _compressed_nothing() -> bytes:
    return _packed([(f"{number}.png", PNG + bytes(49 * 2**20)) for number in range(3)])


def _bomb(rng: np.random.Generator) -> bytes:
    return _compressed_nothing()


def _bomb_for_another_packer(rng: np.random.Generator) -> bytes:
    kind = int(rng.choice([zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA]))
    data = PNG + bytes(30 * 2**20)
    return _packed([("film.png", data)], kind).replace(struct.pack("<I", len(data)), struct.pack("<I", 9000))


def _nested(rng: np.random.Generator) -> bytes:
    """As 42.zip is: archives in archives, each of them 16 times."""
    data = PNG + bytes(2**20)
    for level in range(int(rng.integers(2, 5))):
        data = _packed(
            [(f"{level}-{number}.zip" if level else f"{number}.png", data) for number in range(16)]
        )
    return data


def _many(rng: np.random.Generator) -> bytes:
    return _packed([(f"{number}.png", PNG[:200]) for number in range(int(rng.choice([300, 4000, 6000])))])


def _slow_headers(rng: np.random.Generator) -> bytes:
    """DICOMs whose headers are one long sequence of nothing."""
    empty = struct.pack("<HHIHHI", 0xFFFE, 0xE000, 0xFFFFFFFF, 0xFFFE, 0xE00D, 0)
    start = DICOM[: 132 + 200]
    head = start[: start.rindex(b"\x02\0")] + struct.pack("<HH2sHI", 9, 0x1001, b"SQ", 0, 0xFFFFFFFF)
    return _packed([(f"IM{number}", head + empty * int(rng.choice([2**12, 2**16]))) for number in range(3)])


def _overlapping(rng: np.random.Generator) -> bytes:
    """Hundreds of entries of the directory that share one file."""
    one = _packed([("film.png", PNG + bytes(20 * 2**20))])
    at = one.rindex(b"PK\1\2")
    entry, count = one[at : one.rindex(b"PK\5\6")], int(rng.integers(2, 900))
    end = struct.pack("<4sHHHHIIH", b"PK\5\6", 0, 0, count, count, count * len(entry), at, 0)
    return one[:at] + entry * count + end


def _lying(rng: np.random.Generator) -> bytes:
    data = PNG + bytes(8 * 2**20)
    size = int(rng.choice([0, 1, len(PNG), 2**20, 49 * 2**20, 2**32 - 1]))
    return _packed([("film.png", data)]).replace(struct.pack("<I", len(data)), struct.pack("<I", size))


def _encrypted(rng: np.random.Generator) -> bytes:
    data = bytearray(_packed([("film.png", PNG)]))
    data[6] |= 1
    data[data.rindex(b"PK\1\2") + 8] |= 1
    return bytes(data)


def _links(rng: np.random.Generator) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, target in (("film.png", "/etc/passwd"), ("folder", "../.."), ("IM1", "IM1")):
            info = zipfile.ZipInfo(name)
            info.external_attr = 0o120777 << 16
            archive.writestr(info, target)
    return stream.getvalue()


def _table(rng: np.random.Generator) -> bytes:
    rows = "Path,Frontal/Lateral,AP/PA\n" + "a/b/c.png,Frontal,PA\n" * int(rng.choice([1, 10**6]))
    open_quote = b'Path,Frontal/Lateral\n"' * 2
    return _packed([("train.csv", rows.encode()), ("quote.csv", open_quote), ("a/b/c.png", PNG)])


def _several_directories(rng: np.random.Generator) -> bytes:
    return _films(rng) + _traversal(rng) + rng.bytes(int(rng.integers(0, 70000)))


MAKERS: Final[tuple[Maker, ...]] = (
    *(_films, _traversal, _names, _bomb, _bomb_for_another_packer, _nested, _many, _slow_headers),
    *(_overlapping, _lying, _encrypted, _links, _table, _several_directories),
)
