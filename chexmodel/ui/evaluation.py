"""Evaluation: how well the chosen model reads films that it was not trained on."""

import math
from typing import Final

import pandas as pd
import streamlit as st

from chexmodel import canvas
from chexmodel.bundle import Bundle, Metrics
from chexmodel.errors import BundleError
from chexmodel.metrics import Evaluation, ObservationScore
from chexmodel.scores import interval
from chexmodel.thresholds import Threshold
from chexmodel.ui import curves
from chexmodel.ui.components import active_bundle, guard
from chexmodel.ui.operating import Scored, read_scored

SPLIT_KEY: Final = "evaluation-split"
OBSERVATION_KEY: Final = "evaluation-observation"
THRESHOLD_KEY: Final = "evaluation-threshold"

_METRICS: Final = {"auroc": "AUROC", "f1": "F1", "f1_constant_yes": "F1 of constant yes"}
_RULES: Final = {
    "f1": "best F1",
    "youden": "best sensitivity + specificity (Youden's J)",
    "sensitivity": "a sensitivity that was asked for",
    "default": "none, the default",
}


def page() -> None:
    """Draw the page."""
    st.title("Evaluation")
    with guard():
        bundle = active_bundle()
        metrics = bundle.metrics()
        splits = sorted(metrics.splits, key=lambda split: split != "test")
        if not splits:
            raise BundleError(f"metrics.json of bundle {bundle.path} has no split: evaluate it anew")
        split = st.radio("Films", splits, key=SPLIT_KEY, horizontal=True)
        if split == "validation":
            st.warning(
                "Thresholds and calibration were fitted on these films: the figures flatter the model."
            )
        if bundle.manifest.origin:
            st.warning(bundle.manifest.origin.caution)
        evaluation = metrics.splits[split]
        _conditions(bundle, metrics, split)
        _scores(bundle, evaluation, split)
        _averages(evaluation)
        with guard():
            _operating(bundle, evaluation, split)


def _conditions(bundle: Bundle, metrics: Metrics, split: str) -> None:
    evaluation = metrics.splits[split]
    with st.container(horizontal=True, gap="medium"):
        st.metric("Films", f"{evaluation.films:,}", width="content")
        st.metric("Patients", f"{evaluation.patients:,}", width="content")
        st.metric("Bootstrap resamples", f"{evaluation.bootstrap:,}", width="content")
    st.caption(
        f"Model {bundle.manifest.name}, {split} split. Intervals: 95 %, percentile bootstrap over patients, "
        f"seed {evaluation.seed}. Weights SHA-256 `{metrics.weights_sha256}`. Command: `{metrics.command}`"
    )
    if metrics.weights_sha256 != bundle.manifest.weights_sha256:
        st.error(
            "These figures are of other weights than the bundle's: the model was trained again since. "
            f"Run `python -m train evaluate {bundle.path} --data DIR`."
        )


def _scores(bundle: Bundle, evaluation: Evaluation, split: str) -> None:
    st.subheader("Per observation")
    st.dataframe(
        pd.DataFrame([_row(score) for score in evaluation.scores]),
        hide_index=True,
        height="content",
        column_config={
            "observation": st.column_config.Column(pinned=True),
            "why undefined": st.column_config.Column(width="large"),
        },
    )
    undefined = [f"{score.observation} ({_why(score)})" for score in evaluation.scores if _why(score)]
    if undefined:
        st.markdown(f"Undefined (“—”): {'; '.join(undefined)}.")
    st.caption(
        "AUROC 0.50 is chance. F1 is to be read against the F1 of a constant “yes”, average precision "
        "against the share of positives. With a handful of positives the interval understates how little "
        "is known."
    )
    st.download_button(
        "Table (CSV)",
        evaluation.frame().to_csv(index=False).encode(),
        file_name=f"{bundle.manifest.name}-{split}.csv",
        mime="text/csv",
        icon=":material/download:",
    )


def _row(score: ObservationScore) -> dict[str, str | int]:
    return {
        "observation": score.observation,
        "AUROC (95 %)": interval(score.auroc),
        "positives": score.positives,
        "negatives": score.negatives,
        "masked": score.masked,
        "average precision": _number(score.average_precision.value),
        "precision": _number(score.precision.value),
        "recall": _number(score.recall.value),
        "F1": _number(score.f1.value),
        "F1 of constant yes": _number(score.f1_constant_yes),
        "accuracy": _number(score.accuracy.value),
        "threshold": _number(score.threshold, digits=3),
        "why undefined": _why(score),
    }


def _why(score: ObservationScore) -> str:
    if score.undefined:
        return score.undefined
    return "no film is called positive: no precision" if math.isnan(score.precision.value) else ""


def _averages(evaluation: Evaluation) -> None:
    st.subheader("Macro averages")
    rows = [
        {
            "metric": _METRICS.get(name, name.replace("_", " ")),
            "plain": interval(plain),
            "over": plain.observations,
            "equivalent as one": interval(evaluation.macro_distinct[name]),
            "over ": evaluation.macro_distinct[name].observations,
        }
        for name, plain in evaluation.macro.items()
        if name in evaluation.macro_distinct
    ]
    st.dataframe(rows, hide_index=True, height="content", width="content")
    groups = "; ".join(", ".join(group) for group in evaluation.equivalent)
    st.caption(
        "“Over” is the number of observations in the average: the defined ones alone. "
        + (
            f"Equal or complementary labels on these films, counted once in “equivalent as one”: {groups}."
            if groups
            else "No two observations have equal or complementary labels on these films."
        )
    )


def _operating(bundle: Bundle, evaluation: Evaluation, split: str) -> None:
    st.subheader("Curves and threshold")
    scored = read_scored(bundle, bundle.predictions(), split)
    if not scored:
        st.info("No observation has both a positive and a negative film here: there is no curve to draw.")
        return
    left, right = st.columns(2)
    name = left.selectbox("Observation", list(scored), key=OBSERVATION_KEY)
    others = right.multiselect(
        "Compare with", [other for other in scored if other != name], max_selections=canvas.MAX_SERIES - 1
    )
    chosen = [scored[name], *(scored[other] for other in others)]
    left, right = st.columns(2)
    with left:
        st.markdown("**ROC**: the dotted diagonal is chance, a mark the bundle's threshold")
        st.plotly_chart(curves.roc(chosen), config=canvas.CONFIG, key="roc")
    with right:
        st.markdown("**Precision-recall**: a dotted line is the share of positives")
        st.plotly_chart(curves.precision_recall(chosen), config=canvas.CONFIG, key="precision-recall")
    score = next((score for score in evaluation.scores if score.observation == name), None)
    if score is not None:
        st.caption(
            f"{name} on the {split} split: AUROC {interval(score.auroc)}, average precision "
            f"{interval(score.average_precision)}; 95 % intervals. Probabilities are calibrated."
        )
    point = next(point for point in bundle.thresholds if point.observation == name)
    st.markdown(f"**At a threshold: {name}**")
    _confusion(scored[name], point, f"{bundle.path} {split} {name}")


@st.fragment
def _confusion(scored: Scored, point: Threshold, place: str) -> None:
    """Only this part runs again when the slider moves."""
    left, right = st.columns(2)
    with left:
        cut = st.slider(
            "Threshold (calibrated probability)",
            0.0,
            1.0,
            value=point.value,
            step=0.001,
            format="%.3f",
            key=f"{THRESHOLD_KEY} {place}",
        )
        counts = scored.at(cut)
        rates = counts.rates()
        with st.container(horizontal=True, gap="medium"):
            for name, rate in rates.items():
                st.metric(name, _number(rate.value), help=rate.reason or f"of {rate.of:,}", width="content")
        for name, rate in rates.items():
            if rate.reason:
                st.caption(f"{name} is undefined: {rate.reason}.")
        st.caption(_provenance(point))
    with right:
        st.plotly_chart(curves.confusion(counts), config=canvas.CONFIG, key="confusion")


def _provenance(point: Threshold) -> str:
    text = (
        f"The bundle's threshold is {point.value:.3f}. Rule: {_RULES[point.rule]}; for fitting it the "
        f"{point.split} split has {point.positives:,} positives and {point.negatives:,} negatives."
    )
    return f"{text} Why a default: {point.reason}." if point.reason else text


def _number(value: float, *, digits: int = 2) -> str:
    return "—" if math.isnan(value) else f"{value:.{digits}f}"


page()
