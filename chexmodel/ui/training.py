"""Training: how runs went, finished or not, beside each other."""

import json
from pathlib import Path
from typing import Any, Final

import pandas as pd
import streamlit as st

from chexmodel import bundle
from chexmodel.errors import BundleError
from chexmodel.ui import canvas, curves
from chexmodel.ui.components import MODEL_KEY, MODELS, bundle_name, guard, runs_directory

RUNS_KEY: Final = "training-runs"

# Where a run happens, which is no part of a bundle, and what its card says at length.
_LEFT_OUT: Final = frozenset(
    {"data", "out", "resume", "workers", "accelerator", "devices", "num_nodes", "description"}
)


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
        return
    active = Path(st.session_state.get(MODEL_KEY, ""))
    default = [label for label, path in runs.items() if path == active] or list(runs)[:1]
    chosen = st.multiselect(
        "Runs", list(runs), default=default, key=RUNS_KEY, max_selections=canvas.MAX_SERIES
    )
    histories, configurations = {}, {}
    for label in chosen:
        with guard():
            histories[label] = _history(runs[label])
            configurations[label] = _configuration(runs[label])
    if histories:
        _best(histories)
        _curves(histories)
        _differences(configurations)
    elif not chosen:
        st.info("Choose a run.")


def _runs() -> list[Path]:
    """Directories with a history, also of runs that are not finished or were stopped."""
    places = (MODELS, runs_directory())
    return [file.parent for place in places for file in sorted(place.glob("*/history.csv"))]


def _history(path: Path) -> pd.DataFrame:
    history = bundle.read_history(path)
    columns = [column for panel in curves.PANELS for column in panel.lines if column in history]
    numeric = all(pd.api.types.is_numeric_dtype(history[name]) for name in columns)
    if "epoch" not in history or history.empty or not columns or not numeric:
        raise BundleError(
            f"history.csv of {path} has no epochs or other columns than a run writes: "
            f"copy it again, or run `python -m train fit … --out {path}`"
        )
    return history


def _configuration(path: Path) -> dict[str, Any]:
    """Read a run's options: of the bundle, or of the run that has not become one yet."""
    if (path / bundle.MANIFEST).is_file():
        return bundle.read_manifest(path).config
    try:
        options = json.loads((path / "config.json").read_bytes())
    except (OSError, ValueError):
        return {}
    return options if isinstance(options, dict) else {}


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
        for panel in curves.PANELS[:6]:
            for column, name in panel.lines.items():
                label = f"{name} loss" if panel.title == "Loss" else panel.title
                row[label] = _cell(best, column, ".3f")
        rows.append(row)
    st.dataframe(
        rows, hide_index=True, height="content", column_config={"run": st.column_config.Column(pinned=True)}
    )
    st.caption(
        "The epoch with the highest mean AUROC on validation; its weights are the ones kept. Precision, "
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
    panels = [
        panel
        for panel in curves.PANELS
        if any(_defined(history, column) for history in histories.values() for column in panel.lines)
    ]
    for start in range(0, len(panels), 2):
        # A pair at a time: on a phone the columns fold, and the panels keep their order.
        for column, panel in zip(st.columns(2), panels[start : start + 2], strict=False):
            with column:
                st.markdown(f"**{panel.title}**")
                st.plotly_chart(
                    curves.training(histories, panel), config=canvas.CONFIG, key=f"training-{panel.title}"
                )


def _differences(configurations: dict[str, dict[str, Any]]) -> None:
    st.subheader("Options")
    unknown = [run for run, options in configurations.items() if not options]
    known = {run: options for run, options in configurations.items() if options}
    if unknown:
        st.caption(f"No options are recorded (or they can't be read) for: {', '.join(unknown)}.")
    if not known:
        return
    table = pd.DataFrame({run: pd.Series(_words(options)) for run, options in known.items()}).fillna("—")
    table.index.name = "option"
    if len(known) > 1:
        differ = table.ne(table.iloc[:, 0], axis=0).any(axis=1)
        same = int((~differ).sum())
        table = table[differ]
        st.caption(f"Only what differs; {same} further options are the same in these runs.")
    if table.empty:
        st.info("These runs have the same options.")
        return
    st.dataframe(table, height="content", column_config={"option": st.column_config.Column(pinned=True)})


def _words(options: dict[str, Any]) -> dict[str, str]:
    return {
        name: value if isinstance(value, str) else json.dumps(value)
        for name, value in options.items()
        if name not in _LEFT_OUT
    }


page()
