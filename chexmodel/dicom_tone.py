"""Stored DICOM values → [0, 1]: modality LUT or rescale, VOI LUT or window, inversion, padding, colour."""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.pixels.processing import apply_color_lut

from chexmodel.errors import ImageError
from chexmodel.film import Pixels, strips, white_of
from chexmodel.language import tr

_LUMA = np.array([0.299, 0.587, 0.114], dtype=np.float32)  # ITU-R BT.601, as JPEG and Pillow have it
_FUNCTIONS = ("LINEAR", "LINEAR_EXACT", "SIGMOID")  # PS3.3 C.11.2.1.3


Step = Callable[[Pixels], Pixels]
"""Changes grey values, each by itself; may do so in place."""


class Toned(NamedTuple):
    """pixels (H, W) in [0, 1], bone white; what was done; what to warn of; the window applied, if any."""

    pixels: Pixels
    actions: list[str]
    warnings: list[str]
    window: str | None


def colour_tone(stored: NDArray[Any], header: Dataset) -> Toned:
    """Turn RGB values (H, W, 3), or palette indices (H, W), to grey.

    Raises:
        ImageError: the header's depth is none.
    """
    photometric, white = header.PhotometricInterpretation, 2**header.BitsStored - 1
    if photometric == "PALETTE COLOR":
        stored = apply_color_lut(stored, header)
        white = np.iinfo(stored.dtype).max
    grey = _finite(np.clip(stored.astype(np.float32) @ _LUMA / white, 0, 1))
    return Toned(grey, [tr("converted {colours} to grey", colours=photometric)], [], None)


def monochrome_tone(stored: NDArray[Any], header: Dataset) -> Toned:
    """Bring stored integers (H, W) of MONOCHROME1 or MONOCHROME2 to [0, 1] as the header asks.

    Values are rescaled, windowed, inverted; padding counts for no range and ends up black.

    Raises:
        ImageError: the header's numbers make no finite grey values.
    """
    padding = _padding(stored, header)
    rescale, actions = _rescale(header)
    tone, window, warnings = _window(header, partial(_below_zero, stored, rescale))
    if window is not None:
        actions.append(tr("applied {window}", window=window))
    elif header.BitsStored <= 8 and not actions and stored.min() >= 0:
        tone = partial(_ready, white=2**header.BitsStored - 1)
    else:
        low, high = _range(stored, padding, rescale)
        tone = partial(_stretched, low=low, high=high)
        actions.append(
            tr(
                "stretched its own range {low:g} to {high:g} over black to white: there is no window",
                low=low,
                high=high,
            )
        )
    inverted = header.PhotometricInterpretation == "MONOCHROME1"
    if inverted:
        actions.append(tr("inverted MONOCHROME1"))
    if padding is not None:
        actions.append(tr("blackened the padding"))
    pixels = np.empty(stored.shape, np.float32)
    for rows in strips(stored.shape):
        values = pixels[rows]
        values[:] = stored[rows]
        toned = tone(rescale(values))
        if inverted:
            toned = np.subtract(1, toned, out=toned)
        if padding is not None:
            toned[padding[rows]] = 0
        pixels[rows] = _finite(toned)
    return Toned(pixels, actions, warnings, window)


def _finite(pixels: Pixels) -> Pixels:
    if not np.isfinite(pixels.min()):  # slopes such as 1e38 or NaN; min() hands a NaN on
        raise ImageError(tr("The grey scale that this DICOM's header defines is not finite: export it anew."))
    return pixels


def _padding(stored: NDArray[Any], header: Dataset) -> NDArray[np.bool_] | None:
    """Return where the film is padding, or None where no pixel or every pixel would be."""
    value = header.get("PixelPaddingValue")
    if value is None:
        return None
    limit = header.get("PixelPaddingRangeLimit")
    low, high = sorted((int(value), int(value if limit is None else limit)))
    mask = (stored >= low) & (stored <= high)
    return mask if mask.any() and not mask.all() else None


def _range(stored: NDArray[Any], padding: NDArray[np.bool_] | None, rescale: Step) -> tuple[float, float]:
    """Return the smallest and the largest rescaled value of what is no padding."""
    if rescale is _same:  # of integers, whose ends are found in half the time
        real = stored if padding is None else stored[~padding]
        return float(real.min()), float(real.max())
    ends = []
    for rows in strips(stored.shape):
        part = stored[rows] if padding is None else stored[rows][~padding[rows]]
        if part.size:
            values = rescale(part.astype(np.float32))
            ends.append((float(values.min()), float(values.max())))
    lows, highs = zip(*ends, strict=True)
    return min(lows), max(highs)


def _rescale(header: Dataset) -> tuple[Step, list[str]]:
    """Return the modality LUT, or slope and intercept; no action where there is nothing to do."""
    if sequence := header.get("ModalityLUTSequence"):
        table, first = _table(sequence[0], header)
        return partial(_look_up, table=table, first=first), [tr("applied the modality LUT")]
    slope, intercept = _first(header, "RescaleSlope", 1.0), _first(header, "RescaleIntercept", 0.0)
    if (slope, intercept) == (1, 0):
        return _same, []
    done = tr("applied rescale slope {slope:g} intercept {intercept:g}", slope=slope, intercept=intercept)
    return partial(_linear, slope=slope, intercept=intercept), [done]


def _below_zero(stored: NDArray[Any], rescale: Step) -> bool:
    """Whether the smallest or the largest stored value is negative once it is rescaled."""
    ends = rescale(np.array([stored.min(), stored.max()], np.float32))
    return float(ends.min()) < 0


def _window(header: Dataset, below_zero: Callable[[], bool]) -> tuple[Step, str | None, list[str]]:
    """Return the VOI LUT or the first window, to [0, 1]; its name, None where there is none; warnings.

    below_zero: tells whether rescaled values are negative; asked only where it matters, as it takes time.
    """
    if sequence := header.get("VOILUTSequence"):
        table, first = _table(sequence[0], header)
        if first >= 2**15 and below_zero():
            first -= 2**16  # PS3.3 C.11.2.1.1: signed as what it is applied to, which pydicom does not know
        table /= np.float32(_white(sequence[0], table))
        voi = partial(_look_up, table=table, first=first)
        return voi, tr("VOI LUT of {count} entries", count=table.size), []
    if header.get("WindowCenter") is None or header.get("WindowWidth") is None:
        return _same, None, []
    centre, width = _first(header, "WindowCenter", 0.0), _first(header, "WindowWidth", 0.0)
    stated = str(header.get("VOILUTFunction") or "").upper()
    # Any other text might be a name, or a link: it is not quoted, and counts as not stated.
    function = stated if stated in _FUNCTIONS else "LINEAR"
    if width < 1 if function == "LINEAR" else width <= 0:
        ignored = tr("the header's window of width {width:g} is invalid and was ignored", width=width)
        return _same, None, [ignored]
    name = _name(centre, width, function)
    if function == "SIGMOID":
        return partial(_sigmoid, centre=centre, width=width), name, []
    if function == "LINEAR":  # PS3.3 C.11.2.1.2.1: half a grey value off, by definition
        if width == 1:
            return partial(_above, limit=centre - 0.5), name, []
        centre, width = centre - 0.5, width - 1
    return partial(_between, centre=centre, width=width), name, []


def _same(values: Pixels) -> Pixels:
    return values


def _linear(values: Pixels, *, slope: float, intercept: float) -> Pixels:
    values *= np.float32(slope)
    values += np.float32(intercept)
    return values


def _ready(values: Pixels, *, white: int) -> Pixels:
    values /= np.float32(white)
    return np.minimum(values, 1, out=values)


def _stretched(values: Pixels, *, low: float, high: float) -> Pixels:
    values -= np.float32(low)
    values /= np.float32(max(high - low, 1e-6))
    return np.clip(values, 0, 1, out=values)


def _between(values: Pixels, *, centre: float, width: float) -> Pixels:
    values -= np.float32(centre)
    values /= np.float32(width)
    values += np.float32(0.5)
    return np.clip(values, 0, 1, out=values)


def _above(values: Pixels, *, limit: float) -> Pixels:
    return (values > np.float32(limit)).astype(np.float32)


def _sigmoid(values: Pixels, *, centre: float, width: float) -> Pixels:
    pixels: Pixels = 1 / (1 + np.exp(np.clip(-4 * (values - centre) / width, -80, 80)))
    return pixels


def _name(centre: float, width: float, function: str) -> str:
    if function == "LINEAR":
        return tr("center {centre:g}, width {width:g}", centre=centre, width=width)
    return tr(
        "center {centre:g}, width {width:g} ({function})", centre=centre, width=width, function=function
    )


def _table(item: Dataset, header: Dataset) -> tuple[Pixels, int]:
    """Return a LUT's entries as float32 (n,) and the value that its first entry stands for."""
    entries, first, bits = (int(value) for value in item.LUTDescriptor)
    count = entries & 0xFFFF or 2**16  # 0 stands for 65,536, and a signed header makes large counts negative
    data = item.LUTData
    if isinstance(data, bytes):
        wide = "<u2" if header.original_encoding[1] else ">u2"
        data = np.frombuffer(data, "u1" if bits == 8 and len(data) < 2 * count else wide)
    return np.asarray(data).ravel()[:count].astype(np.float32), first


def _white(item: Dataset, table: Pixels) -> int:
    """Return the white of a VOI LUT: of the bits that it states, PS3.3 C.11.2.1.1.

    But 16 are stated of tables of 12 too, which would be black to the eye: then, or where an entry exceeds
    what is stated, the white of what it uses.
    """
    bits, largest = int(item.LUTDescriptor[2]), float(table.max())
    return 2**bits - 1 if 8 <= bits < 16 and largest < 2**bits else white_of(largest)


def _look_up(values: Pixels, table: Pixels, first: int) -> Pixels:
    index = np.clip(np.rint(values) - first, 0, table.size - 1).astype(np.intp)
    pixels: Pixels = table[index]
    return pixels


def _first(header: Dataset, keyword: str, default: float) -> float:
    """Return the number, or the first of several."""
    value = header.get(keyword)
    return default if value is None else float(np.ravel(np.asarray(value, dtype=float))[0])
