"""The figures of one or a few observations at their operating points: curves, counts, scores."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go

from chexmodel import canvas
from chexmodel.operating import Counts, Scored
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


def confusion(counts: Counts) -> go.Figure:
    """The four counts, labels in rows and calls in columns; the colour is the share of the row."""
    grid = np.array([[counts.tp, counts.fn], [counts.fp, counts.tn]])
    whole = grid.sum(axis=1, keepdims=True)
    shares = np.divide(100 * grid, whole, out=np.full(grid.shape, np.nan), where=whole > 0)
    kinds = (("true positive", "false negative"), ("false positive", "true negative"))
    words = [
        [f"<b>{n:,}</b><br>{kind}" for n, kind in zip(*row, strict=True)]
        for row in zip(grid.tolist(), kinds, strict=True)
    ]
    figure = canvas.figure(
        [
            go.Heatmap(
                x=["called positive", "called negative"],
                y=["labelled positive", "labelled negative"],
                z=canvas.gaps(shares),
                text=words,
                texttemplate="%{text}",
                textfont={"size": 14, "color": canvas.INK},
                colorscale=canvas.SHARES,
                zmin=0,
                zmax=100,
                xgap=2,
                ygap=2,
                showscale=False,
                hovertemplate="%{text}: %{z:.1f} % of their row<extra></extra>",
            )
        ],
        height=260,
    )
    figure.update_xaxes(side="top", showgrid=False)
    return figure.update_yaxes(autorange="reversed", showgrid=False, tickangle=-90)


def score_distribution(scored: Scored, cut: float, band: tuple[float, float]) -> go.Figure:
    """Scores of positive and of negative films as shares of their class, the threshold and its band.

    Args:
        scored: the films.
        cut: threshold to draw, in [0, 1].
        band: the interval of the bundle's own threshold; NaN draws none.
    """
    top = min(1.0, max(float(scored.probs.max()), cut) * 1.05)
    edges = np.linspace(0, top, 31)
    middles = (edges[1:] + edges[:-1]) / 2
    traces = []
    for i, (words, label) in enumerate((("labelled negative", 0), ("labelled positive", 1))):
        films = np.histogram(scored.probs[scored.labels == label], edges)[0]
        colour, _, _, hatch = canvas.look(i)
        traces.append(
            go.Bar(
                name=words,
                x=middles,
                y=100 * films / films.sum(),
                width=edges[1],
                opacity=0.75,
                marker=canvas.hatched(colour, hatch),
                customdata=np.column_stack([films, edges[:-1], edges[1:]]),
                hovertemplate=f"{words}: %{{customdata[0]:,}} films (%{{y:.1f}} %) at %{{customdata[1]:.3f}}"
                "–%{customdata[2]:.3f}<extra></extra>",
            )
        )
    figure = canvas.figure(traces, height=260, barmode="overlay", showlegend=True)
    if not np.isnan(band[0]):
        figure.add_vrect(*band, fillcolor=canvas.GREY, opacity=0.25, line_width=0)
    figure.add_vline(x=cut, line={"color": canvas.GREY, "width": 3})
    figure.update_xaxes(title="calibrated probability", range=[0, top], zeroline=False)
    return figure.update_yaxes(title="% of their class")


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
