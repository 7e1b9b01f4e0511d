"""What several pages share: the model in use, error sentences, the notice, charts and tables to save."""

import gc
import os
import re
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final, Literal

import pandas as pd
import streamlit as st
from streamlit.errors import FragmentHandledException

from chexmodel import bundle, canvas
from chexmodel.bundle import Bundle
from chexmodel.errors import BundleError, ChexError
from chexmodel.language import mark, tr
from chexmodel.predictor import Predictor
from chexmodel.retelling import retold
from chexmodel.ui import journal, service
from chexmodel.ui.grid import grid

ROOT: Final = Path(__file__).resolve().parents[2]
MODELS: Final = ROOT / "assets" / "models"
MODEL_KEY: Final = "model"
"""Session key of the chosen bundle's path, a string."""
FORMAT_KEY: Final = "image-format"
"""Session key of the format in which charts are saved, one of `canvas.ImageFormat`."""
_FORMATS: Final[tuple[canvas.ImageFormat, ...]] = ("svg", "png")
_TRIES: Final = 3  # at a model that is replaced while it is loaded

_SHIPPED: Final = mark("{name} (shipped)")
NOTICE: Final = mark(
    "For research and teaching. Not a medical device: never the basis of a decision about a patient."
)


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


@contextmanager
def guard() -> Iterator[None]:
    """Show an error as a sentence; the rest of the page goes on. One that nobody expected is in the log."""
    try:
        yield
    except ChexError as error:
        st.error(unlinked(str(error)), icon=":material/error:")
    except FragmentHandledException:  # already told, in the fragment
        raise
    except Exception as error:
        if journal.in_full():
            raise
        number = journal.unexpected(error)
        st.error(
            tr(
                "Something failed here that should not have. Try again; if it fails again, report the number "
                "{number}: the server's log says under it where.",
                number=number,
            ),
            icon=":material/error:",
        )


def unlinked(text: str) -> str:
    """A sentence that may quote a file: Markdown in it links to nothing and fetches no picture."""
    # On one line: a link's address may also be told apart from it, on a line of its own.
    return re.sub(r"[\r\n]+", " ", text).replace("](", "] (")


def image_format() -> None:
    """Show the one choice of a page: how its charts are saved. It holds for all pages of the session."""
    chosen = st.session_state.get(FORMAT_KEY, _FORMATS[0])
    picked = st.segmented_control(
        tr("Save charts as"),
        _FORMATS,
        default=chosen,
        format_func=str.upper,
        help=tr(
            "The camera in a chart's upper right corner, shown when you point at or tap the chart, saves it "
            "in the colours of the page, on a transparent background."
        ),
    )
    # A widget's own state is forgotten when a page without it is shown: keep the choice beside it.
    st.session_state[FORMAT_KEY] = picked or chosen


def chart(figure: Any, name: str) -> None:
    """Draw a figure that can be saved.

    Args:
        figure: of plotly.
        name: of the file, without extension, and of the element: one of its kind on the page.
    """
    config = canvas.config(name, st.session_state.get(FORMAT_KEY, _FORMATS[0]))
    st.plotly_chart(figure, config=config, key=f"chart-{name}")


def table(
    frame: pd.DataFrame,
    name: str,
    *,
    shown: pd.DataFrame | None = None,
    words: Collection[str] = (),
    formats: Mapping[str, str] | None = None,
    columns: Mapping[str, Any] | None = None,
    hide_index: bool = False,
    height: int | Literal["content"] = "content",
) -> None:
    """Draw a table, and a button that saves it as CSV: in English, the numbers as they are, not as shown.

    Args:
        frame: what is shown and saved; NaN is undefined: shown as "—", empty in the CSV.
        name: of the file, without extension, and of the elements: one of its kind on the page.
        shown: what to show in its place, for cells of text such as a value with its interval.
        words: as `grid` takes it.
        formats: as `grid` takes it.
        columns: as `grid` takes it.
        hide_index: neither show nor save the index; that of a frame with another table shown is not saved.
        height: px, or "content" for all rows.
    """
    grid(
        frame if shown is None else shown,
        words=words,
        formats=formats,
        columns=columns,
        hide_index=hide_index,
        height=height,
        key=f"table-{name}",
    )
    st.download_button(
        tr("CSV"),
        lambda: frame.to_csv(index=shown is None and not hide_index).encode(),
        file_name=f"{name}.csv",
        mime="text/csv",
        icon=":material/download:",
        on_click="ignore",
        key=f"csv-{name}",
    )
