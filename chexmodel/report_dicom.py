"""The report as DICOM objects of the film's study: a structured report, and a heatmap as secondary capture.

Both repeat the source's patient and study, by which an archive files them: there is no half of that. They are
therefore made only where the reader asked for the identity. Nothing else of the header goes into them.
"""

from io import BytesIO
from typing import Any, Final

import numpy as np
from highdicom.sc import SCImage
from highdicom.sr import CodedConcept, ComprehensiveSR
from pydicom import Dataset, dcmwrite
from pydicom.sr.codedict import codes

from chexmodel.errors import ChexError
from chexmodel.language import tr
from chexmodel.report import ALPHA, NOTICE, Report, audit_actions
from chexmodel.report_capture import captured, label
from chexmodel.report_codes import schemes
from chexmodel.report_content import content, derived_uid, frame_read, instance
from chexmodel.report_filing import FILED, LOSSY, REFERRED, filing, unreadable
from chexmodel.report_rows import Row
from chexmodel.version import __version__

_SERIES: Final = {"SR": 9801, "SC": 9802}
_TEXT: Final = 1024  # characters of Derivation Description


def refused(report: Report) -> str:
    """Why no DICOM output can be made of a report, as a sentence; empty where both can be."""
    try:
        _filed(report)
    except ChexError as error:
        return str(error)
    return ""


def structured_report(report: Report) -> bytes:
    """Write a Comprehensive SR by TID 1500, of the film's study, in a series of its own.

    Scores, thresholds, decisions, verdicts and remarks are in the language in use; codes are not. The report
    is preliminary and unverified. The same report gives the same instance UID.

    Returns:
        A DICOM file, Explicit VR Little Endian.

    Raises:
        ChexError: the identity was not asked for, the film is no DICOM, or its header lacks what is needed.
    """
    filed = _filed(report)
    with unreadable():
        written = ComprehensiveSR(
            evidence=[_nameless(filed)],
            content=content(report, filed),
            is_complete=True,
            is_final=False,
            **_common(report, filed, "SR"),
        )
        return _file(written, filed)


def secondary_capture(report: Report, observation: str, alpha: float = ALPHA) -> bytes:
    """Write a heatmap over the film as Secondary Capture, of the film's study, in a series of its own.

    Below the picture a bar names the finding, its score and the conditions of use; see `captured`. The
    pixels have no spacing: a capture is not to be measured on.

    Args:
        report: of a DICOM film.
        observation: one of the trained 14.
        alpha: opacity of the strongest evidence, in [0, 1].

    Returns:
        A DICOM file, RGB of 8 bits, Explicit VR Little Endian.

    Raises:
        ChexError: as `structured_report`; unknown or untrained observation, or alpha out of range.
    """
    filed = _filed(report)
    picture = captured(report, observation, alpha)
    row = next(row for row in report.rows() if row.observation == observation)
    with unreadable():
        written = SCImage(
            pixel_array=np.asarray(picture),
            photometric_interpretation="RGB",
            bits_allocated=8,
            coordinate_system="PATIENT",
            patient_orientation=("L", "F"),
            study_instance_uid=filed.StudyInstanceUID,
            **_common(report, filed, "SC", observation),
        )
        # Which side is which, the film's reader confirms: a film may have been turned before it was read.
        written.PatientOrientation = []
        if filed.get("BodyPartExamined") == "CHEST":
            written.BodyPartExamined = "CHEST"
        else:  # of a body part that is not known to be single, the standard wants a side, be it empty
            written.Laterality = ""
        written.DateOfSecondaryCapture = written.ContentDate
        written.TimeOfSecondaryCapture = written.ContentTime
        written.BurnedInAnnotation = "YES"
        written.ConversionType = "WSD"  # made at a workstation, not taken from a digital interface
        written.DerivationDescription = _derivation(report, row)
        written.SourceImageSequence = [_reference(report, filed)]
        for keyword in LOSSY:
            if keyword in filed:
                setattr(written, keyword, filed[keyword].value)
        return _file(written, filed)


def _derivation(report: Report, row: Row) -> str:
    said = [
        f"{label(row)}.",
        tr("Heatmap: where the score came from, not an outline of disease."),
        tr(NOTICE),
    ]
    if report.insistence:
        said.insert(0, report.insistence)
    return " ".join([*said, *audit_actions(report)])[:_TEXT]


def _reference(report: Report, filed: Dataset) -> Dataset:
    reference = Dataset()
    reference.ReferencedSOPClassUID = filed.SOPClassUID
    reference.ReferencedSOPInstanceUID = filed.SOPInstanceUID
    if frames := frame_read(report):
        reference.ReferencedFrameNumber = frames
    reference.PurposeOfReferenceCodeSequence = [
        CodedConcept.from_code(codes.DCM.SourceImageForImageProcessingOperation)
    ]
    return reference


def _filed(report: Report) -> Dataset:
    """Read what both outputs repeat of the source.

    Raises:
        ChexError: there is no DICOM source, the identity was not asked for, or the header lacks something.
    """
    if report.source is None or report.prediction.audit.format != "DICOM":
        raise ChexError(
            tr(
                "Structured reports and secondary captures are filed in the study of a DICOM film; this film "
                "is a {format} file, without a study. Take the PDF or the JSON.",
                format=report.prediction.audit.format,
            )
        )
    if not report.name:
        raise ChexError(
            tr(
                "DICOM outputs repeat the patient and the study of the film, or no archive could file them: "
                "choose to include the identity first."
            )
        )
    return filing(report.source)


def _common(report: Report, filed: Dataset, kind: str, about: str = "") -> dict[str, Any]:
    """Give what every object says of its series, its maker and its time; patient and study come later."""
    manifest = report.bundle.manifest
    made = report.made.isoformat()
    return {
        "series_instance_uid": derived_uid(kind, filed.SeriesInstanceUID, manifest.weights_sha256, made),
        "series_number": _SERIES[kind],
        "sop_instance_uid": derived_uid(kind, instance(report, filed), manifest.weights_sha256, made, about),
        "instance_number": 1 + (report.prediction.observations.index(about) if about else 0),
        "series_description": tr("Scores of a model") if kind == "SR" else tr("Heatmap of a model"),
        "manufacturer": "chexmodel",
        "manufacturer_model_name": manifest.name[:64],
        "software_versions": __version__,
        "device_serial_number": manifest.weights_sha256,
        "content_date": report.made.date(),
        "content_time": report.made.time().replace(microsecond=0),
        "specific_character_set": "ISO_IR 192",
        "coding_schemes": schemes() if kind == "SR" else None,
    }


def _nameless(filed: Dataset) -> Dataset:
    """Copy the source's references alone: highdicom prints a name that it doubts, and prints go to logs."""
    bare = Dataset()
    for keyword in FILED:
        setattr(bare, keyword, "")
    for keyword in REFERRED:
        setattr(bare, keyword, filed[keyword].value)
    return bare


def _file(written: Dataset, filed: Dataset) -> bytes:
    """Enter patient and study, and write the file."""
    for keyword in FILED:
        if keyword in filed:
            setattr(written, keyword, filed[keyword].value)
        elif keyword in written:
            delattr(written, keyword)
    written.InstanceCreationDate = written.ContentDate
    written.InstanceCreationTime = written.ContentTime
    for equipment in written.get("ContributingEquipmentSequence", []):
        del equipment.ContributionDateTime  # the same report is the same instance, whenever it is made
    stream = BytesIO()
    dcmwrite(stream, written, enforce_file_format=True)
    return stream.getvalue()
