"""Opening films: uploads, the ZIP or folder of a study, the examples. They stay in this session's memory."""

from collections.abc import Sequence
from typing import Final, Literal, NamedTuple

import streamlit as st
from streamlit.runtime.uploaded_file_manager import UploadedFile

from chexmodel import phantom
from chexmodel.containers import Entry, Opened, Refusal, open_uploads
from chexmodel.examples import EXAMPLES, Example, fetch
from chexmodel.language import tr
from chexmodel.ui.components import guard
from chexmodel.ui.decoder import decoders

UPLOAD_KEY: Final = "upload"
FOLDER_KEY: Final = "upload-folder"
PRIOR_KEY: Final = "prior-upload"
_DESK: Final = "desk"
_PRIOR: Final = "prior"

Origin = Literal["upload", "phantom"] | Example


class Desk(NamedTuple):
    """The films that are open, what could not be opened, and where they are from."""

    opened: Opened
    origin: Origin = "upload"

    def remark(self) -> str:
        """Say of an example what it is; nothing of an upload."""
        if self.origin == "upload":
            return ""
        if self.origin == "phantom":
            return tr(
                "Synthetic phantom, drawn by this program: no patient, and unlike the films of any training."
            )
        labels = tr(self.origin.labels)
        return tr("Public NIH film. NIH's report-mined labels: {labels}.", labels=labels)


def desk() -> Desk | None:
    """What is open; None where nothing is."""
    kept: Desk | None = st.session_state.get(_DESK)
    return kept


def prior() -> Entry | None:
    """The prior film that is shown beside; None where there is none."""
    kept: Opened | None = st.session_state.get(_PRIOR)
    return kept.films[0] if kept and kept.films else None


def refused_prior() -> tuple[Refusal, ...]:
    """Why what was given as a prior film is none."""
    kept: Opened | None = st.session_state.get(_PRIOR)
    return kept.refused if kept and not kept.films else ()


def choose_films() -> None:
    """Draw the uploader and the examples."""
    upload, folder, examples = st.columns([3, 1.2, 1.2], vertical_alignment="bottom")
    upload.file_uploader(
        tr("Chest X-rays: PNG, JPEG, TIFF or DICOM, up to 50 MB each; or a ZIP"),
        accept_multiple_files=True,
        key=UPLOAD_KEY,
        on_change=_take_uploads,
        args=(UPLOAD_KEY,),
        help=tr("The films stay in this session's memory: nothing is written to disk or sent elsewhere."),
    )
    with folder.popover(tr("Open a folder"), icon=":material/folder_open:", width="stretch"):
        st.file_uploader(
            tr("Folder of a study, or of many films"),
            accept_multiple_files="directory",
            key=FOLDER_KEY,
            on_change=_take_uploads,
            args=(FOLDER_KEY,),
        )
    with examples.popover(tr("Try an example"), icon=":material/science:", width="stretch"):
        st.button(tr("Synthetic phantom (drawn by this program)"), on_click=_take_phantom, width="stretch")
        st.caption(tr("Public films of the NIH Clinical Center, fetched from GitHub when you click:"))
        for example in EXAMPLES:
            label = tr("NIH labels: {labels}", labels=tr(example.labels))
            if st.button(label, key=example.file, width="stretch"):
                with guard(), st.spinner(tr("Fetching the example …")):
                    _open([(example.file, fetch(example))], example)
                    st.rerun()


def choose_prior(others: Sequence[Entry]) -> None:
    """Draw the choice of a prior film: one of those that are open, or an upload.

    Args:
        others: the open films but the current one.
    """
    st.caption(tr("It is shown beside the current film, with the same zoom and window."))
    for entry in {entry.key: entry for entry in others}.values():  # a film may be there twice
        if st.button(entry.name, key=f"prior-{entry.key}", width="stretch"):
            st.session_state[_PRIOR] = Opened((entry,), ())
            st.rerun()
    st.file_uploader(tr("Prior film: PNG, JPEG, TIFF or DICOM"), key=PRIOR_KEY, on_change=_take_prior)
    away = tr("Put the prior film away")
    if prior() is not None and st.button(away, icon=":material/close:", width="stretch"):
        st.session_state.pop(_PRIOR)
        st.rerun()


def _open(files: Sequence[tuple[str, bytes]], origin: Origin) -> None:
    st.session_state.pop(_PRIOR, None)
    st.session_state[_DESK] = Desk(open_uploads(files, peek=decoders().peek), origin)


@guard()
def _take_uploads(key: str) -> None:
    # The server may have dropped a file that the browser still lists.
    given = [file for file in st.session_state[key] or () if isinstance(file, UploadedFile)]
    if given:
        _open([(file.name, file.getvalue()) for file in given], "upload")
    else:
        st.session_state.pop(_DESK, None)
        st.session_state.pop(_PRIOR, None)


def _take_phantom() -> None:
    _open([(tr("synthetic phantom"), phantom.png())], "phantom")


@guard()
def _take_prior() -> None:
    given = st.session_state[PRIOR_KEY]
    if not isinstance(given, UploadedFile):
        st.session_state.pop(_PRIOR, None)
    else:
        files = [(given.name, given.getvalue())]
        st.session_state[_PRIOR] = open_uploads(files, peek=decoders().peek)
