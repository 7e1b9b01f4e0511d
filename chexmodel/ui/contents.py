"""The tabs of the Dataset page that show counts."""

from typing import Final

import pandas as pd
import streamlit as st

from chexmodel.statistics import Ages, Statistics, conditional, jaccard
from chexmodel.ui import charts, population
from chexmodel.ui.components import chart, table

MEASURE_KEY: Final = "dataset-measure"

# SHA-256 of the table whose highest age was read to be exactly 90: the aggregates only have decades.
CAPPED: Final = "cdd70817ac2f13e464d2e35de78cd6831b10382c869c3824c35b44f55928becb"

_MEASURES: Final[dict[charts.Measure, tuple[str, str]]] = {
    "films": (
        "Films",
        "Films positive for both; on the diagonal, for the one. The colour scale is logarithmic.",
    ),
    "conditional": (
        "P(column | row)",
        "Of the films positive for the row, the share also positive for the column.",
    ),
    "jaccard": (
        "Jaccard",
        "Of the films positive for either, the share positive for both: symmetric, and a frequent "
        "observation does not look close to all others.",
    ),
}


def labels(statistics: Statistics) -> None:
    """What the table says of each observation."""
    st.subheader("Labels per observation")
    st.caption("−1 is *uncertain* (the report hedges); a *blank* is not mentioned in the report.")
    percent = st.toggle("Shares instead of films")
    counts = statistics.states()
    chart(charts.states(counts, percent=percent), "dataset-states")
    with st.expander("As a table"):
        share = 100 * counts["positive"] / counts.sum(axis=1)
        table(counts.assign(**{"positive, %": share}), "dataset-states", formats={"positive, %": "%.1f"})


def together(statistics: Statistics) -> None:
    """Observations that are positive on the same films."""
    st.subheader("Findings that come together")
    measure = st.radio(
        "Show",
        list(_MEASURES),
        format_func=lambda name: _MEASURES[name][0],
        horizontal=True,
        label_visibility="collapsed",
        key=MEASURE_KEY,
    )
    counts = statistics.cooccurrence()
    st.caption(f"{_MEASURES[measure][1]} Of {statistics.films:,} films; only explicit positives count.")
    chart(charts.cooccurrence(counts, measure), f"dataset-together-{measure}")
    with st.expander("As a table"):
        frames = {"films": counts, "conditional": conditional(counts), "jaccard": jaccard(counts)}
        table(frames[measure].rename_axis("observation"), f"dataset-together-{measure}")


def patients(statistics: Statistics) -> None:
    """Who the patients are, and how they were imaged."""
    left, right = st.columns(2)
    with left:
        _visits(statistics)
        st.subheader("Age by sex")
        chart(population.age_bars(statistics.ages), "dataset-ages")
        _say_cap(statistics)
        with st.expander("As a table"):
            table(_by_age(statistics.ages), "dataset-ages")
        st.subheader("Sex, view and projection")
        chart(population.amounts(statistics.sexes), "dataset-sexes")
        views = {
            f"{view}, {'no projection' if projection == 'blank' else projection}": films
            for view, projections in statistics.projections_by_view.items()
            for projection, films in projections.items()
        }
        chart(population.amounts(views), "dataset-views")
    with right:
        st.subheader("Positives by age")
        left_out = [
            f"{name} ({films})"
            for name, films in zip(statistics.ages.names(), statistics.ages.totals(), strict=True)
            if 0 < films < population.FEWEST
        ]
        st.caption(
            "Of the films of an age band, the share that is positive."
            + (f" Left out, under {population.FEWEST} films: {', '.join(left_out)}." if left_out else "")
        )
        chart(population.positives_by_age(statistics.positives_by_age, statistics.ages), "dataset-by-age")
        with st.expander("As a table"):
            bins = pd.DataFrame(statistics.positives_by_age, index=statistics.ages.names()).rename_axis("age")
            table(bins.assign(films=statistics.ages.totals()), "dataset-by-age")
        st.subheader("Positives by view")
        st.caption("Of the films of a view, the share that is positive.")
        chart(population.positives_by_view(statistics.positives, statistics.views), "dataset-by-view")
        with st.expander("As a table"):
            table(pd.DataFrame(statistics.positives).rename_axis("observation"), "dataset-by-view")


def _visits(statistics: Statistics) -> None:
    st.subheader("Films and studies per patient")
    films, studies = statistics.films_per_patient, statistics.studies_per_patient
    st.caption(
        f"{statistics.patients:,} patients. Median (quartiles) of films: {_quartiles(films.quartiles)}, of "
        f"studies: {_quartiles(studies.quartiles)}; at most {films.maximum:,} and {studies.maximum:,}. Films "
        "of one patient resemble each other: split by patient, never by film."
    )
    chart(population.per_patient(films, studies), "dataset-visits")
    with st.expander("As a table"):
        bins = pd.DataFrame({"by films": films.bins(), "by studies": studies.bins()})
        table(bins.rename_axis("per patient"), "dataset-visits")


def _quartiles(quartiles: tuple[float, float, float]) -> str:
    low, middle, high = quartiles
    return f"{middle:g} ({low:g}–{high:g})"


def _by_age(ages: Ages) -> pd.DataFrame:
    frame = pd.DataFrame(ages.films, index=pd.Index(ages.names(), name="age"))
    return frame.rename(columns={"blank": "not stated"})


def _say_cap(statistics: Statistics) -> None:
    made = statistics.provenance
    if made is None or made.sha256 != CAPPED:
        return
    last = sum(films[statistics.ages.edges.index(90)] for films in statistics.ages.films.values())
    st.caption(
        f"Ages are capped: the {last:,} films from 90 years on all say exactly 90, and none says more."
    )
