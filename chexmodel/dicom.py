"""DICOM → grey film: modality rescale, window, inversion, in the order the standard sets.

Only the elements named here are read from the file: names, identifiers and dates are never loaded.
"""

import re
from io import BytesIO
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset, dcmread
from pydicom.encaps import get_frame
from pydicom.filereader import read_dataset
from pydicom.pixels.decoders.base import get_decoder
from pydicom.pixels.utils import pixel_array
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000TransferSyntaxes,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSTransferSyntaxes,
    RLELossless,
)

from chexmodel import isolated
from chexmodel.dicom_tone import colour_tone, monochrome_tone
from chexmodel.errors import ImageError
from chexmodel.film import Film, InputAudit, as_image_error, check_size, remarks

_RGB = ("Red", "Green", "Blue")
_TAGS: Final = [
    *("SOPClassUID", "Modality", "ViewPosition", "PatientAge", "BurnedInAnnotation"),
    *("Rows", "Columns", "SamplesPerPixel", "NumberOfFrames", "PhotometricInterpretation"),
    *("PlanarConfiguration", "BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation", "PixelData"),
    *("PixelPaddingValue", "PixelPaddingRangeLimit"),
    *("PixelAspectRatio", "PixelSpacing", "ImagerPixelSpacing"),
    *("RescaleSlope", "RescaleIntercept", "ModalityLUTSequence", "LUTDescriptor", "LUTData"),
    *("WindowCenter", "WindowWidth", "VOILUTFunction", "VOILUTSequence"),
    *(f"{colour}PaletteColorLookupTable{part}" for colour in _RGB for part in ("Descriptor", "Data")),
    *(f"Segmented{colour}PaletteColorLookupTableData" for colour in _RGB),
]
_MONOCHROME = ("MONOCHROME1", "MONOCHROME2")
_COLOUR = ("RGB", "YBR_FULL", "YBR_FULL_422", "YBR_ICT", "YBR_RCT", "PALETTE COLOR")
_PROJECTION = ("CR", "DX", "DR", "RG", "RF", "SC", "OT")
_VIEWS: Final[dict[str, Literal["AP", "PA", "LATERAL"]]] = {
    **{"AP": "AP", "PA": "PA"},
    **dict.fromkeys(("LATERAL", "LAT", "LL", "RL"), "LATERAL"),
}
_PLUGINS: Final[dict[str, str]] = {  # the decoders that survive damaged data
    **dict.fromkeys((JPEGBaseline8Bit, JPEGExtended12Bit), "pillow"),
    **dict.fromkeys(JPEG2000TransferSyntaxes, "pylibjpeg"),
}
_ISOLATED: Final = (JPEGLossless, JPEGLosslessSV1, *JPEGLSTransferSyntaxes)  # only GDCM reads these
_START_OF_FRAME = {*range(0xC0, 0xD0), 0xF7} - {0xC4, 0xC8, 0xCC}  # 0xF7: JPEG-LS


def read_dicom(data: bytes) -> Film:
    """Read one single-frame DICOM film.

    Modality LUT or rescale, then VOI LUT or the first window, then [0, 1], then MONOCHROME1 inverted.
    Without a window, unscaled data of up to 8 bits are taken as ready to display (divided by white), and
    deeper data are stretched over their own range, padding left out. Padding ends up black.

    Args:
        data: the file's bytes, with or without the 128-byte preamble.

    Returns:
        The film, (H, W) float32 in [0, 1], bone white, and its audit.

    Raises:
        ImageError: damaged, deflated, multi-frame, without a picture, beyond the size limits, or coded in a
            way that is not read; sizes are checked before decoding, in the header and in the compressed data.
    """
    # An absurd scale in the header may overflow: that is judged by the result, so NumPy need not warn.
    with as_image_error("DICOM"), np.errstate(over="ignore", invalid="ignore"):
        header = _parse(data)
        photometric = _check(header)
        stored = _decode(header, data)
        tone = colour_tone if photometric in _COLOUR else monochrome_tone
        toned = tone(stored, header)
        if not np.isfinite(toned.pixels.min()):  # slopes such as 1e38 or NaN; min() hands a NaN on
            raise ImageError("The grey scale that this DICOM's header defines is not finite: export it anew.")
        view, age = _VIEWS.get(str(header.get("ViewPosition") or "")), _age(header)
        audit = InputAudit(
            format="DICOM",
            width=toned.pixels.shape[1],
            height=toned.pixels.shape[0],
            bits=header.BitsStored,
            photometric=photometric,
            window=toned.window,
            view=view,
            transfer_syntax=header.file_meta.TransferSyntaxUID.name,
            age_years=age,
            actions=tuple(toned.actions),
            warnings=(*toned.warnings, *_header_warnings(header), *remarks(toned.pixels)),
        )
        return Film(toned.pixels, audit)


def _parse(data: bytes) -> Dataset:
    """Parse the header; never inflate: a deflated file of 50 MB may hold 50 GB."""
    stream = BytesIO(data)
    stream.seek(132 if data[128:132] == b"DICM" else 0)
    meta = read_dataset(stream, False, True, stop_when=lambda tag, *_: tag >> 16 != 2)
    if meta.get("TransferSyntaxUID") == DeflatedExplicitVRLittleEndian:
        raise ImageError(
            "This DICOM is deflated as a whole: export it uncompressed (Explicit VR Little Endian)."
        )
    header = dcmread(BytesIO(data), force=True, specific_tags=_TAGS)
    if "TransferSyntaxUID" not in header.file_meta:
        implicit, little = header.original_encoding
        explicit = ExplicitVRLittleEndian if little else ExplicitVRBigEndian
        header.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian if implicit else explicit
    return header


def _check(header: Dataset) -> str:
    """Refuse what is no single film or too large to decode; return the photometric interpretation."""
    if "PixelData" not in header:
        kind = UID(header.get("SOPClassUID") or "").name or "an object of no stated class"
        raise ImageError(
            f"This DICOM holds no picture (it is: {kind}): choose the film of the study instead."
        )
    if (frames := int(header.get("NumberOfFrames") or 1)) > 1:
        raise ImageError(f"This DICOM holds {frames} frames: export the one to be read as a file of its own.")
    missing = [
        name for name in ("Rows", "Columns", "BitsStored", "BitsAllocated") if header.get(name) is None
    ]
    if missing:
        raise ImageError(f"This DICOM lacks {', '.join(missing)}: it is damaged; export it anew.")
    check_size(header.Columns, header.Rows)
    photometric = str(header.get("PhotometricInterpretation") or "")
    samples = {1: (*_MONOCHROME, "PALETTE COLOR"), 3: _COLOUR[:-1]}
    if photometric not in samples.get(header.get("SamplesPerPixel", 1), ()):
        raise ImageError(
            "The colour coding of this DICOM is not read here: export it as MONOCHROME2 or as PNG."
        )
    _check_compressed(header)
    return photometric


def _check_compressed(header: Dataset) -> None:
    """Hold the compressed stream against the header: a decoder allocates what the stream claims."""
    syntax = header.file_meta.TransferSyntaxUID
    try:
        get_decoder(syntax)
    except NotImplementedError as error:
        raise ImageError(
            f"Pixels coded as {syntax.name} are not read here: export it uncompressed."
        ) from error
    if not syntax.is_encapsulated:
        return
    stream = get_frame(header.PixelData, 0, number_of_frames=1)
    if syntax == RLELossless:
        raw = header.Rows * header.Columns * header.get("SamplesPerPixel", 1) * header.BitsAllocated // 8
        fits = len(stream) <= 2 * raw + 1024  # run lengths at worst add 1 byte in 128
    else:
        fits = _codestream_size(stream) == (header.Columns, header.Rows)
    if not fits:
        raise ImageError(
            "The compressed picture in this DICOM is not of the size the header says: export it anew."
        )


def _codestream_size(stream: bytes) -> tuple[int, int] | None:
    """Return (width, height) that a JPEG, JPEG-LS or JPEG 2000 stream itself declares."""
    if not stream.startswith(b"\xff\xd8"):
        start = stream.find(b"\xff\x4f\xff\x51")  # at 0, or behind the boxes of a JP2 file
        if start < 0:
            return None
        right, bottom, left, top = np.frombuffer(stream, ">u4", count=4, offset=start + 8).tolist()
        return right - left, bottom - top
    at = 2
    while at + 9 <= len(stream) and stream[at] == 0xFF:
        if stream[at + 1] in _START_OF_FRAME:
            return int.from_bytes(stream[at + 7 : at + 9]), int.from_bytes(stream[at + 5 : at + 7])
        # a second 0xFF is filling; everything else before the frame is a segment with its length
        at += 1 if stream[at + 1] == 0xFF else 2 + int.from_bytes(stream[at + 2 : at + 4])
    return None


def _decode(header: Dataset, data: bytes) -> NDArray[Any]:
    """Return the stored values: (H, W) or (H, W, 3) integers."""
    try:
        if header.file_meta.TransferSyntaxUID in _ISOLATED:
            return isolated.decode(data)
        plugin = _PLUGINS.get(header.file_meta.TransferSyntaxUID, "")
        return np.asarray(pixel_array(header, decoding_plugin=plugin))
    except Exception as error:
        raise ImageError(
            f"The pixels of this DICOM ({header.file_meta.TransferSyntaxUID.name}) can't be decoded: "
            "they are damaged or incomplete, or of a rare variant. Export it uncompressed, or as PNG."
        ) from error


def _age(header: Dataset) -> int | None:
    """Return whole years of e.g. "062Y", "018M", or of a bare "62" (taken as years); None if implausible."""
    match = re.fullmatch(r"\s*(\d{1,3})([YMWD]?)\s*", str(header.get("PatientAge") or ""))
    if match is None:
        return None
    years = int(match[1]) // {"Y": 1, "": 1, "M": 12, "W": 52, "D": 365}[match[2]]
    return years if years <= 120 else None


def _header_warnings(header: Dataset) -> list[str]:
    found = []
    if _VIEWS.get(str(header.get("ViewPosition") or "")) == "LATERAL":
        found.append("the header says that this is a lateral view: the model reads frontal films only")
    if str(header.get("BurnedInAnnotation") or "").upper() == "YES":
        found.append("the header says that text is burned into the picture: it may name the patient")
    if (modality := str(header.get("Modality") or "CR")) not in _PROJECTION:
        found.append(f"the header says modality {modality[:16]}: that is not a chest radiograph")
    for name in ("PixelAspectRatio", "PixelSpacing", "ImagerPixelSpacing"):
        spacing = header.get(name)
        if spacing and len(spacing) == 2 and abs(float(spacing[0]) / float(spacing[1]) - 1) > 0.01:
            found.append(f"the pixels are not square ({name}): the film is shown as stored, not stretched")
            break
    return found
