"""What all figures share: colours, hatches, an empty canvas.

Text, grid and background are left to the theme of the page. Where colour carries a meaning it is one of
Okabe and Ito's colour-blind-safe set, darkened where it would vanish on white, and it never stands alone:
a pattern, a dash, a symbol or a label says the same.
"""

from collections.abc import Sequence
from typing import Any, Final, Literal, NamedTuple, Protocol

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray

from chexmodel.language import Language, current

CONFIG: Final = {"displayModeBar": False, "scrollZoom": False}
"""For `st.plotly_chart`: on a phone a finger on a chart scrolls the page."""

ImageFormat = Literal["svg", "png"]

GREY: Final = "#7F8790"
COLOURS: Final = ("#0072B2", "#D55E00", "#009E73", "#B8639A", "#C27F00", GREY)
MAX_SERIES: Final = len(COLOURS)
"""More lines than this in one chart repeat their looks."""

_SCALES: Final[dict[ImageFormat, int]] = {"svg": 1, "png": 3}
_CLEAR = "rgba(0,0,0,0)"
_SEPARATORS: Final[dict[Language, dict[str, str]]] = {"en": {}, "fr": {"separators": ",\u202f"}}
"""Of decimals and of thousands; plotly's own are the English ones."""
_DASHES = ("solid", "dash", "dot", "dashdot", "longdash", "longdashdot")
_SYMBOLS = ("circle", "square", "diamond", "triangle-up", "cross", "star")
_HATCHES = ("", "/", ".", "x", "-", "+")


class Look(NamedTuple):
    """How a series is told from the others."""

    colour: str
    dash: str
    symbol: str
    hatch: str


def look(i: int) -> Look:
    """Give series `i` its look."""
    return Look(*(options[i % MAX_SERIES] for options in (COLOURS, _DASHES, _SYMBOLS, _HATCHES)))


def figure(traces: Sequence[Any], *, height: int, **layout: Any) -> go.Figure:
    """Put traces on a transparent canvas of `height` px, the legend below, nothing to drag."""
    drawn = go.Figure(traces)
    drawn.update_layout(
        height=height,
        margin={"l": 4, "r": 12, "t": 12, "b": 4},
        modebar={"bgcolor": _CLEAR, "color": GREY, "activecolor": COLOURS[0]},
        paper_bgcolor=_CLEAR,
        plot_bgcolor=_CLEAR,
        dragmode=False,
        legend={
            "orientation": "h",
            "yref": "container",
            "y": 0,
            "yanchor": "bottom",
            "x": 0,
            "traceorder": "normal",
        },
        **_SEPARATORS[current()],
        **layout,
    )
    drawn.update_xaxes(automargin=True, fixedrange=True, title_standoff=8)
    return drawn.update_yaxes(automargin=True, fixedrange=True, title_standoff=8)


def config(name: str, image_format: ImageFormat = "svg") -> dict[str, Any]:
    """Give `CONFIG` with one button, shown on hover: it saves the figure as a file.

    The file has the size and the colours of the figure on the page, on a transparent background.

    Args:
        name: of the file, without extension.
        image_format: "svg", or "png" at three times the figure's pixels.
    """
    return CONFIG | {
        "displayModeBar": "hover",
        "displaylogo": False,
        "modeBarButtons": [["toImage"]],
        "toImageButtonOptions": {"format": image_format, "filename": name, "scale": _SCALES[image_format]},
    }


def hatched(colour: str, shape: str) -> dict[str, Any]:
    """Give a bar its colour, under a faint white hatch."""
    white = "rgba(255,255,255,0.6)"
    return {
        "color": colour,
        "pattern": {"shape": shape, "fillmode": "overlay", "fgcolor": white, "size": 7, "solidity": 0.2},
    }


def gaps(values: NDArray[np.floating]) -> list[Any]:
    """Turn undefined values into None, which plotly leaves out and which JSON can say."""
    cells = values.astype(object)
    cells[np.isnan(values)] = None
    listed: list[Any] = cells.tolist()
    return listed


def reference(x: list[float], y: list[float], *, colour: str, hover: str) -> go.Scatter:
    """Draw what a curve is read against; the text beside the chart names it."""
    return go.Scatter(
        x=x,
        y=y,
        mode="lines",
        line={"color": colour, "dash": "dot", "width": 1.5},
        hovertemplate=f"{hover}<extra></extra>",
        showlegend=False,
    )


def faint(colour: str) -> str:
    """Give a colour (#RRGGBB) at a fifth of its opacity."""
    red, green, blue = (int(colour[k : k + 2], 16) for k in (1, 3, 5))
    return f"rgba({red},{green},{blue},0.2)"


class Interval(Protocol):
    """A value with its interval; NaN where undefined."""

    @property
    def value(self) -> float: ...  # noqa: D102
    @property
    def low(self) -> float: ...  # noqa: D102
    @property
    def high(self) -> float: ...  # noqa: D102


def whiskers(rows: Sequence[Interval], colour: str) -> dict[str, Any]:
    """Give the intervals of values as error bars; an undefined one has none."""
    return {
        "type": "data",
        "symmetric": False,
        "array": gaps(np.array([row.high - row.value for row in rows])),
        "arrayminus": gaps(np.array([row.value - row.low for row in rows])),
        "color": colour,
        "thickness": 1.5,
        "width": 3,
    }


def named_rows(drawn: go.Figure, names: Sequence[str]) -> go.Figure:
    """Make the y axis a list of names from the top down: row i lies at y = i."""
    return drawn.update_yaxes(
        tickvals=list(range(len(names))),
        ticktext=list(names),
        range=[len(names) - 0.4, -0.6],
        showgrid=False,
        zeroline=False,
    )
