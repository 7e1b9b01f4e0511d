"""Part of the page Evaluation: whether the probabilities mean what they say."""

from typing import Final

import streamlit as st

from chexmodel import evaluation_charts
from chexmodel.bundle import Bundle
from chexmodel.calibration import METHOD_WORDS
from chexmodel.evaluation_tables import reliability_table
from chexmodel.language import number, tr
from chexmodel.metrics import Evaluation
from chexmodel.reasons import told
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
            tr(
                "Bundle {name} has no reliability of the {split} split: run "
                "`python -m train evaluate {path} --data DIR`.",
                name=bundle.manifest.name,
                split=tr(split),
                path=bundle.path,
            )
        )
        return
    name = st.selectbox(tr("Observation"), list(rows), key=OBSERVATION_KEY, format_func=tr)
    row = rows[name]
    label = f"{bundle.manifest.name}-{split}-{name}"
    left, right = st.columns(2)
    with left:
        st.markdown(tr("**Reliability**: on the dotted diagonal a probability is the share of positives"))
        chart(evaluation_charts.reliability(row), f"{label}-reliability")
        chart(evaluation_charts.bin_counts(row), f"{label}-bins")
    with right:
        _method(bundle, name)
        st.markdown(
            tr(
                "On the {split} split ({positives:,} positives, {negatives:,} negatives) calibration takes "
                "the log-loss from {loss:.3f} to {loss_after:.3f}: a gain of {gain}. The Brier score goes "
                "from {brier:.3f} to {brier_after:.3f}, the calibration error from {ece:.3f} to "
                "{ece_after:.3f}.",
                split=tr(split),
                positives=row.positives,
                negatives=row.negatives,
                loss=row.before.log_loss,
                loss_after=row.after.log_loss,
                gain=interval(row.gain, signed=True),
                brier=row.before.brier,
                brier_after=row.after.brier,
                ece=row.before.ece,
                ece_after=row.after.ece,
            )
        )
        st.caption(
            tr(
                "Bins are as equally filled as ties allow, with at least 10 films; whiskers are 95 % Wilson "
                "intervals of the share. “Before” is the sigmoid of the raw score; a weighted loss pushes it "
                "up."
            )
        )
    st.subheader(tr("All observations"))
    table(
        records(rows.values()),
        f"{bundle.manifest.name}-{split}-reliability",
        shown=reliability_table(list(rows.values())),
        columns={"observation": st.column_config.Column(pinned=True)},
        hide_index=True,
    )
    st.caption(
        tr(
            "{bootstrap:,} resamples of patients. Lower is better in every column but the gain. On few films "
            "the calibration error of a perfectly calibrated model is above 0 too.",
            bootstrap=evaluation.bootstrap,
        )
    )


def _method(bundle: Bundle, name: str) -> None:
    row = next(row for row in bundle.calibrations if row.observation == name)
    said = [
        tr(
            "Method: **{method}**, for which the {split} split has {positives:,} positives and {negatives:,} "
            "negatives.",
            method=tr(METHOD_WORDS[row.method]),
            split=tr(row.split),
            positives=row.positives,
            negatives=row.negatives,
        )
    ]
    if row.held_out_log_loss:
        losses = [
            f"{tr(METHOD_WORDS[method])} {number(loss, '.4f')}"
            for method, loss in row.held_out_log_loss.items()
        ]
        said.append(
            tr("Chosen by log-loss on other patients of that split: {losses}.", losses=", ".join(losses))
        )
    if row.reason:
        said.append(tr("Why none: {reason}.", reason=told(row.reason)))
    st.markdown(" ".join(said))
    if bundle.manifest.members > 1:
        st.caption(
            tr(
                "Fitted to scores of single members, each on films that it did not learn from; the mean of "
                "the members, which reads the test films, varies less: the slopes are somewhat too flat for "
                "it."
            )
        )
