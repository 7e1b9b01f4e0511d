"""The viewer: films, their maps and the findings in one component, drawn in the browser without reruns."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
import streamlit as st
from numpy.typing import NDArray

from chexmodel import payload
from chexmodel.explain import palette, signed_palette
from chexmodel.language import number, tr
from chexmodel.ui.findings import Finding
from chexmodel.ui.viewer_words import words

HEIGHT: Final = 640
"""Default height of films and list on a wide screen, px; on a narrow one they lie below each other."""

_HERE: Final = Path(__file__).resolve().parent
_PARTS: Final = ("viewer_maps.js", "viewer_list.js", "viewer_canvas.js", "viewer.js")
_component: Final = st.components.v2.component(
    "chexmodel.viewer",
    css=(_HERE / "viewer.css").read_text(encoding="utf-8"),
    js="\n".join((_HERE / part).read_text(encoding="utf-8") for part in _PARTS),
)


@dataclass(frozen=True, eq=False)
class Pane:
    """One film in the viewer.

    title: what it is called, in the language in use. pixels: (H, W) uint8, or float32 in [0, 1].
    maps: observation → (h, w) over the padded square (`chexmodel.geometry`); empty: the film alone.
    scale: the value that is full heat, `explain.strength` in log-odds or 1.0; one for all findings.
    findings: rows of the list, in order; empty: no list. insisted: whether the input check rejected the film.
    """

    title: str
    pixels: NDArray[Any]
    maps: Mapping[str, NDArray[np.float32]] = field(default_factory=dict)
    scale: float = 1.0
    findings: Sequence[Finding] = ()
    insisted: bool = False


def viewer(panes: Sequence[Pane], *, key: str, unit: str, height: int = HEIGHT) -> None:
    """Draw the viewer; what the reader sets stays as long as the first pane's film does.

    Args:
        panes: one film, or the current and a prior one: they share zoom, window and finding. The list has the
            first one's findings, with the others' scores beside.
        key: of the component.
        unit: of the maps, in the language in use: "raw log-odds", or "relative".
        height: of films and list together on a wide screen, px.
    """
    about = {
        "key": key,
        "height": height,
        "words": words(unit),
        "colours": {"heat": _bytes(palette()), "signed": _bytes(signed_palette())},
    }
    # A map that is not finite, as of an observation that was not trained, is none: it would be painted black.
    maps = [{name: grid for name, grid in pane.maps.items() if np.isfinite(grid).all()} for pane in panes]
    # One view for all films: where one has values below 0, every one has a scale with a sign.
    signed = any(float(grid.min()) < 0 for some in maps for grid in some.values())
    sheets = [_sheet(pane, some, signed=signed) for pane, some in zip(panes, maps, strict=True)]
    _component(key=key, data=payload.pack(sheets, about))


def _sheet(pane: Pane, maps: Mapping[str, NDArray[np.float32]], *, signed: bool) -> payload.Sheet:
    extent = max((float(np.abs(grid).max()) for grid in maps.values()), default=0.0)
    about = {
        "title": pane.title,
        "scale": pane.scale,
        "extent": (extent or pane.scale) if signed else 0.0,
        "ticks": _ticks(pane.scale, extent),
        "findings": [_row(finding) for finding in pane.findings],
        "insisted": pane.insisted,
    }
    return payload.Sheet(pane.pixels, maps, about)


def _ticks(scale: float, extent: float) -> dict[str, list[str]]:
    return {
        "heat": [_tick(share * scale) for share in (0, 0.5, 1)],
        "contour": [
            tr("{value} ({percent} %)", value=_tick(percent / 100 * scale), percent=percent)
            for percent in (25, 50, 75)
        ],
        "signed": [_tick(share * extent, sign="+") for share in (-1, -0.5, 0, 0.5, 1)],
    }


def _tick(value: float, sign: str = "") -> str:
    """Two significant digits, and never as a power of ten."""
    spec = ".0f" if abs(value) >= 10 else ".2g"
    if 0 < abs(value) < 1e-4:
        spec = f".{1 - math.floor(math.log10(abs(value)))}f"
    return number(value, (sign if value else "") + spec).replace("-", "−")


def _row(finding: Finding) -> dict[str, object]:
    """The finding as JSON has it: null where a number is undefined."""
    row = asdict(finding)
    numbers = {"score": row["score"], "threshold": row["threshold"]}
    defined = {name: None if np.isnan(value) else value for name, value in numbers.items()}
    return row | defined | {"band": [None if np.isnan(edge) else edge for edge in finding.band]}


def _bytes(colours: NDArray[np.float32]) -> list[int]:
    """Colours (256, 3) in [0, 1] as 768 whole numbers of 0 to 255."""
    flat: list[int] = np.rint(255 * colours).astype(int).ravel().tolist()
    return flat
