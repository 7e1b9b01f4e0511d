"""The report as PDF: what a reader would file of a reading, on one or two pages."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from reportlab.lib.colors import Color
from reportlab.lib.units import mm
from reportlab.platypus import Flowable, KeepTogether, Spacer, Table

from chexmodel.evaluation_tables import SCARCE
from chexmodel.language import tr
from chexmodel.report import NOTICE, Report, audit_actions, audit_facts, model_facts
from chexmodel.report_filing import IDENTITY, identity
from chexmodel.report_page import BOX, PALE, RULE, WARNING, WIDTH, bound, set_whole, text
from chexmodel.report_pictures import pictures
from chexmodel.report_rows import Row, band_words, by_weight, with_interval

_MARKS: Final = {"at_or_above": "▲ ", "indeterminate": "◇ ", "below": "", "not_trained": ""}
_COLUMNS: Final = [width * mm for width in (37, 11, 27, 37, 25, 25, 18)]
_LINED: Final = (
    ("VALIGN", (0, 0), (-1, -1), "MIDDLE"),
    ("LEFTPADDING", (0, 0), (-1, -1), 3),
    ("RIGHTPADDING", (0, 0), (-1, -1), 2),
    ("TOPPADDING", (0, 0), (-1, -1), 1.6),
    ("BOTTOMPADDING", (0, 0), (-1, -1), 1.6),
    ("BACKGROUND", (0, 0), (-1, 0), PALE),
    ("LINEBELOW", (0, 0), (-1, -1), 0.4, RULE),
)


def pdf(report: Report) -> bytes:
    """Print a report on A4 pages, in the language in use.

    Neither the file's name nor anything of a DICOM's header but what `InputAudit` holds is in it, unless
    `report.name` is set. The same report gives the same bytes.

    Raises:
        ChexError: the bundle's metrics are damaged; or the identity was asked for and can't be read.
    """
    title = tr("Chest X-ray: scores of a model")
    story = [
        text(title, "title"),
        text(tr("Made {stamp}", stamp=report.stamp), "small"),
        Spacer(1, 2 * mm),
        _box([text(tr(NOTICE), "notice")]),
        *_insistence(report),
        *_identity(report),
        Spacer(1, 3 * mm),
        *pictures(report),
        *_findings(report),
        *_word(report),
        *_unset(report),
        *_warnings(report),
        *_audit(report),
        *_model(report),
    ]
    return bound(story, title=title, made=report.made)


def _insistence(report: Report) -> list[Flowable]:
    if not report.insistence:
        return []
    return [Spacer(1, 1.5 * mm), _box([text(report.insistence, "mark")], edge=WARNING)]


def _identity(report: Report) -> list[Flowable]:
    if not report.name:
        return []
    facts = {tr("File"): report.name}
    if report.source is not None:
        read = identity(report.source)
        facts |= {tr(label): _plain(keyword, read[keyword]) for keyword, label in IDENTITY.items()}
    return [Spacer(1, 2 * mm), _facts(facts)]


def _plain(keyword: str, value: str) -> str:
    """Write a DICOM value as people do: the parts of a name apart, a date with dashes."""
    if keyword == "PatientName":
        return " ".join(value.replace("^", " ").split()) or "—"
    if keyword == "StudyDate" and len(value) == 8:
        return f"{value[:4]}-{value[4:6]}-{value[6:]}"
    return value or "—"


def _findings(report: Report) -> list[Flowable]:
    rows = report.rows()
    head = [
        tr("Finding"),
        tr("Score"),
        tr("Threshold (band)"),
        tr("Decision"),
        tr("Sensitivity"),
        tr("Specificity"),
        tr("Reader"),
    ]
    lines: list[list[Any]] = [[text(words, "head") for words in head]]
    trained = [row for row in by_weight(rows) if row.not_trained is None]
    lines += [_line(row) for row in trained]
    spans = []
    if len(trained) < len(rows):
        spans = [("SPAN", (0, len(lines)), (-1, len(lines)))]
        lines.append([text(_untrained(rows), "cell"), *[""] * (len(head) - 1)])
    table = Table(lines, colWidths=_COLUMNS, repeatRows=1, style=(*_LINED, *spans))
    notes = [note for row in trained for note in row.notes]
    return [
        text(tr("Findings"), "heading"),
        table,
        Spacer(1, 1.5 * mm),
        text(" ".join(_legend(rows)), "small"),
        *(text(f"• {note}", "small") for note in notes),
    ]


def _line(row: Row) -> list[Flowable]:
    weight = "strong" if row.decision == "at_or_above" else "cell"
    dagger = " †" if row.point.scarce else ""
    star = " *" if row.point.films == "fit" else ""
    return [
        text(f"{_MARKS[row.decision]}{row.name}{dagger}", weight),
        text(row.figure(row.probability), weight),
        text(band_words(row), "cell"),
        text(row.words, weight),
        text(with_interval(row.point.sensitivity) + star, "cell"),
        text(with_interval(row.point.specificity) + star, "cell"),
        text(row.verdict.words() if row.verdict else "—", "cell"),
    ]


def _untrained(rows: Sequence[Row]) -> str:
    listed = [
        tr("{name} ({reason})", name=row.name, reason=row.not_trained)
        for row in rows
        if row.not_trained is not None
    ]
    return tr("Not trained in this model: {names}.", names=" · ".join(listed))


def _legend(rows: Sequence[Row]) -> list[str]:
    """Explain the marks of the table that occur in it."""
    said = [
        tr(
            "Score: calibrated, from 0 to 1. Threshold (band): a score inside the band is indeterminate, as "
            "other films of the kind would have put the threshold on its other side."
        )
    ]
    points = [row.point for row in rows]
    if any(point.films == "test" for point in points):
        said.append(
            tr(
                "Sensitivity and specificity at the threshold with 95 % intervals: on test films, which "
                "neither the model nor the threshold was fitted to."
            )
        )
    if any(point.films == "fit" for point in points):
        said.append(tr("*: on the films that the threshold was fitted to, which flatter it."))
    if any(point.scarce for point in points):
        said.append(
            tr(
                "†: fewer than {n} films with the finding, or fewer than {n} without it: the interval "
                "understates how little is known.",
                n=SCARCE,
            )
        )
    return said


def _word(report: Report) -> list[Flowable]:
    """The reader's verdicts that have a comment, and the comment on the whole."""
    said = [
        tr(
            "{name} – {verdict}. {comment}",
            name=tr(observation),
            verdict=verdict.words(),
            comment=verdict.comment,
        )
        for observation in report.prediction.observations
        if (verdict := report.word.of(observation)) is not None and verdict.comment
    ]
    if report.word.comment:
        said.append(report.word.comment)
    if not said and not report.word.verdicts:
        said = [tr("The reader gave no verdict and no comment.")]
    return _section(tr("The reader's word"), [text(words) for words in said]) if said else []


def _unset(report: Report) -> list[Flowable]:
    """Say so where what others wrote, the reader or the file, is not printed whole."""
    written = [report.word.comment, *(verdict.comment for verdict in report.word.verdicts.values())]
    if report.name:
        written += [report.name, *(identity(report.source).values() if report.source else ())]
    if all(map(set_whole, written)):
        return []
    said = tr(
        "Signs that this report's typeface lacks are printed as boxes, and what is written from right to "
        "left is not put in its order: the JSON export has the text whole."
    )
    return [Spacer(1, 1 * mm), text(said, "small")]


def _warnings(report: Report) -> list[Flowable]:
    remarks = list(report.prediction.warnings)
    if report.prediction.gate is not None and not report.prediction.withheld:
        remarks.append(tr("The check of the input took the film for an upright frontal chest X-ray."))
    return _section(
        tr("To know before trusting the scores"), [text(f"• {remark}", "cell") for remark in remarks]
    )


def _audit(report: Report) -> list[Flowable]:
    done = [text(f"{i}. {action}", "cell") for i, action in enumerate(audit_actions(report), 1)]
    return _section(tr("What the model was given"), [_facts(audit_facts(report)), Spacer(1, 1 * mm), *done])


def _model(report: Report) -> list[Flowable]:
    return _section(tr("The model"), [_facts(model_facts(report.bundle))])


def _section(heading: str, content: Sequence[Flowable]) -> list[Flowable]:
    """A heading that stays with the first line of what it is over."""
    if not content:
        return []
    return [KeepTogether([text(heading, "heading"), content[0]]), *content[1:]]


def _facts(facts: Mapping[str, str]) -> Table:
    lines = [[text(label, "head"), text(value, "cell")] for label, value in facts.items()]
    return Table(lines, colWidths=[45 * mm, WIDTH - 45 * mm], style=BOX)


def _box(content: list[Flowable], *, edge: Color = RULE) -> Table:
    return Table(
        [[content]],
        colWidths=[WIDTH],
        style=[("BOX", (0, 0), (-1, -1), 0.8, edge), ("BACKGROUND", (0, 0), (-1, -1), PALE)],
    )
