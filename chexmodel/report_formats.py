"""The formats in which a report is exported: one list for the page and the command line."""

from collections.abc import Callable
from typing import Final, Literal, NamedTuple

from chexmodel.report import Report
from chexmodel.report_data import to_csv, to_json, to_png
from chexmodel.report_dicom import secondary_capture, structured_report
from chexmodel.report_filing import identity
from chexmodel.report_pdf import pdf

Kind = Literal["pdf", "json", "csv", "png", "sr", "sc"]


class Format(NamedTuple):
    """One format.

    suffix: what a file's name ends in. mime: media type.
    dicom: whether it is a DICOM object, which `report_dicom.refused` may rule out.
    write: makes the file of a report; pictures of one finding show the first of `Report.overlays`.
    """

    suffix: str
    mime: str
    dicom: bool
    write: Callable[[Report], bytes]


FORMATS: Final[dict[Kind, Format]] = {
    "pdf": Format(".pdf", "application/pdf", False, pdf),
    "json": Format(".json", "application/json", False, to_json),
    "csv": Format(".csv", "text/csv", False, to_csv),
    "png": Format(".png", "image/png", False, lambda report: to_png(report, report.overlays[0])),
    "sr": Format("-sr.dcm", "application/dicom", True, structured_report),
    "sc": Format(
        "-sc.dcm", "application/dicom", True, lambda report: secondary_capture(report, report.overlays[0])
    ),
}


def check(report: Report) -> None:
    """Find out before any file is asked for whether one could fail.

    Raises:
        ChexError: the bundle's metrics or localisation are damaged; or the identity was asked for and can't
            be read.
    """
    report.rows()
    report.bundle.localisation()
    if report.name and report.source is not None:
        identity(report.source)
