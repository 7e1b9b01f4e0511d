"""A page with the viewer alone, for the browser: drawn films, made-up maps and findings, a rerun at hand."""

import math
from functools import cache

import numpy as np
import streamlit as st

from chexmodel import phantom
from chexmodel.explain import strength
from chexmodel.labels import OBSERVATIONS
from chexmodel.ui.findings import Finding, State
from chexmodel.ui.viewer import Pane, viewer

STATES: tuple[State, ...] = ("above", "above", "indeterminate", *["below"] * 8, *["untrained"] * 3)
OPERATING = "Sensitivity 0.80 (0.65–0.92), specificity 0.90 (0.84–0.95); test films: 24 with it, 132 without."
SIDE = 1200  # px: larger than a canvas, so that 1:1 shows a part


@cache
def current(side: int = SIDE) -> np.ndarray:
    """(0.8·side, side) float32 in [0, 1]: wider than high, so that the maps' padding is seen to be there."""
    return (phantom.draw(size=side)[side // 10 : side - side // 10] / 65535).astype(np.float32)


@cache
def prior(side: int = SIDE) -> np.ndarray:
    """(side, 0.8·side) uint8."""
    return (phantom.draw(size=side, seed=1)[:, side // 10 : side - side // 10] >> 8).astype(np.uint8)


def maps(seed: int) -> dict[str, np.ndarray]:
    """Smooth, signed maps of those observations that count as trained."""
    rng = np.random.default_rng(seed)
    return {name: rng.normal(size=(7, 7)).astype(np.float32) for name in OBSERVATIONS[:11]}


def rows() -> list[Finding]:
    return [row(k, name, state) for k, (name, state) in enumerate(zip(OBSERVATIONS, STATES, strict=True))]


def row(k: int, name: str, state: State) -> Finding:
    if state == "untrained":
        nothing = (math.nan, math.nan)
        return Finding(name, name, state, math.nan, math.nan, nothing, "", "not trained in this model")
    score = 0.95 - 0.07 * k
    threshold = score + {"above": -0.2, "indeterminate": 0.03, "below": 0.2}[state]
    band = (threshold - 0.08, min(1.0, threshold + 0.1)) if k % 4 else (math.nan, math.nan)
    side = {
        "above": f"at or above threshold {threshold:.2f}",
        "indeterminate": f"indeterminate ({band[0]:.2f}–{band[1]:.2f})",
        "below": f"below threshold {threshold:.2f}",
    }[state]
    return Finding(
        observation=name,
        name=name,
        state=state,
        score=score,
        threshold=threshold,
        band=band,
        said=f"score for {name}: {score:.2f}",
        side=side,
        operating=OPERATING,
        where="middle third of the picture, viewer's left",
        caption=f"How well Grad-CAM marks {name}: not measured.",
    )


def page() -> None:
    st.set_page_config(page_title="Viewer", layout="wide")
    st.title("Viewer")
    st.sidebar.text("As wide as the app's.")
    st.session_state["runs"] = st.session_state.get("runs", 0) + 1
    st.text(f"runs: {st.session_state['runs']}")
    left, middle, right, _ = st.columns([1, 1, 1, 3])
    left.button("Rerun")
    read = middle.toggle("Read", value=True)
    compared = right.toggle("Prior")
    side = int(st.query_params.get("side", SIDE))
    grids = maps(0)
    scale = strength(np.stack(list(grids.values())))
    panes = [Pane("Film", current(side), grids, scale, rows()) if read else Pane("Film", current(side))]
    if compared:
        panes.append(Pane("Prior film", prior(side), maps(1), scale, rows()[:5], insisted=True))
    viewer(panes, key="reading", unit="raw log-odds", height=620)


if __name__ == "__main__":
    page()
