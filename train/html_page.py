"""A page of tables and charts that needs no network."""

from collections.abc import Iterable
from html import escape
from pathlib import Path
from typing import Final

import pandas as pd
import plotly.graph_objects as go
from plotly.offline import get_plotlyjs

from chexmodel import canvas
from chexmodel.atomic import write_file
from chexmodel.errors import ChexError

_STYLE: Final = """\
body { font: 16px/1.5 system-ui, sans-serif; color: #16222b }
body { max-width: 76rem; margin: 2rem auto; padding: 0 1rem }
h1 { margin-bottom: 0 }
h2 { margin-top: 2.5rem }
p { max-width: 48rem }
code { overflow-wrap: anywhere }
.wide { overflow-x: auto; margin-bottom: 1.5rem }
.pair { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(30rem, 100%), 1fr)) }
.pair { gap: 1rem 2rem }
.pair > div { min-width: 0 }
table { border-collapse: collapse; font-size: .875rem; font-variant-numeric: tabular-nums }
th, td { padding: .3rem .8rem .3rem 0; border-bottom: 1px solid #d8dee3; text-align: left }
td { white-space: nowrap }
thead th { border-bottom-width: 2px }
"""


def page(title: str, parts: Iterable[str]) -> str:
    """Put parts of HTML on one page, with the charts' script inside."""
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{_STYLE}</style><script>{get_plotlyjs()}</script></head>"
        f"<body><h1>{escape(title)}</h1>{''.join(parts)}</body></html>\n"
    )


def write_page(file: Path, text: str) -> None:
    """Write a page, whole or not at all, and say so.

    Raises:
        ChexError: it can't be written.
    """
    try:
        write_file(file, text.encode())
    except OSError as error:
        raise ChexError(
            f"{file} can't be written ({error}): name a file in a directory that is there"
        ) from error
    print(f"\nwritten: {file}")


def section(title: str, text: str, *parts: str) -> str:
    """A heading, a paragraph where there is text, and what follows."""
    words = f"<p>{escape(text)}</p>" if text else ""
    return f"<h2>{escape(title)}</h2>{words}{''.join(parts)}"


def table(frame: pd.DataFrame, *, index: bool = True) -> str:
    """A table that scrolls sideways on a small screen; undefined is a dash."""
    shown = frame.reset_index() if index else frame
    cells = shown.to_html(index=False, border=0, na_rep="—", float_format=lambda value: f"{value:.3f}")
    return f'<div class="wide">{cells}</div>'


def chart(figure: go.Figure, title: str = "") -> str:
    """A figure that can be saved as SVG, under its title."""
    figure.update_layout(template="plotly_white")
    drawn = figure.to_html(
        full_html=False,
        include_plotlyjs=False,
        config={**canvas.config(title or "chart"), "responsive": True},
    )
    heading = f"<h3>{escape(title)}</h3>" if title else ""
    return f"<div>{heading}{drawn}</div>"


def pairs(charts: Iterable[str]) -> str:
    """Charts side by side where the screen is wide enough."""
    return f'<div class="pair">{"".join(charts)}</div>'
