"""Ways to damage a file: pure functions of its bytes and a random generator.

Those of `PLAIN` know no format; the others change a field where the format has one, and mend its checksum.
"""

import struct
import zlib
from collections.abc import Callable
from typing import Final

import numpy as np

Mutator = Callable[[bytes, np.random.Generator], bytes]
EXTREMES: Final = (
    0,
    1,
    2,
    3,
    8,
    16,
    32,
    255,
    256,
    0x7FFF,
    0x8000,
    0xFFFF,
    0x7FFFFFFF,
    0x80000000,
    0xFFFFFFFF,
)
"""Values at which a length, a size or a count is likely to break something."""


def flipped(data: bytes, rng: np.random.Generator) -> bytes:
    """Flip 1 to 32 bits."""
    values = bytearray(data)
    for at in rng.integers(len(values), size=int(rng.integers(1, 33))):
        values[at] ^= 1 << int(rng.integers(8))
    return bytes(values)


def flipped_early(data: bytes, rng: np.random.Generator) -> bytes:
    """Flip bits of the first kilobyte, where headers are."""
    return flipped(data[:1024], rng) + data[1024:]


def cut(data: bytes, rng: np.random.Generator) -> bytes:
    """Leave the end out."""
    return data[: int(rng.integers(len(data)))]


def spliced(data: bytes, rng: np.random.Generator) -> bytes:
    """Go on from another place of the file."""
    return data[: _place(data, rng)] + data[_place(data, rng) :]


def zeroed(data: bytes, rng: np.random.Generator) -> bytes:
    """Set a block to zero."""
    at, size = _place(data, rng), int(rng.integers(1, 4096))
    return data[:at] + bytes(min(size, len(data) - at)) + data[at + size :]


def inserted(data: bytes, rng: np.random.Generator) -> bytes:
    """Put noise in."""
    at = _place(data, rng)
    return data[:at] + rng.bytes(int(rng.integers(1, 4096))) + data[at:]


def repeated(data: bytes, rng: np.random.Generator) -> bytes:
    """Repeat a block, up to hundreds of times."""
    at, size = _place(data, rng), int(rng.integers(1, 512))
    return data[:at] + data[at : at + size] * int(rng.integers(2, 300)) + data[at:]


def enlarged(data: bytes, rng: np.random.Generator) -> bytes:
    """Set a number of 2 or 4 bytes, of either byte order, to an extreme."""
    width = int(rng.choice([2, 4]))
    at = min(_place(data, rng), max(len(data) - width, 0))
    return _with(data, at, _extreme(width, rng))


def enlarged_early(data: bytes, rng: np.random.Generator) -> bytes:
    """The same in the first kilobyte."""
    return enlarged(data[:1024], rng) + data[1024:]


def png_chunk(data: bytes, rng: np.random.Generator) -> bytes:
    """Change a chunk of a PNG, drop it, repeat it or add one; the checksums are right."""
    chunks = list(_png_chunks(data))
    at = int(rng.integers(len(chunks)))
    kind, body = chunks[at]
    what = int(rng.integers(4))
    if what == 0 and body:
        chunks[at] = kind, enlarged(body, rng) if rng.integers(2) else flipped(body, rng)
    elif what == 1:
        del chunks[at]
    elif what == 2:
        chunks[at:at] = [(kind, body)] * int(rng.integers(1, 40))
    else:
        more = [
            *_riders(int(rng.integers(1, 30)) * 2**20),
            (b"tRNS", rng.bytes(int(rng.integers(1, 300)))),
            (b"PLTE", rng.bytes(3 * int(rng.integers(1, 300)))),
            (b"acTL", struct.pack(">II", int(rng.choice(EXTREMES)), 0)),
            (b"eXIf", b"II*\0" + rng.bytes(64)),
        ]
        chunks.insert(min(1, at), more[int(rng.integers(len(more)))])
    return data[:8] + b"".join(_png_chunk(*chunk) for chunk in chunks)


def png_riders(size: int) -> list[bytes]:
    """Chunks of a PNG that have no say in its pixels; what is compressed in them unpacks to `size` bytes."""
    return [_png_chunk(*chunk) for chunk in _riders(size)]


def png_size(data: bytes, rng: np.random.Generator) -> bytes:
    """Let the header of a PNG claim other sides, depth or colours."""
    (kind, body), *others = _png_chunks(data)
    at = int(rng.integers(len(body)))
    value = _extreme(4, rng) if at < 8 else bytes([int(rng.choice([0, 1, 2, 3, 4, 6, 8, 16, 255]))])
    body = _with(body, min(at // 4 * 4, 4) if at < 8 else at, value)
    return data[:8] + b"".join(_png_chunk(*chunk) for chunk in [(kind, body), *others])


def jpeg_segment(data: bytes, rng: np.random.Generator) -> bytes:
    """Change a segment of a JPEG before its scan, drop or repeat it: size, samples, tables, lengths."""
    starts = [2]
    while data[starts[-1] + 1] != 0xDA:
        starts.append(starts[-1] + 2 + int.from_bytes(data[starts[-1] + 2 : starts[-1] + 4]))
    number = int(rng.integers(len(starts) - 1))
    start, end = starts[number], starts[number + 1]
    segment = data[start:end]
    what = int(rng.integers(5))
    if what == 0:
        frame = next(at for at in starts if data[at + 1] in (0xC0, 0xC1, 0xC2))
        return _with(data, frame + int(rng.choice([4, 5, 7, 9])), _extreme(2, rng))
    if what == 1:
        return data[:start] + data[end:]
    if what == 2:
        return data[:end] + segment * int(rng.integers(1, 40)) + data[end:]
    if what == 3:
        return _with(data, start + 2, _extreme(2, rng))
    return data[:start] + segment[:2] + flipped(segment[2:], rng) + data[end:]


def tiff_tag(data: bytes, rng: np.random.Generator) -> bytes:
    """Change type, count or value of a tag in the first directory of a little-endian TIFF."""
    directory = int.from_bytes(data[4:8], "little")
    count = int.from_bytes(data[directory : directory + 2], "little")
    entry = directory + 2 + 12 * int(rng.integers(max(count, 1)))
    what = int(rng.integers(4))
    if what == 0:
        return _with(data, entry, int(rng.integers(254, 340)).to_bytes(2, "little"))
    if what == 1:
        return _with(data, entry + 2, int(rng.integers(0, 18)).to_bytes(2, "little"))
    value = int(rng.choice(EXTREMES)) if rng.integers(2) else int(rng.integers(len(data)))
    return _with(data, entry + (4 if what == 2 else 8), value.to_bytes(4, "little"))


def dicom_element(data: bytes, rng: np.random.Generator) -> bytes:
    """Change an element of a DICOM's header, explicit and little-endian: value, length, kind, or its tag."""
    starts = [at for at in range(132, min(len(data), 2048)) if data[at + 4 : at + 6] in _KINDS]
    if not starts:
        return flipped_early(data, rng)
    at = int(rng.choice(starts))
    length = int.from_bytes(data[at + 6 : at + 8], "little")
    what = int(rng.integers(5))
    if what == 0:
        return _with(data, at + 6, _extreme(2, rng))
    if what == 1:
        return _with(data, at + 4, _KINDS[int(rng.integers(len(_KINDS)))])
    if what == 2:
        return _with(data, at + int(rng.integers(4)), rng.bytes(1))
    if what == 3 and length:
        text = _VALUES[int(rng.integers(len(_VALUES)))]
        return _with(data, at + 8, text[:length].ljust(length))
    return _with(data, at + 8, rng.bytes(max(min(length, 64), 1)))


PLAIN: Final[tuple[Mutator, ...]] = (
    *(flipped, flipped_early, cut, spliced, zeroed, inserted, repeated, enlarged, enlarged_early),
)
OF: Final[dict[str, tuple[Mutator, ...]]] = {
    "PNG": (png_chunk, png_size),
    "JPEG": (jpeg_segment,),
    "TIFF": (tiff_tag,),
    "DICOM": (dicom_element,),
}
"""Those of a format."""
_KINDS: Final = tuple(b"AE AS AT CS DA DS FL FD IS LO LT OB OW PN SH SL SQ SS ST UI UL UN US UT".split())
_VALUES: Final = (b"1e308", b"-1", b"NaN", b"99999999999", b"0\\0", b"MONOCHROME1", b"PALETTE COLOR", b"\xff")


def mutated(data: bytes, kind: str, rng: np.random.Generator) -> bytes:
    """Apply one to three of the ways that suit a kind; half of the first are its own."""
    own = OF.get(kind, ())
    first = own if own and rng.integers(2) else PLAIN
    data = first[int(rng.integers(len(first)))](data, rng)
    for _ in range(int(rng.integers(3))):
        data = PLAIN[int(rng.integers(len(PLAIN)))](data, rng) if data else data
    return data


def _place(data: bytes, rng: np.random.Generator) -> int:
    return int(rng.integers(len(data))) if data else 0


def _with(data: bytes, at: int, value: bytes) -> bytes:
    return data[:at] + value + data[at + len(value) :]


def _extreme(width: int, rng: np.random.Generator) -> bytes:
    value = int(rng.choice(EXTREMES)) % 256**width
    return value.to_bytes(width, "big" if rng.integers(2) else "little")


def _riders(size: int) -> list[tuple[bytes, bytes]]:
    packed = zlib.compress(bytes(size))
    return [
        (b"zTXt", b"comment\0\0" + packed),
        (b"iCCP", b"profile\0\0" + packed),
        (b"iTXt", b"comment\0\1\0\0\0" + packed),
        (b"tEXt", b"comment\0" + bytes(99)),
        (b"gAMA", (45455).to_bytes(4)),
        (b"prVt", bytes(99)),
    ]


def _png_chunks(data: bytes) -> list[tuple[bytes, bytes]]:
    chunks, at = [], 8
    while at < len(data):
        length = int.from_bytes(data[at : at + 4])
        chunks.append((data[at + 4 : at + 8], data[at + 8 : at + 8 + length]))
        at += 12 + length
    return chunks


def _png_chunk(kind: bytes, body: bytes) -> bytes:
    return len(body).to_bytes(4) + kind + body + zlib.crc32(kind + body).to_bytes(4)
