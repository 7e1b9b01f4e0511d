"""The figures of a label table: data in, plotly figure out."""

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from chexmodel import canvas
from chexmodel.labels import SHORT_NAMES
from chexmodel.statistics import Ages, conditional

_STATES: Final = {
    "positive": (canvas.COLOURS[1], ""),
    "negative": (canvas.COLOURS[0], "/"),
    "uncertain": (canvas.COLOURS[4], "x"),
    "blank": (canvas.GREY, "."),
}
_ROW = 27  # px of height per horizontal bar


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
            name=state,
            y=_short(counts.index),
            x=shown[state].tolist(),
            orientation="h",
            marker=canvas.hatched(colour, hatch),
            customdata=np.column_stack([counts.index, counts[state], shares[state]]),
            hovertemplate=(
                f"%{{customdata[0]}}, {state}: %{{customdata[1]:,}} films (%{{customdata[2]:.1f}} %)"
                "<extra></extra>"
            ),
        )
        for state, (colour, hatch) in _STATES.items()
    ]
    figure = canvas.figure(bars, height=_ROW * len(counts) + 110, barmode="stack", bargap=0.25)
    figure.update_xaxes(title="films, %" if percent else "films")
    return figure.update_yaxes(autorange="reversed")


def cooccurrence(counts: pd.DataFrame, *, given_row: bool) -> go.Figure:
    """Heat map of observations that are positive on the same films.

    Args:
        counts: (14, 14) films, as `Statistics.cooccurrence` gives them.
        given_row: show P(column positive | row positive) in %; else films, on a logarithmic colour scale.
            What is undefined, and a count of 0, is left out.
    """
    shares = conditional(counts) * 100
    numbers = np.log10(counts.where(counts > 0).to_numpy(np.float64))
    low, high = (float(edge) for edge in (np.nanmin(numbers, initial=9), np.nanmax(numbers, initial=0)))
    decades = np.arange(0, np.ceil(high) + 1)
    scale: dict[str, Any] = {"title": "%", "ticksuffix": " "}
    if not given_row:
        scale = {"title": "films", "tickvals": decades, "ticktext": [_compact(10**d) for d in decades]}
    both = "%{customdata[0]:,} films are positive for both<br>%{y} and %{x}"
    given = "<br>%{customdata[1]} of the %{customdata[2]:,} with %{y}"
    whole = np.broadcast_to(np.diag(counts)[:, None], counts.shape)
    words = shares.map(lambda share: "undefined" if np.isnan(share) else f"{share:.1f} %")
    figure = canvas.figure(
        [
            go.Heatmap(
                x=_short(counts.columns),
                y=_short(counts.index),
                z=canvas.gaps(shares.to_numpy() if given_row else numbers),
                customdata=np.dstack([counts, words, whole]).tolist(),
                colorscale="Cividis",
                zmin=0 if given_row else min(low, high),
                zmax=100 if given_row else high,
                xgap=1,
                ygap=1,
                colorbar=scale | {"thickness": 10, "outlinewidth": 0},
                hovertemplate=both + given + "<extra></extra>",
            )
        ],
        height=540,
    )
    figure.update_xaxes(title="also positive" if given_row else None, tickangle=-90, showgrid=False)
    return figure.update_yaxes(
        title="given that this is" if given_row else None, autorange="reversed", showgrid=False
    )


def age_bars(ages: Ages) -> go.Figure:
    """Films by decade of age, a group of bars per sex; empty decades at the end are left out."""
    totals = np.sum(list(ages.films.values()), axis=0) if ages.films else np.zeros(1)
    used = int(np.flatnonzero(totals).max(initial=0)) + 1
    names = [f"{low}–{high - 1}" for low, high in zip(ages.edges, ages.edges[1:], strict=False)][:used]
    bars = [
        go.Bar(
            name=_blank(sex),
            x=names,
            y=films[:used],
            marker=canvas.hatched(canvas.look(i).colour, canvas.look(i).hatch),
            hovertemplate=f"{_blank(sex)}, %{{x}} years: %{{y:,}} films<extra></extra>",
        )
        for i, (sex, films) in enumerate(ages.films.items())
    ]
    figure = canvas.figure(bars, height=340, barmode="group")
    figure.update_xaxes(title="age, years", type="category", tickangle=-45)
    return figure.update_yaxes(title="films")


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
                text=[f"{n:,} ({_percent(n, total)})" for n in counts.values()],
                textposition="outside",
                cliponaxis=False,
                hovertemplate="%{y}: %{text} films<extra></extra>",
            )
        ],
        height=_ROW * len(counts) + 80,
    )
    # The longest bar leaves room for its number.
    figure.update_xaxes(title="films", range=[0, 1.6 * max(counts.values(), default=1)], nticks=4)
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
                name=f"{_blank(view)} ({whole:,} films)",
                y=_short(counts),
                x=[100 * count / whole if whole else None for count in counts.values()],
                orientation="h",
                marker=canvas.hatched(canvas.look(i).colour, canvas.look(i).hatch),
                customdata=np.column_stack([list(counts), list(counts.values())]),
                hovertemplate=(
                    f"%{{customdata[0]}}, {_blank(view)}: %{{x:.1f}} %, "
                    f"%{{customdata[1]}} of {whole:,} films<extra></extra>"
                ),
            )
        )
    rows = len(next(iter(positives.values()), {}))
    figure = canvas.figure(bars, height=_ROW * rows + 130, barmode="group", bargap=0.25)
    figure.update_xaxes(title="positive films, % of the view's films")
    return figure.update_yaxes(autorange="reversed")


def _short(names: Any) -> list[str]:
    return [SHORT_NAMES.get(name, name) for name in names]


def _blank(name: str) -> str:
    return "not stated" if name == "blank" else name


def _percent(part: int, whole: int) -> str:
    if not whole:
        return "—"
    return "< 0.1 %" if 0 < part < whole / 1000 else f"{100 * part / whole:.1f} %"


def _compact(number: float) -> str:
    return f"{number / 1000:g}k" if number >= 1000 else f"{number:g}"
