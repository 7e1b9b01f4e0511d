"""Which kind of file some bytes are, judged by their first bytes alone: never by a name."""

from typing import Final

from chexmodel.errors import ImageError
from chexmodel.film import FileType
from chexmodel.language import mark, tr

ZIP: Final = b"PK\x03\x04"
"""How a ZIP archive begins; `containers` opens it."""

_HEIC = mark("This looks like a HEIC photo, which is not read here: export it as PNG, JPEG or TIFF.")
_J2K = mark(
    "This looks like a JPEG 2000 picture outside a DICOM, which is not read here: "
    "export the film as PNG, JPEG, TIFF or DICOM."
)
_FOREIGN: Final[tuple[tuple[int, bytes, str], ...]] = (
    (4, b"ftyphei", _HEIC),
    (4, b"ftypmif1", _HEIC),
    (
        4,
        b"ftypavif",
        mark("This looks like an AVIF picture, which is not read here: export it as PNG, JPEG or TIFF."),
    ),
    (4, b"ftyp", mark("This looks like a video, which is not read here: export one still picture as PNG.")),
    (
        0,
        b"%PDF",
        mark("This looks like a PDF document, which is not read here: export the picture in it as PNG."),
    ),
    (
        0,
        b"GIF8",
        mark("This looks like a GIF, which is not read here: export it as PNG, JPEG or TIFF."),
    ),
    (
        8,
        b"WEBP",
        mark("This looks like a WebP picture, which is not read here: export it as PNG, JPEG or TIFF."),
    ),
    (
        0,
        b"BM",
        mark("This looks like a BMP picture, which is not read here: export it as PNG, JPEG or TIFF."),
    ),
    (4, b"jP  ", _J2K),
    (0, b"\xff\x4f\xff\x51", _J2K),
    (
        0,
        ZIP,
        mark("This is a ZIP archive or an Office document, not one film: choose the film in it."),
    ),
    (0, b"\x1f\x8b", mark("This looks like a gzip archive, which is not read here: unpack it first.")),
    (0, b"Rar!", mark("This looks like a RAR archive, which is not read here: unpack it, or make it a ZIP.")),
    (
        0,
        b"7z\xbc\xaf",
        mark("This looks like a 7-Zip archive, which is not read here: unpack it, or make it a ZIP."),
    ),
    (
        0,
        b"<",
        mark("This looks like a web page, an SVG or an XML file, which is not read: save the film itself."),
    ),
)


def file_type(data: bytes) -> FileType:
    """Return the kind of a film file; raise `ImageError` that names what anything else looks like."""
    if data[128:132] == b"DICM":  # first: a DICOM's free preamble may pose as a TIFF
        return "DICOM"
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return "PNG"
    if data.startswith(b"\xff\xd8\xff"):
        return "JPEG"
    if data[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"):
        return "TIFF"
    if _begins_as_data_set(data):
        return "DICOM"
    for offset, magic, sentence in _FOREIGN:
        if data.startswith(magic, offset):
            raise ImageError(tr(sentence))
    raise ImageError(
        tr("This is no PNG, JPEG, TIFF or DICOM file: export the film as PNG, JPEG, TIFF or DICOM.")
    )


def _begins_as_data_set(data: bytes) -> bool:
    """Whether a DICOM without its 128-byte preamble is plausible: group 0002 or 0008, a low element."""
    little = data[:2] in (b"\x02\0", b"\x08\0") and data[3:4] == b"\0"
    big = data[:2] == b"\0\x08" and data[2:3] == b"\0"
    return (little or big) and len(data) > 132
