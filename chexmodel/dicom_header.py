"""A DICOM's header → what the reader needs of it; names, identifiers and dates are never loaded.

`parse` gives what decoding needs, `facts` what an audit may tell, and `peek` what sorts the files of a study.
"""

import math
import re
from io import BytesIO
from typing import Any, Final, NamedTuple

from pydicom import Dataset, config, dcmread
from pydicom.filereader import read_dataset, read_partial
from pydicom.tag import BaseTag, Tag
from pydicom.uid import (
    UID,
    ComputedRadiographyImageStorage,
    DeflatedExplicitVRLittleEndian,
    DigitalXRayImageStorageForPresentation,
    DigitalXRayImageStorageForProcessing,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    MultiFrameGrayscaleByteSecondaryCaptureImageStorage,
    MultiFrameGrayscaleWordSecondaryCaptureImageStorage,
    MultiFrameTrueColorSecondaryCaptureImageStorage,
    SecondaryCaptureImageStorage,
)

from chexmodel.errors import ImageError
from chexmodel.film import Header, View
from chexmodel.language import tr

# pydicom warns of odd values on standard error and quotes them, which may be a patient's: be quiet.
config.settings.reading_validation_mode = config.IGNORE

SOP_CLASSES: Final = (
    ComputedRadiographyImageStorage,
    DigitalXRayImageStorageForPresentation,
    DigitalXRayImageStorageForProcessing,
    SecondaryCaptureImageStorage,
    MultiFrameGrayscaleByteSecondaryCaptureImageStorage,
    MultiFrameGrayscaleWordSecondaryCaptureImageStorage,
    MultiFrameTrueColorSecondaryCaptureImageStorage,
)
"""Classes of objects that are read: those in which radiographs come."""

_RGB = ("Red", "Green", "Blue")
_FACTS: Final = [
    *("SOPClassUID", "Modality", "ViewPosition", "ViewCodeSequence", "CodeMeaning", "BodyPartExamined"),
    *("PatientAge", "PatientOrientation", "BurnedInAnnotation", "PresentationIntentType", "NumberOfFrames"),
    *("PixelAspectRatio", "PixelSpacing", "ImagerPixelSpacing"),
    *("PhotometricInterpretation", "PresentationLUTShape"),
]
_TAGS: Final = [
    *_FACTS,
    *("Rows", "Columns", "SamplesPerPixel", "PlanarConfiguration"),
    *("BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation", "PixelData"),
    *("ExtendedOffsetTable", "ExtendedOffsetTableLengths", "PixelPaddingValue", "PixelPaddingRangeLimit"),
    *("RescaleSlope", "RescaleIntercept", "ModalityLUTSequence", "LUTDescriptor", "LUTData"),
    *("WindowCenter", "WindowWidth", "VOILUTFunction", "VOILUTSequence"),
    *(f"{colour}PaletteColorLookupTable{part}" for colour in _RGB for part in ("Descriptor", "Data")),
]
_PEEKED: Final[list[BaseTag | int]] = [
    Tag(name) for name in (*_FACTS, "StudyInstanceUID", "SeriesInstanceUID")
]
_PIXELS: Final = (0x7FE00008, 0x7FE00009, 0x7FE00010)  # float, double and integer pixel data
_VIEWS: Final[dict[str, View]] = {
    **{"AP": "AP", "PA": "PA"},
    **dict.fromkeys(("LATERAL", "LAT", "LL", "RL"), "LATERAL"),
}
_CODED_VIEWS: Final[tuple[tuple[str, View], ...]] = (  # meanings in DICOM's CID 4010
    (r"postero-?anterior", "PA"),
    (r"antero-?posterior", "AP"),
    (r"lateral", "LATERAL"),
)


class Peek(NamedTuple):
    """What sorts the files of a study, without their pixels.

    study, series: unique identifiers, "" where the header has none; for grouping only, not to be kept.
    picture: whether pixel data follow the header; kind: what the object is, in the standard's words.
    sop_class: its class, "" where none is stated.
    """

    facts: Header
    view: View | None
    frames: int
    study: str
    series: str
    picture: bool
    kind: str
    sop_class: str


def parse(data: bytes) -> Dataset:
    """Parse the header and hold the pixel data as they lie in the file; never inflate.

    Raises:
        ImageError: the data set is deflated as a whole: one of 50 MB may hold 50 GB.
    """
    _refuse_deflated(data)
    header = dcmread(BytesIO(data), force=True, specific_tags=_TAGS)
    if "TransferSyntaxUID" not in header.file_meta:
        implicit, little = header.original_encoding
        explicit = ExplicitVRLittleEndian if little else ExplicitVRBigEndian
        header.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian if implicit else explicit
    return header


def peek(data: bytes) -> Peek:
    """Look at the header alone, of a whole file or of its beginning.

    Raises:
        ImageError: as `parse`. Whatever pydicom raises on damaged bytes passes through.
    """
    _refuse_deflated(data)
    found = []

    def at_pixels(tag: Any, *_: object) -> bool:
        if tag in _PIXELS:
            found.append(tag)
        return bool(found)

    header = read_partial(BytesIO(data), at_pixels, force=True, specific_tags=_PEEKED)
    return Peek(
        facts=facts(header),
        view=view(header),
        frames=frames(header),
        study=str(header.get("StudyInstanceUID") or ""),
        series=str(header.get("SeriesInstanceUID") or ""),
        picture=bool(found),
        kind=kind(header),
        sop_class=sop_class(header),
    )


def _refuse_deflated(data: bytes) -> None:
    stream = BytesIO(data)
    stream.seek(132 if data[128:132] == b"DICM" else 0)
    meta = read_dataset(stream, False, True, stop_when=lambda tag, *_: tag >> 16 != 2)
    if meta.get("TransferSyntaxUID") == DeflatedExplicitVRLittleEndian:
        raise ImageError(
            tr("This DICOM is deflated as a whole: export it uncompressed (Explicit VR Little Endian).")
        )


def kind(header: Dataset) -> str:
    """Name the class of the object in the standard's words."""
    return _class_name(sop_class(header))


def sop_class(header: Dataset) -> str:
    """Return the identifier of the object's class, "" where it states none."""
    return str(header.get("SOPClassUID") or "")


def check_class(uid: str) -> None:
    """Raise `ImageError` for an object of a class that is not in `SOP_CLASSES`; "" is none, and passes.

    Tools that strip or convert headers drop the class. Of such a file nothing is known but its pixels, which
    are held to the same rules; one that says what it is, and is something else, is no radiograph.
    """
    if uid and uid not in SOP_CLASSES:
        raise ImageError(
            tr(
                "This DICOM is no radiograph (it is: {kind}): choose a film stored as Computed Radiography, "
                "Digital X-Ray or Secondary Capture.",
                kind=_class_name(uid),
            )
        )


def _class_name(uid: str) -> str:
    if not uid:
        return tr("an object of no stated class")
    known = UID(uid)
    return known.name if known.type else tr("an object of a private class")  # an unknown one has no type


def frames(header: Dataset) -> int:
    """Return the number of pictures in the object, at least 1."""
    return max(int(header.get("NumberOfFrames") or 1), 1)


def view(header: Dataset) -> View | None:
    """Return the view that the header states: its position, else its code, else where its rows run."""
    if stated := _VIEWS.get(_code(header, "ViewPosition") or ""):
        return stated
    for item in header.get("ViewCodeSequence") or ():
        meaning = str(item.get("CodeMeaning") or "").lower()
        for pattern, coded in _CODED_VIEWS:
            if re.search(pattern, meaning) and "oblique" not in meaning:
                return coded
    along_rows = (_orientation(header) or "").partition("\\")[0]
    return "LATERAL" if along_rows in ("A", "P") else None


def age_years(header: Dataset) -> int | None:
    """Return whole years of e.g. "062Y", "018M", or of a bare "62" (taken as years); None if implausible."""
    match = re.fullmatch(r"\s*(\d{1,3})([YMWD]?)\s*", str(header.get("PatientAge") or ""))
    if match is None:
        return None
    years = int(match[1]) // {"Y": 1, "": 1, "M": 12, "W": 52, "D": 365}[match[2]]
    return years if years <= 120 else None


def facts(header: Dataset) -> Header:
    """Return what the header says that bears on trust in the reading."""
    return Header(
        modality=_code(header, "Modality"),
        body_part=_code(header, "BodyPartExamined"),
        orientation=_orientation(header),
        pixel_aspect=_aspect(header),
        burned_in_text=_code(header, "BurnedInAnnotation") == "YES",
        for_processing=_code(header, "PresentationIntentType") == "FOR PROCESSING"
        or header.get("SOPClassUID") == DigitalXRayImageStorageForProcessing,
        contradictory_tone=(_code(header, "PhotometricInterpretation"), _code(header, "PresentationLUTShape"))
        in (("MONOCHROME1", "IDENTITY"), ("MONOCHROME2", "INVERSE")),
    )


def _code(header: Dataset, keyword: str) -> str | None:
    """Return a coded value; None for anything that is not spelled as a code, which might be a name."""
    value = str(header.get(keyword) or "").strip().upper()
    return value if re.fullmatch(r"[A-Z0-9 _]{1,16}", value) else None


def _orientation(header: Dataset) -> str | None:
    r"""Return the directions in which rows and columns run, as "L\F"."""
    values = [str(value).strip().upper() for value in header.get("PatientOrientation") or ()]
    plain = len(values) == 2 and all(re.fullmatch(r"[APRLHF]{1,3}", value) for value in values)
    return "\\".join(values) if plain else None


def _aspect(header: Dataset) -> float | None:
    """Return height over width of a pixel, None where the header does not say."""
    for keyword in ("PixelAspectRatio", "PixelSpacing", "ImagerPixelSpacing"):
        spacing = header.get(keyword)
        if spacing and len(spacing) == 2 and float(spacing[0]) > 0 and float(spacing[1]) > 0:
            aspect = float(spacing[0]) / float(spacing[1])
            return aspect if math.isfinite(aspect) else None
    return None
