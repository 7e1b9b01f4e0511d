"""What the viewer in the browser is sent: one run of bytes with a header, the films' pixels and their maps.

Layout, little endian: 4 bytes of magic, the header's length as uint32, the header in JSON padded with spaces
to a multiple of 8 bytes, then the blocks that it names, each padded to a multiple of 8: where the run of
bytes itself is aligned, typed arrays can be laid over it without a copy.
"""

import hashlib
import json
import struct
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional as F

from chexmodel.errors import ChexError

MAGIC: Final = b"CXV1"
"""Name and version of the layout."""
MAX_SIDE: Final = 4096
"""Longest side sent, px: a larger film is reduced, and the header has its own size beside it."""

_ALIGNED: Final = 8
_SAMPLED: Final = 997  # one pixel in so many tells most deep films at once
_PREFIX: Final = struct.Struct("<4sI")


class Sheet(NamedTuple):
    """One film as it is packed.

    pixels: (H, W) uint8, or float in [0, 1]. maps: observation → (h, w) over the padded square, in any unit.
    about: what the header says of it besides; it has to fit into JSON.
    """

    pixels: NDArray[Any]
    maps: Mapping[str, NDArray[np.floating]]
    about: Mapping[str, object]


def pack(sheets: Sequence[Sheet], about: Mapping[str, object]) -> bytes:
    """Pack films and their maps.

    A film of at most 8 bits is sent as 8 bits, others as 16: the values are those of [0, 1] on the scale of
    255 or 65535. Maps are float32.

    Args:
        sheets: the films, in the order in which they are shown.
        about: what the header says besides; it has to fit into JSON.

    Returns:
        The bytes. The header is `about` with `panes`: per film its `about` with `width` and `height` as sent,
        `original` [width, height], `bits` (8 or 16), `digest` (of pixels and size), `pixels` (offset of its
        block in bytes) and `maps` (observation → [offset, h, w]). Offsets count from the end of the header.

    Raises:
        ChexError: a film or a map that is not two-dimensional.
    """
    blocks: list[bytes] = []
    end = 0

    def add(values: NDArray[Any]) -> int:
        nonlocal end
        start = end
        blocks.append(_padded(values.tobytes()))
        end += len(blocks[-1])
        return start

    panes: list[dict[str, object]] = []
    for sheet in sheets:
        if sheet.pixels.ndim != 2 or any(grid.ndim != 2 for grid in sheet.maps.values()):
            raise ChexError("the viewer shows films and maps of two dimensions: pass (H, W) arrays")
        shown = quantised(_reduced(sheet.pixels))
        panes.append(
            {
                **sheet.about,
                "width": shown.shape[1],
                "height": shown.shape[0],
                "original": [sheet.pixels.shape[1], sheet.pixels.shape[0]],
                "bits": 8 * shown.dtype.itemsize,
                "digest": hashlib.sha256(repr(shown.shape).encode() + shown.tobytes()).hexdigest(),
                "pixels": add(shown),
                "maps": {
                    name: [add(np.asarray(grid, dtype="<f4")), *grid.shape]
                    for name, grid in sheet.maps.items()
                },
            }
        )
    header = json.dumps({**about, "panes": panes}, ensure_ascii=False, allow_nan=False).encode()
    header = _padded(header, filler=b" ")
    return b"".join([_PREFIX.pack(MAGIC, len(header)), header, *blocks])


def unpack(data: bytes) -> tuple[dict[str, Any], list[NDArray[Any]], list[dict[str, NDArray[np.float32]]]]:
    """Take packed bytes apart, as the browser does.

    Returns:
        The header; the films, (H, W) uint8 or uint16; of each film observation → (h, w) float32.

    Raises:
        ChexError: the bytes are of another layout.
    """
    magic, length = _PREFIX.unpack_from(data) if len(data) >= _PREFIX.size else (b"", 0)
    if magic != MAGIC:
        raise ChexError("these bytes are no payload of the viewer: pack them with this version")
    start = _PREFIX.size + length
    header: dict[str, Any] = json.loads(data[_PREFIX.size : start])
    films, maps = [], []
    for pane in header["panes"]:
        shape = pane["height"], pane["width"]
        kind = np.dtype("u1" if pane["bits"] == 8 else "<u2")
        films.append(np.frombuffer(data, kind, shape[0] * shape[1], start + pane["pixels"]).reshape(shape))
        maps.append(
            {
                name: np.frombuffer(data, "<f4", h * w, start + offset).reshape(h, w)
                for name, (offset, h, w) in pane["maps"].items()
            }
        )
    return header, films, maps


def quantised(pixels: NDArray[Any]) -> NDArray[Any]:
    """Bring grey values to whole numbers: (H, W) uint8 where 8 bits hold them exactly, else uint16.

    Args:
        pixels: (H, W) uint8, or float in [0, 1], both included.
    """
    if pixels.dtype == np.uint8:
        return pixels
    if _eight_bits_hold(pixels.ravel()[::_SAMPLED]) and _eight_bits_hold(pixels):
        return (pixels * np.float32(255) + np.float32(0.5)).astype(np.uint8)
    return (pixels * np.float32(65535) + np.float32(0.5)).astype("<u2")


def _eight_bits_hold(pixels: NDArray[Any]) -> bool:
    scaled = pixels * np.float32(255)
    # float32 keeps k/255 to some 1e-5 of a step; a 9-bit film would be off by a quarter of one.
    return bool(np.abs(scaled - np.rint(scaled)).max(initial=0) < 1e-3)


def _reduced(pixels: NDArray[Any]) -> NDArray[Any]:
    """The film with at most `MAX_SIDE` px on its longest side, averaged over what each pixel covers."""
    height, width = pixels.shape
    if max(height, width) <= MAX_SIDE:
        return pixels
    factor = MAX_SIDE / max(height, width)
    size = max(1, round(height * factor)), max(1, round(width * factor))
    whole = torch.from_numpy(np.ascontiguousarray(pixels))[None, None]
    reduced = F.interpolate(whole, size=size, mode="bilinear", antialias=True, align_corners=False)
    return np.asarray(reduced[0, 0].numpy())


def _padded(block: bytes, filler: bytes = b"\0") -> bytes:
    return block + filler * (-len(block) % _ALIGNED)
