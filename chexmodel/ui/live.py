"""What moves with the threshold, as text: redrawn in place, where a plotly figure would be made anew."""

import base64
from html import escape
from typing import Final

import numpy as np

from chexmodel import canvas
from chexmodel.language import number, tr
from chexmodel.operating import Counts, Scored

_STYLE: Final = """<style>
.cx-counts{width:100%;border-collapse:separate;border-spacing:2px;text-align:center}
.cx-counts th{font-weight:400;font-size:.8rem;opacity:.75;padding:.3rem}
.cx-counts td b{font-size:1.1rem}
.cx-counts td[style]{padding:1.1rem .4rem;border-radius:.3rem;width:42%;
  background:color-mix(in srgb,#0e8aae var(--shade),transparent)}
</style>"""

_WIDTH: Final = 600
_HEIGHT: Final = 190
_FOOT: Final = 24  # of the picture's units, for the axis
_STEPS: Final = 30


def confusion_html(counts: Counts) -> str:
    """The four counts as a table, labels in rows and calls in columns; the shade is the share of the row."""
    rows = (
        (tr("labelled positive"), (counts.tp, tr("true positive")), (counts.fn, tr("false negative"))),
        (tr("labelled negative"), (counts.fp, tr("false positive")), (counts.tn, tr("true negative"))),
    )
    body = ""
    for head, *cells in rows:
        whole = sum(films for films, _ in cells)
        body += f'<tr><th scope="row">{head}</th>'
        for films, kind in cells:
            shade = round(50 * films / whole) if whole else 0
            body += f'<td style="--shade:{shade}%"><b>{number(films, ",")}</b><br>{kind}</td>'
        body += "</tr>"
    called = "".join(
        f'<th scope="col">{head}</th>' for head in (tr("called positive"), tr("called negative"))
    )
    return f'{_STYLE}<table class="cx-counts"><tr><td></td>{called}</tr>{body}</table>'


def picture_html(svg: str, words: str) -> str:
    """Show an SVG as an image, with words in its place for who can't see it: Streamlit drops bare SVG."""
    data = base64.b64encode(svg.encode()).decode()
    return f'<img src="data:image/svg+xml;base64,{data}" alt="{escape(words)}" style="width:100%">'


def scores_words(scored: Scored, cut: float) -> str:
    """What the picture of the scores shows, in words."""
    return tr(
        "Scores of {negatives:,} negative and {positives:,} positive films, threshold {cut:.3f}",
        negatives=scored.negatives,
        positives=scored.positives,
        cut=cut,
    )


def scores_svg(scored: Scored, cut: float, band: tuple[float, float]) -> str:
    """Scores of positive and of negative films as shares of their class, the threshold and its band.

    Args:
        scored: the films.
        cut: threshold to draw, in [0, 1].
        band: the interval of the bundle's own threshold; NaN draws none.

    Returns:
        An SVG picture, the negative films' line solid, the positive ones' dashed.
    """
    top = min(1.0, max(float(scored.probs.max()), cut) * 1.05)
    edges = np.linspace(0, top, _STEPS + 1)
    shares = []
    for label in (0, 1):
        films = np.histogram(scored.probs[scored.labels == label], edges)[0]
        shares.append(100 * films / films.sum())
    highest = max(float(share.max()) for share in shares)
    floor = _HEIGHT - _FOOT

    def across(value: float) -> float:
        return round(_WIDTH * value / top, 1)

    parts = []
    if not np.isnan(band[0]):
        left, right = (across(min(end, top)) for end in band)
        parts.append(
            f'<rect class="band" x="{left}" y="0" width="{right - left:.1f}" height="{floor}" '
            f'fill="{canvas.GREY}" opacity="0.25"/>'
        )
    for i, share in enumerate(shares):
        heights = np.round(floor * (1 - share / highest), 1)
        steps = " ".join(
            f"L{across(edges[k])},{heights[k]} L{across(edges[k + 1])},{heights[k]}" for k in range(_STEPS)
        )
        colour, dash = canvas.look(i).colour, ' stroke-dasharray="7 4"' if i else ""
        parts.append(
            f'<path d="M0,{floor} {steps} L{_WIDTH},{floor}" fill="{canvas.faint(colour)}" stroke="{colour}" '
            f'stroke-width="2"{dash}/>'
        )
    parts.append(
        f'<line class="cut" x1="{across(cut)}" x2="{across(cut)}" y1="0" y2="{floor}" stroke="{canvas.GREY}" '
        'stroke-width="3"/>'
    )
    for k, anchor in enumerate(("start", "middle", "middle", "middle", "end")):
        parts.append(
            f'<text x="{_WIDTH * k / 4:.0f}" y="{_HEIGHT - 6}" text-anchor="{anchor}" font-size="13" '
            f'fill="{canvas.GREY}">{number(top * k / 4)}</text>'
        )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" width="100%" role="img" '
        f'aria-label="{escape(scores_words(scored, cut))}" font-family="sans-serif">{"".join(parts)}</svg>'
    )
