"""The pictures of the PDF report: the film, and heatmaps over it with the scale that they are painted on."""

import io
from typing import Final

import numpy as np
from PIL import Image as Picture
from reportlab.lib.colors import Color
from reportlab.lib.units import mm
from reportlab.platypus import Flowable, Image, Spacer, Table

from chexmodel.explain import EXACT, palette, strength
from chexmodel.language import number, tr
from chexmodel.localisation_words import UNSEEN, trust
from chexmodel.position import SIDE_CAVEAT
from chexmodel.report import ALPHA, Report
from chexmodel.report_page import BOX, QUIET, REGULAR, WIDTH, text
from chexmodel.report_rows import Row

_GAP: Final = 5 * mm
_TALLEST: Final = 78 * mm
_SIDE: Final = 1100  # px of the longer side: 300 dpi and more at the printed size
_STEPS: Final = 64


def pictures(report: Report) -> list[Flowable]:
    """Show the film and after it the heatmap of each chosen observation, two or three to a line."""
    rows = {row.observation: row for row in report.rows()}
    across = 2 if len(report.overlays) < 2 else 3
    column = (WIDTH - (across - 1) * _GAP) / across
    grey = Picture.fromarray(np.round(report.prediction.film * 255).astype(np.uint8))
    cells: list[list[Flowable]] = [
        [_image(grey, column), Spacer(1, 1 * mm), text(_film_caption(report), "small")]
    ]
    scale = strength(report.prediction.heatmaps)
    cells += [_overlay(report, rows[observation], scale, column) for observation in report.overlays]
    if len(cells) == 1:
        cells.append([text(tr("No heatmap was chosen for this report."), "small")])
    cells += [[] for _ in range(-len(cells) % across)]
    lines = [_spaced(cells[k : k + across]) for k in range(0, len(cells), across)]
    widths = [column, _GAP] * (across - 1) + [column]
    shown: list[Flowable] = [Table(lines, colWidths=widths, style=BOX)]
    if report.overlays:
        shown += [text(f"• {said}", "small") for said in _about_heatmaps(report)]
    return shown


def _spaced(cells: list[list[Flowable]]) -> list[list[Flowable]]:
    """Put an empty cell between each two."""
    return [part for cell in cells for part in (cell, [])][:-1]


def _film_caption(report: Report) -> str:
    height, width = report.prediction.shape
    shown = tr("Film as read, {width} × {height} px", width=width, height=height)
    if max(width, height) <= _SIDE:
        return f"{shown}."
    return tr("{film}, reduced for print to {side} px.", film=shown, side=_SIDE)


def _overlay(report: Report, row: Row, scale: float, column: float) -> list[Flowable]:
    score = row.figure(row.probability)
    title = tr("{name}: score {score}, {words}", name=row.name, score=score, words=row.words)
    said = [tr("Where the score came from, not an outline of disease.")]
    if row.place:
        said.append(tr("Strongest evidence: {place}.", place=row.place))
    return [
        _image(report.prediction.overlay(row.observation, ALPHA), column),
        _Scale(scale, column),
        text(title, "strong"),
        text(" ".join(said), "small"),
        Spacer(1, 1.5 * mm),
    ]


def _about_heatmaps(report: Report) -> list[str]:
    """How far to trust each heatmap shown, what its colours mean, and whose sides are named."""
    origin = report.bundle.manifest.origin
    caution = origin.caution if origin else UNSEEN
    localisation = report.bundle.localisation()
    said = [
        tr(
            "How well {method} marks {name}: {measured}",
            method=EXACT,
            name=tr(observation),
            measured=trust(localisation, observation, EXACT, caution=caution),
        )
        for observation in report.overlays
    ]
    unit = tr(
        "All heatmaps of a film share one scale, in raw log-odds of the network: its loss weighs positives "
        "and its scores are calibrated afterwards, so a map does not add up to the score shown."
    )
    return [*said, unit, tr(SIDE_CAVEAT)]


def _image(picture: Picture.Image, column: float) -> Image:
    """Fit a picture into its column; as JPEG, which no header of the source survives."""
    factor = min(column / picture.width, _TALLEST / picture.height)
    small = picture.copy()
    small.thumbnail((_SIDE, _SIDE), Picture.Resampling.LANCZOS)
    stream = io.BytesIO()
    small.save(stream, format="JPEG", quality=92)
    stream.seek(0)
    return Image(stream, width=picture.width * factor, height=picture.height * factor, hAlign="LEFT")


class _Scale(Flowable):  # type: ignore[misc]
    """The colours of heat from 0 to full, with the log-odds that full is."""

    def __init__(self, top: float, column: float) -> None:
        super().__init__()
        self.top = top
        self.width, self.height = column, 15.0

    def draw(self) -> None:
        canvas = self.canv
        step = 0.5 * self.width / _STEPS
        for k, rgb in enumerate(palette()[np.linspace(0, 255, _STEPS).astype(int)]):
            canvas.setFillColor(Color(*map(float, rgb)))
            canvas.rect(10 + k * step, 4, step + 0.3, 5, stroke=0, fill=1)
        canvas.setFillColor(QUIET)
        canvas.setFont(REGULAR, 6.5)
        canvas.drawString(2, 4.3, number(0, "d"))
        end = tr("{top:.2f} raw log-odds", top=self.top)
        canvas.drawString(13 + _STEPS * step, 4.3, end)
