"""The tab of the Dataset page that lists problems."""

from pathlib import Path
from typing import Final

import pandas as pd
import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from chexmodel.audit import count, in_order
from chexmodel.audit_kinds import SEVERITIES
from chexmodel.film_audit import FILM_KINDS, audit_films
from chexmodel.inspection import ALL_KINDS, MESSAGES, Inspection
from chexmodel.language import mark, tr
from chexmodel.layout import csv_files, image_paths
from chexmodel.reading import read_loosely
from chexmodel.retelling import retold
from chexmodel.ui import loading
from chexmodel.ui.components import guard, table
from chexmodel.ui.loading import Loaded

FILMS_KEY: Final = "dataset-films"
"""Session key of the check of the data folder's films."""
KINDS_KEY: Final = "dataset-kinds"
SHOWN: Final = 1000
"""Rows that the page lists; the CSV has all."""


@st.fragment
@guard()
def show(loaded: Loaded) -> None:
    """Counts per kind, then the rows where they are known."""
    st.subheader(tr("Data audit"))
    if loaded.inspection is None:
        assert loaded.statistics is not None
        _summary(loaded.statistics.problems, loaded.statistics.films, tr("the table"))
        _unchecked(mark("only the counts of this table are shipped"))
        st.caption(
            tr(
                "The offending rows are not shipped: "
                "`python -m chexmodel statistics DIR --audit --csv FILE.csv` lists them for your own copy."
            )
        )
        return
    inspection = _with_films(loaded, loaded.inspection)
    _summary(
        inspection.counts,
        inspection.rows,
        tr("{first} and {second}", first=inspection.files[0], second=inspection.files[1])
        if len(inspection.files) == 2
        else ", ".join(inspection.files),
    )
    if inspection.unchecked:
        _unchecked(inspection.unchecked)
    _rows(inspection)


def _unchecked(why: str) -> None:
    st.info(
        tr(
            "Missing, damaged and duplicated films: not possible without the films ({why}).",
            why=retold(why, MESSAGES),
        ),
        icon=":material/image_not_supported:",
    )


def _summary(counts: dict[str, int], rows: int, files: str) -> None:
    kinds = ALL_KINDS
    frame = pd.DataFrame(
        {
            mark("severity"): [kinds[kind].severity for kind in counts],
            mark("rows"): list(counts.values()),
            mark("rule"): [kinds[kind].rule for kind in counts],
            mark("what to do"): [kinds[kind].remedy for kind in counts],
        },
        index=pd.Index(list(counts), name=mark("problem")),
    )
    by = frame.groupby("severity")["rows"].sum()
    errors, warnings, notes = (int(by.get(name, 0)) for name in SEVERITIES)
    st.markdown(
        tr(
            "{rows:,} rows of {files}, {rules} rules. Errors: **{errors:,}**, warnings: **{warnings:,}**, "
            "notes: **{notes:,}**; a film can have several.",
            rows=rows,
            files=files,
            rules=len(counts),
            errors=errors,
            warnings=warnings,
            notes=notes,
        )
    )
    # In the table below long cells are cut: what was found is said in full.
    lines = [
        tr(
            "- **{problem}**, {n:,} ({severity}): {rule}. What to do: {remedy}.",
            problem=tr(name),
            n=number,
            severity=tr(kinds[name].severity),
            rule=retold(kinds[name].rule, MESSAGES),
            remedy=tr(kinds[name].remedy),
        )
        for name, number in counts.items()
        if number
    ]
    st.markdown("\n".join(lines).replace("<", "\\<"))
    table(
        frame.reset_index(),
        "dataset-audit",
        shown=frame.assign(rule=frame["rule"].map(_told)),
        words=["problem", "severity", "what to do"],
        columns={"rule": st.column_config.Column(width="large")},
    )


def _with_films(loaded: Loaded, inspection: Inspection) -> Inspection:
    """Offer to check the films of the data folder; the result is kept in the session."""
    data = loading.folder()
    if data is None or not loaded.key.startswith(f"{data} "):
        return inspection
    kept = st.session_state.get(FILMS_KEY)
    if kept is None or kept[0] != loaded.key:
        place = st.empty()
        if not place.button(
            tr("Check the films too"),
            icon=":material/image_search:",
            help=tr("Some 3 ms per film and core."),
        ):
            return inspection
        kept = st.session_state[FILMS_KEY] = (loaded.key, _check_films(data, place))
        place.empty()
    found = kept[1]
    counts = inspection.counts | count(found, FILM_KINDS)
    return inspection._replace(found=in_order([inspection.found, found]), counts=counts, unchecked="")


def _check_films(data: Path, place: DeltaGenerator) -> pd.DataFrame:
    bar = place.progress(0.0, tr("Reading the films …"))
    files = [csv for csv in csv_files(data) if csv is not None]
    tables = {csv.name: read_loosely(csv, csv.name)[0] for csv in files}
    paths = {csv.name: image_paths(tables[csv.name], csv) for csv in files}

    def tell(done: int, total: int) -> None:
        if done % 50 == 0 or done == total:
            bar.progress(done / total, tr("{done:,} of {total:,} films", done=done, total=total))

    return audit_films(tables, paths, progress=tell)


def _rows(inspection: Inspection) -> None:
    there = [kind for kind, number in inspection.counts.items() if number]
    if not there:
        st.success(tr("No problem was found."))
        return
    chosen = st.multiselect(tr("Kinds"), there, key=KINDS_KEY, placeholder=tr("all kinds"), format_func=tr)
    found = inspection.found
    part = found[found["kind"].isin(chosen)] if chosen else found
    if len(part) > SHOWN:
        st.caption(
            tr(
                "The first {shown:,} of {rows:,} rows; the CSV has all.",
                shown=SHOWN,
                rows=len(part),
            )
        )
    shown = part.head(SHOWN)
    table(
        part,
        "dataset-problems",
        shown=shown.assign(what=shown["what"].map(_told)),
        words=["kind", "severity", "remedy"],
        hide_index=True,
        height=min(420, 38 + 35 * min(len(part), SHOWN)),
        columns={
            "Path": st.column_config.Column(width="medium"),
            "what": st.column_config.Column(width="large"),
        },
    )


def _told(sentence: str) -> str:
    return retold(sentence, MESSAGES)
