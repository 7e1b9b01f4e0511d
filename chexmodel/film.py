"""What every reader hands over, the film and the account of what was done to it; and their common limits."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from chexmodel.errors import ImageError

MAX_BYTES: Final = 50 * 1024 * 1024
"""Largest file that is looked at, in bytes."""
MAX_PIXELS: Final = 64_000_000
"""Largest film that is decoded, in pixels."""
MAX_SIDE: Final = 10_000
"""Longest side in pixels: films are padded to a square, so that a strip would cost its length squared."""
MIN_SIDE: Final = 32
"""Shortest side in pixels that is read at all."""

_ADVISED_SIDE = 224  # the networks' own input: below it they see blur, not detail
_FLAT = 0.02  # standard deviation of a [0, 1] film; real chest films lie between 0.15 and 0.35

Pixels = NDArray[np.float32]
Grey = NDArray[np.uint8] | Pixels
"""Grey values as a file holds them: 0 to 255, or deeper ones brought to [0, 1]; brighter = denser."""


class InputAudit(BaseModel):
    """What the file was and what the reader did to it. Never holds a name, an identifier or a date.

    width, height: pixels of the decoded film, after any rotation.
    bits: depth stored in the file, per sample.
    window: the VOI LUT or window applied; view: AP, PA or LATERAL; age_years: each only if a DICOM says so.
    actions: in the order done. warnings: what the user should know before trusting the reading.
    """

    model_config = ConfigDict(frozen=True)

    format: Literal["PNG", "JPEG", "TIFF", "DICOM", "array"]
    width: int
    height: int
    bits: int
    photometric: str
    window: str | None = None
    view: Literal["AP", "PA", "LATERAL"] | None = None
    transfer_syntax: str | None = None
    age_years: int | None = None
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
        raise ImageError("The file is empty: export or download it again.")
    if count > MAX_BYTES:
        raise ImageError(
            f"The file is {count / 2**20:.0f} MB; the limit is {MAX_BYTES // 2**20} MB: "
            "export it as PNG or JPEG, or at a lower resolution."
        )


def check_size(width: int, height: int) -> None:
    """Raise `ImageError` for a film too large or too small, in px. To be called before decoding."""
    if min(width, height) < MIN_SIDE:
        raise ImageError(
            f"The picture is {width}×{height} px; a film needs at least {MIN_SIDE} px on each side: "
            "use the original instead of a thumbnail."
        )
    if width * height > MAX_PIXELS or max(width, height) > MAX_SIDE:
        raise ImageError(
            f"The picture is {width}×{height} px; the limits are {MAX_PIXELS // 10**6} million pixels and "
            f"{MAX_SIDE} px on the longest side: reduce it and try again."
        )


def remarks(grey: Grey) -> tuple[str, ...]:
    """Return warnings about a film (H, W) that hold whatever its format."""
    height, width = grey.shape
    found = []
    if min(height, width) < _ADVISED_SIDE:
        found.append(f"the film is only {width}×{height} px: fine detail is lost below {_ADVISED_SIDE} px")
    step = max(1, min(height, width) // 32)  # a sparse grid tells contrast as well, at a tenth of the time
    white = 255 if grey.dtype == np.uint8 else 1
    if float(grey[::step, ::step].std()) < _FLAT * white:
        found.append("the film has practically no contrast: it is blank, or its window does not fit")
    return tuple(found)


def white_of(maximum: float) -> int:
    """Return the white of the depth that data use: the smallest of 2^8, 2^10 … 2^16, less 1, ≥ `maximum`.

    A 16-bit container often holds 8 to 14 bits; divided by 65535 such a film would be nearly black.
    """
    return next((2**bits - 1 for bits in (8, 10, 12, 14) if maximum < 2**bits), 2**16 - 1)


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
    except Exception as error:
        raise ImageError(
            f"This {kind} can't be decoded ({type(error).__name__}): it is damaged, incomplete or of a rare "
            "variant. Copy it again from its source, or export it anew as PNG or JPEG."
        ) from error
