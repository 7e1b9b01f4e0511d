"""Under whom and where a DICOM output is filed: patient and study of the source, with flawed values repaired.

Only the elements named here are read, and only for an export that the reader asked for by a tick: nothing
else of this program looks at them.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from typing import Final

from pydicom import Dataset, dcmread
from pydicom.config import disable_value_validation
from pydicom.multival import MultiValue

from chexmodel.errors import ChexError
from chexmodel.language import mark, tr

IDENTITY: Final = {
    "PatientName": mark("Patient's name"),
    "PatientID": mark("Patient's identifier"),
    "AccessionNumber": mark("Accession number"),
    "StudyDate": mark("Study date"),
}
"""Elements that name a patient or a study → what they are called in a report."""

REFERRED: Final = ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "SOPClassUID")
"""Elements without which an output can neither be filed nor say which film it is about."""

FILED: Final = (
    *IDENTITY,
    *("IssuerOfPatientID", "PatientBirthDate", "PatientSex", "PatientAge"),
    *("StudyTime", "StudyID", "StudyDescription"),
)
"""Elements of patient and study that every object of a study repeats."""

LOSSY: Final = ("LossyImageCompression", "LossyImageCompressionRatio", "LossyImageCompressionMethod")
"""Elements that whatever is derived from a picture keeps: what was lost stays lost."""

_OPTIONAL: Final = ("IssuerOfPatientID", "PatientAge", "StudyDescription", "BodyPartExamined", *LOSSY)
_TAGS: Final[list[str]] = ["SpecificCharacterSet", "BodyPartExamined", *REFERRED, *FILED, *LOSSY]
_SEXES: Final = {"MALE": "M", "FEMALE": "F", "OTHER": "O", "M": "M", "F": "F", "O": "O"}
_AGE: Final = re.compile(r"(\d{1,3})([DWMY]?)")
_DATE: Final = re.compile(r"(\d{4})[-./]?(\d{2})[-./]?(\d{2})")
_TIME: Final = re.compile(r"(\d{2})(?::?(\d{2})(?::?(\d{2})(\.\d{1,6})?)?)?")


def identity(source: bytes) -> dict[str, str]:
    """Read from a DICOM whom and which study it is of; the file's own text, "" where it does not say.

    Returns:
        Keyword of `IDENTITY` → value.

    Raises:
        ChexError: the header can't be parsed.
    """
    with unreadable():
        header = _header(source)
        return {keyword: _value(header, keyword) for keyword in IDENTITY}


def filing(source: bytes) -> Dataset:
    """Read from a DICOM what an object of the same study has to repeat; texts as str, empty where absent.

    An age gets its unit and three digits ("62" is taken as "062Y"); dates, times and the sex are brought to
    the standard's form; what of these can't be is left empty. Identifiers and names stay as they are.

    Returns:
        The elements of `REFERRED`, `FILED` and `LOSSY`, and the body part.

    Raises:
        ChexError: the header can't be parsed, or lacks what an output has to refer to.
    """
    with unreadable():
        header = _header(source)
        missing = [keyword for keyword in REFERRED if not _value(header, keyword)]
        if missing:
            raise ChexError(
                tr(
                    "This DICOM lacks {names}: a structured report or a secondary capture could not be filed "
                    "with it. Export it anew from its source, or take the PDF.",
                    names=", ".join(missing),
                )
            )
        found = Dataset()
        for keyword in REFERRED:
            setattr(found, keyword, _value(header, keyword))
        for keyword in (*FILED, "BodyPartExamined", *LOSSY):
            value = repaired(keyword, _value(header, keyword))
            if value or keyword not in _OPTIONAL:
                setattr(found, keyword, value)
        return found


def repaired(keyword: str, value: str) -> str:
    """Bring a value to the form that DICOM sets for its element, PS3.5 6.2; "" where it can't be."""
    if not value:
        return ""
    if keyword == "PatientSex":
        return _SEXES.get(value.upper(), "")
    if keyword == "PatientAge":
        age = _AGE.fullmatch(value.upper())
        return f"{age[1]:>03}{age[2] or 'Y'}" if age else ""
    if keyword in ("StudyDate", "PatientBirthDate"):
        date = _DATE.fullmatch(value)
        return "".join(date.groups()) if date else ""
    if keyword == "StudyTime":
        time = _TIME.fullmatch(value)
        return "".join(part or "" for part in time.groups()) if time else ""
    return value


@contextmanager
def unreadable() -> Iterator[None]:
    """Turn whatever pydicom or highdicom raises inside the block into a `ChexError` without the value.

    Their messages and their warnings may quote the header, the patient's name included.
    """
    try:
        with disable_value_validation():
            yield
    except ChexError:
        raise
    except Exception as error:
        raise ChexError(
            tr(
                "What this DICOM's header says of patient and study can't be read ({kind}): export it anew "
                "from its source, or leave the identity out.",
                kind=type(error).__name__,
            )
        ) from None


def _value(header: Dataset, keyword: str) -> str:
    """Return an element as written: pydicom takes a backslash, which some put into a text, for two values."""
    value = header.get(keyword)
    several = isinstance(value, MultiValue)
    return ("\\".join(map(str, value)) if several else str(value or "")).strip()


def _header(source: bytes) -> Dataset:
    return dcmread(BytesIO(source), force=True, specific_tags=_TAGS, stop_before_pixels=True)
