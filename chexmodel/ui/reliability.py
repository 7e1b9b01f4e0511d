"""Part of the page Evaluation: whether the probabilities mean what they say."""

from typing import Final

import streamlit as st

from chexmodel import evaluation_charts
from chexmodel.bundle import Bundle
from chexmodel.evaluation_tables import reliability_table
from chexmodel.metrics import Evaluation
from chexmodel.records import records
from chexmodel.scores import interval
from chexmodel.ui.components import chart, table

OBSERVATION_KEY: Final = "evaluation-reliability"


def section(bundle: Bundle, evaluation: Evaluation, split: str) -> None:
    """Draw the section.

    Raises:
        BundleError: the file is damaged.
    """
    rows = {row.observation: row for row in bundle.reliability() if row.split == split}
    if not rows:
        st.info(
            f"Bundle {bundle.manifest.name} has no reliability of the {split} split: run "
            f"`python -m train evaluate {bundle.path} --data DIR`."
        )
        return
    name = st.selectbox("Observation", list(rows), key=OBSERVATION_KEY)
    row = rows[name]
    label = f"{bundle.manifest.name}-{split}-{name}"
    left, right = st.columns(2)
    with left:
        st.markdown("**Reliability**: on the dotted diagonal a probability is the share of positives")
        chart(evaluation_charts.reliability(row), f"{label}-reliability")
        chart(evaluation_charts.bin_counts(row), f"{label}-bins")
    with right:
        _method(bundle, name)
        st.markdown(
            f"On the {split} split ({row.positives:,} positives, {row.negatives:,} negatives) calibration "
            f"takes the log-loss from {row.before.log_loss:.3f} to {row.after.log_loss:.3f}: a gain of "
            f"{interval(row.gain, signed=True)}. The Brier score goes from {row.before.brier:.3f} to "
            f"{row.after.brier:.3f}, the calibration error from {row.before.ece:.3f} to {row.after.ece:.3f}."
        )
        st.caption(
            "Bins are as equally filled as ties allow, with at least 10 films; whiskers are 95 % Wilson "
            "intervals of the share. “Before” is the sigmoid of the raw score; a weighted loss pushes it up."
        )
    st.subheader("All observations")
    table(
        records(rows.values()),
        f"{bundle.manifest.name}-{split}-reliability",
        shown=reliability_table(list(rows.values())),
        columns={"observation": st.column_config.Column(pinned=True)},
        hide_index=True,
    )
    st.caption(
        f"{evaluation.bootstrap:,} resamples of patients. Lower is better in every column but the gain. On "
        "few films the calibration error of a perfectly calibrated model is above 0 too."
    )


def _method(bundle: Bundle, name: str) -> None:
    row = next(row for row in bundle.calibrations if row.observation == name)
    losses = ", ".join(f"{method} {loss:.4f}" for method, loss in row.held_out_log_loss.items())
    text = f"Method: **{row.method}**, for which the {row.split} split has {row.positives:,} positives and "
    text += f"{row.negatives:,} negatives."
    if losses:
        text += f" Chosen by log-loss on other patients of that split: {losses}."
    if row.reason:
        text += f" Why none: {row.reason}."
    st.markdown(text)
    if bundle.manifest.members > 1:
        st.caption(
            "Fitted to scores of single members, each on films that it did not learn from; the mean of the "
            "members, which reads the test films, varies less: the slopes are somewhat too flat for it."
        )
