"""What every reader hands over, the film and the account of what was done to it; and their common limits."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from chexmodel.errors import ImageError
from chexmodel.language import mark, tr

MAX_BYTES: Final = 50 * 1024 * 1024
"""Largest file that is looked at, in bytes."""
MAX_PIXELS: Final = 64_000_000
"""Largest film that is decoded, in pixels."""
MAX_SIDE: Final = 10_000
"""Longest side in pixels: films are padded to a square, so that a strip would cost its length squared."""
MIN_SIDE: Final = 32
"""Shortest side in pixels that is read at all."""
_STRIP: Final = 2**17  # pixels

Pixels = NDArray[np.float32]
Grey = NDArray[np.uint8] | Pixels
"""Grey values as a file holds them: 0 to 255, or deeper ones brought to [0, 1]; brighter = denser."""

View = Literal["AP", "PA", "LATERAL"]
VIEWS: Final[dict[View, str]] = {"AP": mark("AP"), "PA": mark("PA"), "LATERAL": mark("lateral")}
"""What each view is called."""
FileType = Literal["PNG", "JPEG", "TIFF", "DICOM"]


class Header(BaseModel):
    r"""What a DICOM's header says that bears on trust in the reading; None where it says nothing.

    modality, body_part: codes, e.g. "DX" and "CHEST".
    orientation: anatomical directions in which rows and columns run, e.g. "L\F" (DICOM PS3.3 C.7.6.1.1.1).
    pixel_aspect: height over width of a pixel.
    for_processing: the detector's raw picture, not the one meant for reading.
    contradictory_tone: photometric interpretation and presentation LUT shape disagree on what is white.
    """

    model_config = ConfigDict(frozen=True)

    modality: str | None = None
    body_part: str | None = None
    orientation: str | None = None
    pixel_aspect: float | None = None
    burned_in_text: bool = False
    for_processing: bool = False
    contradictory_tone: bool = False


class InputAudit(BaseModel):
    """What the file was and what the reader did to it. Never holds a name, an identifier or a date.

    width, height: pixels of the decoded film, after any rotation.
    bits: depth stored in the file, per sample.
    window: the VOI LUT or window applied; view: AP, PA or LATERAL; age_years: each only if a DICOM says so.
    frame, frames: which picture of how many was read, counted from 1.
    header: more of a DICOM's header; None for other formats.
    turned: the file's EXIF orientation asked for it; coloured: more than a label is.
    actions: in the order done. warnings: what the user should know before trusting the reading.
    """

    model_config = ConfigDict(frozen=True)

    format: FileType | Literal["array"]
    width: int
    height: int
    bits: int
    photometric: str
    window: str | None = None
    view: View | None = None
    transfer_syntax: str | None = None
    age_years: int | None = None
    frame: int = 1
    frames: int = 1
    header: Header | None = None
    turned: bool = False
    coloured: bool = False
    actions: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


class Film(NamedTuple):
    """A grey film, (H, W), brighter = denser (bone is white), and its audit.

    grey: uint8 where the file has no more than that, else float32 in [0, 1]. An 8-bit film stays at a
        quarter of the memory until something needs fractions: reading then takes half the time.
    """

    grey: Grey
    audit: InputAudit

    @property
    def pixels(self) -> Pixels:
        """The film as float32 in [0, 1], (H, W); made anew at each access if it is held at 8 bits."""
        if self.grey.dtype == np.uint8:
            return np.divide(self.grey, 255, dtype=np.float32)
        return self.grey.astype(np.float32, copy=False)


def check_bytes(count: int) -> None:
    """Raise `ImageError` for an empty file or one above `MAX_BYTES`."""
    if count == 0:
        raise ImageError(tr("The file is empty: export or download it again."))
    if count > MAX_BYTES:
        raise ImageError(
            tr(
                "The file is {size:.0f} MB; the limit is {limit} MB: "
                "export it as PNG or JPEG, or at a lower resolution.",
                size=count / 2**20,
                limit=MAX_BYTES // 2**20,
            )
        )


def check_size(width: int, height: int) -> None:
    """Raise `ImageError` for a film too large or too small, in px. To be called before decoding."""
    if min(width, height) < MIN_SIDE:
        raise ImageError(
            tr(
                "The picture is {width}×{height} px; a film needs at least {least} px on each side: "
                "use the original instead of a thumbnail.",
                width=width,
                height=height,
                least=MIN_SIDE,
            )
        )
    if width * height > MAX_PIXELS or max(width, height) > MAX_SIDE:
        raise ImageError(
            tr(
                "The picture is {width}×{height} px; the limits are {millions} million pixels and "
                "{longest} px on the longest side: reduce it and try again.",
                width=width,
                height=height,
                millions=MAX_PIXELS // 10**6,
                longest=MAX_SIDE,
            )
        )


def strips(shape: tuple[int, int]) -> Iterator[slice]:
    """Give the rows of a film in strips: step upon step on one finds it in the processor's cache.

    Args:
        shape: (H, W) of the film, px.
    """
    rows = max(1, _STRIP // shape[1])
    return (slice(top, top + rows) for top in range(0, shape[0], rows))


def white_of(maximum: float) -> int:
    """Return the white of the depth that data use: the smallest of 2^8, 2^10 … 2^16, less 1, ≥ `maximum`.

    A 16-bit container often holds 8 to 14 bits; divided by 65535 such a film would be nearly black.
    """
    return next((2**bits - 1 for bits in (8, 10, 12, 14) if maximum < 2**bits), 2**16 - 1)


def too_much_memory() -> ImageError:
    """Make the error about a file that takes more memory to decode than there is, or than it may have."""
    return ImageError(
        tr(
            "Decoding this file takes more memory than a film may have: "
            "reduce it, or export it anew as PNG or JPEG."
        )
    )


@contextmanager
def as_image_error(kind: str) -> Iterator[None]:
    """Turn whatever a decoder raises inside the block into an `ImageError` about a file of `kind`.

    Decoders fail on bad bytes in dozens of ways (OSError, SyntaxError, struct.error, RuntimeError, …), and
    their texts may quote the header, patient's name included: only the type of the error is passed on.
    """
    try:
        yield
    except ImageError:
        raise
    except MemoryError as error:
        raise too_much_memory() from error
    except Exception as error:
        raise ImageError(
            tr(
                "This {kind} can't be decoded ({error}): it is damaged, incomplete or of a rare variant. "
                "Copy it again from its source, or export it anew as PNG or JPEG.",
                kind=kind,
                error=type(error).__name__,
            )
        ) from error
