"""DICOM → grey film: modality rescale, window, inversion, in the order the standard sets."""

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.encaps import get_frame
from pydicom.pixels.utils import pixel_array
from pydicom.uid import (
    HTJ2K,
    JPEG2000,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    HTJ2KLossless,
    HTJ2KLosslessRPCL,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    JPEGLSNearLossless,
    RLELossless,
)

from chexmodel import dicom_header, isolated
from chexmodel.dicom_tone import colour_tone, monochrome_tone
from chexmodel.errors import ImageError
from chexmodel.film import Film, InputAudit, as_image_error, check_size
from chexmodel.language import tr

_MONOCHROME = ("MONOCHROME1", "MONOCHROME2")
_COLOUR = ("RGB", "YBR_FULL", "YBR_FULL_422", "YBR_ICT", "YBR_RCT", "PALETTE COLOR")
_JPEG_2000: Final = (JPEG2000Lossless, JPEG2000, HTJ2K, HTJ2KLossless, HTJ2KLosslessRPCL)
_ISOLATED: Final = (
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    JPEGLSNearLossless,
)  # GDCM alone reads these
_PLUGINS: Final[dict[str, str]] = {  # the decoders that survive damaged data
    JPEGBaseline8Bit: "pillow",
    **dict.fromkeys(_JPEG_2000, "pylibjpeg"),
}
TRANSFER_SYNTAXES: Final = (
    *(ExplicitVRLittleEndian, ImplicitVRLittleEndian, ExplicitVRBigEndian, RLELossless, JPEGBaseline8Bit),
    *(*_ISOLATED, *_JPEG_2000),
)
"""Ways of coding pixels that are read."""
_START_OF_FRAME = {*range(0xC0, 0xD0), 0xF7} - {0xC4, 0xC8, 0xCC}  # 0xF7: JPEG-LS


def read_dicom(data: bytes, *, frame: int = 0, any_class: bool = False) -> Film:
    """Read one frame of a DICOM; the others are not decoded.

    Modality LUT or rescale, then VOI LUT or the first window, then [0, 1], then MONOCHROME1 inverted.
    Without a window, unscaled data of up to 8 bits are taken as ready to display (divided by white), and
    deeper data are stretched over their own range, padding left out. Padding ends up black.

    Args:
        data: the file's bytes, with or without the 128-byte preamble.
        frame: which picture of a multi-frame object, from 0.
        any_class: take objects that are no radiographs too.

    Returns:
        The film, (H, W) float32 in [0, 1], bone white, and its audit, without the hints of `quality`.

    Raises:
        ImageError: damaged, deflated, of another class, without a picture or this frame, beyond the size
            limits, or coded in a way that is not read; sizes are checked before decoding, in the header and
            in the compressed data.
    """
    # An absurd scale in the header may overflow: that is judged by the result, so NumPy need not warn.
    with as_image_error("DICOM"), np.errstate(over="ignore", invalid="ignore"):
        header = dicom_header.parse(data)
        if not header and dicom_header.peek(data).picture:  # pydicom drops all of a file that ends too early
            raise _damaged(header)
        photometric = _check(header, frame, any_class=any_class)
        stored = _decode(header, data, frame)
        tone = colour_tone if photometric in _COLOUR else monochrome_tone
        toned = tone(stored, header)
        audit = InputAudit(
            format="DICOM",
            width=toned.pixels.shape[1],
            height=toned.pixels.shape[0],
            bits=header.BitsStored,
            photometric=photometric,
            window=toned.window,
            view=dicom_header.view(header),
            transfer_syntax=header.file_meta.TransferSyntaxUID.name,
            age_years=dicom_header.age_years(header),
            frame=frame + 1,
            frames=dicom_header.frames(header),
            header=dicom_header.facts(header),
            actions=tuple(toned.actions),
            warnings=tuple(toned.warnings),
        )
        return Film(toned.pixels, audit)


def no_picture(kind: str) -> ImageError:
    """Make the error about an object that holds no picture; kind: what it is."""
    return ImageError(
        tr("This DICOM holds no picture (it is: {kind}): choose the film of the study instead.", kind=kind)
    )


def _check(header: Dataset, frame: int, *, any_class: bool) -> str:
    """Refuse what holds no such film or is too large to decode; return the photometric interpretation."""
    if "PixelData" not in header:
        raise no_picture(dicom_header.kind(header))
    if not any_class:
        dicom_header.check_class(dicom_header.sop_class(header))
    if not 0 <= frame < (count := dicom_header.frames(header)):
        raise ImageError(
            tr("This DICOM has no frame {frame}: it holds {count}.", frame=frame + 1, count=count)
        )
    missing = [
        name for name in ("Rows", "Columns", "BitsStored", "BitsAllocated") if header.get(name) is None
    ]
    if missing:
        raise ImageError(
            tr("This DICOM lacks {elements}: it is damaged; export it anew.", elements=", ".join(missing))
        )
    check_size(header.Columns, header.Rows)
    photometric = str(header.get("PhotometricInterpretation") or "")
    samples = {1: (*_MONOCHROME, "PALETTE COLOR"), 3: _COLOUR[:-1]}
    if photometric not in samples.get(header.get("SamplesPerPixel", 1), ()):
        raise ImageError(
            tr("The colour coding of this DICOM is not read here: export it as MONOCHROME2 or as PNG.")
        )
    _check_compressed(header, frame)
    return photometric


def _check_compressed(header: Dataset, frame: int) -> None:
    """Hold the compressed stream against the header: a decoder allocates what the stream claims."""
    syntax = header.file_meta.TransferSyntaxUID
    if syntax not in TRANSFER_SYNTAXES:
        raise ImageError(
            tr(
                "Pixels coded as {syntax} are not read here: export the film uncompressed.",
                syntax=syntax.name,
            )
        )
    if not syntax.is_encapsulated:
        # ACR-NEMA had the bits at the top of a word, DICOM no more: read as usual, they would be noise.
        if header.get("HighBit") not in (None, header.BitsStored - 1):
            raise ImageError(
                tr("The bits of this DICOM's pixels do not lie where the standard has them: export it anew.")
            )
        return
    offsets = (
        (header.ExtendedOffsetTable, header.ExtendedOffsetTableLengths)
        if "ExtendedOffsetTable" in header
        else None
    )
    count = dicom_header.frames(header)
    stream = get_frame(header.PixelData, frame, number_of_frames=count, extended_offsets=offsets)
    samples = header.get("SamplesPerPixel", 1)
    if syntax == RLELossless:
        raw = header.Rows * header.Columns * samples * header.BitsAllocated // 8
        fits = len(stream) <= 2 * raw + 1024  # run lengths at worst add 1 byte in 128
    else:
        fits = _codestream_size(stream) == (header.Columns, header.Rows, samples)
    if not fits:
        raise ImageError(
            tr("The compressed picture in this DICOM is not of the size the header says: export it anew.")
        )


def _codestream_size(stream: bytes) -> tuple[int, int, int] | None:
    """Return (width, height, samples a pixel) that a JPEG, JPEG-LS or JPEG 2000 stream itself declares."""
    if not stream.startswith(b"\xff\xd8"):
        start = stream.find(b"\xff\x4f\xff\x51")  # at 0, or behind the boxes of a JP2 file
        if start < 0:
            return None
        right, bottom, left, top = np.frombuffer(stream, ">u4", count=4, offset=start + 8).tolist()
        return right - left, bottom - top, int.from_bytes(stream[start + 40 : start + 42])
    at = 2
    while at + 10 <= len(stream) and stream[at] == 0xFF:
        if stream[at + 1] in _START_OF_FRAME:
            height, width = int.from_bytes(stream[at + 5 : at + 7]), int.from_bytes(stream[at + 7 : at + 9])
            return width, height, stream[at + 9]
        # a second 0xFF is filling; everything else before the frame is a segment with its length
        at += 1 if stream[at + 1] == 0xFF else 2 + int.from_bytes(stream[at + 2 : at + 4])
    return None


def _decode(header: Dataset, data: bytes, frame: int) -> NDArray[Any]:
    """Return the stored values: (H, W) or (H, W, 3) integers."""
    try:
        if header.file_meta.TransferSyntaxUID in _ISOLATED:
            return isolated.decode(data, frame)
        plugin = _PLUGINS.get(header.file_meta.TransferSyntaxUID, "")
        return np.asarray(pixel_array(header, index=frame, decoding_plugin=plugin))
    except Exception as error:
        raise _damaged(header) from error


def _damaged(header: Dataset) -> ImageError:
    return ImageError(
        tr(
            "The pixels of this DICOM ({syntax}) can't be decoded: they are damaged or incomplete, "
            "or of a rare variant. Export it uncompressed, or as PNG.",
            syntax=header.file_meta.TransferSyntaxUID.name,
        )
    )
