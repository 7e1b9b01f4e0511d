"""The figures of an evaluation: metrics with intervals, reliability. For the page and for the report."""

from itertools import pairwise

import numpy as np
import plotly.graph_objects as go

from chexmodel import canvas
from chexmodel.baselines import LOWER_IS_BETTER
from chexmodel.calibration import METHOD_WORDS
from chexmodel.evaluation_tables import WORDS, best_constant, scarce
from chexmodel.labels import SHORT_NAMES
from chexmodel.language import mark, number, tr, trn
from chexmodel.reliability import Quality, Reliability
from chexmodel.scores import Average, Estimate, Evaluation, interval


def forest(evaluation: Evaluation, metric: str) -> go.Figure:
    """One metric of all observations with intervals, the best first, above its averages.

    A grey diamond is the best constant answer. What is undefined is left out.

    Args:
        evaluation: of one split.
        metric: one of `WORDS`.
    """
    found = [score for score in evaluation.scores if not np.isnan(getattr(score, metric).value)]
    sign = 1.0 if metric in LOWER_IS_BETTER else -1.0
    found.sort(key=lambda score: sign * float(getattr(score, metric).value))
    rows: list[Estimate | Average] = [getattr(score, metric) for score in found]
    labels = [
        f"{tr(SHORT_NAMES.get(s.observation, s.observation))}{' †' if scarce(s) else ''} "
        f"({number(s.positives, ',')}+ / {number(s.negatives, ',')}−)"
        for s in found
    ]
    kinds = {
        mark("macro"): evaluation.macro,
        mark("equivalent as one"): evaluation.macro_distinct,
        mark("micro"): evaluation.micro,
    }
    means = {name: averages[metric] for name, averages in kinds.items() if metric in averages}
    rows += means.values()
    labels += [
        trn("{name}, {n} observation", "{name}, {n} observations", mean.observations, name=tr(name))
        for name, mean in means.items()
    ]
    constants = [best_constant(score, metric) for score in found]
    marks = [
        go.Scatter(
            name=tr("best constant answer"),
            x=canvas.gaps(np.array(constants)),
            y=list(range(len(constants))),
            mode="markers",
            marker={"symbol": "diamond-open", "color": canvas.GREY, "size": 10, "line": {"width": 2}},
            hovertemplate=tr("best constant answer: %{x:.3f}") + "<extra></extra>",
        ),
        go.Scatter(
            name=tr("model"),
            x=[row.value for row in rows],
            y=list(range(len(rows))),
            mode="markers",
            error_x=canvas.whiskers(rows, canvas.COLOURS[0]),
            marker={"color": canvas.COLOURS[0], "size": 9},
            text=[interval(row, digits=3) for row in rows],
            customdata=labels,
            hovertemplate=f"%{{customdata}}<br>{tr(WORDS[metric])} %{{text}}<extra></extra>",
        ),
    ]
    figure = canvas.figure(marks, height=27 * len(rows) + 100, showlegend=True)
    figure.add_hline(y=len(found) - 0.5, line={"color": canvas.GREY, "width": 1})
    figure.update_xaxes(title=tr(WORDS[metric]), zeroline=False)
    return canvas.named_rows(figure, labels)


def reliability(row: Reliability) -> go.Figure:
    """Share of positives against mean probability, before and after calibration; the diagonal is perfect."""
    top = min(1.02, 1.05 * max(b.high for quality in (row.before, row.after) for b in quality.bins))
    traces = [canvas.reference([0, 1], [0, 1], colour=canvas.GREY, hover=tr("perfect calibration"))]
    traces += [_bins(1, tr("before (sigmoid of the raw score)"), row.before)]
    traces += [_bins(0, tr("after ({method})", method=tr(METHOD_WORDS[row.method])), row.after)]
    figure = canvas.figure(traces, height=380, showlegend=True)
    figure.update_xaxes(title=tr("mean probability of the bin"), range=[-0.01, 1.01])
    return figure.update_yaxes(title=tr("share of positives in the bin"), range=[-0.01, max(top, 0.2)])


def _bins(i: int, name: str, quality: Quality) -> go.Scatter:
    look, bins = canvas.look(i), quality.bins
    return go.Scatter(
        name=name,
        x=[b.probability for b in bins],
        y=[b.share for b in bins],
        mode="lines+markers",
        line={"color": look.colour, "dash": look.dash, "width": 1},
        marker={"color": look.colour, "symbol": look.symbol, "size": 9},
        error_y={
            "type": "data",
            "symmetric": False,
            "array": [b.high - b.share for b in bins],
            "arrayminus": [b.share - b.low for b in bins],
            "color": look.colour,
            "thickness": 1,
        },
        text=[
            trn(
                "{n:,} film, share {share:.3f} ({low:.3f}–{high:.3f})",
                "{n:,} films, share {share:.3f} ({low:.3f}–{high:.3f})",
                b.films,
                share=b.share,
                low=b.low,
                high=b.high,
            )
            for b in bins
        ],
        hovertemplate=name + "<br>" + tr("probability %{x:.3f}: %{text}") + "<extra></extra>",
    )


def bin_counts(row: Reliability) -> go.Figure:
    """Films in each bin of the calibrated probabilities, where on the axis they lie."""
    probabilities = [b.probability for b in row.after.bins]
    gap = min((b - a for a, b in pairwise(probabilities)), default=0.05)
    figure = canvas.figure(
        [
            go.Bar(
                x=probabilities,
                y=[b.films for b in row.after.bins],
                width=max(0.006, min(0.03, gap * 0.8)),
                marker=canvas.hatched(canvas.COLOURS[0], ""),
                hovertemplate=tr("%{y:,} films at mean probability %{x:.3f}") + "<extra></extra>",
            )
        ],
        height=130,
    )
    figure.update_xaxes(title=tr("mean probability of the bin (after)"), range=[-0.01, 1.01])
    return figure.update_yaxes(title=tr("films"))
