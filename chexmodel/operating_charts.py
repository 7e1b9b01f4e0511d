"""The figures of one or a few observations at their operating points: curves, counts, scores."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go

from chexmodel import canvas
from chexmodel.language import number, tr
from chexmodel.operating import Scored
from chexmodel.ribbons import Ribbon


def roc(curves: Sequence[Scored], ribbons: Sequence[Ribbon] = ()) -> go.Figure:
    """ROC curves with the operating points; the dotted diagonal is chance, a ribbon the 95 % interval."""
    traces = [canvas.reference([0, 1], [0, 1], colour=canvas.GREY, hover=tr("chance"))]
    traces += [_ribbon(i, ribbon) for i, ribbon in enumerate(ribbons)]
    for i, scored in enumerate(curves):
        tp, fp, fn, tn = scored.at(scored.threshold)
        traces += _curve(i, scored, *scored.roc(), point=(fp / (fp + tn), tp / (tp + fn)), shape="linear")
    return _unit_square(traces, tr("1 − specificity"), tr("sensitivity"))


def precision_recall(curves: Sequence[Scored], ribbons: Sequence[Ribbon] = ()) -> go.Figure:
    """Precision-recall curves with the operating points; a dotted line is the share of positives."""
    traces = [_ribbon(i, ribbon) for i, ribbon in enumerate(ribbons)]
    for i, scored in enumerate(curves):
        share = scored.positives / len(scored.labels)
        hover = tr(
            "{observation}: share of positives {share:.3f}", observation=tr(scored.observation), share=share
        )
        traces.append(canvas.reference([0, 1], [share, share], colour=canvas.look(i).colour, hover=hover))
        tp, fp, fn, _ = scored.at(scored.threshold)
        # Without a film that is called positive there is no precision, hence no point.
        point = (tp / (tp + fn), tp / (tp + fp)) if tp + fp else None
        traces += _curve(i, scored, *scored.precision_recall(), point=point, shape="hv")
    return _unit_square(traces, tr("recall (sensitivity)"), tr("precision (PPV)"))


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


def _curve(
    i: int, scored: Scored, x: Any, y: Any, *, point: tuple[float, float] | None, shape: str
) -> list[go.Scatter]:
    look = canvas.look(i)
    name = f"{tr(scored.observation)} ({number(scored.positives, ',')}+ / {number(scored.negatives, ',')}−)"
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
    cut = tr("threshold {value:.3f}", value=scored.threshold)
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
        hovertemplate=f"{name}<br>{cut}: %{{x:.3f}}, %{{y:.3f}}<extra></extra>",
        showlegend=False,
    )
    return [line, mark]


def _unit_square(traces: Sequence[go.Scatter], x: str, y: str) -> go.Figure:
    figure = canvas.figure(traces, height=450, showlegend=True)
    figure.update_xaxes(title=x, range=[-0.01, 1.01])
    return figure.update_yaxes(title=y, range=[-0.01, 1.02])
