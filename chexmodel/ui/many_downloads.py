"""What can be taken along of many films: their findings as a table, their overlays as an archive."""

from collections.abc import Hashable, Iterator, Sequence
from typing import Final

import streamlit as st

from chexmodel.batch import Result, overlays, to_csv, zipped
from chexmodel.batch_pictures import OVERLAY_SIDE
from chexmodel.containers import Refusal
from chexmodel.labels import NO_FINDING, OBSERVATIONS
from chexmodel.language import tr
from chexmodel.predictor import Predictor
from chexmodel.ui import journal, service
from chexmodel.ui.components import guard

_ARCHIVE: Final = "many-archive"


def trained(predictor: Predictor) -> list[str]:
    """Observations that have scores; the one that is no finding comes last."""
    missing = predictor.bundle.manifest.not_trained
    return sorted((name for name in OBSERVATIONS if name not in missing), key=lambda name: name == NO_FINDING)


def downloads(
    predictor: Predictor, done: Sequence[Result], refused: Sequence[Refusal], keys: Sequence[Hashable]
) -> None:
    """Draw them.

    Args:
        predictor: what the films were read with.
        done: what came of them; one at least.
        refused: what in the upload is no film; the table tells it too.
        keys: tell these results from others.
    """
    left, right = st.columns(2, vertical_alignment="bottom")
    left.download_button(
        tr("All findings (CSV)"),
        journal.exported("films", lambda: to_csv(done, refused, predictor)),
        file_name="films.csv",
        mime="text/csv",
        icon=":material/download:",
        on_click="ignore",
        width="stretch",
    )
    finding = left.selectbox(
        tr("Observation of the overlays"),
        [None, *trained(predictor)],
        format_func=lambda name: tr("findings at or above threshold") if name is None else tr(name),
        help=tr("At most {side} px a side; only of films that were read.", side=OVERLAY_SIDE),
    )
    state = (finding, *keys, *(result.entry.name for result in done))  # the files in it bear their names
    kept = st.session_state.get(_ARCHIVE)
    if kept is None or kept[0] != state:
        st.session_state.pop(_ARCHIVE, None)  # of other films or another finding, and up to 500 MB
        if not right.button(tr("Make the overlays"), icon=":material/layers:", width="stretch"):
            return
        made = journal.exported("overlays", lambda: _archive(predictor, done, finding))
        with guard():
            kept = st.session_state[_ARCHIVE] = (state, made())
            st.rerun()
        return
    right.download_button(
        tr("Overlays (ZIP)"),
        kept[1],
        file_name="overlays.zip",
        mime="application/zip",
        icon=":material/download:",
        on_click="ignore",
        width="stretch",
    )


def _archive(predictor: Predictor, done: Sequence[Result], finding: str | None) -> bytes:
    bar = st.progress(0.0, text=tr("Painting the overlays …"))

    def told() -> Iterator[list[tuple[str, bytes]]]:
        painted = service.in_turn(overlays(predictor, done, finding=finding), service.Place())
        for count, some in enumerate(painted, 1):
            bar.progress(count / len(done), text=tr("Painting the overlays …"))
            yield some

    return zipped(told())
