"""The comparison of runs as one page that needs no network."""

from html import escape

from chexmodel import run_charts
from chexmodel.comparison import METRICS
from chexmodel.comparison_tables import METRIC_WORDS
from train.compare_report import Report
from train.html_page import chart, page, pairs, section, table


def html(report: Report) -> str:
    """Write a report as HTML, with the charts' script inside."""
    notes = {name: f"left out: {reason}" for name, reason in report.left_out.items()}
    notes |= {name: f"not compared: {reason}" for name, reason in report.incomparable.items()}
    parts = [
        f"<p>{escape(report.split.capitalize())} split. Baseline: {escape(report.baseline)}.<br>"
        f"<code>{escape(report.command)}</code></p>",
        *(f"<p><b>{escape(name)}</b> is {escape(note)}</p>" for name, note in notes.items()),
        *(
            section(title, text, *([] if cells is None else [table(cells)]))
            for title, text, cells in report.sections()
        ),
        _differences(report),
        _curves(report),
    ]
    return page(f"Comparison of {len(report.evaluations)} runs", parts)


def _differences(report: Report) -> str:
    if not report.comparisons:
        return ""
    charts = [
        chart(run_charts.forest(report.comparisons, metric), METRIC_WORDS[metric]) for metric in METRICS
    ]
    reading = "Right of 0 is better than the baseline. A filled mark's interval excludes 0."
    return section(f"Differences to {report.baseline}", reading, *charts)


def _curves(report: Report) -> str:
    charts = [
        chart(run_charts.training(report.histories, panel), panel.title)
        for panel in run_charts.used_panels(report.histories)
    ]
    return section("Curves", "", pairs(charts)) if charts else ""
