"""What several pages share: error sentences, the notice, charts and tables to save."""

import re
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final, Literal

import pandas as pd
import streamlit as st
from streamlit.errors import FragmentHandledException

from chexmodel import canvas
from chexmodel.errors import ChexError
from chexmodel.language import mark, tr
from chexmodel.ui import journal
from chexmodel.ui.grid import grid

FORMAT_KEY: Final = "image-format"
"""Session key of the format in which charts are saved, one of `canvas.ImageFormat`."""
_FORMATS: Final[tuple[canvas.ImageFormat, ...]] = ("svg", "png")
NOTICE: Final = mark(
    "For research and teaching. Not a medical device: never the basis of a decision about a patient."
)


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
