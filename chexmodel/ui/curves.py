"""The figures of a model: how it reads films, and how it was trained."""

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from chexmodel.ui import canvas
from chexmodel.ui.operating import Confusion, Scored


class Panel(NamedTuple):
    """One chart of `training`: its lines are columns of `history.csv`, each with its name."""

    title: str
    unit: str
    lines: dict[str, str]


PANELS: Final = (
    Panel("Loss", "loss per label", {"train_loss": "training", "val_loss": "validation"}),
    Panel("Mean AUROC", "AUROC, 0–1", {"val_auroc": "validation"}),
    Panel("Macro F1", "F1, 0–1", {"val_f1": "validation"}),
    Panel("Accuracy", "share of all labels, 0–1", {"val_accuracy": "validation"}),
    Panel("Macro precision", "precision, 0–1", {"val_precision": "validation"}),
    Panel("Macro recall", "recall, 0–1", {"val_recall": "validation"}),
    Panel("Learning rate", "at the epoch's end", {"learning_rate": "learning rate"}),
    Panel("Time", "seconds per epoch", {"seconds": "time"}),
)


def roc(curves: Sequence[Scored]) -> go.Figure:
    """ROC curves with the operating points; the dotted diagonal is chance."""
    traces = [_reference([0, 1], [0, 1], colour=canvas.GREY, hover="chance")]
    for i, scored in enumerate(curves):
        tp, fp, fn, tn = scored.at(scored.threshold)
        traces += _curve(i, scored, *scored.roc(), point=(fp / (fp + tn), tp / (tp + fn)), shape="linear")
    return _unit_square(traces, "1 − specificity", "sensitivity")


def precision_recall(curves: Sequence[Scored]) -> go.Figure:
    """Precision-recall curves with the operating points; a dotted line is the share of positives."""
    traces = []
    for i, scored in enumerate(curves):
        share = scored.positives / len(scored.labels)
        hover = f"{scored.observation}: share of positives {share:.3f}"
        traces.append(_reference([0, 1], [share, share], colour=canvas.look(i).colour, hover=hover))
        tp, fp, fn, _ = scored.at(scored.threshold)
        # Without a film that is called positive there is no precision, hence no point.
        point = (tp / (tp + fn), tp / (tp + fp)) if tp + fp else None
        traces += _curve(i, scored, *scored.precision_recall(), point=point, shape="hv")
    return _unit_square(traces, "recall (sensitivity)", "precision (PPV)")


def confusion(counts: Confusion) -> go.Figure:
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


def training(histories: Mapping[str, pd.DataFrame], panel: Panel) -> go.Figure:
    """Lines of one panel over the epochs: a colour and a symbol per run, dashes for the training films.

    Args:
        histories: name of the run → its `history.csv`.
        panel: one of `PANELS`; a run without its columns is left out.
    """
    traces = []
    for i, (run, history) in enumerate(histories.items()):
        look = canvas.look(i)
        for column, name in panel.lines.items():
            if column not in history:
                continue
            label = f"{run}, {name}" if len(panel.lines) > 1 else run
            traces.append(
                go.Scatter(
                    name=label,
                    x=history["epoch"].tolist(),
                    y=canvas.gaps(history[column].to_numpy(np.float64)),
                    mode="lines+markers",
                    line={
                        "color": look.colour,
                        "dash": "dash" if name == "training" else "solid",
                    },
                    marker={"symbol": look.symbol, "size": 6},
                    hovertemplate=f"{label}, epoch %{{x}}: %{{y:.4~g}}<extra></extra>",
                )
            )
    figure = canvas.figure(traces, height=290, showlegend=len(traces) > 1)
    epochs = max((int(history["epoch"].max()) for history in histories.values()), default=1)
    figure.update_xaxes(title="epoch", tick0=0, dtick=-(-epochs // 10))
    return figure.update_yaxes(title=panel.unit, exponentformat="power")


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


def _reference(x: list[float], y: list[float], *, colour: str, hover: str) -> go.Scatter:
    """Draw what a curve is read against; the text beside the chart names it."""
    return go.Scatter(
        x=x,
        y=y,
        mode="lines",
        line={"color": colour, "dash": "dot", "width": 1.5},
        hovertemplate=f"{hover}<extra></extra>",
        showlegend=False,
    )


def _unit_square(traces: Sequence[go.Scatter], x: str, y: str) -> go.Figure:
    figure = canvas.figure(traces, height=450, showlegend=True)
    figure.update_xaxes(title=x, range=[-0.01, 1.01])
    return figure.update_yaxes(title=y, range=[-0.01, 1.02])
