"""The tabs of the Dataset page that show counts."""

from typing import Final

import pandas as pd
import streamlit as st

from chexmodel.aggregates import AND_MORE
from chexmodel.grouping import NOT_STATED
from chexmodel.language import mark, number, tr, trn
from chexmodel.retelling import retold
from chexmodel.statistics import Ages, Statistics, conditional, jaccard
from chexmodel.ui import charts, population
from chexmodel.ui.components import chart, table

MEASURE_KEY: Final = "dataset-measure"

# SHA-256 of the table whose highest age was read to be exactly 90: the aggregates only have decades.
CAPPED: Final = "cdd70817ac2f13e464d2e35de78cd6831b10382c869c3824c35b44f55928becb"

_MEASURES: Final[dict[charts.Measure, tuple[str, str]]] = {
    "films": (
        mark("Films"),
        mark("Films positive for both; on the diagonal, for the one. The colour scale is logarithmic."),
    ),
    "conditional": (
        mark("P(column | row)"),
        mark("Of the films positive for the row, the share also positive for the column."),
    ),
    "jaccard": (
        mark("Jaccard"),
        mark(
            "Of the films positive for either, the share positive for both: symmetric, and a frequent "
            "observation does not look close to all others."
        ),
    ),
}


def labels(statistics: Statistics) -> None:
    """What the table says of each observation."""
    st.subheader(tr("Labels per observation"))
    st.caption(tr("−1 is *uncertain* (the report hedges); a *blank* is not mentioned in the report."))
    percent = st.toggle(tr("Shares instead of films"))
    counts = statistics.states()
    chart(charts.states(counts, percent=percent), "dataset-states")
    with st.expander(tr("As a table")):
        share = 100 * counts["positive"] / counts.sum(axis=1)
        table(
            counts.assign(**{mark("positive, %"): share}),
            "dataset-states",
            words=["observation"],
            formats={"positive, %": ".1f"},
        )


def together(statistics: Statistics) -> None:
    """Observations that are positive on the same films."""
    st.subheader(tr("Findings that come together"))
    measure = st.radio(
        tr("Show"),
        list(_MEASURES),
        format_func=lambda name: tr(_MEASURES[name][0]),
        horizontal=True,
        label_visibility="collapsed",
        key=MEASURE_KEY,
    )
    counts = statistics.cooccurrence()
    of = trn(
        "Of {n:,} film; only explicit positives count.",
        "Of {n:,} films; only explicit positives count.",
        statistics.films,
    )
    st.caption(f"{tr(_MEASURES[measure][1])} {of}")
    chart(charts.cooccurrence(counts, measure), f"dataset-together-{measure}")
    with st.expander(tr("As a table")):
        frames = {"films": counts, "conditional": conditional(counts), "jaccard": jaccard(counts)}
        table(
            frames[measure].rename_axis("observation"), f"dataset-together-{measure}", words=["observation"]
        )


def patients(statistics: Statistics) -> None:
    """Who the patients are, and how they were imaged."""
    left, right = st.columns(2)
    with left:
        _visits(statistics)
        st.subheader(tr("Age by sex"))
        chart(population.age_bars(statistics.ages), "dataset-ages")
        _say_cap(statistics)
        with st.expander(tr("As a table")):
            table(_by_age(statistics.ages), "dataset-ages", words=["age"])
        st.subheader(tr("Sex, view and projection"))
        chart(population.amounts(statistics.sexes), "dataset-sexes")
        views = {
            tr("{view}, no projection", view=tr(view))
            if projection == "blank"
            else f"{tr(view)}, {tr(projection)}": films
            for view, projections in statistics.projections_by_view.items()
            for projection, films in projections.items()
        }
        chart(population.amounts(views), "dataset-views")
    with right:
        st.subheader(tr("Positives by age"))
        left_out = [
            f"{tr(name)} ({films})"
            for name, films in zip(statistics.ages.names(), statistics.ages.totals(), strict=True)
            if 0 < films < population.FEWEST
        ]
        said = [tr("Of the films of an age band, the share that is positive.")]
        if left_out:
            said.append(
                tr(
                    "Left out, under {least} films: {bands}.",
                    least=population.FEWEST,
                    bands=", ".join(left_out),
                )
            )
        st.caption(" ".join(said))
        chart(population.positives_by_age(statistics.positives_by_age, statistics.ages), "dataset-by-age")
        with st.expander(tr("As a table")):
            bins = pd.DataFrame(statistics.positives_by_age, index=statistics.ages.names()).rename_axis("age")
            table(bins.assign(films=statistics.ages.totals()), "dataset-by-age", words=["age"])
        st.subheader(tr("Positives by view"))
        st.caption(tr("Of the films of a view, the share that is positive."))
        chart(population.positives_by_view(statistics.positives, statistics.views), "dataset-by-view")
        with st.expander(tr("As a table")):
            by_view = pd.DataFrame(statistics.positives).rename_axis("observation")
            table(by_view, "dataset-by-view", words=["observation"])


def _visits(statistics: Statistics) -> None:
    st.subheader(tr("Films and studies per patient"))
    films, studies = statistics.films_per_patient, statistics.studies_per_patient
    st.caption(
        tr(
            "{patients:,} patients. Median (quartiles) of films: {films}, of studies: {studies}; at most "
            "{most_films:,} and {most_studies:,}. Films of one patient resemble each other: split by "
            "patient, never by film.",
            patients=statistics.patients,
            films=_quartiles(films.quartiles),
            studies=_quartiles(studies.quartiles),
            most_films=films.maximum,
            most_studies=studies.maximum,
        )
    )
    chart(population.per_patient(films, studies), "dataset-visits")
    with st.expander(tr("As a table")):
        bins = pd.DataFrame({mark("by films"): films.bins(), mark("by studies"): studies.bins()})
        bins = bins.rename_axis(mark("per patient"))
        table(
            bins.reset_index(),
            "dataset-visits",
            shown=bins.rename(index=lambda name: retold(name, [AND_MORE])),
        )


def _quartiles(quartiles: tuple[float, float, float]) -> str:
    low, middle, high = quartiles
    return f"{number(middle, 'g')} ({number(low, 'g')}–{number(high, 'g')})"


def _by_age(ages: Ages) -> pd.DataFrame:
    frame = pd.DataFrame(ages.films, index=pd.Index(ages.names(), name=mark("age")))
    return frame.rename(columns={"blank": NOT_STATED})


def _say_cap(statistics: Statistics) -> None:
    made = statistics.provenance
    if made is None or made.sha256 != CAPPED:
        return
    last = sum(films[statistics.ages.edges.index(90)] for films in statistics.ages.films.values())
    st.caption(
        tr(
            "Ages are capped: the {films:,} films from 90 years on all say exactly 90, and none says more.",
            films=last,
        )
    )
