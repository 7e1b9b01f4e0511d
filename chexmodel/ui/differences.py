"""Part of the page Training: how the runs that have been evaluated read the same films."""

from pathlib import Path
from typing import Final

import streamlit as st

from chexmodel import canvas, run_charts
from chexmodel.comparison import METRICS, Comparison, compare_judged
from chexmodel.comparison_tables import (
    FLATTERED,
    METRIC_WORDS,
    READING,
    auroc_table,
    averages_table,
    conditions,
    differences_table,
)
from chexmodel.errors import BundleError
from chexmodel.runs import Finished, fingerprint, read_finished
from chexmodel.ui.components import guard

SPLIT_KEY: Final = "training-split"
BASELINE_KEY: Final = "training-baseline"
METRIC_KEY: Final = "training-metric"

_BOOTSTRAP: Final = 1000
_SEED: Final = 0
_FIRST = st.column_config.Column(pinned=True)


def judged_runs(paths: dict[str, Path]) -> None:
    """Show metrics of evaluated runs, and paired differences to a baseline.

    Args:
        paths: name of the run → its directory; a run that is not evaluated is listed with what to do.
    """
    st.subheader("On the same films")
    split = st.radio("Films", ["test", "validation"], key=SPLIT_KEY, horizontal=True)
    if split == "validation":
        st.warning(FLATTERED)
    prints: dict[str, str] = {}
    found: dict[str, Finished] = {}
    for run, path in paths.items():
        try:
            prints[run] = fingerprint(path)
            found[run] = finished(path, split, run, prints[run])
        except BundleError as error:
            st.caption(f"Left out: {run}. {error}")
    if not found:
        st.info("None of these runs has been evaluated: there are no scores to compare.")
        return
    evaluations = {run: one.evaluation for run, one in found.items()}
    st.markdown("**Macro averages**, each run on its own films; “over” is the number of observations")
    st.dataframe(averages_table(evaluations), height="content", column_config={"run": _FIRST})
    st.markdown("**AUROC per observation**")
    st.dataframe(auroc_table(evaluations), height="content", column_config={"observation": _FIRST})
    st.caption(READING)
    if len(found) > 1:
        _differences(found, prints, split)


def _differences(found: dict[str, Finished], prints: dict[str, str], split: str) -> None:
    st.subheader("Differences")
    left, right = st.columns(2)
    baseline = left.selectbox("Baseline", list(found), key=BASELINE_KEY)
    metric = right.selectbox(
        "Metric of the chart", METRICS, key=METRIC_KEY, format_func=METRIC_WORDS.__getitem__
    )
    comparisons: dict[str, Comparison] = {}
    for run in found:
        if run != baseline:
            with guard():
                comparisons[run] = compared(
                    found[baseline], found[run], (split, baseline, prints[baseline], run, prints[run])
                )
    if not comparisons:
        return
    st.plotly_chart(run_charts.forest(comparisons, metric), config=canvas.CONFIG, key=f"differences-{metric}")
    st.caption(
        f"Right of 0 the run is better than {baseline}. A filled mark's interval excludes 0. What is "
        "undefined for one of the two is left out."
    )
    for tab, (run, comparison) in zip(st.tabs(list(comparisons)), comparisons.items(), strict=True):
        with tab:
            st.markdown(f"**{run} minus {baseline}**")
            st.dataframe(
                differences_table(comparison), height="content", column_config={"observation": _FIRST}
            )
            st.caption(conditions(comparison))


@st.cache_data(max_entries=32, show_spinner="Reading predictions …")
def finished(_path: Path, split: str, run: str, state: str) -> Finished:  # noqa: ARG001 – part of the key
    """Read what an evaluated run says of a split; `state` is the fingerprint of its files.

    Raises:
        BundleError: it was not evaluated, or its files are damaged.
    """
    return read_finished(_path, split, name=run)


@st.cache_data(max_entries=64, show_spinner="Resampling patients …")
def compared(_first: Finished, _second: Finished, state: tuple[str, ...]) -> Comparison:  # noqa: ARG001
    """Compare two runs; `state` has the split, their names and the fingerprints of their files.

    Raises:
        DatasetError: they have no film in common, or their labels disagree.
    """
    return compare_judged(_first.judged, _second.judged, bootstrap=_BOOTSTRAP, seed=_SEED)
