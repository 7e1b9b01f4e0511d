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
from chexmodel.language import tr
from chexmodel.runs import Finished, fingerprint, read_finished
from chexmodel.ui.components import guard
from chexmodel.ui.grid import grid

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
    st.subheader(tr("On the same films"))
    split = st.radio(tr("Films"), ["test", "validation"], key=SPLIT_KEY, horizontal=True, format_func=tr)
    if split == "validation":
        st.warning(tr(FLATTERED))
    prints: dict[str, str] = {}
    found: dict[str, Finished] = {}
    for run, path in paths.items():
        try:
            prints[run] = fingerprint(path)
            found[run] = finished(path, split, run, prints[run])
        except BundleError as error:
            st.caption(tr("Left out: {run}. {error}", run=run, error=error))
    if not found:
        st.info(tr("None of these runs has been evaluated: there are no scores to compare."))
        return
    evaluations = {run: one.evaluation for run, one in found.items()}
    st.markdown(tr("**Macro averages**, each run on its own films; “over” is the number of observations"))
    grid(averages_table(evaluations), columns={"run": _FIRST})
    st.markdown(tr("**AUROC per observation**"))
    grid(auroc_table(evaluations), columns={"observation": _FIRST})
    st.caption(tr(READING))
    if len(found) > 1:
        _differences(found, prints, split)


def _differences(found: dict[str, Finished], prints: dict[str, str], split: str) -> None:
    st.subheader(tr("Differences"))
    left, right = st.columns(2)
    baseline = left.selectbox(tr("Baseline"), list(found), key=BASELINE_KEY)
    metric = right.selectbox(
        tr("Metric of the chart"), METRICS, key=METRIC_KEY, format_func=lambda name: tr(METRIC_WORDS[name])
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
        tr(
            "Right of 0 the run is better than {baseline}. A filled mark's interval excludes 0. What is "
            "undefined for one of the two is left out.",
            baseline=baseline,
        )
    )
    for tab, (run, comparison) in zip(st.tabs(list(comparisons)), comparisons.items(), strict=True):
        with tab:
            st.markdown(tr("**{second} minus {first}**", second=run, first=baseline))
            grid(differences_table(comparison), columns={"observation": _FIRST})
            st.caption(conditions(comparison))


def finished(path: Path, split: str, run: str, state: str) -> Finished:
    """Read what an evaluated run says of a split; `state` is the fingerprint of its files.

    Raises:
        BundleError: it was not evaluated, or its files are damaged.
    """
    with st.spinner(tr("Reading predictions …")):
        return _finished(path, split, run, state)


@st.cache_resource(max_entries=32, show_spinner=False)
def _finished(_path: Path, split: str, run: str, state: str) -> Finished:  # noqa: ARG001 – part of the key
    return read_finished(_path, split, name=run)


def compared(first: Finished, second: Finished, state: tuple[str, ...]) -> Comparison:
    """Compare two runs; `state` has the split, their names and the fingerprints of their files.

    Raises:
        DatasetError: they have no film in common, or their labels disagree.
    """
    with st.spinner(tr("Resampling patients …")):
        return _compared(first, second, state)


@st.cache_resource(max_entries=64, show_spinner=False)
def _compared(_first: Finished, _second: Finished, state: tuple[str, ...]) -> Comparison:  # noqa: ARG001
    return compare_judged(_first.judged, _second.judged, bootstrap=_BOOTSTRAP, seed=_SEED)
