"""The paper of the PDF report: A4, one typeface, the notice and "1/2" on each page, no author in the file."""

import io
import unicodedata
from collections.abc import Sequence
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any, Final
from xml.sax.saxutils import escape

from reportlab.lib.colors import Color, HexColor
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import ParagraphStyle
from reportlab.lib.units import mm
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.ttfonts import TTFont
from reportlab.pdfgen.canvas import Canvas
from reportlab.platypus import BaseDocTemplate, Flowable, Frame, PageTemplate, Paragraph

from chexmodel.language import current, number, tr
from chexmodel.report import NOTICE

MARGIN: Final = 15 * mm
WIDTH: Final = A4[0] - 2 * MARGIN
"""Of the text, in points."""

INK: Final[Color] = HexColor("#1b1f23")
QUIET: Final[Color] = HexColor("#57606a")
RULE: Final[Color] = HexColor("#c5ccd3")
PALE: Final[Color] = HexColor("#f2f5f7")
WARNING: Final[Color] = HexColor("#9a3412")

REGULAR: Final = "DejaVuSans"
BOLD: Final = "DejaVuSans-Bold"
BOX: Final = (
    ("VALIGN", (0, 0), (-1, -1), "TOP"),
    ("LEFTPADDING", (0, 0), (-1, -1), 0),
    ("RIGHTPADDING", (0, 0), (-1, -1), 0),
    ("TOPPADDING", (0, 0), (-1, -1), 0),
    ("BOTTOMPADDING", (0, 0), (-1, -1), 0),
)
"""A table without rules or padding."""

_FOOT: Final = 14 * mm


@cache
def fonts() -> None:
    """Register the typeface: PDF's own Helvetica lacks "≥", "−" and "▲". Only the signs used are embedded."""
    from matplotlib import get_data_path

    for name in (REGULAR, BOLD):
        pdfmetrics.registerFont(TTFont(name, Path(get_data_path()) / "fonts" / "ttf" / f"{name}.ttf"))
    pdfmetrics.registerFontFamily(REGULAR, normal=REGULAR, bold=BOLD, italic=REGULAR, boldItalic=BOLD)


def style(name: str) -> ParagraphStyle:
    """Give one of the report's paragraph styles: title, heading, body, small, cell, head, notice, mark."""
    fonts()
    base = ParagraphStyle(
        "body", fontName=REGULAR, fontSize=8.5, leading=11.5, textColor=INK, splitLongWords=1
    )
    changes: dict[str, dict[str, Any]] = {
        "body": {},
        "title": {"fontName": BOLD, "fontSize": 15, "leading": 19},
        "heading": {"fontName": BOLD, "fontSize": 9.5, "leading": 12, "spaceBefore": 9, "spaceAfter": 3},
        "small": {"fontSize": 6.8, "leading": 8.8, "textColor": QUIET},
        "cell": {"fontSize": 7.2, "leading": 9.2},
        "strong": {"fontSize": 7.2, "leading": 9.2, "fontName": BOLD},
        "head": {"fontSize": 7, "leading": 8.8, "fontName": BOLD, "textColor": QUIET},
        "notice": {"fontName": BOLD, "fontSize": 8.5, "leading": 11},
        "mark": {"fontName": BOLD, "fontSize": 8.5, "leading": 11.5, "textColor": WARNING},
    }
    return ParagraphStyle(name, parent=base, **changes[name])


def text(words: str, name: str = "body") -> Paragraph:
    """Set plain words: markup in them is shown as it was typed, and line breaks are kept."""
    return Paragraph(escape(words).replace("\n", "<br/>"), style(name))


def set_whole(words: str) -> bool:
    """Whether a text is printed as it was written: the typeface has its signs, and they run to the right."""
    fonts()
    glyphs = pdfmetrics.getFont(REGULAR).face.charToGlyph
    return all(
        sign.isspace() or (ord(sign) in glyphs and unicodedata.bidirectional(sign) not in ("R", "AL"))
        for sign in words
    )


def bound(story: Sequence[Flowable], *, title: str, made: datetime) -> bytes:
    """Print a story on A4 pages.

    Args:
        story: what to print, in order.
        title: of the document, in its properties and at the head of every page after the first.
        made: when; the only date in the file's properties, so that the same report gives the same bytes.

    Returns:
        The PDF's bytes.
    """
    fonts()
    stream = io.BytesIO()
    document = BaseDocTemplate(
        stream,
        pagesize=A4,
        title=title,
        author="",
        subject=tr(NOTICE),
        creator="chexmodel",
        lang=current(),
        invariant=1,
        displayDocTitle=1,
        initialFontName=REGULAR,
    )
    frame = Frame(MARGIN, _FOOT + 6 * mm, WIDTH, A4[1] - _FOOT - 6 * mm - MARGIN, *(0, 0, 0, 0), id="page")
    document.addPageTemplates([PageTemplate(frames=[frame])])

    class Numbered(Canvas):  # type: ignore[misc]
        """A canvas that keeps its pages until their number is known."""

        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)
            self.setDateFormatter(lambda *_: made.strftime("D:%Y%m%d%H%M%S") + _offset(made))
            self._kept: list[dict[str, Any]] = []

        def showPage(self) -> None:  # noqa: N802 – reportlab's name
            self._kept.append(dict(self.__dict__))
            self._startPage()

        def save(self) -> None:
            for i, page in enumerate(self._kept, 1):
                self.__dict__.update(page)
                _foot(self, title if i > 1 else "", f"{number(i, 'd')}/{number(len(self._kept), 'd')}")
                super().showPage()
            super().save()

    document.build(list(story), canvasmaker=Numbered)
    return stream.getvalue()


def _foot(canvas: Canvas, title: str, page: str) -> None:
    """Write the notice and the page's number below the text, and above it the title of a further page."""
    canvas.saveState()
    canvas.setStrokeColor(RULE)
    canvas.setLineWidth(0.5)
    canvas.line(MARGIN, _FOOT, A4[0] - MARGIN, _FOOT)
    canvas.setFillColor(QUIET)
    canvas.setFont(BOLD, 6.8)
    canvas.drawString(MARGIN, _FOOT - 9, tr(NOTICE))
    canvas.setFont(REGULAR, 6.8)
    canvas.drawRightString(A4[0] - MARGIN, _FOOT - 9, page)
    if title:
        canvas.drawString(MARGIN, A4[1] - MARGIN + 9, title)
    canvas.restoreState()


def _offset(made: datetime) -> str:
    """Write the offset to UTC as PDF does: +01'00'."""
    offset = made.strftime("%z")
    return f"{offset[:3]}'{offset[3:5]}'" if offset else ""
