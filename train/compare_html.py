"""The comparison of runs as one page that needs no network."""

from html import escape
from typing import Final

import pandas as pd
import plotly.graph_objects as go
from plotly.offline import get_plotlyjs

from chexmodel import canvas, run_charts
from chexmodel.comparison import METRICS
from chexmodel.comparison_tables import METRIC_WORDS
from train.compare_report import Report

_STYLE: Final = """\
body { font: 16px/1.5 system-ui, sans-serif; color: #16222b }
body { max-width: 76rem; margin: 2rem auto; padding: 0 1rem }
h1 { margin-bottom: 0 }
h2 { margin-top: 2.5rem }
p { max-width: 48rem }
code { overflow-wrap: anywhere }
.wide { overflow-x: auto }
.pair { display: grid; grid-template-columns: repeat(auto-fit, minmax(20rem, 1fr)); gap: 1rem 2rem }
table { border-collapse: collapse; font-size: .875rem; font-variant-numeric: tabular-nums }
th, td { padding: .3rem .8rem .3rem 0; border-bottom: 1px solid #d8dee3; text-align: left }
td { white-space: nowrap }
thead th { border-bottom-width: 2px }
"""


def html(report: Report) -> str:
    """Write a report as HTML, with the charts' script inside."""
    heading = f"Comparison of {len(report.evaluations)} runs"
    notes = {name: f"left out: {reason}" for name, reason in report.left_out.items()}
    notes |= {name: f"not compared: {reason}" for name, reason in report.incomparable.items()}
    parts = [
        f"<h1>{heading}</h1>",
        f"<p>{escape(report.split.capitalize())} split. Baseline: {escape(report.baseline)}.<br>"
        f"<code>{escape(report.command)}</code></p>",
        *(f"<p><b>{escape(name)}</b> is {escape(note)}</p>" for name, note in notes.items()),
        *(_section(*section) for section in report.sections()),
        _differences(report),
        _curves(report),
    ]
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{heading}</title><style>{_STYLE}</style><script>{get_plotlyjs()}</script></head>"
        f"<body>{''.join(part for part in parts if part)}</body></html>\n"
    )


def _section(title: str, text: str, table: pd.DataFrame | None) -> str:
    cells = (
        ""
        if table is None
        else f'<div class="wide">{table.reset_index().to_html(index=False, border=0)}</div>'
    )
    return f"<h2>{escape(title)}</h2><p>{escape(text)}</p>{cells}"


def _differences(report: Report) -> str:
    if not report.comparisons:
        return ""
    charts = "".join(
        f"<div><h3>{METRIC_WORDS[metric]}</h3>{_chart(run_charts.forest(report.comparisons, metric))}</div>"
        for metric in METRICS
    )
    return (
        f"<h2>Differences to {escape(report.baseline)}</h2><p>Right of 0 is better than the baseline. "
        f"A filled mark's interval excludes 0.</p>{charts}"
    )


def _curves(report: Report) -> str:
    charts = "".join(
        f"<div><h3>{panel.title}</h3>{_chart(run_charts.training(report.histories, panel))}</div>"
        for panel in run_charts.used_panels(report.histories)
    )
    return f'<h2>Curves</h2><div class="pair">{charts}</div>' if charts else ""


def _chart(figure: go.Figure) -> str:
    figure.update_layout(template="plotly_white")
    chart: str = figure.to_html(
        full_html=False, include_plotlyjs=False, config={**canvas.CONFIG, "responsive": True}
    )
    return chart
