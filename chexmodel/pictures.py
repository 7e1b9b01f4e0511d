"""PNG, JPEG and TIFF → grey film: depth, palette, transparency, orientation, and whether it has colour."""

import warnings
from io import BytesIO
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageOps, TiffImagePlugin

from chexmodel.errors import ImageError
from chexmodel.film import MAX_PIXELS, Film, Grey, InputAudit, Pixels, check_size, white_of
from chexmodel.language import mark, tr

# Pillow warns of a large picture and raises at twice its limit: here both are refused, at our own.
Image.MAX_IMAGE_PIXELS = MAX_PIXELS
warnings.simplefilter("error", Image.DecompressionBombWarning)

_PHOTOMETRIC: Final = {  # Pillow's modes in plain words; the others (RGB, CMYK, …) are plain already
    **{"1": mark("black and white"), "LA": mark("grayscale with alpha")},
    **dict.fromkeys(("P", "PA"), mark("palette")),
    **dict.fromkeys(("L", "F", "I", "I;16", "I;16B", "I;16L", "I;16N"), mark("grayscale")),
}
_COLOURFUL = 0.04  # mean spread between the channels, of [0, 1]; a small coloured label stays below it


def read_jpeg(data: bytes) -> Film:
    """Decode as grey; a thumbnail in colour as well if there may be colour.

    Raises:
        ImageError: too large. Pillow's own errors pass.
    """
    image = _opened(data, "JPEG")
    mode = image.mode
    orientation = image.getexif().get(ExifTags.Base.Orientation, 1) if "exif" in image.info else 1
    turned, coloured = _turns(orientation), False
    image.draft("L", image.size)  # libjpeg then decodes the brightness alone; of CMYK it can't
    upright = ImageOps.exif_transpose(image) if turned else image
    grey = np.array(upright if upright.mode == "L" else upright.convert("L"))
    actions = _orientation_actions(orientation)
    if mode != "L":
        actions.append(tr("converted {colours} to grey", colours=mode))
        small = _opened(data, "JPEG")
        small.draft("RGB", (64, 64))  # libjpeg then decodes an eighth of each side: colour at little cost
        coloured = _is_coloured(small.convert("RGB"))
    audit = InputAudit(
        format="JPEG",
        width=grey.shape[1],
        height=grey.shape[0],
        bits=8,
        photometric=_photometric(mode),
        turned=turned,
        coloured=coloured,
        actions=tuple(actions),
    )
    return Film(grey, audit)


def read_with_pillow(data: bytes, kind: Literal["PNG", "TIFF"]) -> Film:
    """Decode the one picture of a PNG or TIFF.

    Raises:
        ImageError: too large, several pictures, or values without a known white. Pillow's own errors pass.
    """
    image = _opened(data, kind)
    if _has_several(image):
        raise ImageError(
            tr(
                "This {kind} holds several pictures: export the one to be read as a file of its own.",
                kind=kind,
            )
        )
    # Loading a TIFF rotates it and forgets its orientation: ask first.
    bits, orientation = _stored_bits(image, data), image.getexif().get(ExifTags.Base.Orientation, 1)
    upright = ImageOps.exif_transpose(image) if _turns(orientation) else image  # else it is a copy
    actions = _orientation_actions(orientation)
    grey, done, coloured = _grey(upright, bits)
    actions += done
    if isinstance(image, TiffImagePlugin.TiffImageFile) and image.tag_v2.get(262) == 0:
        if image.mode not in ("1", "L"):  # up to 8 bits Pillow inverts on loading, above it does not
            grey = 1 - grey
        actions.append(tr("inverted MinIsWhite"))
    audit = InputAudit(
        format=kind,
        width=grey.shape[1],
        height=grey.shape[0],
        bits=bits,
        photometric=_photometric("I;16" if image.mode.startswith("I;16") else image.mode),
        turned=_turns(orientation),
        coloured=coloured,
        actions=tuple(actions),
    )
    return Film(grey, audit)


def _opened(data: bytes, kind: Literal["PNG", "JPEG", "TIFF"]) -> Image.Image:
    """Read the header of a picture of this kind, and hold its size against the limits."""
    try:
        image = Image.open(BytesIO(data), formats=(kind,))
    except (Image.DecompressionBombWarning, Image.DecompressionBombError) as error:
        raise ImageError(
            tr(
                "The picture is larger than {millions} million pixels: reduce it and try again.",
                millions=MAX_PIXELS // 10**6,
            )
        ) from error
    check_size(*image.size)
    return image


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


def _photometric(mode: str) -> str:
    return tr(_PHOTOMETRIC.get(mode, mode))


def _grey(image: Image.Image, bits: int) -> tuple[Grey, list[str], bool]:
    """Return grey values (H, W), actions and whether it has colour, of a Pillow image of any mode."""
    transparent = image.has_transparency_data
    if image.mode == "F":
        return unit_floats(np.asarray(image)), [], False
    if image.mode == "I" or image.mode.startswith("I;16"):
        return *scaled(np.asarray(image)), False
    if image.mode in ("1", "L") and not transparent:
        return np.array(image.convert("L")), [], False
    actions = []
    if transparent:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "black"), image)
        actions.append(tr("composited its transparency on black"))
    elif image.mode != "RGB" or bits <= 8:
        actions.append(tr("converted {colours} to grey", colours=_photometric(image.mode)))
    else:
        actions.append(tr("converted {bits}-bit RGB to grey at 8 bits", bits=bits))
    colour = image if image.mode == "RGB" else image.convert("RGB")
    return np.array(colour.convert("L")), actions, _is_coloured(colour)


def scaled(values: NDArray[Any]) -> tuple[Pixels, list[str]]:
    """Bring unsigned integers of up to 16 bits to [0, 1] by the depth that the data really use."""
    low, high = int(values.min()), int(values.max())
    if low < 0 or high > 65535:
        raise ImageError(
            tr(
                "The grey values span {low} to {high}: export the film with 8 or 16 unsigned bits.",
                low=low,
                high=high,
            )
        )
    white = white_of(high)
    bits = white.bit_length()
    done = tr("scaled by {white}: the data use {bits} of 16 bits", white=white, bits=bits)
    actions = [] if white == 65535 else [done]
    return np.divide(values, white, dtype=np.float32), actions


def unit_floats(values: NDArray[Any]) -> Pixels:
    """Take floats as they are, as float32; raise `ImageError` if they leave [0, 1] or are NaN."""
    # `not (…)`: comparisons with NaN are false
    if not (float(values.min()) >= 0 and float(values.max()) <= 1):
        raise ImageError(
            tr("Floating-point films must lie in [0, 1], without NaN: divide by the white value.")
        )
    return values.astype(np.float32)


def _turns(orientation: int) -> bool:
    return orientation in range(2, 9)  # 1 is upright; anything else is no orientation, and left alone


def _orientation_actions(orientation: int) -> list[str]:
    if not _turns(orientation):
        return []
    return [tr("turned or mirrored as EXIF orientation {orientation} asks", orientation=orientation)]


def _is_coloured(image: Image.Image) -> bool:
    image.thumbnail((128, 128), Image.Resampling.BOX)  # in place: the caller has taken what it needs
    channels = np.asarray(image, dtype=np.float32) / 255
    return float(np.ptp(channels, axis=2).mean()) > _COLOURFUL
