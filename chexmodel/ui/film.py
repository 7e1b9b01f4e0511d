"""A film in the browser: zoom by wheel or drag, at its own proportions; data → plotly figure."""

import base64
import io
from typing import Final

import numpy as np
import plotly.graph_objects as go
from PIL import Image

from chexmodel.explain import palette

SHOWN_SIDE: Final = 1400
"""Longest side sent to the browser, px; downloads keep the film's own size."""

_LEGEND: Final = 56  # px
_GREY: Final = "#7f8c95"  # readable on both themes' backgrounds

CONFIG: Final = {
    "scrollZoom": True,
    "displaylogo": False,
    "modeBarButtonsToRemove": ["select2d", "lasso2d", "autoScale2d"],
}


def film_figure(picture: Image.Image, *, height: int, scale: tuple[float, str] | None = None) -> go.Figure:
    """Show a picture that can be zoomed and panned in the browser.

    Args:
        picture: grey or RGB, at the film's own size.
        height: of the picture's place, px; the legend comes below it.
        scale: (largest value, unit) of the colour legend; None draws none.
    """
    width_px, height_px = picture.size
    figure = go.Figure()
    figure.add_layout_image(
        source=_data_uri(picture),
        xref="x",
        yref="y",
        x=0,
        y=0,
        sizex=width_px,
        sizey=height_px,
        sizing="stretch",
        layer="below",
    )
    # Axes without a trace are not drawn; this one is a point outside of the picture, and carries the legend.
    marker = {"opacity": 0.0, "color": [0.0], "cmin": 0.0, "cmax": 1.0}
    if scale is not None:
        top, unit = scale
        marker |= {
            "cmax": top,
            "colorscale": _colours(),
            "showscale": True,
            "colorbar": {"title": {"text": unit, "side": "top"}, "orientation": "h", "thickness": 8}
            | {"y": 0, "yref": "container", "yanchor": "bottom", "len": 0.9, "nticks": 5},
        }
    figure.add_scatter(x=[0], y=[0], mode="markers", marker=marker, hoverinfo="skip", showlegend=False)
    hidden = {"visible": False, "constrain": "domain"}
    figure.update_xaxes(range=[0, width_px], **hidden)
    figure.update_yaxes(range=[height_px, 0], scaleanchor="x", constraintoward="top", **hidden)
    figure.update_layout(
        height=height + (_LEGEND if scale else 0),
        margin={"l": 0, "r": 0, "t": 0, "b": _LEGEND if scale else 0},
        dragmode="pan",
        font={"color": _GREY},
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        uirevision="film",  # the zoom stays when another finding is chosen
    )
    return figure


def _colours() -> list[list[float | str]]:
    """The palette of `explain.paint`, as plotly wants it."""
    steps = np.linspace(0.0, 1.0, 9)
    colours = np.round(255 * palette()[np.round(255 * steps).astype(int)]).astype(int)
    return [[float(s), f"rgb({r},{g},{b})"] for s, (r, g, b) in zip(steps, colours, strict=True)]


def _data_uri(picture: Image.Image) -> str:
    shown = picture
    if max(picture.size) > SHOWN_SIDE:
        shown = picture.copy()
        shown.thumbnail((SHOWN_SIDE, SHOWN_SIDE), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    shown.save(buffer, format="PNG", compress_level=1)
    return f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}"
