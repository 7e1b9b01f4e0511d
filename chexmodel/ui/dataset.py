"""Dataset: what a label table contains, and what a blank is taken for."""

import hashlib
import tempfile
from pathlib import Path
from typing import Final

import pandas as pd
import streamlit as st

from chexmodel import canvas
from chexmodel.errors import DatasetError
from chexmodel.labels import NO_FINDING
from chexmodel.metrics import constant_yes_f1
from chexmodel.statistics import Provenance, Statistics, conditional, describe, load_statistics, provenance_of
from chexmodel.table import csv_files, read_table
from chexmodel.ui import charts
from chexmodel.ui.components import ROOT, guard

COMMITTED: Final = ROOT / "assets" / "statistics" / "chexpert.json"
SOURCE_KEY: Final = "dataset-source"
PATH_KEY: Final = "dataset-path"
UPLOAD_KEY: Final = "dataset-upload"
SOURCES: Final = ("CheXpert", "A CSV of mine")

# SHA-256 of the table whose highest age was read to be exactly 90: the aggregates only have decades.
# (A comment, as Streamlit prints a bare string of a page.)
CAPPED: Final = "cdd70817ac2f13e464d2e35de78cd6831b10382c869c3824c35b44f55928becb"


def page() -> None:
    """Draw the page."""
    st.title("Dataset")
    st.caption("What a label table says of its films: counts only, no patient is shown.")
    source = st.radio("Table", SOURCES, key=SOURCE_KEY, horizontal=True)
    with guard():
        statistics = load_statistics(COMMITTED) if source == SOURCES[0] else _own()
        if statistics is not None:
            _show(statistics)


def _own() -> Statistics | None:
    typed, uploaded = st.columns(2, vertical_alignment="bottom")
    path = typed.text_input(
        "Path of a CSV or of a directory, on the computer that runs this app",
        key=PATH_KEY,
        placeholder="/data/CheXpert-v1.0-small",
    ).strip()
    upload = uploaded.file_uploader("… or upload a CSV (also .csv.gz)", key=UPLOAD_KEY, type=["csv", "gz"])
    if upload is not None:
        data = upload.getvalue()
        return _from_bytes(hashlib.sha256(data).hexdigest(), Path(upload.name).name, data)
    if path:
        try:
            csv = csv_files(Path(path).expanduser())[0]
            state = csv.stat()
        except (OSError, RuntimeError) as error:  # RuntimeError: a home directory of nobody
            raise DatasetError(f"{path} can't be read ({error}): check the path") from error
        return _from_path(str(csv), state.st_mtime_ns, state.st_size)
    st.info("Give the path of a table in CheXpert's layout, or upload one.", icon=":material/upload_file:")
    return None


@st.cache_data(max_entries=8, show_spinner="Reading the table …")
def _from_path(csv: str, mtime_ns: int, size: int) -> Statistics:  # noqa: ARG001 – parts of the key
    command = f"python -m chexmodel statistics {Path(csv).name}"
    return describe(read_table(csv), provenance=provenance_of(csv, command=command))


@st.cache_data(max_entries=8, show_spinner="Reading the table …")
def _from_bytes(sha256: str, name: str, _data: bytes) -> Statistics:
    """Read an upload; of the arguments its digest and name are the key."""
    with tempfile.TemporaryDirectory() as directory:
        csv = Path(directory) / "table.csv"
        csv.write_bytes(_data)
        try:
            statistics = describe(read_table(csv))
        except DatasetError as error:
            # The sentence names the file as its owner knows it.
            raise DatasetError(str(error).replace(str(csv), name)) from error
    command = f"python -m chexmodel statistics {name}"
    made = Provenance(source=name, sha256=sha256, command=command, code="this app")
    return statistics.model_copy(update={"provenance": made})


def _show(statistics: Statistics) -> None:
    with st.container(horizontal=True, gap="medium"):
        for name in ("films", "patients", "studies"):
            st.metric(name.capitalize(), f"{getattr(statistics, name):,}", width="content")
        spread = statistics.films_per_patient
        st.metric("Films per patient, mean (most)", f"{spread.mean:.1f} ({spread.maximum})", width="content")
    if statistics.provenance is not None:
        made = statistics.provenance
        st.caption(
            f"Source: `{made.source}`, SHA-256 `{made.sha256}`. Counted with `{made.command}` ({made.code})."
        )
    _states(statistics)
    _blanks(statistics)
    _together(statistics)
    _people(statistics)


def _states(statistics: Statistics) -> None:
    st.subheader("Labels per observation")
    st.caption("−1 is *uncertain* (the report hedges); a *blank* is not mentioned in the report.")
    percent = st.toggle("Shares instead of films")
    counts = statistics.states()
    _chart(charts.states(counts, percent=percent), "states")
    with st.expander("As a table"):
        share = counts["positive"] / counts.sum(axis=1)
        _table(counts.assign(**{"positive, %": (100 * share).round(1)}))


def constant_yes(counts: pd.DataFrame, *, blank_is_negative: bool) -> "pd.Series[float]":
    """F1 of calling every film positive, per observation; NaN without a positive."""
    negatives = counts["negative"] + (counts["blank"] if blank_is_negative else 0)
    return pd.Series(
        [constant_yes_f1(p, n) for p, n in zip(counts["positive"], negatives, strict=True)],
        index=counts.index,
    )


def _blanks(statistics: Statistics) -> None:
    st.subheader("Why a blank counts as negative here")
    counts = statistics.states()
    masked, negative = (constant_yes(counts, blank_is_negative=policy) for policy in (False, True))
    healthy = statistics.observations[NO_FINDING]
    explicit = f"{healthy.negative:,} explicit negatives" if healthy.negative else "no explicit negative"
    st.markdown(
        f"In this table *{NO_FINDING}* has {healthy.positive:,} positives and {explicit}. Reports say what "
        "is there and seldom what is not: where blanks are masked (left out of loss and metrics), few "
        "negatives may remain or none, and then a constant “yes”, which looks at no film, scores high. The "
        "figures below are what it gets on this table; a model's score has to be read against them. By "
        "default a blank is therefore a negative, as the authors of CheXpert's labeler treat it. That has "
        "its price: a finding that a report leaves out counts as absent. `--blank ignore` trains and scores "
        "with blanks masked, as the course project that this program grows from intends it."
    )
    with st.container(horizontal=True, gap="medium"):
        for label, f1 in (("blanks masked", masked), ("blanks negative", negative)):
            st.metric(
                f"Macro F1 of a constant “yes”, {label}",
                f"{f1.mean():.3f} over {f1.count()}" if f1.count() else "—",
                help=f"Mean over the {f1.count()} observations with a positive.",
                width="content",
            )
    without = [str(name) for name in f1.index[f1.isna()]]
    if without:
        st.caption(f"Undefined, hence left out: {', '.join(without)} (no positive in this table).")
    with st.expander("Per observation"):
        _table(pd.DataFrame({"blanks masked": masked, "blanks negative": negative}).map(_fixed))


def _together(statistics: Statistics) -> None:
    st.subheader("Findings that come together")
    shown = st.radio("Show", ("Films", "P(column | row)"), horizontal=True, label_visibility="collapsed")
    given_row = shown != "Films"
    counts = statistics.cooccurrence()
    if given_row:
        st.caption("Of the films positive for the row, the share also positive for the column.")
    else:
        st.caption("Films positive for both; on the diagonal, for the one. The colour scale is logarithmic.")
    _chart(charts.cooccurrence(counts, given_row=given_row), "together")
    with st.expander("As a table"):
        _table(conditional(counts).map(_fixed) if given_row else counts)


def _people(statistics: Statistics) -> None:
    st.subheader("Patients and views")
    left, right = st.columns(2)
    with left:
        st.markdown("**Age by sex**")
        _chart(charts.age_bars(statistics.ages), "ages")
        _say_cap(statistics)
        st.markdown("**Sex**")
        _chart(charts.amounts(statistics.sexes), "sexes")
        st.markdown("**View**")
        _chart(charts.amounts(statistics.views), "views")
        st.markdown("**Projection**")
        _chart(charts.amounts(statistics.projections), "projections")
    with right:
        st.markdown("**Positives by view**")
        _chart(charts.positives_by_view(statistics.positives, statistics.views), "by-view")


def _say_cap(statistics: Statistics) -> None:
    made = statistics.provenance
    if made is None or made.sha256 != CAPPED:
        return
    last = sum(films[statistics.ages.edges.index(90)] for films in statistics.ages.films.values())
    st.caption(
        f"Ages are capped: the {last:,} films from 90 years on all say exactly 90, and none says more."
    )


def _fixed(value: float) -> str:
    return "—" if pd.isna(value) else f"{value:.3f}"


def _chart(figure: object, key: str) -> None:
    st.plotly_chart(figure, config=canvas.CONFIG, key=f"dataset-{key}")


def _table(rows: pd.DataFrame) -> None:
    st.dataframe(rows, height="content")


page()
