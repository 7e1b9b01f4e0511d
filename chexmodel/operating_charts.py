"""The figures of one or a few observations at their operating points: curves, counts, scores."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go

from chexmodel import canvas
from chexmodel.operating import Scored
from chexmodel.ribbons import Ribbon


def roc(curves: Sequence[Scored], ribbons: Sequence[Ribbon] = ()) -> go.Figure:
    """ROC curves with the operating points; the dotted diagonal is chance, a ribbon the 95 % interval."""
    traces = [canvas.reference([0, 1], [0, 1], colour=canvas.GREY, hover="chance")]
    traces += [_ribbon(i, ribbon) for i, ribbon in enumerate(ribbons)]
    for i, scored in enumerate(curves):
        tp, fp, fn, tn = scored.at(scored.threshold)
        traces += _curve(i, scored, *scored.roc(), point=(fp / (fp + tn), tp / (tp + fn)), shape="linear")
    return _unit_square(traces, "1 − specificity", "sensitivity")


def precision_recall(curves: Sequence[Scored], ribbons: Sequence[Ribbon] = ()) -> go.Figure:
    """Precision-recall curves with the operating points; a dotted line is the share of positives."""
    traces = [_ribbon(i, ribbon) for i, ribbon in enumerate(ribbons)]
    for i, scored in enumerate(curves):
        share = scored.positives / len(scored.labels)
        hover = f"{scored.observation}: share of positives {share:.3f}"
        traces.append(canvas.reference([0, 1], [share, share], colour=canvas.look(i).colour, hover=hover))
        tp, fp, fn, _ = scored.at(scored.threshold)
        # Without a film that is called positive there is no precision, hence no point.
        point = (tp / (tp + fn), tp / (tp + fp)) if tp + fp else None
        traces += _curve(i, scored, *scored.precision_recall(), point=point, shape="hv")
    return _unit_square(traces, "recall (sensitivity)", "precision (PPV)")


def _ribbon(i: int, ribbon: Ribbon) -> go.Scatter:
    defined = ~np.isnan(ribbon.low)
    x, low, high = (part[defined] for part in ribbon)
    return go.Scatter(
        x=[*x, *x[::-1]],
        y=[*low, *high[::-1]],
        fill="toself",
        fillcolor=canvas.faint(canvas.look(i).colour),
        line={"width": 0},
        mode="lines",
        hoverinfo="skip",
        showlegend=False,
    )


def score_distribution(scored: Scored, cut: float, band: tuple[float, float]) -> go.Figure:
    """Scores of positive and of negative films as shares of their class, the threshold and its band.

    Args:
        scored: the films.
        cut: threshold to draw, in [0, 1].
        band: the interval of the bundle's own threshold; NaN draws none.
    """
    top = min(1.0, max(float(scored.probs.max()), cut) * 1.05)
    edges = np.linspace(0, top, 31)
    traces = []
    for i, (words, label) in enumerate((("labelled negative", 0), ("labelled positive", 1))):
        films = np.histogram(scored.probs[scored.labels == label], edges)[0]
        look = canvas.look(i)
        # A line in steps, not bars: sixty hatched bars take the browser longer than a slider's move may.
        traces.append(
            go.Scatter(
                name=words,
                x=edges.tolist(),
                y=[*(100 * films / films.sum()).tolist(), 0.0],
                mode="lines",
                line={"color": look.colour, "dash": look.dash, "shape": "hv", "width": 2},
                fill="tozeroy",
                fillcolor=canvas.faint(look.colour),
                customdata=[*films.tolist(), 0],
                hovertemplate=f"{words}: %{{customdata:,}} films (%{{y:.1f}} %) from %{{x:.3f}} on"
                "<extra></extra>",
            )
        )
    figure = canvas.figure(traces, height=260, showlegend=True)
    line = {"type": "line", "x0": cut, "x1": cut, "y0": 0, "y1": 1, "yref": "paper"}
    shapes = [line | {"line": {"color": canvas.GREY, "width": 3}}]
    if not np.isnan(band[0]):
        area = {"type": "rect", "x0": band[0], "x1": band[1], "y0": 0, "y1": 1, "yref": "paper"}
        shapes.insert(0, area | {"fillcolor": canvas.GREY, "opacity": 0.25, "line": {"width": 0}})
    figure.update_layout(shapes=shapes)
    figure.update_xaxes(title="calibrated probability", range=[0, top], zeroline=False)
    return figure.update_yaxes(title="% of their class", rangemode="tozero")


def _curve(
    i: int, scored: Scored, x: Any, y: Any, *, point: tuple[float, float] | None, shape: str
) -> list[go.Scatter]:
    look = canvas.look(i)
    name = f"{scored.observation} ({scored.positives:,}+ / {scored.negatives:,}−)"
    line = go.Scatter(
        name=name,
        x=x,
        y=y,
        mode="lines",
        line={"color": look.colour, "dash": look.dash, "shape": shape, "width": 2},
        hovertemplate=f"{name}<br>%{{x:.3f}}, %{{y:.3f}}<extra></extra>",
    )
    if point is None:
        return [line]
    mark = go.Scatter(
        x=[point[0]],
        y=[point[1]],
        mode="markers",
        marker={
            "color": look.colour,
            "symbol": look.symbol,
            "size": 12,
            "line": {"color": "white", "width": 2},
        },
        hovertemplate=f"{name}<br>threshold {scored.threshold:.3f}: %{{x:.3f}}, %{{y:.3f}}<extra></extra>",
        showlegend=False,
    )
    return [line, mark]


def _unit_square(traces: Sequence[go.Scatter], x: str, y: str) -> go.Figure:
    figure = canvas.figure(traces, height=450, showlegend=True)
    figure.update_xaxes(title=x, range=[-0.01, 1.01])
    return figure.update_yaxes(title=y, range=[-0.01, 1.02])
