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
from chexmodel.language import mark, number, tr
from chexmodel.metrics import Evaluation
from chexmodel.operating import Scored, read_scored
from chexmodel.reasons import told
from chexmodel.ribbons import Rates, Ribbons, predictive_values, rates_at_cuts, ribbons
from chexmodel.scores import Estimate, interval
from chexmodel.thresholds import Threshold
from chexmodel.ui.components import chart, guard
from chexmodel.ui.live import confusion_html, picture_html, scores_svg, scores_words

OBSERVATION_KEY: Final = "evaluation-observation"
THRESHOLD_KEY: Final = "evaluation-threshold"
PREVALENCE_KEY: Final = "evaluation-prevalence"

_RULES: Final = {
    "f1": mark("best F1"),
    "youden": mark("best sensitivity + specificity (Youden's J)"),
    "sensitivity": mark("a sensitivity that was asked for"),
    "default": mark("none, the default"),
}


def section(bundle: Bundle, evaluation: Evaluation, split: str) -> None:
    """Draw the section.

    Raises:
        BundleError: the predictions are missing or damaged.
    """
    scored = read_scored(bundle, bundle.predictions(), split)
    if not scored:
        st.info(tr("No observation has both a positive and a negative film here: there is no curve to draw."))
        return
    left, right = st.columns(2)
    name = left.selectbox(tr("Observation"), list(scored), key=OBSERVATION_KEY, format_func=tr)
    others = right.multiselect(
        tr("Compare with"),
        [other for other in scored if other != name],
        max_selections=canvas.MAX_SERIES - 1,
        placeholder=tr("Choose options"),
        format_func=tr,
    )
    chosen = [scored[name], *(scored[other] for other in others)]
    with st.spinner(tr("Resampling patients …")):
        bands = [_ribbons(one, evaluation.bootstrap, evaluation.seed, _key(one)) for one in chosen]
    left, right = st.columns(2)
    label = f"{bundle.manifest.name}-{split}-{name}"
    with left:
        st.markdown(tr("**ROC**: the dotted diagonal is chance, a mark the bundle's threshold"))
        chart(operating_charts.roc(chosen, [band.roc for band in bands]), f"{label}-roc")
    with right:
        st.markdown(tr("**Precision-recall**: a dotted line is the share of positives"))
        figure = operating_charts.precision_recall(chosen, [band.precision_recall for band in bands])
        chart(figure, f"{label}-precision-recall")
    score = next((score for score in evaluation.scores if score.observation == name), None)
    if score is not None:
        st.caption(
            tr(
                "{observation} on the {split} split: AUROC {auroc}, average precision {average_precision}. "
                "Ribbons: pointwise 95 % intervals over {bootstrap:,} resamples of patients. Probabilities "
                "are calibrated.",
                observation=tr(name),
                split=tr(split),
                auroc=interval(score.auroc),
                average_precision=interval(score.average_precision),
                bootstrap=evaluation.bootstrap,
            )
        )
    point = next(point for point in bundle.thresholds if point.observation == name)
    with st.spinner(tr("Resampling patients …")):
        rates = _rates(scored[name], point.value, evaluation.bootstrap, evaluation.seed, _key(scored[name]))
    st.markdown(tr("**At a threshold: {observation}**", observation=tr(name)))
    _explorer(scored[name], point, rates, f"{bundle.path} {split} {name}")


@st.fragment
@guard()
def _explorer(scored: Scored, point: Threshold, rates: Rates, place: str) -> None:
    """Only this part runs again when a slider moves."""
    left, right = st.columns(2)
    with left:
        cut = st.slider(
            tr("Threshold (calibrated probability)"),
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
            tr("Prevalence where it is used"),
            0.1,
            99.9,
            value=float(np.clip(np.round(100 * scored.positives / len(scored.labels), 1), 0.1, 99.9)),
            step=0.1,
            format="%.1f %%",
            key=f"{PREVALENCE_KEY} {place}",
            help=tr(
                "The predictive values hold for a place where so many films have the finding. It starts at "
                "the share of positives among these films."
            ),
        )
        column = int(np.searchsorted(_cuts(point.value), cut))
        _show_rates(scored, Rates(*(draws[:, column] for draws in rates)), cut, share / 100)
        st.caption(provenance(point))
    with right:
        st.html(confusion_html(scored.at(cut)))
        picture = scores_svg(scored, cut, (point.low, point.high))
        st.html(picture_html(picture, scores_words(scored, cut)))
        st.caption(
            tr(
                "Calibrated probabilities of these films, as shares of their class: labelled negative solid, "
                "positive dashed. The line is the threshold, the shade the bundle's indeterminate band."
            )
        )
        st.download_button(
            tr("Scores (SVG)"),
            lambda: picture,
            file_name=f"{scored.observation}-scores.svg",
            mime="image/svg+xml",
            icon=":material/download:",
            on_click="ignore",
        )


def _show_rates(scored: Scored, rates: Rates, cut: float, prevalence: float) -> None:
    sensitivity, specificity = rates
    ppv, npv = predictive_values(sensitivity, specificity, prevalence)
    shown = {
        mark("Sensitivity"): sensitivity,
        mark("Specificity"): specificity,
        mark("PPV"): ppv,
        mark("NPV"): npv,
    }
    with st.container(horizontal=True, gap="medium"):
        for name, draws in shown.items():
            found = estimate(draws)
            st.metric(
                tr(name),
                number(found.value),
                _range(found),
                delta_color="off",
                width="content",
                delta_arrow="off",
            )
    for name, rate in scored.at(cut).rates().items():
        if rate.reason and math.isnan(shown[name][0]):
            st.caption(tr("{rate} is undefined: {reason}.", rate=tr(name), reason=tr(rate.reason)))
    if not np.isnan([sensitivity[0], specificity[0]]).any():
        st.markdown(_in_words(float(sensitivity[0]), float(specificity[0]), prevalence))


def _in_words(sensitivity: float, specificity: float, prevalence: float) -> str:
    ill = 1000 * prevalence
    found, alarms = ill * sensitivity, (1000 - ill) * (1 - specificity)
    return tr(
        "Of 1,000 films at {prevalence:.1f} % prevalence: {ill:.0f} have the finding, of which {found:.0f} "
        "are called and {missed:.0f} missed; {alarms:.0f} of the other {others:.0f} are called too.",
        prevalence=100 * prevalence,
        ill=ill,
        found=found,
        missed=ill - found,
        alarms=alarms,
        others=1000 - ill,
    )


def provenance(point: Threshold) -> str:
    """Say where a threshold comes from, and how sure it is."""
    rule = tr(_RULES[point.rule])
    said = [
        tr(
            "The bundle's threshold is {value:.3f}. Rule: {rule}; for fitting it the {split} split has "
            "{positives:,} positives and {negatives:,} negatives.",
            value=point.value,
            rule=rule if point.wanted is None else f"{rule} ({number(point.wanted)})",
            split=tr(point.split),
            positives=point.positives,
            negatives=point.negatives,
        )
    ]
    if point.reason:
        said.append(tr("Why a default: {reason}.", reason=told(point.reason)))
    elif math.isnan(point.low):
        said.append(tr("Its interval was not measured: evaluate the bundle anew."))
    else:
        said.append(
            tr(
                "Other patients would have put it between {low:.3f} and {high:.3f} (95 %, bootstrap): a "
                "score in this band is read as indeterminate. At the threshold: sensitivity {sensitivity}, "
                "specificity {specificity}, on the films of the fit.",
                low=point.low,
                high=point.high,
                sensitivity=interval(point.sensitivity),
                specificity=interval(point.specificity),
            )
        )
        if point.weights_sha256:
            said.append(tr("Model: weights SHA-256 `{sha256}…`.", sha256=point.weights_sha256[:12]))
    return " ".join(said)


def _key(scored: Scored) -> str:
    digest = hashlib.sha256(scored.labels.tobytes() + scored.probs.tobytes())
    digest.update("\0".join(map(str, scored.patients)).encode())
    return digest.hexdigest()


@st.cache_resource(max_entries=64, show_spinner=False)
def _ribbons(_scored: Scored, bootstrap: int, seed: int, key: str) -> Ribbons:  # noqa: ARG001 – the key
    return ribbons(_scored.labels, _scored.probs, _scored.patients, bootstrap=bootstrap, seed=seed)


@st.cache_resource(max_entries=16, show_spinner=False)
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
    return None if math.isnan(found.low) else f"{number(found.low)}–{number(found.high)}"
