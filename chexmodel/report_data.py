"""The report as data: JSON by `report_schema`, CSV with a row per observation, and a heatmap as PNG."""

import io
import math

from chexmodel.language import current, tr
from chexmodel.report import ALPHA, NOTICE, Report, audit_actions
from chexmodel.report_capture import captured
from chexmodel.report_filing import identity
from chexmodel.report_rows import Row
from chexmodel.report_schema import (
    FilmOut,
    FindingOut,
    GateOut,
    IdentityOut,
    Interval,
    ModelOut,
    OperatingPointOut,
    Peak,
    ReadingOut,
    VerdictOut,
)
from chexmodel.scores import Estimate
from chexmodel.spreadsheet import inert
from chexmodel.version import __version__


def to_json(report: Report) -> bytes:
    """Write a report as JSON, UTF-8; see `report_schema` for its fields.

    Raises:
        ChexError: the bundle's metrics are damaged; or the identity was asked for and can't be read.
    """
    return (document(report).model_dump_json(indent=1) + "\n").encode()


def document(report: Report) -> ReadingOut:
    """Turn a report into the document that `to_json` writes."""
    prediction, manifest, audit = report.prediction, report.bundle.manifest, report.prediction.audit
    gate = prediction.gate
    return ReadingOut(
        notice=tr(NOTICE),
        language=current(),
        made=report.made.isoformat(timespec="seconds"),
        insisted=report.insisted,
        insistence=report.insistence,
        identity=_identity(report),
        model=ModelOut(
            name=manifest.name,
            weights_sha256=manifest.weights_sha256,
            backbone=manifest.backbone,
            members=manifest.members,
            created=manifest.created,
            trained_by_version=manifest.code_version,
            read_by_version=__version__,
        ),
        film=FilmOut(
            **audit.model_dump(include=FilmOut.model_fields.keys() - {"actions"}),
            actions=list(audit_actions(report)),
        ),
        gate=None if gate is None else GateOut(accepted=gate.accepted, reason=gate.reason),
        warnings=list(prediction.warnings),
        findings=[_finding(row) for row in report.rows()],
        comment=report.word.comment,
    )


def to_csv(report: Report) -> bytes:
    """Write a report as CSV, UTF-8, a row per observation: the columns of `Prediction.frame` and more.

    These are the operating point with its films (as in `report_schema`), the heatmap's peak, reasons for
    what is a default or undefined, the reader's verdict and comments, and, the same in each row, whether
    the reader insisted, the file (if asked for), the model and its checksum, the time and the conditions of
    use. Columns and codes are English in every language. Empty is undefined. A comment that a spreadsheet
    would take for a formula gets an apostrophe before it.

    Raises:
        ChexError: the bundle's metrics are damaged.
    """
    table = report.prediction.frame()
    rows = report.rows()
    manifest = report.bundle.manifest
    for name in ("sensitivity", "specificity"):
        estimates: list[Estimate] = [getattr(row.point, name) for row in rows]
        table[name] = [estimate.value for estimate in estimates]
        table[f"{name}_low"] = [estimate.low for estimate in estimates]
        table[f"{name}_high"] = [estimate.high for estimate in estimates]
    table["operating_point_films"] = [row.point.films for row in rows]
    table["operating_point_positives"] = [row.point.positives for row in rows]
    table["operating_point_negatives"] = [row.point.negatives for row in rows]
    table["operating_point_undefined"] = [row.point.undefined for row in rows]
    table["heatmap_peak_x"] = [row.peak[1] if row.peak else math.nan for row in rows]
    table["heatmap_peak_y"] = [row.peak[0] if row.peak else math.nan for row in rows]
    table["threshold_default"] = [row.default or "" for row in rows]
    table["uncalibrated"] = [row.uncalibrated or "" for row in rows]
    table["not_trained"] = [row.not_trained or "" for row in rows]
    table["verdict"] = [row.verdict.answer if row.verdict else "" for row in rows]
    table["verdict_presence"] = [(row.verdict.presence or "") if row.verdict else "" for row in rows]
    table["verdict_comment"] = [inert(row.verdict.comment) if row.verdict else "" for row in rows]
    table["comment"] = inert(report.word.comment)
    table["insisted"] = report.insisted
    table["insistence"] = report.insistence
    table["file"] = inert(report.name)
    table["model"] = inert(manifest.name)
    table["weights_sha256"] = manifest.weights_sha256
    table["code_version"] = __version__
    table["made"] = report.made.isoformat(timespec="seconds")
    table["notice"] = tr(NOTICE)
    return table.to_csv(index=False, lineterminator="\r\n").encode()


def to_png(report: Report, observation: str, alpha: float = ALPHA) -> bytes:
    """Paint the heatmap of one observation over the film, as PNG without metadata.

    The picture is the film at its own size and nothing else; that of a reading that was insisted on has the
    bar of `report_capture`, which says so.

    Args:
        report: of a reading that may be exported.
        observation: one of the trained 14.
        alpha: opacity of the strongest evidence, in [0, 1].

    Raises:
        ChexError: unknown or untrained observation, or alpha out of range.
    """
    stream = io.BytesIO()
    if report.insisted:
        shown = captured(report, observation, alpha)
    else:
        shown = report.prediction.overlay(observation, alpha)
    shown.save(stream, format="PNG")
    return stream.getvalue()


def _identity(report: Report) -> IdentityOut | None:
    if not report.name:
        return None
    read = {} if report.source is None else identity(report.source)
    return IdentityOut(
        file=report.name,
        age_years=report.prediction.audit.age_years,
        patient_name=read.get("PatientName"),
        patient_id=read.get("PatientID"),
        accession_number=read.get("AccessionNumber"),
        study_date=read.get("StudyDate"),
    )


def _finding(row: Row) -> FindingOut:
    verdict, point = row.verdict, row.point
    return FindingOut(
        observation=row.observation,
        title=row.name,
        probability=_defined(row.probability),
        raw_logit=_defined(row.logit),
        threshold=_defined(row.threshold),
        band_low=_defined(row.low),
        band_high=_defined(row.high),
        decision=row.decision,
        words=row.words,
        threshold_rule=row.rule,
        threshold_default=row.default,
        calibration=row.calibration,
        uncalibrated=row.uncalibrated,
        not_trained=row.not_trained,
        operating_point=OperatingPointOut(
            films=point.films,
            split=point.split,
            positives=point.positives,
            negatives=point.negatives,
            sensitivity=_interval(point.sensitivity),
            specificity=_interval(point.specificity),
            undefined=point.undefined,
        ),
        heatmap_peak=None if row.peak is None else Peak(y=row.peak[0], x=row.peak[1], words=row.place),
        verdict=None if verdict is None else VerdictOut(**verdict.model_dump(), words=verdict.words()),
    )


def _interval(estimate: Estimate) -> Interval:
    return Interval(value=_defined(estimate.value), low=_defined(estimate.low), high=_defined(estimate.high))


def _defined(value: float) -> float | None:
    return None if math.isnan(value) else value
