"""The models that can be chosen, the switcher, and the chosen one, loaded for all sessions."""

import gc
import os
from contextlib import suppress
from pathlib import Path
from typing import Final

import streamlit as st

from chexmodel import bundle
from chexmodel.bundle import Bundle
from chexmodel.errors import BundleError
from chexmodel.language import mark, tr
from chexmodel.predictor import Predictor
from chexmodel.retelling import retold
from chexmodel.ui import journal, service

ROOT: Final = Path(__file__).resolve().parents[2]
MODELS: Final = ROOT / "assets" / "models"
MODEL_KEY: Final = "model"
"""Session key of the chosen bundle's path, a string."""
_TRIES: Final = 3  # at a model that is replaced while it is loaded
_SHIPPED: Final = mark("{name} (shipped)")


def runs_directory() -> Path:
    """Where runs are looked for: `runs/` beside the app, or what CHEXMODEL_RUNS names."""
    return Path(os.environ.get("CHEXMODEL_RUNS", ROOT / "runs"))


def bundle_choices() -> list[Path]:
    """Bundles that can be chosen: the shipped ones first, then those of `runs_directory()`."""
    shipped, runs = (
        # Not the hidden neighbours in which a bundle is built before it is swapped in.
        sorted(file.parent for file in place.glob(f"[!.]*/{bundle.MANIFEST}"))
        for place in (MODELS, runs_directory())
    )
    return [*shipped, *runs]


def bundle_name(path: Path) -> str:
    """What tells a bundle from others, in English, whatever the language: the shipped ones are marked."""
    if path.parent == MODELS:
        return _SHIPPED.format(name=path.name)
    below = path.relative_to(runs_directory()) if path.is_relative_to(runs_directory()) else path.name
    return f"runs/{below}"


def bundle_title(name: str) -> str:
    """Say a bundle's name in the language in use."""
    return retold(name, [_SHIPPED])


def choose_model() -> None:
    """Show the model switcher; the choice lies in the session under `MODEL_KEY`."""
    choices = [str(path) for path in bundle_choices()]
    if not choices:
        st.sidebar.warning(tr("There is no model: train one with `python -m train fit`."))
        return
    chosen = st.session_state.get(MODEL_KEY, choices[0])
    picked = st.sidebar.selectbox(
        tr("Model"),
        choices,
        # One that is gone is not replaced in silence: the pages say so until another is chosen.
        index=choices.index(chosen) if chosen in choices else None,
        format_func=lambda path: bundle_title(bundle_name(Path(path))),
        placeholder=tr("Choose options"),
        help=tr("Shipped models, and runs under runs/."),
    )
    # A widget's own key is forgotten when a page without the widget is shown: keep the choice beside it.
    st.session_state[MODEL_KEY] = picked or chosen


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
    with journal.opening():
        chosen = _chosen()
        with st.spinner(tr("Loading the model …")):
            predictor = _as_it_is(chosen)
    journal.model(predictor)
    return predictor


def _chosen() -> str:
    choices = [str(path) for path in bundle_choices()]
    if not choices:
        raise BundleError(
            tr("there is no model: train one with `python -m train fit`, or restore assets/models")
        )
    chosen: str = st.session_state.get(MODEL_KEY, choices[0])
    if chosen not in choices:  # nothing else is opened, wherever the path in the session is from
        raise BundleError(tr("The chosen model is not there any more: choose another one at the left."))
    return chosen


_State = tuple[tuple[str, int, int, int], ...]


def _state(path: str) -> _State:
    """Tell a bundle's files from those that take their place; of one that is being replaced what is there."""
    found = []
    with suppress(OSError):  # the whole has gone
        for file in sorted((*Path(path).glob("*.*"), *Path(path).glob("members/*.*"))):
            with suppress(OSError):  # it has just gone, or is a link to nothing
                status = file.stat()
                found.append((str(file.relative_to(path)), status.st_mtime_ns, status.st_size, status.st_ino))
    return tuple(found)


def _as_it_is(path: str) -> Predictor:
    """Load a bundle; once more where its files were replaced meanwhile."""
    state, tries = _state(path), 1
    while True:
        try:
            return _load(path, state)
        except BundleError:
            before, state = state, _state(path)
            if state == before or tries == _TRIES:
                raise
            tries += 1


@st.cache_resource(max_entries=4, show_spinner=False)
def _load(path: str, state: _State) -> Predictor:
    predictor = service.load(path)
    if state != _state(path):
        raise BundleError(
            tr("The model was replaced while it was being loaded: wait until it is written, then try again.")
        )
    # Streamlit collects garbage after every run of a page or fragment; going through all that torch and the
    # libraries keep for good took 0.3 s of each move of a slider.
    gc.collect()
    gc.freeze()
    return predictor
