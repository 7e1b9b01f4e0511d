"""Part of the page Evaluation: another model on the same films, and the paired difference."""

from pathlib import Path
from typing import Final

import streamlit as st

from chexmodel import records, run_charts
from chexmodel.bundle import Bundle
from chexmodel.comparison import METRICS
from chexmodel.comparison_tables import (
    METRIC_WORDS,
    READING,
    auroc_table,
    averages_table,
    conditions,
    differences_table,
)
from chexmodel.language import tr
from chexmodel.metrics import Evaluation
from chexmodel.runs import fingerprint
from chexmodel.ui.bundles import bundle_choices, bundle_name, bundle_title
from chexmodel.ui.components import chart, table
from chexmodel.ui.differences import compared, finished

OTHER_KEY: Final = "evaluation-other"
METRIC_KEY: Final = "evaluation-difference"


def section(bundle: Bundle, evaluation: Evaluation, split: str) -> None:  # noqa: ARG001 – read from the files
    """Draw the section.

    Raises:
        ChexError: one of the two was not evaluated, or their films or labels do not fit.
    """
    others = {bundle_name(path): path for path in bundle_choices() if path != bundle.path}
    if not others:
        st.info(
            tr(
                "There is no second model: train one (`python -m train fit`), or import one "
                "(`python -m train import`), and evaluate it on the same films."
            )
        )
        return
    other = st.selectbox(tr("Second model"), list(others), key=OTHER_KEY, format_func=bundle_title)
    first = bundle_name(bundle.path)
    prints = {name: fingerprint(path) for name, path in ((first, bundle.path), (other, others[other]))}
    both = {
        name: finished(Path(path), split, bundle_title(name), prints[name])
        for name, path in ((first, bundle.path), (other, others[other]))
    }
    evaluations = {name: found.evaluation for name, found in both.items()}
    st.markdown(tr("**Side by side**, each on its own films; “over” is the number of observations"))
    name = f"{first}-{other}-{split}"
    titled = {bundle_title(model): evaluation for model, evaluation in evaluations.items()}
    table(records.runs(evaluations), f"{name}-averages", shown=averages_table(titled))
    table(records.aurocs(evaluations), f"{name}-auroc", shown=auroc_table(titled))
    # Titles, not names: what is undefined is explained with them.
    title_of_first, title = bundle_title(first), bundle_title(other)
    state = (split, title_of_first, prints[first], title, prints[other])
    comparison = compared(both[first], both[other], state)
    st.subheader(tr("{second} minus {first}", second=title, first=title_of_first))
    metric = st.selectbox(
        tr("Metric of the chart"), METRICS, key=METRIC_KEY, format_func=lambda name: tr(METRIC_WORDS[name])
    )
    chart(run_charts.forest({title: comparison}, metric), f"{name}-{metric}")
    st.caption(tr("Right of 0 {model} is better. A filled mark's interval excludes 0.", model=title))
    table(records.differences(comparison), f"{name}-differences", shown=differences_table(comparison))
    st.caption(f"{conditions(comparison)} {tr(READING)}")
