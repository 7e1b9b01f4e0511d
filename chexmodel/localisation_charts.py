"""The figures of a localisation, for the page and for the report: scores in, plotly figure out."""

import math
from collections.abc import Sequence
from typing import Final

import plotly.graph_objects as go

from chexmodel import canvas
from chexmodel.language import tr
from chexmodel.localisation import BASELINES, LocalisationScore, Measure
from chexmodel.localisation_words import MEASURES
from chexmodel.scores import interval

_ROW: Final = 30  # px


def forest(scores: Sequence[LocalisationScore], measure: Measure) -> go.Figure:
    """One measure of every method, with its interval, above the baselines that look at no film.

    A filled circle beats the better baseline: the interval of the difference lies above 0. Baselines are
    grey squares, under a line. What is undefined is left out.

    Args:
        scores: of one observation on one split, the methods before the baselines.
        measure: "hit" or "iou".
    """
    shown = [(k, score) for k, score in enumerate(scores) if not math.isnan(score.measured(measure).value)]
    marks = [_mark(score, measure) for _, score in shown]
    drawn = [score.measured(measure) for _, score in shown]
    colours = [colour for _, colour in marks]
    trace = go.Scatter(
        x=[estimate.value for estimate in drawn],
        y=[k for k, _ in shown],
        mode="markers",
        error_x=canvas.whiskers(drawn, canvas.GREY),
        marker={
            "symbol": [symbol for symbol, _ in marks],
            "color": colours,
            "size": 10,
            "line": {"width": 2, "color": colours},
        },
        customdata=[f"{tr(score.method)}: {interval(score.measured(measure))}" for _, score in shown],
        hovertemplate="%{customdata}<extra></extra>",
    )
    figure = canvas.figure([trace], height=_ROW * len(scores) + 70, showlegend=False)
    methods = sum(score.method not in BASELINES for score in scores)
    if 0 < methods < len(scores):
        figure.add_hline(y=methods - 0.5, line={"color": canvas.GREY, "width": 1})
    figure.update_xaxes(title=f"{tr(MEASURES[measure])}, 0–1", range=[-0.02, 1.02], zeroline=False)
    return canvas.named_rows(figure, [tr(score.method) for score in scores])


def _mark(score: LocalisationScore, measure: Measure) -> tuple[str, str]:
    """Symbol and colour of a score."""
    if score.method in BASELINES:
        return "square", canvas.GREY
    margin = score.margin(measure)
    return ("circle" if margin is not None and margin.beaten else "circle-open"), canvas.COLOURS[0]
