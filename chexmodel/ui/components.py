"""What several pages share: the model in use, error sentences, the notice."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import streamlit as st

from chexmodel import bundle
from chexmodel.bundle import Bundle
from chexmodel.errors import BundleError, ChexError
from chexmodel.predictor import Predictor

ROOT: Final = Path(__file__).resolve().parents[2]
MODELS: Final = ROOT / "assets" / "models"
MODEL_KEY: Final = "model"
"""Session key of the chosen bundle's path, a string."""

NOTICE: Final = (
    "For research and teaching. Not a medical device: never the basis of a decision about a patient."
)


def runs_directory() -> Path:
    """Where runs are looked for: `runs/` beside the app, or what CHEXMODEL_RUNS names."""
    return Path(os.environ.get("CHEXMODEL_RUNS", ROOT / "runs"))


def bundle_choices() -> list[Path]:
    """Bundles that can be chosen: the shipped ones first, then those of `runs_directory()`."""
    shipped, runs = (
        sorted(file.parent for file in place.glob(f"*/{bundle.MANIFEST}"))
        for place in (MODELS, runs_directory())
    )
    return [*shipped, *runs]


def bundle_name(path: Path) -> str:
    """What a bundle is called in the app: the shipped ones are marked."""
    if path.parent == MODELS:
        return f"{path.name} (shipped)"
    below = path.relative_to(runs_directory()) if path.is_relative_to(runs_directory()) else path.name
    return f"runs/{below}"


def choose_model() -> None:
    """Show the model switcher; the choice lies in the session under `MODEL_KEY`."""
    choices = [str(path) for path in bundle_choices()]
    chosen = st.session_state.get(MODEL_KEY)
    if chosen is not None and chosen not in choices:
        choices.insert(0, chosen)
    if not choices:
        st.sidebar.warning("There is no model: train one with `python -m train fit`.")
        return
    # A widget's own key is forgotten when a page without the widget is shown: keep the choice beside it.
    st.session_state[MODEL_KEY] = st.sidebar.selectbox(
        "Model",
        choices,
        index=choices.index(chosen) if chosen else 0,
        format_func=lambda path: bundle_name(Path(path)),
        help="Shipped models, and runs under runs/.",
    )


def active_bundle() -> Bundle:
    """Load the chosen bundle.

    Raises:
        BundleError: none is there, or it is incomplete or damaged.
    """
    return active_predictor().bundle


def active_predictor() -> Predictor:
    """Load the chosen bundle, ready to read; kept until its files change.

    Raises:
        BundleError: none is there, or it is incomplete or damaged.
    """
    chosen = st.session_state.get(MODEL_KEY) or next(map(str, bundle_choices()), None)
    if chosen is None:
        raise BundleError("there is no model: train one with `python -m train fit`, or restore assets/models")
    path = Path(chosen)
    return _load(chosen, tuple(sorted((f.name, f.stat().st_mtime_ns) for f in path.glob("*.*"))))


@st.cache_resource(max_entries=4, show_spinner="Loading the model …")
def _load(path: str, state: tuple[tuple[str, int], ...]) -> Predictor:  # noqa: ARG001 – part of the key
    return Predictor.from_bundle(path)


@contextmanager
def guard() -> Iterator[None]:
    """Show an expected error as a sentence; the rest of the page goes on."""
    try:
        yield
    except ChexError as error:
        st.error(str(error), icon=":material/error:")
