"""Which kind of file some bytes are, judged by their first bytes alone: never by a name."""

from typing import Final, Literal

from chexmodel.errors import ImageError

FileType = Literal["PNG", "JPEG", "TIFF", "DICOM"]

_EXPORT = "export the film as PNG, JPEG, TIFF or DICOM"
_FOREIGN: Final[tuple[tuple[int, bytes, str, str], ...]] = (
    (4, b"ftyphei", "a HEIC photo", _EXPORT),
    (4, b"ftypmif1", "a HEIC photo", _EXPORT),
    (4, b"ftypavif", "an AVIF picture", _EXPORT),
    (4, b"ftyp", "a video", "export one still picture as PNG"),
    (0, b"%PDF", "a PDF document", "export the picture in it as PNG"),
    (0, b"GIF8", "a GIF", _EXPORT),
    (8, b"WEBP", "a WebP picture", _EXPORT),
    (0, b"BM", "a BMP picture", _EXPORT),
    (4, b"jP  ", "a JPEG 2000 picture outside a DICOM", _EXPORT),
    (0, b"\xff\x4f\xff\x51", "a JPEG 2000 picture outside a DICOM", _EXPORT),
    (0, b"PK\x03\x04", "a ZIP archive (or an Office document)", "unpack it and choose the film in it"),
    (0, b"\x1f\x8b", "a gzip archive", "unpack it first"),
    (0, b"Rar!", "a RAR archive", "unpack it first"),
    (0, b"7z\xbc\xaf", "a 7-Zip archive", "unpack it first"),
    (0, b"<", "a web page, an SVG or an XML file", "save the film itself"),
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
    for offset, magic, name, advice in _FOREIGN:
        if data.startswith(magic, offset):
            raise ImageError(f"This looks like {name}, which is not read here: {advice}.")
    raise ImageError(f"This is no PNG, JPEG, TIFF or DICOM file (it begins with {data[:8]!r}): {_EXPORT}.")


def _begins_as_data_set(data: bytes) -> bool:
    """Whether a DICOM without its 128-byte preamble is plausible: group 0002 or 0008, a low element."""
    little = data[:2] in (b"\x02\0", b"\x08\0") and data[3:4] == b"\0"
    big = data[:2] == b"\0\x08" and data[2:3] == b"\0"
    return (little or big) and len(data) > 132
