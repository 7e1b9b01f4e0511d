"""Bytes → grey film: PNG, JPEG, TIFF, DICOM and arrays, with limits and an account of what was done.

`read` is the only way in, for training, app and command line alike: the same file gives the same pixels.
"""

from io import BytesIO
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageOps, TiffImagePlugin
from torchvision.io import ImageReadMode, decode_jpeg

from chexmodel.dicom import read_dicom
from chexmodel.errors import ImageError
from chexmodel.filetype import file_type
from chexmodel.film import (
    MAX_BYTES,
    MAX_PIXELS,
    MAX_SIDE,
    MIN_SIDE,
    Film,
    Grey,
    InputAudit,
    Pixels,
    as_image_error,
    check_bytes,
    check_size,
    remarks,
    white_of,
)

__all__ = ["MAX_BYTES", "MAX_PIXELS", "MAX_SIDE", "MIN_SIDE", "Film", "InputAudit", "Source", "read"]

Source = bytes | Path | np.ndarray

_PHOTOMETRIC: Final = {  # Pillow's modes in plain words; the others (RGB, CMYK, …) are plain already
    **{"1": "black and white", "P": "palette", "PA": "palette", "LA": "grayscale with alpha"},
    **dict.fromkeys(("L", "F", "I", "I;16", "I;16B", "I;16L", "I;16N"), "grayscale"),
}
_COLOURFUL = 0.04  # mean spread between the channels, of [0, 1]; a small coloured label stays below it
_COLOUR_WARNING = "the picture has colour: it is probably not a radiograph"


def read(source: Source) -> Film:
    """Read one film.

    Args:
        source: the bytes of a PNG, JPEG, TIFF or DICOM file; the path of one; or an array (H, W) of
            uint8, uint16 or float in [0, 1], brighter = denser.

    Returns:
        The film, (H, W) with bone white, and the audit of what was done to it.

    Raises:
        ImageError: the source can't be read, is no radiograph file, or exceeds a limit (50 MB, 64 million
            pixels, 10,000 px a side; all checked before decoding). Bad bytes raise nothing else.
    """
    if isinstance(source, bytes):
        return _read_bytes(source)
    if isinstance(source, Path):
        try:
            return _read_bytes(_load(source))
        except ImageError as error:
            raise ImageError(f"{source}: {error}") from error
    if isinstance(source, np.ndarray):
        return _read_array(source)
    raise ImageError(
        f"A film is given as bytes, a pathlib.Path or a NumPy array, not {type(source).__name__}."
    )


def _load(path: Path) -> bytes:
    try:
        size = path.stat().st_size
        check_bytes(size)
        with path.open("rb") as file:
            return file.read(size)  # not read(): a device or a growing file has no honest size
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise ImageError(f"can't be opened ({reason}): check the path and your rights on it.") from error


def _read_bytes(data: bytes) -> Film:
    check_bytes(len(data))
    kind = file_type(data)
    with as_image_error(kind):
        if kind == "DICOM":
            return read_dicom(data)
        return _read_jpeg(data) if kind == "JPEG" else _read_with_pillow(data, kind)


def _read_jpeg(data: bytes) -> Film:
    """Decode with torchvision; Pillow reads only the header, and a thumbnail if there may be colour."""
    header = Image.open(BytesIO(data), formats=("JPEG",))
    check_size(*header.size)
    orientation = header.getexif().get(ExifTags.Base.Orientation, 1) if "exif" in header.info else 1
    encoded = torch.frombuffer(bytearray(data), dtype=torch.uint8)  # copied: torch warns of read-only memory
    grey = decode_jpeg(encoded, mode=ImageReadMode.GRAY, apply_exif_orientation=True)[0].numpy()

    actions, warnings = _orientation_actions(orientation), list[str]()
    mode = header.mode
    if mode != "L":
        actions.append(f"converted {mode} to grey")
        header.draft("RGB", (64, 64))  # libjpeg then decodes an eighth of each side: colour at little cost
        warnings += _colour_warnings(header.convert("RGB"))
    audit = InputAudit(
        format="JPEG",
        width=grey.shape[1],
        height=grey.shape[0],
        bits=8,
        photometric=_PHOTOMETRIC.get(mode, mode),
        actions=tuple(actions),
        warnings=(*warnings, *remarks(grey)),
    )
    return Film(grey, audit)


def _read_with_pillow(data: bytes, kind: Literal["PNG", "TIFF"]) -> Film:
    image = Image.open(BytesIO(data), formats=(kind,))
    check_size(*image.size)
    if _has_several(image):
        raise ImageError(
            f"This {kind} holds several pictures: export the one to be read as a file of its own."
        )
    # Loading a TIFF rotates it and forgets its orientation: ask first.
    bits, orientation = _stored_bits(image, data), image.getexif().get(ExifTags.Base.Orientation, 1)
    upright = ImageOps.exif_transpose(image)
    actions = _orientation_actions(orientation)
    grey, done, warnings = _grey(upright, bits)
    actions += done
    if isinstance(image, TiffImagePlugin.TiffImageFile) and image.tag_v2.get(262) == 0:
        if image.mode not in ("1", "L"):  # up to 8 bits Pillow inverts on loading, above it does not
            grey = 1 - grey
        actions.append("inverted MinIsWhite")
    audit = InputAudit(
        format=kind,
        width=grey.shape[1],
        height=grey.shape[0],
        bits=bits,
        photometric="grayscale"
        if image.mode.startswith("I;16")
        else _PHOTOMETRIC.get(image.mode, image.mode),
        actions=tuple(actions),
        warnings=(*warnings, *remarks(grey)),
    )
    return Film(grey, audit)


def _has_several(image: Image.Image) -> bool:
    if not isinstance(image, TiffImagePlugin.TiffImageFile):
        return bool(getattr(image, "is_animated", False))
    try:
        image.seek(1)  # `n_frames` would walk through all of them, however many a crafted file claims
    except EOFError:
        return False
    return True


def _stored_bits(image: Image.Image, data: bytes) -> int:
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        return int(image.tag_v2.get(258, (1,))[0])
    return data[24]  # IHDR is the first chunk of every PNG


def _grey(image: Image.Image, bits: int) -> tuple[Grey, list[str], list[str]]:
    """Return grey values (H, W), actions and warnings of a Pillow image of any mode."""
    transparent = image.has_transparency_data
    if image.mode == "F":
        return _unit_floats(np.asarray(image)), [], []
    if image.mode == "I" or image.mode.startswith("I;16"):
        return *_scale(np.asarray(image)), []
    if image.mode in ("1", "L") and not transparent:
        return np.array(image.convert("L")), [], []
    actions = []
    if transparent:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "black"), image)
        actions.append("composited its transparency on black")
    elif image.mode != "RGB" or bits <= 8:
        actions.append(f"converted {_PHOTOMETRIC.get(image.mode, image.mode)} to grey")
    else:
        actions.append(f"converted {bits}-bit RGB to grey at 8 bits")
    colour = image.convert("RGB")
    return np.array(colour.convert("L")), actions, _colour_warnings(colour)


def _scale(values: NDArray[Any]) -> tuple[Pixels, list[str]]:
    """Bring unsigned integers of up to 16 bits to [0, 1] by the depth that the data really use."""
    low, high = int(values.min()), int(values.max())
    if low < 0 or high > 65535:
        raise ImageError(f"The grey values span {low} to {high}: export the film with 8 or 16 unsigned bits.")
    white = white_of(high)
    actions = [] if white == 65535 else [f"scaled by {white}: the data use {white.bit_length()} of 16 bits"]
    return np.divide(values, white, dtype=np.float32), actions


def _unit_floats(values: NDArray[Any]) -> Pixels:
    # `not (…)`: comparisons with NaN are false
    if not (float(values.min()) >= 0 and float(values.max()) <= 1):
        raise ImageError("Floating-point films must lie in [0, 1], without NaN: divide by the white value.")
    return values.astype(np.float32)


def _read_array(values: NDArray[Any]) -> Film:
    if values.ndim != 2:
        raise ImageError(f"A film array is (H, W), not {values.shape}: convert to grey first.")
    check_size(values.shape[1], values.shape[0])
    actions = list[str]()
    grey: Grey
    if values.dtype.kind == "f":
        grey = _unit_floats(values)
    elif values.dtype == np.uint8:
        grey = values.copy()
    elif values.dtype.kind == "u" and values.dtype.itemsize == 2:  # of either byte order
        grey, actions = _scale(values)
    else:
        raise ImageError(f"A film array is uint8, uint16 or float in [0, 1], not {values.dtype}: convert it.")
    audit = InputAudit(
        format="array",
        width=grey.shape[1],
        height=grey.shape[0],
        bits=8 * values.dtype.itemsize,
        photometric="grayscale",
        actions=tuple(actions),
        warnings=remarks(grey),
    )
    return Film(grey, audit)


def _orientation_actions(orientation: int) -> list[str]:
    turned = orientation in range(2, 9)  # 1 is upright; anything else is no orientation, and left alone
    return [f"turned or mirrored as EXIF orientation {orientation} asks"] if turned else []


def _colour_warnings(image: Image.Image) -> list[str]:
    image.thumbnail((128, 128), Image.Resampling.BOX)  # in place: the caller has taken what it needs
    channels = np.asarray(image, dtype=np.float32) / 255
    return [_COLOUR_WARNING] if float(np.ptp(channels, axis=2).mean()) > _COLOURFUL else []
