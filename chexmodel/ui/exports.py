"""The export panel: the report as PDF first, then data, a heatmap and DICOM objects; made when asked for."""

import hashlib
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import streamlit as st

from chexmodel.bundle import Bundle
from chexmodel.language import current, mark, tr, using
from chexmodel.predictor import Prediction
from chexmodel.report import Report, called
from chexmodel.report_dicom import refused
from chexmodel.report_formats import FORMATS, Kind, check
from chexmodel.report_rows import by_weight
from chexmodel.ui import journal
from chexmodel.ui.components import guard
from chexmodel.verdicts import Word

_LABELS: Final[dict[Kind, str]] = {
    "pdf": mark("Report (PDF)"),
    "json": mark("Data (JSON)"),
    "csv": mark("Table (CSV)"),
    "png": mark("Heatmap (PNG)"),
    "sr": mark("Structured report (DICOM SR)"),
    "sc": mark("Heatmap (Secondary Capture)"),
}
_FILED: Final = mark(
    "The two DICOM files repeat the film's patient and study, as an archive files by them: give them only to "
    "those who may have the film."
)


def exports(
    prediction: Prediction, bundle: Bundle, word: Word, *, insisted: bool, name: str, source: bytes | None
) -> None:
    """Draw the panel.

    Args:
        prediction: the reading, by `bundle`.
        bundle: the model.
        word: the reader's word on it.
        insisted: whether the gate withheld the reading and the reader insisted.
        name: the file's name; exported only if the reader ticks it.
        source: the bytes of a DICOM file; None for another kind.
    """
    # Of each film its own widgets: a tick for one patient's identity is none for the next one's. What the
    # network was given tells films apart at a hundredth of the bytes: this runs at each click on the page.
    film = hashlib.sha256(prediction.network_input().tobytes() + name.encode()).hexdigest()[:12]
    with guard():
        _panel(prediction, bundle, word, insisted, name, source, f"export-{film}")


@st.fragment
def _panel(
    prediction: Prediction,
    bundle: Bundle,
    word: Word,
    insisted: bool,
    name: str,
    source: bytes | None,
    key: str,
) -> None:
    with guard():
        bare = Report(prediction, bundle, word, (), insisted, _now(), source=source)
        names = [row.observation for row in by_weight(bare.rows()) if row.not_trained is None]
        first, second = st.container(), st.container(horizontal=True)
        overlays = st.multiselect(
            tr("Heatmaps in the report"),
            names,
            default=called(prediction),
            format_func=tr,
            placeholder=tr("None"),
            key=f"{key}-overlays",
        )
        named = st.checkbox(
            tr("Include the file's name, and of a DICOM the patient and the study"),
            key=f"{key}-identity",
            help=tr("Without it, no export names the file or the patient."),
        )
        report = replace(bare, overlays=tuple(overlays), name=name if named else "")
        check(report)
        unfiled = refused(report)
        with first:
            _button("pdf", report, key, primary=True)
        with second:
            _button("json", report, key)
            _button("csv", report, key)
            if source is not None:
                _button("sr", report, key, disabled=bool(unfiled))
        shown = st.selectbox(tr("Heatmap as a picture"), names, format_func=tr, key=f"{key}-picture")
        with st.container(horizontal=True):
            picture = replace(report, overlays=(shown,))
            _button("png", picture, key)
            if source is not None:
                _button("sc", picture, key, disabled=bool(unfiled))
        st.caption(unfiled or tr(_FILED))


def _button(kind: Kind, report: Report, key: str, *, primary: bool = False, disabled: bool = False) -> None:
    form = FORMATS[kind]
    about = f"-{report.overlays[0].lower().replace(' ', '-')}" if kind in ("png", "sc") else ""
    st.download_button(
        tr(_LABELS[kind]),
        journal.exported(kind, _speaking(form.write, report)),
        file_name=f"chest-reading-{report.made:%Y%m%d-%H%M}{about}{form.suffix}",
        mime=form.mime,
        icon=":material/picture_as_pdf:" if primary else ":material/download:",
        type="primary" if primary else "secondary",
        on_click="ignore",
        disabled=disabled,
        width="stretch",
        key=f"{key}-{kind}",
    )


def _speaking(write: Callable[[Report], bytes], report: Report) -> Callable[[], bytes]:
    """Write later in the language of now: the click is served in a thread that knows no session."""
    language = current()

    def made() -> bytes:
        with using(language):
            return write(report)

    return made


def _now() -> datetime:
    """Tell the time where the reader is, as far as the browser says and this machine knows the place."""
    try:
        return datetime.now(ZoneInfo(st.context.timezone or ""))
    except (ValueError, OSError, ZoneInfoNotFoundError):  # none, or such as "Etc/Unknown" of Chromium
        return datetime.now().astimezone()
