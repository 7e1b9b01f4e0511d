"""The findings of a reading in words and numbers, as the viewer lists them: above threshold first."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

from chexmodel.bundle import Bundle
from chexmodel.explain import EXACT, Method
from chexmodel.language import tr
from chexmodel.localisation_words import UNSEEN, trust
from chexmodel.predictor import Prediction
from chexmodel.report_rows import Decision, OperatingPoint, Row, by_weight, rows, with_interval
from chexmodel.verdicts import Word

State = Literal["above", "indeterminate", "below", "untrained"]

_STATES: Final[dict[Decision, State]] = {
    "at_or_above": "above",
    "indeterminate": "indeterminate",
    "below": "below",
    "not_trained": "untrained",
}


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
    localisation = bundle.localisation()
    caution = bundle.manifest.origin.caution if bundle.manifest.origin else UNSEEN
    found = []
    for row in by_weight(rows(prediction, bundle, Word())):
        if row.not_trained is not None:
            found.append(_untrained(row))
            continue
        measured = trust(localisation, row.observation, method, caution=caution)
        caption = tr(
            "How well {method} marks {name}: {measured}", method=method, name=row.name, measured=measured
        )
        found.append(_trained(row, (where or {}).get(row.observation, ""), caption))
    return found


def _untrained(row: Row) -> Finding:
    return Finding(
        observation=row.observation,
        name=row.name,
        state="untrained",
        score=math.nan,
        threshold=math.nan,
        band=(math.nan, math.nan),
        said="",
        side=tr("not trained in this model"),
        remarks=(row.not_trained or "",),
    )


def _trained(row: Row, where: str, caption: str) -> Finding:
    return Finding(
        observation=row.observation,
        name=row.name,
        state=_STATES[row.decision],
        score=row.probability,
        threshold=row.threshold,
        band=(row.low, row.high),
        said=tr("score for {name}: {score}", name=row.name, score=row.figure(row.probability)),
        side=_side(row),
        operating=_operating(row.point),
        remarks=_remarks(row),
        where=where,
        caption=caption,
    )


def _side(row: Row) -> str:
    if row.decision == "indeterminate":
        return tr("indeterminate ({low}–{high})", low=row.figure(row.low), high=row.figure(row.high))
    value = row.figure(row.threshold)
    if row.decision == "at_or_above":
        return tr("at or above threshold {value}", value=value)
    return tr("below threshold {value}", value=value)


def _operating(point: OperatingPoint) -> str:
    if point.films == "none":
        return tr("Sensitivity and specificity not measured.")
    counts = {"positives": point.positives, "negatives": point.negatives}
    if math.isnan(point.sensitivity.value) and math.isnan(point.specificity.value):
        return tr(
            "Sensitivity and specificity undefined: {positives} test films with the finding, {negatives} "
            "without.",
            **counts,
        )
    figures = {
        "sensitivity": with_interval(point.sensitivity),
        "specificity": with_interval(point.specificity),
    }
    if point.films == "test":
        return tr(
            "Sensitivity {sensitivity}, specificity {specificity}; test films: {positives} with the finding, "
            "{negatives} without.",
            **figures,
            **counts,
        )
    return tr(
        "Sensitivity {sensitivity}, specificity {specificity} on the films that set the threshold, which "
        "flatters it: {positives} with the finding, {negatives} without.",
        **figures,
        **counts,
    )


def _remarks(row: Row) -> tuple[str, ...]:
    said = []
    if row.uncalibrated is not None:
        said.append(tr("Uncalibrated, compares with no other score: {reason}.", reason=row.uncalibrated))
    if row.default is not None:
        said.append(tr("The threshold is a default: {reason}.", reason=row.default))
    return tuple(said)
