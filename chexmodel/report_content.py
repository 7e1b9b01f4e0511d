"""What a structured report says, by TID 1500 of DICOM PS3.16: a measurement group per trained observation."""

import unicodedata
import uuid
from typing import Final

from highdicom import UID
from highdicom.sr import (
    AlgorithmIdentification,
    CodedConcept,
    DeviceObserverIdentifyingAttributes,
    LanguageOfContentItemAndDescendants,
    Measurement,
    MeasurementReport,
    MeasurementsAndQualitativeEvaluations,
    ObservationContext,
    ObserverContext,
    QualitativeEvaluation,
    RelationshipTypeValues,
    SourceImageForMeasurementGroup,
    TextContentItem,
    TrackingIdentifier,
)
from pydicom import Dataset
from pydicom.sr.codedict import codes

from chexmodel.language import current, tr
from chexmodel.report import NOTICE, Report, audit_actions
from chexmodel.report_codes import (
    answer_code,
    concept,
    decision_code,
    language_code,
    observation_code,
    presence_code,
)
from chexmodel.report_rows import Row
from chexmodel.version import __version__

PROCEDURE: Final = CodedConcept("399208008", "SCT", "Plain chest X-ray")
"""What the film was taken for. Its view is in the film's own header."""

_NO_UNITS: Final = CodedConcept("1", "UCUM", "no units")


def derived_uid(*parts: str) -> str:
    """Give a UID of the UUID kind (PS3.5 B.2) that is the same for the same parts."""
    return str(UID.from_uuid(str(uuid.uuid5(uuid.NAMESPACE_OID, "\n".join(parts)))))


def frame_read(report: Report) -> list[int] | None:
    """Which frame of the source was read, from 1; None where it holds no more than one, and none is named."""
    audit = report.prediction.audit
    return [audit.frame] if audit.frames > 1 else None


def instance(report: Report, filed: Dataset) -> str:
    """Name the picture that was read: the source instance, and of several frames the one."""
    return "/".join(map(str, [filed.SOPInstanceUID, *(frame_read(report) or ())]))


def content(report: Report, filed: Dataset) -> MeasurementReport:
    """Build the content tree.

    The observer is the model, as a device: its UID follows from the weights' checksum. The reader's verdicts
    stand apart from its scores, under names that say that they are the reader's, who is not named.

    Args:
        report: what to say.
        filed: the source, as `report_filing.filing` reads it.
    """
    rows = report.rows()
    manifest = report.bundle.manifest
    observer = ObserverContext(
        observer_type=codes.DCM.Device,
        observer_identifying_attributes=DeviceObserverIdentifyingAttributes(
            uid=derived_uid("model", manifest.weights_sha256),
            name=f"chexmodel {__version__}",
            manufacturer_name="chexmodel",
            model_name=manifest.name,
            serial_number=manifest.weights_sha256,
        ),
    )
    tree = MeasurementReport(
        observation_context=ObservationContext(observer_device_context=observer),
        procedure_reported=PROCEDURE,
        imaging_measurements=[_group(report, row, filed) for row in rows if row.not_trained is None],
        title=codes.DCM.ImagingMeasurementReport,
        language_of_content_item_and_descendants=LanguageOfContentItemAndDescendants(
            language_code(current())
        ),
    )
    tree[0].ContentSequence.extend(_remarks(report, rows))
    return tree


def _remarks(report: Report, rows: tuple[Row, ...]) -> list[TextContentItem]:
    """What holds for the whole reading; the template is extensible, and viewers show texts as they come."""
    said = [_text("NOTICE", tr(NOTICE))]
    if report.insistence:
        said.append(_text("INSISTED", report.insistence))
    said += [_text("REMARK", remark) for remark in report.prediction.warnings]
    for row in rows:
        name = "REMARK" if row.not_trained is None else "NOT_TRAINED"
        said += [_text(name, note) for note in row.notes]
    said += [_text("ACTION", action) for action in audit_actions(report)]
    if report.word.comment:
        said.append(_text("READER_COMMENT", report.word.comment))
    return said


def _group(report: Report, row: Row, filed: Dataset) -> MeasurementsAndQualitativeEvaluations:
    """TID 1501: score, threshold and operating point as numbers; decision and verdict as codes."""
    manifest = report.bundle.manifest
    numbers = {
        "SCORE": row.probability,
        "THRESHOLD": row.threshold,
        "BAND_LOW": row.low,
        "BAND_HIGH": row.high,
        "SENSITIVITY": row.point.sensitivity.value,
        "SPECIFICITY": row.point.specificity.value,
    }
    said = [QualitativeEvaluation(observation_code(row.observation), decision_code(row.decision))]
    if row.verdict is not None:
        said.append(QualitativeEvaluation(concept("VERDICT"), answer_code(row.verdict.answer)))
        if row.verdict.presence is not None:
            said.append(QualitativeEvaluation(concept("STATED"), presence_code(row.verdict.presence)))
    group = MeasurementsAndQualitativeEvaluations(
        tracking_identifier=TrackingIdentifier(
            uid=derived_uid("score", instance(report, filed), manifest.weights_sha256, row.observation),
            identifier=tr("Score for {name}", name=row.name),
        ),
        algorithm_id=AlgorithmIdentification(
            name=f"chexmodel {manifest.name}",
            version=f"{manifest.code_version} {manifest.weights_sha256[:12]}",
        ),
        measurements=[
            Measurement(name=concept(name), value=value, unit=_NO_UNITS)
            for name, value in numbers.items()
            if value == value  # undefined is left out, and the remarks say why
        ],
        qualitative_evaluations=said,
        source_images=[
            SourceImageForMeasurementGroup(filed.SOPClassUID, filed.SOPInstanceUID, frame_read(report))
        ],
    )
    if row.verdict is not None and row.verdict.comment:
        group[0].ContentSequence.append(_text("READER_COMMENT", row.verdict.comment))
    return group


def _text(name: str, words: str) -> TextContentItem:
    """Make an item of text: lines end in CR LF, and no other control characters are in it (PS3.5 6.1.3)."""
    plain = "".join(sign for sign in words if sign == "\n" or unicodedata.category(sign) != "Cc")
    return TextContentItem(concept(name), plain.replace("\n", "\r\n"), RelationshipTypeValues.CONTAINS)
