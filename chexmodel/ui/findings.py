"""The findings of a reading in words and numbers, as the viewer lists them: above threshold first."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from html import escape
from typing import Final, Literal

import numpy as np

from chexmodel.bundle import Bundle
from chexmodel.calibration import Calibration
from chexmodel.explain import EXACT, Method
from chexmodel.language import number, tr
from chexmodel.localisation_words import UNSEEN, trust
from chexmodel.predictor import Prediction
from chexmodel.scores import ObservationScore, interval
from chexmodel.thresholds import Threshold

State = Literal["above", "indeterminate", "below", "untrained"]
ORDER: Final[tuple[State, ...]] = ("above", "indeterminate", "below", "untrained")
"""How the list is sorted; those below threshold and those not trained are folded."""

_SMALL: Final = 0.1  # below it two decimals would write a score and its threshold alike


@dataclass(frozen=True)
class Finding:
    """One row of the list; numbers in [0, 1], NaN where undefined; words in the language in use.

    observation: one of the 14, the key of its map. name: what it is called.
    state: "above" is at or above the threshold; "indeterminate" within its band, whichever side.
    band: the 95 % interval of the threshold; NaN where that is a default.
    said: the score in words. side: where it lies. operating: sensitivity and specificity of the threshold.
    remarks: what to know of score and threshold. where: position of the map's peak, "" where not told.
    caption: how well such a map marks the finding, as measured, or that nobody measured.
    """

    observation: str
    name: str
    state: State
    score: float
    threshold: float
    band: tuple[float, float]
    said: str
    side: str
    operating: str = ""
    remarks: tuple[str, ...] = ()
    where: str = ""
    caption: str = ""


def findings(
    prediction: Prediction,
    bundle: Bundle,
    *,
    method: Method = EXACT,
    where: Mapping[str, str] | None = None,
) -> list[Finding]:
    """List the 14 observations of a reading: above threshold first, then indeterminate, then the rest.

    Sensitivity and specificity are those of the test films where the bundle was judged with these weights
    and thresholds, else those of the films that set the threshold, which is said.

    Args:
        prediction: of the film.
        bundle: that made it.
        method: of the maps, for the captions.
        where: observation → position of its map's peak in words.

    Returns:
        14 findings; within a state the highest score first.

    Raises:
        BundleError: a file of the bundle is damaged.
    """
    judged = _test_scores(bundle)
    localisation = bundle.localisation()
    caution = bundle.manifest.origin.caution if bundle.manifest.origin else UNSEEN
    rows = []
    for k, observation in enumerate(prediction.observations):
        name = tr(observation)
        if observation in prediction.not_trained:
            rows.append(_untrained(observation, prediction.not_trained[observation]))
            continue
        point, score = bundle.thresholds[k], float(prediction.probabilities[k])
        state = _state(bool(prediction.decisions[k]), prediction.indeterminate[k])
        low, high = (float(edge) for edge in prediction.bands[k])
        spec = ".3f" if point.value < _SMALL else ".2f"
        measured = trust(localisation, observation, method, caution=caution)
        rows.append(
            Finding(
                observation=observation,
                name=name,
                state=state,
                score=score,
                threshold=point.value,
                band=(low, high),
                said=tr("score for {name}: {score}", name=name, score=number(score, spec)),
                side=_side(state, point.value, (low, high), spec),
                operating=_operating(point, judged.get(observation)),
                remarks=_remarks(point, bundle.calibrations[k]),
                where=(where or {}).get(observation, ""),
                caption=tr(
                    "How well {method} marks {name}: {measured}", method=method, name=name, measured=measured
                ),
            )
        )
    return sorted(
        rows, key=lambda row: (ORDER.index(row.state), 0.0 if math.isnan(row.score) else -row.score)
    )


def _untrained(observation: str, reason: str) -> Finding:
    return Finding(
        observation=observation,
        name=tr(observation),
        state="untrained",
        score=math.nan,
        threshold=math.nan,
        band=(math.nan, math.nan),
        said="",
        side=tr("not trained in this model"),
        remarks=(reason,),
    )


def _state(called: bool, indeterminate: bool) -> State:
    return "indeterminate" if indeterminate else "above" if called else "below"


def _side(state: State, threshold: float, band: tuple[float, float], spec: str) -> str:
    if state == "indeterminate":
        low, high = (number(edge, spec) for edge in band)
        return tr("indeterminate ({low}–{high})", low=low, high=high)
    value = number(threshold, spec)
    if state == "above":
        return tr("at or above threshold {value}", value=value)
    return tr("below threshold {value}", value=value)


def _test_scores(bundle: Bundle) -> dict[str, ObservationScore]:
    """Scores of the test split by observation; none where it was not judged as it is now."""
    if not (bundle.path / "metrics.json").is_file():
        return {}
    metrics = bundle.metrics()
    if metrics.weights_sha256 != bundle.manifest.weights_sha256 or "test" not in metrics.splits:
        return {}
    both = zip(metrics.splits["test"].scores, bundle.thresholds, strict=True)
    return {score.observation: score for score, point in both if score.threshold == point.value}


def _operating(point: Threshold, judged: ObservationScore | None) -> str:
    if judged is not None:
        counts = {"positives": judged.positives, "negatives": judged.negatives}
        if math.isnan(judged.recall.value) and math.isnan(judged.specificity.value):
            return tr(
                "Sensitivity and specificity undefined: {positives} test films with it, {negatives} without.",
                **counts,
            )
        return tr(
            "Sensitivity {sensitivity}, specificity {specificity}; test films: {positives} with it, "
            "{negatives} without.",
            sensitivity=interval(judged.recall),
            specificity=interval(judged.specificity),
            **counts,
        )
    if math.isnan(point.sensitivity.value):
        return tr("Sensitivity and specificity not measured.")
    return tr(
        "Sensitivity {sensitivity}, specificity {specificity} on the films that set the threshold, which "
        "flatters it: {positives} with it, {negatives} without.",
        sensitivity=interval(point.sensitivity),
        specificity=interval(point.specificity),
        positives=point.positives,
        negatives=point.negatives,
    )


def _remarks(point: Threshold, calibration: Calibration) -> tuple[str, ...]:
    said = []
    if calibration.reason is not None:
        said.append(tr("Uncalibrated, compares with no other score: {reason}.", reason=calibration.reason))
    if point.reason is not None:
        said.append(tr("The threshold is a default: {reason}.", reason=point.reason))
    return tuple(said)


STYLE: Final = """<style>
.cx-findings{display:flex;flex-direction:column;gap:.55rem}
.cx-findings .row{display:flex;flex-wrap:wrap;justify-content:space-between;gap:0 .5rem;font-size:.9rem;
  line-height:1.25}
.cx-findings .called{font-weight:650}
.cx-findings .word{white-space:nowrap;margin-left:auto;font-variant-numeric:tabular-nums}
.cx-findings .bar{position:relative;height:.55rem;border-radius:.3rem;margin-top:.15rem;
  background:color-mix(in srgb,currentColor 14%,transparent)}
.cx-findings .fill{position:absolute;inset:0 auto 0 0;border-radius:.3rem;
  background:color-mix(in srgb,currentColor 45%,transparent)}
.cx-findings .called .fill{background:#0e8aae}
.cx-findings .band{position:absolute;top:-.18rem;bottom:-.18rem;border:1px dashed currentColor;
  border-radius:.1rem;background:color-mix(in srgb,currentColor 18%,transparent)}
.cx-findings .tick{position:absolute;top:-.18rem;bottom:-.18rem;width:.18rem;margin-left:-.09rem;
  background:currentColor;border-radius:.1rem}
.cx-findings .off{opacity:.6}
.cx-findings small{opacity:.75}
</style>"""


def ranked(prediction: Prediction) -> list[str]:
    """Trained observations, the most probable first."""
    order = np.argsort(-np.nan_to_num(prediction.probabilities, nan=-1.0), kind="stable")
    return [
        prediction.observations[k] for k in order if prediction.observations[k] not in prediction.not_trained
    ]


def decision_words(prediction: Prediction, observation: str) -> str:
    """Say of one trained observation what its score is and on which side of its threshold it lies."""
    k = prediction.observations.index(observation)
    if prediction.indeterminate[k]:
        low, high = prediction.bands[k]
        return f"{prediction.probabilities[k]:.2f} · indeterminate ({low:.2f}–{high:.2f})"
    side = "at or above" if prediction.decisions[k] else "below"
    return f"{prediction.probabilities[k]:.2f} · {side} {prediction.thresholds[k]:.2f}"


def findings_html(prediction: Prediction, calibrations: list[Calibration]) -> str:
    """Draw the list: score as a bar, threshold as a tick in its band, decision in words; untrained ones last.

    Args:
        prediction: of the film.
        calibrations: of the bundle, in the order of the observations; scores without one are marked, as
            they can't be compared with the others.
    """
    items = [_item(prediction, name, calibrations) for name in ranked(prediction)]
    items += [
        f'<div role="listitem" class="off"><div class="row"><span>{escape(name)}</span>'
        f'<span class="word" title="{escape(reason)}">not trained in this model</span></div></div>'
        for name, reason in prediction.not_trained.items()
    ]
    return f'{STYLE}<div role="list" class="cx-findings">{"".join(items)}</div>'


def _item(prediction: Prediction, observation: str, calibrations: list[Calibration]) -> str:
    k = prediction.observations.index(observation)
    words = decision_words(prediction, observation)
    note, reason = "", calibrations[k].reason
    if reason is not None:
        note = f' <small title="{escape(reason)}">uncalibrated</small>'
    called = prediction.decisions[k] and not prediction.indeterminate[k]
    mark = "▲\u00a0" if called else "◇\u00a0" if prediction.indeterminate[k] else ""
    name = f"{mark}{escape(observation)}{note}"
    low, high = prediction.bands[k]
    band = ""
    if np.isfinite(low):
        band = f'<span class="band" style="left:{100 * low:.1f}%;width:{100 * (high - low):.1f}%"></span>'
    return (
        f'<div role="listitem" class="{"called" if called else "quiet"}">'
        f'<div class="row"><span>{name}</span><span class="word">{words}</span></div>'
        f'<div class="bar" aria-hidden="true">'
        f'<span class="fill" style="width:{100 * prediction.probabilities[k]:.1f}%"></span>'
        f'{band}<span class="tick" style="left:{100 * prediction.thresholds[k]:.1f}%"></span></div></div>'
    )
