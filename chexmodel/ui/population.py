"""The figures of patients, ages and views: data in, plotly figure out."""

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
import plotly.graph_objects as go

from chexmodel import canvas
from chexmodel.aggregates import AND_MORE
from chexmodel.grouping import NOT_STATED
from chexmodel.language import mark, number, tr, trn
from chexmodel.retelling import retold
from chexmodel.statistics import Ages, PerPatient
from chexmodel.ui.charts import ROW, short

_VALUES: Final = {"blank": NOT_STATED, "Unknown": mark("Unknown")}
"""Values of a column that are called otherwise, or that only some tables have."""

FEWEST: Final = 20
"""Films that an age band needs for a share of them to be shown."""


def positives_by_age(positives: Mapping[str, Sequence[int]], ages: Ages) -> go.Figure:
    """Heat map of the share of each age band's films that are positive, per observation.

    Args:
        positives: observation → positive films per bin of `ages`.
        ages: films per bin; a bin with fewer than `FEWEST` films is left out: its shares say nothing.
    """
    totals = np.array(ages.totals())
    kept = totals >= FEWEST
    films = np.array([list(bins) for bins in positives.values()])[:, kept]
    shares = 100 * films / totals[kept]
    figure = canvas.figure(
        [
            go.Heatmap(
                x=[tr(name) for name, keep in zip(ages.names(), kept, strict=True) if keep],
                y=short(positives),
                z=shares.tolist(),
                customdata=np.dstack([films, np.broadcast_to(totals[kept], films.shape)]).tolist(),
                colorscale="Cividis",
                zmin=0,
                xgap=1,
                ygap=1,
                colorbar={"title": "%", "ticksuffix": " ", "thickness": 10, "outlinewidth": 0},
                hovertemplate=(
                    tr("%{y}, %{x} years: %{z:.1f} %, %{customdata[0]:,} of %{customdata[1]:,} films")
                    + "<extra></extra>"
                ),
            )
        ],
        height=ROW * len(positives) + 130,
    )
    figure.update_xaxes(title=tr("age, years"), type="category", tickangle=-45, showgrid=False)
    return figure.update_yaxes(autorange="reversed", showgrid=False)


def per_patient(films: PerPatient, studies: PerPatient) -> go.Figure:
    """Patients by how many films and studies they have, a group of bars for each."""
    total = sum(films.patients)
    bars = []
    for i, (name, each) in enumerate({mark("films"): films, mark("studies"): studies}.items()):
        bins = each.bins()
        bars.append(
            go.Bar(
                name=tr(name),
                x=[retold(name, [AND_MORE]) for name in bins],
                y=list(bins.values()),
                customdata=[_percent(count, total) for count in bins.values()],
                marker=canvas.hatched(canvas.look(i).colour, canvas.look(i).hatch),
                hovertemplate=tr("%{{x}} {kind}: %{{y:,}} patients (%{{customdata}})", kind=tr(name))
                + "<extra></extra>",
            )
        )
    figure = canvas.figure(bars, height=340, barmode="group")
    figure.update_xaxes(title=tr("per patient"), type="category", tickangle=-45)
    return figure.update_yaxes(title=tr("patients"))


def age_bars(ages: Ages) -> go.Figure:
    """Films by decade of age, a group of bars per sex; empty decades at the end are left out."""
    used = int(np.flatnonzero(ages.totals()).max(initial=0)) + 1
    names = ages.names()[:used]
    bars = [
        go.Bar(
            name=_blank(sex),
            x=list(map(tr, names)),
            y=films[:used],
            marker=canvas.hatched(canvas.look(i).colour, canvas.look(i).hatch),
            hovertemplate=tr("{sex}, %{{x}} years: %{{y:,}} films", sex=_blank(sex)) + "<extra></extra>",
        )
        for i, (sex, films) in enumerate(ages.films.items())
    ]
    figure = canvas.figure(bars, height=340, barmode="group")
    figure.update_xaxes(title=tr("age, years"), type="category", tickangle=-45)
    return figure.update_yaxes(title=tr("films"))


def amounts(counts: Mapping[str, int]) -> go.Figure:
    """One bar of films per value of a column, with its number."""
    total = sum(counts.values())
    figure = canvas.figure(
        [
            go.Bar(
                y=[_blank(name) for name in counts],
                x=list(counts.values()),
                orientation="h",
                marker={"color": canvas.COLOURS[0]},
                text=[f"{number(n, ',')} ({_percent(n, total)})" for n in counts.values()],
                textposition="outside",
                cliponaxis=False,
                hovertemplate=tr("%{y}: %{text} films") + "<extra></extra>",
            )
        ],
        height=ROW * len(counts) + 80,
    )
    # The longest bar leaves room for its number.
    figure.update_xaxes(title=tr("films"), range=[0, 1.6 * max(counts.values(), default=1)], nticks=4)
    return figure.update_yaxes(autorange="reversed")


def positives_by_view(positives: Mapping[str, Mapping[str, int]], films: Mapping[str, int]) -> go.Figure:
    """Share of each view's films that are positive, per observation.

    Args:
        positives: view → observation → positive films.
        films: view → all its films.
    """
    bars = []
    for i, (view, counts) in enumerate(positives.items()):
        whole = films[view]
        bars.append(
            go.Bar(
                name=trn("{view} ({n:,} film)", "{view} ({n:,} films)", whole, view=_blank(view)),
                y=short(counts),
                x=[100 * count / whole if whole else None for count in counts.values()],
                orientation="h",
                marker=canvas.hatched(canvas.look(i).colour, canvas.look(i).hatch),
                customdata=np.column_stack([list(map(tr, counts)), list(counts.values())]),
                hovertemplate=(
                    f"%{{customdata[0]}}, {_blank(view)}: "
                    + tr("%{{x:.1f}} %, %{{customdata[1]}} of {films:,} films", films=whole)
                    + "<extra></extra>"
                ),
            )
        )
    rows = len(next(iter(positives.values()), {}))
    figure = canvas.figure(bars, height=ROW * rows + 130, barmode="group", bargap=0.25)
    figure.update_xaxes(title=tr("positive films, % of the view's films"))
    return figure.update_yaxes(autorange="reversed")


def _blank(name: str) -> str:
    return tr(_VALUES.get(name, name))


def _percent(part: int, whole: int) -> str:
    if not whole:
        return "—"
    if 0 < part < whole / 1000:
        return tr("< 0.1 %")
    return tr("{percent:.1f} %", percent=100 * part / whole)
