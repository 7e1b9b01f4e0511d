"""Training: how runs went, finished or not, beside each other."""

import math
from pathlib import Path
from typing import Any, Final

import pandas as pd
import streamlit as st

from chexmodel import canvas, run_charts
from chexmodel.comparison import differences, options
from chexmodel.language import mark, number, tr, trn
from chexmodel.runs import read_history, read_options
from chexmodel.ui.bundles import MODEL_KEY, MODELS, bundle_name, bundle_title, runs_directory
from chexmodel.ui.components import guard
from chexmodel.ui.differences import judged_runs
from chexmodel.ui.grid import grid
from chexmodel.ui.study import study_section

RUNS_KEY: Final = "training-runs"
_LOSSES: Final = {"training": mark("training loss"), "validation": mark("validation loss")}


def page() -> None:
    """Draw the page."""
    st.title(tr("Training"))
    runs = {bundle_name(path): path for path in _runs()}
    if not runs:
        st.info(
            tr(
                "There is no run yet: `python -m train fit --data DIR --out runs/NAME` writes one, and its "
                "curves show here from the first epoch on."
            ),
            icon=":material/model_training:",
        )
        study_section()
        return
    active = Path(st.session_state.get(MODEL_KEY, ""))
    default = [label for label, path in runs.items() if path == active] or list(runs)[:1]
    chosen = st.multiselect(
        tr("Runs"),
        list(runs),
        default=default,
        key=RUNS_KEY,
        max_selections=canvas.MAX_SERIES,
        format_func=bundle_title,
        placeholder=tr("Choose options"),
    )
    histories, configurations = {}, {}
    titles = {bundle_title(label): runs[label] for label in chosen}
    for title, path in titles.items():
        with guard():
            histories[title] = read_history(path)
            configurations[title] = read_options(path)
    if histories:
        _best(histories)
        _curves(histories)
        _options(configurations)
        judged_runs({title: titles[title] for title in histories})
    elif not chosen:
        st.info(tr("Choose a run."))
    study_section()


def _runs() -> list[Path]:
    """Directories with a history, also of runs that are not finished or were stopped.

    A run of folds has its own, the mean of its members', once it is finished; until then those of the folds.
    """
    found = []
    for place in (MODELS, runs_directory()):
        whole = {file.parent for file in place.glob("[!.]*/history.csv")}
        folds = {file.parent for file in place.glob("[!.]*/fold-*/history.csv")}
        found += sorted(whole | {path for path in folds if path.parent not in whole})
    return found


def _best(histories: dict[str, pd.DataFrame]) -> None:
    st.subheader(tr("Best epoch"))
    rows = []
    for run, history in histories.items():
        best = pd.Series(dtype=float)
        if _defined(history, "val_auroc"):
            best = history.iloc[int(history["val_auroc"].argmax())]
        row: dict[str, Any] = {
            mark("run"): run,
            mark("best epoch"): _cell(best, "epoch", ".0f"),
            mark("of"): int(history["epoch"].max()),
        }
        for panel in run_charts.PANELS[:6]:
            for column, name in panel.lines.items():
                label = _LOSSES[name] if panel.title == "Loss" else panel.title
                row[label] = _cell(best, column, ".3f")
        rows.append(row)
    grid(pd.DataFrame(rows), hide_index=True, columns={"run": st.column_config.Column(pinned=True)})
    st.caption(
        tr(
            "The epoch with the highest mean AUROC on validation; its weights are the ones kept, but of a "
            "run of folds those of the last epoch (and its row here is the mean over the folds). Precision, "
            "recall, F1 and accuracy here are at probability 0.5 before any calibration: for choosing "
            "between runs use the Evaluation page. “—”: not in that run's history."
        )
    )


def _defined(history: pd.DataFrame, column: str) -> bool:
    return column in history and bool(history[column].notna().any())


def _cell(row: "pd.Series[float]", column: str, form: str) -> str:
    value = row.get(column)
    return number(math.nan if value is None else value, form)


def _curves(histories: dict[str, pd.DataFrame]) -> None:
    st.subheader(tr("Curves"))
    panels = run_charts.used_panels(histories)
    for start in range(0, len(panels), 2):
        # A pair at a time: on a phone the columns fold, and the panels keep their order.
        for column, panel in zip(st.columns(2), panels[start : start + 2], strict=False):
            with column:
                st.markdown(f"**{tr(panel.title)}**")
                st.plotly_chart(
                    run_charts.training(histories, panel), config=canvas.CONFIG, key=f"training-{panel.title}"
                )


def _options(configurations: dict[str, dict[str, Any]]) -> None:
    st.subheader(tr("Options"))
    unknown = [run for run, found in configurations.items() if not found]
    known = {run: found for run, found in configurations.items() if found}
    if unknown:
        st.caption(
            tr("No options are recorded (or they can't be read) for: {runs}.", runs=", ".join(unknown))
        )
    if not known:
        return
    table = options(known)
    if len(known) > 1:
        every = len(table)
        table = differences(table)
        st.caption(
            trn(
                "Only what differs; {n} further option is the same in these runs.",
                "Only what differs; {n} further options are the same in these runs.",
                every - len(table),
            )
        )
    if table.empty:
        st.info(tr("These runs have the same options."))
        return
    grid(table, columns={"option": st.column_config.Column(pinned=True, width="medium")})


page()
