"""Part of the page Evaluation: curves with their ribbons, and a threshold that can be moved."""

import hashlib
import math
from typing import Final

import numpy as np
import streamlit as st
from numpy.typing import NDArray

from chexmodel import canvas, operating_charts
from chexmodel.bundle import Bundle
from chexmodel.draws import estimate
from chexmodel.metrics import Evaluation
from chexmodel.operating import Scored, read_scored
from chexmodel.ribbons import Rates, Ribbons, predictive_values, rates_at_cuts, ribbons
from chexmodel.scores import Estimate, interval
from chexmodel.thresholds import Threshold
from chexmodel.ui.components import chart
from chexmodel.ui.live import confusion_html, picture_html, scores_svg, scores_words

OBSERVATION_KEY: Final = "evaluation-observation"
THRESHOLD_KEY: Final = "evaluation-threshold"
PREVALENCE_KEY: Final = "evaluation-prevalence"

_RULES: Final = {
    "f1": "best F1",
    "youden": "best sensitivity + specificity (Youden's J)",
    "sensitivity": "a sensitivity that was asked for",
    "default": "none, the default",
}


def section(bundle: Bundle, evaluation: Evaluation, split: str) -> None:
    """Draw the section.

    Raises:
        BundleError: the predictions are missing or damaged.
    """
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
    bands = [_ribbons(one, evaluation.bootstrap, evaluation.seed, _key(one)) for one in chosen]
    left, right = st.columns(2)
    label = f"{bundle.manifest.name}-{split}-{name}"
    with left:
        st.markdown("**ROC**: the dotted diagonal is chance, a mark the bundle's threshold")
        chart(operating_charts.roc(chosen, [band.roc for band in bands]), f"{label}-roc")
    with right:
        st.markdown("**Precision-recall**: a dotted line is the share of positives")
        figure = operating_charts.precision_recall(chosen, [band.precision_recall for band in bands])
        chart(figure, f"{label}-precision-recall")
    score = next((score for score in evaluation.scores if score.observation == name), None)
    if score is not None:
        st.caption(
            f"{name} on the {split} split: AUROC {interval(score.auroc)}, average precision "
            f"{interval(score.average_precision)}. Ribbons: pointwise 95 % intervals over "
            f"{evaluation.bootstrap:,} resamples of patients. Probabilities are calibrated."
        )
    point = next(point for point in bundle.thresholds if point.observation == name)
    rates = _rates(scored[name], point.value, evaluation.bootstrap, evaluation.seed, _key(scored[name]))
    st.markdown(f"**At a threshold: {name}**")
    _explorer(scored[name], point, rates, f"{bundle.path} {split} {name}")


@st.fragment
def _explorer(scored: Scored, point: Threshold, rates: Rates, place: str) -> None:
    """Only this part runs again when a slider moves."""
    left, right = st.columns(2)
    with left:
        cut = st.slider(
            "Threshold (calibrated probability)",
            0.0,
            1.0,
            value=round(point.value, 3),
            step=0.001,
            format="%.3f",
            key=f"{THRESHOLD_KEY} {place}",
        )
        if cut == round(point.value, 3):
            cut = point.value  # the slider's step would call other films than the bundle does
        share = st.slider(
            "Prevalence where it is used",
            0.1,
            99.9,
            value=float(np.clip(np.round(100 * scored.positives / len(scored.labels), 1), 0.1, 99.9)),
            step=0.1,
            format="%.1f %%",
            key=f"{PREVALENCE_KEY} {place}",
            help="The predictive values hold for a place where so many films have the finding. It starts at "
            "the share of positives among these films.",
        )
        column = int(np.searchsorted(_cuts(point.value), cut))
        _show_rates(scored, Rates(*(draws[:, column] for draws in rates)), cut, share / 100)
        st.caption(provenance(point))
    with right:
        st.html(confusion_html(scored.at(cut)))
        picture = scores_svg(scored, cut, (point.low, point.high))
        st.html(picture_html(picture, scores_words(scored, cut)))
        st.caption(
            "Calibrated probabilities of these films, as shares of their class: labelled negative solid, "
            "positive dashed. The line is the threshold, the shade the bundle's indeterminate band."
        )
        st.download_button(
            "Scores (SVG)",
            lambda: picture,
            file_name=f"{scored.observation}-scores.svg",
            mime="image/svg+xml",
            icon=":material/download:",
            on_click="ignore",
        )


def _show_rates(scored: Scored, rates: Rates, cut: float, prevalence: float) -> None:
    sensitivity, specificity = rates
    ppv, npv = predictive_values(sensitivity, specificity, prevalence)
    shown = {"Sensitivity": sensitivity, "Specificity": specificity, "PPV": ppv, "NPV": npv}
    with st.container(horizontal=True, gap="medium"):
        for name, draws in shown.items():
            found = estimate(draws)
            st.metric(
                name,
                _number(found.value),
                _range(found),
                delta_color="off",
                width="content",
                delta_arrow="off",
            )
    for name, rate in scored.at(cut).rates().items():
        if rate.reason and math.isnan(shown[name][0]):
            st.caption(f"{name} is undefined: {rate.reason}.")
    if not np.isnan([sensitivity[0], specificity[0]]).any():
        st.markdown(_in_words(float(sensitivity[0]), float(specificity[0]), prevalence))


def _in_words(sensitivity: float, specificity: float, prevalence: float) -> str:
    ill = 1000 * prevalence
    found, alarms = ill * sensitivity, (1000 - ill) * (1 - specificity)
    return (
        f"Of 1,000 films at {100 * prevalence:.1f} % prevalence: {ill:.0f} have the finding, of which "
        f"{found:.0f} are called and {ill - found:.0f} missed; {alarms:.0f} of the other {1000 - ill:.0f} "
        "are called too."
    )


def provenance(point: Threshold) -> str:
    """Say where a threshold comes from, and how sure it is."""
    text = (
        f"The bundle's threshold is {point.value:.3f}. Rule: {_RULES[point.rule]}"
        + (f" ({point.wanted:.2f})" if point.wanted is not None else "")
        + f"; for fitting it the {point.split} split has {point.positives:,} positives and "
        f"{point.negatives:,} negatives."
    )
    if point.reason:
        return f"{text} Why a default: {point.reason}."
    if math.isnan(point.low):
        return f"{text} Its interval was not measured: evaluate the bundle anew."
    model = f" Model: weights SHA-256 `{point.weights_sha256[:12]}…`." if point.weights_sha256 else ""
    return (
        f"{text} Other patients would have put it between {point.low:.3f} and {point.high:.3f} (95 %, "
        f"bootstrap): a score in this band is read as indeterminate. At the threshold: sensitivity "
        f"{interval(point.sensitivity)}, specificity {interval(point.specificity)}, on the films of the "
        f"fit.{model}"
    )


def _key(scored: Scored) -> str:
    digest = hashlib.sha256(scored.labels.tobytes() + scored.probs.tobytes())
    digest.update("\0".join(map(str, scored.patients)).encode())
    return digest.hexdigest()


@st.cache_data(max_entries=64, show_spinner="Resampling patients …")
def _ribbons(_scored: Scored, bootstrap: int, seed: int, key: str) -> Ribbons:  # noqa: ARG001 – the key
    return ribbons(_scored.labels, _scored.probs, _scored.patients, bootstrap=bootstrap, seed=seed)


@st.cache_resource(max_entries=16, show_spinner="Resampling patients …")
def _rates(_scored: Scored, threshold: float, bootstrap: int, seed: int, key: str) -> Rates:  # noqa: ARG001
    return rates_at_cuts(
        _scored.labels,
        _scored.probs,
        _scored.patients,
        cuts=_cuts(threshold),
        bootstrap=bootstrap,
        seed=seed,
    )


def _cuts(threshold: float) -> NDArray[np.float64]:
    """The slider's steps, and the bundle's threshold itself."""
    return np.unique([*np.round(np.linspace(0, 1, 1001), 3), threshold])


def _range(found: Estimate) -> str | None:
    return None if math.isnan(found.low) else f"{found.low:.2f}–{found.high:.2f}"


def _number(value: float) -> str:
    return "—" if math.isnan(value) else f"{value:.2f}"
