"""Many films at once: read one after another, in a table to sort, to open and to take along.

What is read stays in this session alone. A click while films are read interrupts the script between two of
them and starts it anew: each result is therefore stored as it comes, and reading goes on with what is left.
"""

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import numpy as np
import streamlit as st

from chexmodel.batch import Result, read_films, seconds_left
from chexmodel.containers import Entry, Refusal
from chexmodel.labels import OBSERVATIONS
from chexmodel.language import current, tr, trn
from chexmodel.predictor import Predictor
from chexmodel.ui import journal, service
from chexmodel.ui.many_downloads import downloads, trained
from chexmodel.ui.many_table import table

Results = dict[tuple[str, str, str], Result]
"""(film, model, language) → result."""

_RESULTS: Final = "many-results"
_READING: Final = "many-reading"
_PICKED: Final = "many-picked"
_TABLE: Final = "many-table"
_ROW: Final = 64  # px


def many(predictor: Predictor, entries: Sequence[Entry], refused: Sequence[Refusal] = ()) -> Entry | None:
    """Draw the page of many films.

    Args:
        predictor: reads them.
        entries: the films of an upload.
        refused: what in the upload is no film, shown and exported with the reason.

    Returns:
        The film that the reader chose to open, in the one run after the choice; else None.
    """
    results = _kept(entries)
    # By its own name each: a film may be there twice, under two.
    done = [
        replace(results[key], entry=entry) for entry in entries if (key := _key(predictor, entry)) in results
    ]
    left = [entry for entry in entries if _key(predictor, entry) not in results]
    upload = _digest(entries)
    reading = bool(left) and st.session_state.get(_READING) == upload
    remarks = predictor.remarks()
    if remarks:
        st.warning("\n".join(f"- {remark}" for remark in remarks), icon=":material/warning:")
    place = st.container()
    with place:
        _controls(done, left, upload, reading=reading)
    opened = _table(predictor, entries, {result.entry.key: result for result in done}, refused, upload)
    if done and not reading:
        downloads(predictor, done, refused, [_key(predictor, result.entry) for result in done])
    if reading and opened is None:
        with place:
            _read(predictor, left, done, results)
    return opened


def _key(predictor: Predictor, entry: Entry) -> tuple[str, str, str]:
    return entry.key, predictor.bundle.checksum, current()


def _digest(entries: Sequence[Entry]) -> str:
    """Tell one upload from another: what was asked or picked of one is not meant for the next."""
    return hashlib.sha256("\n".join(entry.key for entry in entries).encode()).hexdigest()[:12]


def _kept(entries: Sequence[Entry]) -> Results:
    """Return this session's results of the films on the page; those of films that left it are dropped.

    So are the bytes of a former upload of the same films, which a result would hold by its entry.
    """
    films = {entry.key: entry for entry in entries}
    results: Results = st.session_state.get(_RESULTS, {})
    results = {
        key: replace(result, entry=films[key[0]]) for key, result in results.items() if key[0] in films
    }
    st.session_state[_RESULTS] = results
    return results


def _controls(done: list[Result], left: list[Entry], upload: str, *, reading: bool) -> None:
    if reading:
        st.button(
            tr("Cancel (keeps what is read)"),
            on_click=_set_reading,
            args=(None,),
            icon=":material/stop_circle:",
        )
        return
    if not left:
        st.caption(trn("{n} film is done.", "All {n} films are done.", len(done)))
        return
    label = (
        trn("Read the remaining film", "Read the remaining {n} films", len(left))
        if done
        else trn("Read the film", "Read all {n} films", len(left))
    )
    st.button(label, on_click=_set_reading, args=(upload,), type="primary", icon=":material/play_circle:")


def _set_reading(upload: str | None) -> None:
    st.session_state[_READING] = upload


def _read(predictor: Predictor, left: list[Entry], done: list[Result], results: Results) -> None:
    total = len(left) + len(done)
    bar = st.progress(len(done) / total, text=_progress_words(done, len(left)))
    place = service.Place()
    keys = {entry.key: _key(predictor, entry) for entry in left}  # now: to ask for the language may interrupt
    for result in service.in_turn(read_films(journal.Noted(predictor), left), place):
        results[keys[result.entry.key]] = result  # before anything that a click may interrupt
        done.append(result)
        bar.progress(len(done) / total, text=_progress_words(done, total - len(done)))
    journal.note("batch", films=total, **Counter(result.status.replace(" ", "_") for result in done))
    _set_reading(None)
    st.rerun()


def _progress_words(done: list[Result], left: int) -> str:
    seconds = seconds_left(done, left)
    if np.isnan(seconds):
        return tr("{done} of {total} films", done=len(done), total=len(done) + left)
    if seconds < 60:
        return tr(
            "{done} of {total} films, about {seconds:.0f} s left",
            done=len(done),
            total=len(done) + left,
            seconds=seconds,
        )
    return tr(
        "{done} of {total} films, about {minutes:.0f} min left",
        done=len(done),
        total=len(done) + left,
        minutes=seconds / 60,
    )


def _table(
    predictor: Predictor,
    entries: Sequence[Entry],
    results: dict[str, Result],
    refused: Sequence[Refusal],
    upload: str,
) -> Entry | None:
    finding = st.selectbox(
        tr("Score in the table, to sort by"),
        trained(predictor) or OBSERVATIONS,
        format_func=tr,
        key="many-finding",
    )
    frame = table(entries, results, refused, finding=finding)
    chosen = st.dataframe(
        frame,
        hide_index=True,
        row_height=_ROW,
        height="content" if len(frame) <= 8 else 9 * _ROW,
        column_config={
            "picture": st.column_config.ImageColumn(tr("Film"), width="small"),
            "name": st.column_config.TextColumn(tr("File")),
            "status": st.column_config.TextColumn(tr("Status"), width="small"),
            "score": st.column_config.NumberColumn(tr("Score for {name}", name=tr(finding)), format="%.2f"),
            "called": st.column_config.TextColumn(tr("At or above threshold"), width="medium"),
            "indeterminate": st.column_config.TextColumn(tr("Indeterminate"), width="medium"),
            "remarks": st.column_config.TextColumn(tr("Reason or warnings"), width="large"),
        },
        placeholder="—",
        on_select="rerun",
        selection_mode="single-row",
        key=f"{_TABLE}-{upload}",
    )
    st.caption(
        tr(
            "Click a heading to sort. Open a film by the box at the left of its row (with the keyboard: "
            "arrow keys, then Shift and Space), or choose it here:"
        )
    )
    place, button = st.columns([4, 1], vertical_alignment="bottom")
    films, key = range(len(entries)), f"many-open-{upload}"
    named = place.selectbox(tr("Film to open"), films, format_func=lambda k: entries[k].name, key=key)
    if button.button(tr("Open this film"), disabled=named is None, width="stretch") and named is not None:
        return entries[named]
    return _newly_picked(entries, chosen["selection"]["rows"])


def _newly_picked(entries: Sequence[Entry], rows: Sequence[int]) -> Entry | None:
    """Return the film of a row in the run after it was picked; a selection stays in its widget for good."""
    picked = entries[rows[0]] if rows and rows[0] < len(entries) else None
    key = None if picked is None else picked.key
    before, st.session_state[_PICKED] = st.session_state.get(_PICKED), key
    return picked if key != before else None
