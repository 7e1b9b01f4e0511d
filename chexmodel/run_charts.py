"""The figures of runs beside each other, for the page and for the report: curves and differences."""

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from chexmodel import canvas
from chexmodel.comparison import Comparison, excludes_zero
from chexmodel.comparison_tables import METRIC_WORDS
from chexmodel.labels import SHORT_NAMES
from chexmodel.language import mark, tr
from chexmodel.scores import Average, Estimate, interval


class Panel(NamedTuple):
    """One chart of `training`: its lines are columns of `history.csv`, each with its name, a message."""

    title: str
    unit: str
    lines: dict[str, str]


PANELS: Final = (
    Panel(
        mark("Loss"),
        mark("loss per label"),
        {"train_loss": mark("training"), "val_loss": mark("validation")},
    ),
    Panel(mark("Mean AUROC"), mark("AUROC, 0–1"), {"val_auroc": "validation"}),
    Panel(mark("Macro F1"), mark("F1, 0–1"), {"val_f1": "validation"}),
    Panel(mark("Accuracy"), mark("share of all labels, 0–1"), {"val_accuracy": "validation"}),
    Panel(mark("Macro precision"), mark("precision, 0–1"), {"val_precision": "validation"}),
    Panel(mark("Macro recall"), mark("recall, 0–1"), {"val_recall": "validation"}),
    Panel(mark("Learning rate"), mark("at the epoch's end"), {"learning_rate": mark("learning rate")}),
    Panel(mark("Time"), mark("seconds per epoch"), {"seconds": mark("time")}),
)


def used_panels(histories: Mapping[str, pd.DataFrame]) -> list[Panel]:
    """Panels for which one of the runs has a number."""
    return [
        panel
        for panel in PANELS
        if any(
            column in history and history[column].notna().any()
            for history in histories.values()
            for column in panel.lines
        )
    ]


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
            label = f"{run}, {tr(name)}" if len(panel.lines) > 1 else run
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
                    hovertemplate=tr("{label}, epoch %{{x}}: %{{y:.4~g}}", label=label) + "<extra></extra>",
                )
            )
    figure = canvas.figure(traces, height=290, showlegend=len(traces) > 1)
    epochs = max((int(history["epoch"].max()) for history in histories.values()), default=1)
    figure.update_xaxes(title=tr("epoch"), tick0=0, dtick=-(-epochs // 10))
    return figure.update_yaxes(title=tr(panel.unit), exponentformat="power")


def forest(comparisons: Mapping[str, Comparison], metric: str) -> go.Figure:
    """Differences to the baseline with their intervals; a filled mark's interval excludes 0.

    Args:
        comparisons: name of the run → its comparison with the baseline.
        metric: one of `comparison.METRICS`. What is undefined is left out.
    """
    words = tr(METRIC_WORDS[metric])
    first = next(iter(comparisons.values()))
    places = [tr(SHORT_NAMES.get(row.observation, row.observation)) for row in first.observations]
    places += [tr("mean"), tr("mean, equivalent as one")]
    traces = []
    for i, (run, comparison) in enumerate(comparisons.items()):
        look = canvas.look(i)
        found: list[Estimate | Average] = [row.metrics[metric] for row in comparison.observations]
        found += [comparison.macro[metric], comparison.macro_distinct[metric]]
        # Runs share a row without covering each other: the first on top.
        offset = (i - (len(comparisons) - 1) / 2) * 0.7 / len(comparisons)
        drawn = [(k, row) for k, row in enumerate(found) if not np.isnan(row.value)]
        marks = difference_marks([row for _, row in drawn], look)
        traces.append(
            marks.update(
                name=run,
                y=[k + offset for k, _ in drawn],
                customdata=[places[k] for k, _ in drawn],
                hovertemplate=f"%{{customdata}}, {run}: {words} %{{text}}<extra></extra>",
            )
        )
    height = max(27, 16 * len(comparisons)) * len(places) + 90
    figure = canvas.figure(traces, height=height, showlegend=len(traces) > 1)
    figure.add_vline(x=0, line={"color": canvas.GREY, "dash": "dot", "width": 1.5})
    figure.add_hline(y=len(places) - 2.5, line={"color": canvas.GREY, "width": 1})
    figure.update_xaxes(title=tr("difference in {metric}", metric=words), tickformat="+.2~f", zeroline=False)
    return canvas.named_rows(figure, places)


def difference_marks(rows: Sequence[Estimate | Average], look: canvas.Look) -> go.Scatter:
    """Differences as marks with whiskers along x; a filled mark's interval excludes 0."""
    return go.Scatter(
        x=[row.value for row in rows],
        mode="markers",
        error_x=canvas.whiskers(rows, look.colour),
        marker={
            "symbol": [look.symbol + ("" if excludes_zero(row) else "-open") for row in rows],
            "color": look.colour,
            "size": 9,
            "line": {"width": 2, "color": look.colour},
        },
        text=[interval(row, signed=True) for row in rows],
    )
