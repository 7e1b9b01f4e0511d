"""The chart of groups of films, for the page and the report."""

from collections.abc import Sequence
from typing import Final

import numpy as np
import plotly.graph_objects as go

from chexmodel import canvas
from chexmodel.labels import SHORT_NAMES
from chexmodel.language import number, tr
from chexmodel.scores import interval
from chexmodel.subgroup_scores import Column, GroupScore
from chexmodel.subgroup_tables import no_skill
from chexmodel.subgroups import METRICS

_ROW: Final = 24  # px of height per row


def forest(column: Column, metric: str, observations: Sequence[str]) -> go.Figure:
    """Value and 95 % interval of each group, a block of rows per observation.

    A grey line marks what an answer that looks at no film gets in the group. A group that is counted but not
    scored keeps its row, with its counts.

    Args:
        column: its groups are the rows.
        metric: one of `METRICS`.
        observations: the blocks, in this order.
    """
    labels: list[str] = []
    scored: list[list[tuple[int, GroupScore]]] = [[] for _ in column.groups]
    for name in observations:
        labels.append(f"<b>{tr(SHORT_NAMES.get(name, name))}</b>")
        for i, group in enumerate(column.groups):
            score = next(score for score in group.scores if score.observation == name)
            if metric in score.metrics:
                scored[i].append((len(labels), score))
            labels.append(
                f"{tr(group.name)}  {number(score.positives, ',')}+ {number(score.negatives, ',')}−"
            )
    traces = [_marks(tr(column.groups[i].name), rows, metric, i) for i, rows in enumerate(scored) if rows]
    flat = [pair for rows in scored for pair in rows]
    base = [no_skill(metric, score) for _, score in flat]
    if flat and not np.isnan(base).all():
        traces.insert(
            0,
            go.Scatter(
                name=tr("no skill"),
                x=canvas.gaps(np.array(base)),
                y=[row for row, _ in flat],
                mode="markers",
                marker={"symbol": "line-ns", "size": 16, "line": {"width": 2, "color": canvas.GREY}},
                hovertemplate=tr("no skill: %{x:.2f}") + "<extra></extra>",
            ),
        )
    figure = canvas.figure(traces, height=_ROW * len(labels) + 70, showlegend=False)
    figure.update_xaxes(title=tr(METRICS[metric]), zeroline=False)
    return canvas.named_rows(figure, labels)


def _marks(name: str, rows: Sequence[tuple[int, GroupScore]], metric: str, i: int) -> go.Scatter:
    look = canvas.look(i)
    found = [score.metrics[metric] for _, score in rows]
    value = np.array([estimate.value for estimate in found])
    return go.Scatter(
        name=name,
        x=value.tolist(),
        y=[row for row, _ in rows],
        mode="markers",
        marker={"symbol": look.symbol, "color": look.colour, "size": 9},
        error_x=canvas.whiskers(found, look.colour),
        text=[interval(estimate) for estimate in found],
        customdata=[[tr(score.observation), score.films, score.patients] for _, score in rows],
        hovertemplate=(
            f"%{{customdata[0]}}, {name}: {tr(METRICS[metric])} %{{text}}<br>"
            + tr("%{customdata[1]:,} films of %{customdata[2]:,} patients")
            + "<extra></extra>"
        ),
    )
