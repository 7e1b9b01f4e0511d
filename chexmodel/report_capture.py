"""A heatmap as a picture that speaks for itself: the overlay, and below it a bar that says what it is."""

from functools import cache
from pathlib import Path
from typing import Final

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from chexmodel.explain import palette, strength
from chexmodel.language import number, tr
from chexmodel.report import Report
from chexmodel.report_rows import Row

_LONGEST: Final = 2048  # px of the longer side: four times the bytes of a display's worth say nothing more
_NARROWEST: Final = 360  # px: below it the bar's words would not fit
_PAPER: Final = (18, 20, 23)
_INK: Final = (255, 255, 255)


def captured(report: Report, observation: str, alpha: float) -> Image.Image:
    """Paint a heatmap over the film, and below it the finding, its score, the scale and the notice.

    Nothing of the film is covered. A film beyond 2048 px a side is reduced to that.

    Args:
        report: of a reading that may be exported.
        observation: one of the trained 14.
        alpha: opacity of the strongest evidence, in [0, 1].

    Returns:
        RGB, at least 360 px wide.

    Raises:
        ChexError: unknown or untrained observation, or alpha out of range.
    """
    overlay = report.prediction.overlay(observation, alpha)
    overlay.thumbnail((_LONGEST, _LONGEST), Image.Resampling.LANCZOS)
    row = next(row for row in report.rows() if row.observation == observation)
    bar = _bar(_lines(report, row), strength(report.prediction.heatmaps), max(overlay.width, _NARROWEST))
    whole = Image.new("RGB", (bar.width, overlay.height + bar.height), _PAPER)
    whole.paste(overlay, ((bar.width - overlay.width) // 2, 0))
    whole.paste(bar, (0, overlay.height))
    return whole


def label(row: Row) -> str:
    """Say what a heatmap's finding scored: its name, the score, the decision and the threshold."""
    return tr(
        "{name}: score {score}, {words} ({threshold})",
        name=row.name,
        score=row.figure(row.probability),
        words=row.words,
        threshold=row.figure(row.threshold),
    )


def _lines(report: Report, row: Row) -> list[str]:
    manifest = report.bundle.manifest
    said = [
        label(row),
        tr("Research use, not for clinical decisions."),
        tr("Heatmap: where the score came from, not an outline of disease."),
        tr(
            "Model {name}, weights {checksum}, {stamp}",
            name=manifest.name,
            checksum=manifest.weights_sha256[:12],
            stamp=report.stamp,
        ),
    ]
    return [*said[:2], report.insistence, *said[2:]] if report.insistence else said


def _bar(lines: list[str], top: float, width: int) -> Image.Image:
    size = max(11, width // 52)
    pad, leading = size // 2, round(1.35 * size)
    wrapped = [
        (part, k < 2)  # what it is, and the notice
        for k, line in enumerate(lines)
        for part in _wrapped(line, size, width - 2 * pad, k < 2)
    ]
    bar = Image.new("RGB", (width, 2 * pad + leading * (len(wrapped) + 1)), _PAPER)
    draw = ImageDraw.Draw(bar)
    for k, (line, bold) in enumerate(wrapped):
        draw.text((pad, pad + k * leading), line, fill=_INK, font=_font(size, bold))
    _scale(bar, draw, top, at=pad + len(wrapped) * leading, size=size)
    return bar


def _scale(bar: Image.Image, draw: ImageDraw.ImageDraw, top: float, *, at: int, size: int) -> None:
    """Draw the colours of heat from 0 to full, with the log-odds that full is."""
    pad = size // 2
    colours = np.round(palette()[None] * 255).astype(np.uint8)
    strip = Image.fromarray(colours).resize((bar.width // 3, size), Image.Resampling.BILINEAR)
    zero = number(0, "d")
    left = pad + round(draw.textlength(f"{zero} ", font=_font(size, False)))
    draw.text((pad, at), zero, fill=_INK, font=_font(size, False))
    bar.paste(strip, (left, at + size // 6))
    end = tr("{top:.2f} raw log-odds", top=top)
    draw.text((left + strip.width + pad, at), end, fill=_INK, font=_font(size, False))


def _wrapped(words: str, size: int, width: int, bold: bool) -> list[str]:
    """Break words into lines of at most `width` px."""
    lines = [""]
    for word in words.split(" "):  # a no-break space is not to be broken
        longer = f"{lines[-1]} {word}".strip()
        if lines[-1] and _font(size, bold).getlength(longer) > width:
            lines.append(word)
        else:
            lines[-1] = longer
    return lines


@cache
def _font(size: int, bold: bool) -> ImageFont.FreeTypeFont:
    from matplotlib import get_data_path

    name = "DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf"
    return ImageFont.truetype(Path(get_data_path()) / "fonts" / "ttf" / name, size)
