"""Dataset: what a label table contains, what label policies make of it, and what is wrong with it."""

from pathlib import Path
from typing import Final

import streamlit as st

from chexmodel.language import mark, number, tr
from chexmodel.statistics import Statistics
from chexmodel.ui import contents, loading, policy, problems
from chexmodel.ui.components import guard, image_format, unlinked
from chexmodel.ui.loading import Loaded

SOURCE_KEY: Final = "dataset-source"
UPLOAD_KEY: Final = "dataset-upload"
SHIPPED: Final = "CheXpert"
OWN: Final = mark("A CSV of mine")
FOLDER: Final = mark("The data folder")


def page() -> None:
    """Draw the page."""
    st.title(tr("Dataset"))
    st.caption(
        tr("What a label table says of its films, what training would make of it, and what is wrong with it.")
    )
    left, right = st.columns([3, 1], vertical_alignment="bottom")
    sources = [SHIPPED, OWN, *([FOLDER] if loading.folder() else [])]
    with left:
        source = st.radio(tr("Table"), sources, key=SOURCE_KEY, horizontal=True, format_func=tr)
    with right:
        image_format()
    with guard():
        loaded = _load(source)
        if loaded is not None:
            _show(loaded)


def _load(source: str) -> Loaded | None:
    if source == SHIPPED:
        return loading.shipped()
    data = loading.folder()
    if source == FOLDER and data is not None:
        return loading.of_folder(data)
    upload = st.file_uploader(
        tr("A table in CheXpert's layout: CSV, also .csv.gz, up to {limit} MB", limit=loading.MAX_MB),
        key=UPLOAD_KEY,
        max_upload_size=loading.MAX_MB,
        type=["csv", "gz"],
        help=tr("It is read in memory, for your session alone, and not written to the server's disk."),
    )
    if upload is None:
        st.info(
            tr(
                "Upload a table with the columns Path, Sex, Age, Frontal/Lateral, AP/PA and the 14 "
                "observations (1, 0, −1 or blank)."
            ),
            icon=":material/upload_file:",
        )
        return None
    return loading.uploaded(upload.getvalue(), Path(upload.name).name)


def _show(loaded: Loaded) -> None:
    statistics = loaded.statistics
    if statistics is None:
        st.error(unlinked(loaded.refused), icon=":material/error:")
        st.caption(tr("A table that breaks these rules is not counted and can't be trained on; its audit:"))
        problems.show(loaded)
        return
    _conditions(statistics)
    labels, together, patients, policies, audited = st.tabs(
        [tr("Labels"), tr("Co-occurrence"), tr("Patients"), tr("Policies"), tr("Audit")]
    )
    with labels:
        contents.labels(statistics)
    with together:
        contents.together(statistics)
    with patients:
        contents.patients(statistics)
    with policies:
        policy.show(loaded)
    with audited:
        problems.show(loaded)


def _conditions(statistics: Statistics) -> None:
    with st.container(horizontal=True, gap="medium"):
        for words, count in (
            (tr("Films"), statistics.films),
            (tr("Patients"), statistics.patients),
            (tr("Studies"), statistics.studies),
        ):
            st.metric(words, number(count, ","), width="content")
        spread = statistics.films_per_patient
        st.metric(
            tr("Films per patient, mean (most)"),
            f"{number(spread.mean, '.1f')} ({spread.maximum})",
            width="content",
        )
    if statistics.provenance is not None:
        made = statistics.provenance
        st.caption(
            tr(
                "Source: `{source}`, SHA-256 `{sha256}`. Counted with `{command}` ({code}).",
                source=made.source,
                sha256=made.sha256,
                command=made.command,
                code=tr(made.code),
            )
        )


page()
