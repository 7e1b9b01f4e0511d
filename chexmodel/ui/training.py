"""Training: how runs went, finished or not, beside each other."""

from pathlib import Path
from typing import Any, Final

import pandas as pd
import streamlit as st

from chexmodel import canvas, run_charts
from chexmodel.comparison import differences, options
from chexmodel.runs import read_history, read_options
from chexmodel.ui.components import MODEL_KEY, MODELS, bundle_name, guard, runs_directory
from chexmodel.ui.differences import judged_runs
from chexmodel.ui.study import study_section

RUNS_KEY: Final = "training-runs"


def page() -> None:
    """Draw the page."""
    st.title("Training")
    runs = {bundle_name(path): path for path in _runs()}
    if not runs:
        st.info(
            "There is no run yet: `python -m train fit --data DIR --out runs/NAME` writes one, and its "
            "curves show here from the first epoch on.",
            icon=":material/model_training:",
        )
        study_section()
        return
    active = Path(st.session_state.get(MODEL_KEY, ""))
    default = [label for label, path in runs.items() if path == active] or list(runs)[:1]
    chosen = st.multiselect(
        "Runs", list(runs), default=default, key=RUNS_KEY, max_selections=canvas.MAX_SERIES
    )
    histories, configurations = {}, {}
    for label in chosen:
        with guard():
            histories[label] = read_history(runs[label])
            configurations[label] = read_options(runs[label])
    if histories:
        _best(histories)
        _curves(histories)
        _options(configurations)
        judged_runs({label: runs[label] for label in histories})
    elif not chosen:
        st.info("Choose a run.")
    study_section()


def _runs() -> list[Path]:
    """Directories with a history, also of runs that are not finished or were stopped.

    A run of folds has its own, the mean of its members', once it is finished; until then those of the folds.
    """
    found = []
    for place in (MODELS, runs_directory()):
        whole = {file.parent for file in place.glob("*/history.csv")}
        folds = {file.parent for file in place.glob("*/fold-*/history.csv")}
        found += sorted(whole | {path for path in folds if path.parent not in whole})
    return found


def _best(histories: dict[str, pd.DataFrame]) -> None:
    st.subheader("Best epoch")
    rows = []
    for run, history in histories.items():
        best = pd.Series(dtype=float)
        if _defined(history, "val_auroc"):
            best = history.iloc[int(history["val_auroc"].argmax())]
        row: dict[str, Any] = {
            "run": run,
            "best epoch": _cell(best, "epoch", ".0f"),
            "of": int(history["epoch"].max()),
        }
        for panel in run_charts.PANELS[:6]:
            for column, name in panel.lines.items():
                label = f"{name} loss" if panel.title == "Loss" else panel.title
                row[label] = _cell(best, column, ".3f")
        rows.append(row)
    st.dataframe(
        rows, hide_index=True, height="content", column_config={"run": st.column_config.Column(pinned=True)}
    )
    st.caption(
        "The epoch with the highest mean AUROC on validation; its weights are the ones kept, but of a run of "
        "folds those of the last epoch (and its row here is the mean over the folds). Precision, "
        "recall, F1 and accuracy here are at probability 0.5 before any calibration: for choosing between "
        "runs use the Evaluation page. “—”: not in that run's history."
    )


def _defined(history: pd.DataFrame, column: str) -> bool:
    return column in history and bool(history[column].notna().any())


def _cell(row: "pd.Series[float]", column: str, form: str) -> str:
    value = row.get(column)
    return "—" if value is None or pd.isna(value) else format(value, form)


def _curves(histories: dict[str, pd.DataFrame]) -> None:
    st.subheader("Curves")
    panels = run_charts.used_panels(histories)
    for start in range(0, len(panels), 2):
        # A pair at a time: on a phone the columns fold, and the panels keep their order.
        for column, panel in zip(st.columns(2), panels[start : start + 2], strict=False):
            with column:
                st.markdown(f"**{panel.title}**")
                st.plotly_chart(
                    run_charts.training(histories, panel), config=canvas.CONFIG, key=f"training-{panel.title}"
                )


def _options(configurations: dict[str, dict[str, Any]]) -> None:
    st.subheader("Options")
    unknown = [run for run, found in configurations.items() if not found]
    known = {run: found for run, found in configurations.items() if found}
    if unknown:
        st.caption(f"No options are recorded (or they can't be read) for: {', '.join(unknown)}.")
    if not known:
        return
    table = options(known)
    if len(known) > 1:
        every = len(table)
        table = differences(table)
        st.caption(f"Only what differs; {every - len(table)} further options are the same in these runs.")
    if table.empty:
        st.info("These runs have the same options.")
        return
    st.dataframe(
        table,
        height="content",
        column_config={"option": st.column_config.Column(pinned=True, width="medium")},
    )


page()
