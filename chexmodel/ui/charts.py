"""The figures of labels and of what policies make of them: data in, plotly figure out."""

from collections.abc import Iterable
from typing import Any, Final, Literal

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from chexmodel import canvas
from chexmodel.labels import SHORT_NAMES
from chexmodel.language import mark, tr
from chexmodel.policies import PolicyEffect
from chexmodel.statistics import conditional, jaccard

Measure = Literal["films", "conditional", "jaccard"]

_STATES: Final = {
    mark("positive"): (canvas.COLOURS[1], ""),
    mark("negative"): (canvas.COLOURS[0], "/"),
    mark("uncertain"): (canvas.COLOURS[4], "x"),
    mark("blank"): (canvas.GREY, "."),
}
_DRAWS: Final = {"positives": mark("each film once"), "drawn": mark("weighted draws")}
ROW: Final = 27
"""px of height per horizontal bar."""


def states(counts: pd.DataFrame, *, percent: bool) -> go.Figure:
    """Stacked bars of what a table says of each observation.

    Args:
        counts: (14, 4) films, as `Statistics.states` gives them.
        percent: show shares of all films instead of films.
    """
    shares = 100 * counts.div(counts.sum(axis=1), axis=0)
    shown = shares if percent else counts
    bars = [
        go.Bar(
            name=tr(state),
            y=short(counts.index),
            x=shown[state].tolist(),
            orientation="h",
            marker=canvas.hatched(colour, hatch),
            customdata=np.column_stack([counts.index.map(tr), counts[state], shares[state]]),
            hovertemplate=(
                f"%{{customdata[0]}}, {tr(state)}: "
                + tr("%{customdata[1]:,} films (%{customdata[2]:.1f} %)")
                + "<extra></extra>"
            ),
        )
        for state, (colour, hatch) in _STATES.items()
    ]
    figure = canvas.figure(bars, height=ROW * len(counts) + 110, barmode="stack", bargap=0.25)
    figure.update_xaxes(title=tr("films, %") if percent else tr("films"))
    return figure.update_yaxes(autorange="reversed")


def cooccurrence(counts: pd.DataFrame, measure: Measure) -> go.Figure:
    """Heat map of observations that are positive on the same films.

    Args:
        counts: (14, 14) films, as `Statistics.cooccurrence` gives them.
        measure: "films", on a logarithmic colour scale; "conditional", P(column positive | row positive) in
            %; or "jaccard", films with both in % of films with either, without the diagonal, which says
            nothing. What is undefined, and a count of 0, is left out.
    """
    given, shared = conditional(counts) * 100, jaccard(counts) * 100
    share = given if measure == "conditional" else shared.mask(np.eye(len(shared), dtype=bool))
    numbers = np.log10(counts.where(counts > 0).to_numpy(np.float64))
    low, high = (float(edge) for edge in (np.nanmin(numbers, initial=9), np.nanmax(numbers, initial=0)))
    largest = {
        "films": high,
        "conditional": 100,
        "jaccard": _largest(share),
    }
    decades = np.arange(0, np.ceil(high) + 1)
    scale: dict[str, Any] = {"title": "%", "ticksuffix": " "}
    if measure == "films":
        scale = {"title": tr("films"), "tickvals": decades, "ticktext": [_compact(10**d) for d in decades]}
    words = [
        tr("%{customdata[0]:,} films are positive for both<br>%{y} and %{x}"),
        tr("%{customdata[1]} of the %{customdata[2]:,} with %{y}"),
        tr("%{customdata[3]} of the films with either"),
    ]
    whole = np.broadcast_to(np.diag(counts)[:, None], counts.shape)
    cells: Any = [counts, given.map(_share), whole, shared.map(_share)]
    figure = canvas.figure(
        [
            go.Heatmap(
                x=short(counts.columns),
                y=short(counts.index),
                z=canvas.gaps(numbers if measure == "films" else share.to_numpy()),
                customdata=np.dstack(cells).tolist(),
                colorscale="Cividis",
                zmin=min(low, high) if measure == "films" else 0,
                zmax=largest[measure],
                xgap=1,
                ygap=1,
                colorbar=scale | {"thickness": 10, "outlinewidth": 0},
                hovertemplate="<br>".join(words) + "<extra></extra>",
            )
        ],
        height=540,
    )
    one_way = measure == "conditional"
    figure.update_xaxes(title=tr("also positive") if one_way else None, tickangle=-90, showgrid=False)
    return figure.update_yaxes(
        title=tr("given that this is") if one_way else None, autorange="reversed", showgrid=False
    )


def epoch(effect: PolicyEffect) -> go.Figure:
    """Share of an epoch's films that are positive: each film once, and the sampler's draws."""
    rows = effect.frame()
    films = max(effect.films, 1)
    bars = [
        go.Bar(
            name=tr(name),
            y=short(rows.index),
            x=(100 * rows[column] / films).tolist(),
            orientation="h",
            marker=canvas.hatched(canvas.look(i).colour, canvas.look(i).hatch),
            customdata=np.column_stack([rows.index.map(tr), rows[column]]),
            hovertemplate=(
                f"%{{customdata[0]}}, {tr(name)}: "
                + tr("%{{x:.1f}} %, %{{customdata[1]:,.0f}} of {films:,}", films=films)
                + "<extra></extra>"
            ),
        )
        for i, (column, name) in enumerate(_DRAWS.items())
    ]
    figure = canvas.figure(bars, height=ROW * len(rows) + 130, barmode="group", bargap=0.25)
    figure.update_xaxes(title=tr("expected positives, % of an epoch's films"))
    return figure.update_yaxes(autorange="reversed")


def short(names: Iterable[str]) -> list[str]:
    """Names of observations as they fit on an axis, in the language in use."""
    return [tr(SHORT_NAMES.get(name, name)) for name in names]


def _largest(shares: pd.DataFrame) -> float:
    defined = shares.to_numpy(np.float64)
    return float(np.max(defined, where=~np.isnan(defined), initial=1))


def _share(percent: float) -> str:
    return tr("undefined") if np.isnan(percent) else tr("{percent:.1f} %", percent=percent)


def _compact(films: float) -> str:
    return f"{films / 1000:g}k" if films >= 1000 else f"{films:g}"
