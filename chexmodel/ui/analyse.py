"""Analyse: films are opened here; one is read on its own screen, many in a table."""

from typing import Final

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from chexmodel.containers import Entry, Opened, frontal
from chexmodel.film import VIEWS
from chexmodel.language import tr
from chexmodel.predictor import Predictor
from chexmodel.ui.bundles import active_predictor
from chexmodel.ui.cases import Chosen
from chexmodel.ui.components import NOTICE, guard
from chexmodel.ui.many import many
from chexmodel.ui.opening import choose_films, desk
from chexmodel.ui.screen import screen

_SHOWN: Final = "shown-film"  # session key of the film on the screen: its key among the open ones, or _ALL
_ALL: Final = ""


def page() -> None:
    """Draw the page."""
    opened = desk()
    # Emptied at once where a film is open: else its words would stand beside the wait for the reading.
    start = st.empty()
    if opened is None:
        with start.container():
            _start()
        return
    row = st.container(horizontal=True, vertical_alignment="center")
    row.title(tr("Analyse"), anchor=False)
    with row.popover(tr("Open other films"), icon=":material/folder_open:"):
        choose_films()
    if opened.remark():
        st.caption(f":material/science: {opened.remark()}")
    with guard():
        _show(active_predictor(), opened.opened, row)


def _start() -> None:
    st.title(tr("Analyse"))
    st.caption(tr("Upload a chest X-ray and see what the model makes of it, and why.") + f" {tr(NOTICE)}")
    choose_films()
    st.info(tr("Nothing to read yet: upload a film, or try an example."), icon=":material/upload_file:")


def _show(predictor: Predictor, opened: Opened, row: DeltaGenerator) -> None:
    """Show the film that was chosen, or the table of all; `row` is where the film's own buttons go."""
    films, refused = opened
    entry = films[0] if len(films) == 1 else _choose(films)
    if entry is None and films:
        wanted = many(predictor, films, refused)
        if wanted is not None:
            st.session_state[_SHOWN] = wanted.key
            st.rerun()
        return
    for refusal in refused:
        st.error(tr("{name}: {reason}", name=refusal.name, reason=refusal.reason), icon=":material/error:")
    if entry is None:
        return
    frame = 0
    if entry.frames > 1:
        frame = -1 + st.number_input(
            tr("Frame (of {n})", n=entry.frames), 1, entry.frames, key=f"frame-{entry.key}", width=200
        )
    screen(predictor, Chosen(entry, frame), [film for film in films if film.key != entry.key], row)


def _choose(films: tuple[Entry, ...]) -> Entry | None:
    """Choose one of several films, or None for the table; of a study its frontal film comes first."""
    if not films:
        return None
    known = {film.key: film for film in films}
    one_study = films[0].study is not None and len({film.study for film in films}) == 1
    first = frontal(films) or films[0] if one_study else None
    kept = st.session_state.get(_SHOWN)
    if kept not in (*known, _ALL):
        kept = _ALL if first is None else first.key
    keys = [_ALL, *known]
    picked: str = st.selectbox(
        tr("Film (of {n})", n=len(films)),
        keys,
        index=keys.index(kept),
        format_func=lambda key: _named(known[key]) if key else tr("All films, as a table"),
    )
    st.session_state[_SHOWN] = picked
    return known.get(picked)


def _named(entry: Entry) -> str:
    return entry.name if entry.view is None else f"{entry.name} · {tr(VIEWS[entry.view])}"


page()
