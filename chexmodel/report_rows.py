"""What every export says of each observation: score, threshold, operating point, decision, verdict."""

import math
from dataclasses import dataclass
from typing import Final, Literal

from chexmodel.bundle import Bundle
from chexmodel.calibration import Calibration
from chexmodel.evaluation_tables import SCARCE
from chexmodel.language import mark, number, tr
from chexmodel.position import peak, position
from chexmodel.predictor import Prediction
from chexmodel.reasons import NOT_TRAINED, told
from chexmodel.scores import UNKNOWN, Estimate, ObservationScore
from chexmodel.thresholds import Threshold
from chexmodel.verdicts import Verdict, Word

Decision = Literal["at_or_above", "below", "indeterminate", "not_trained"]

DECISIONS: Final[dict[Decision, str]] = {
    "at_or_above": mark("at or above threshold"),
    "below": mark("below threshold"),
    "indeterminate": mark("indeterminate"),
    "not_trained": mark("not trained in this model"),
}
_SMALL: Final = 0.1
_READ_FIRST: Final[tuple[Decision, ...]] = ("at_or_above", "indeterminate", "below", "not_trained")


@dataclass(frozen=True)
class OperatingPoint:
    """How a threshold does on films: sensitivity and specificity with their 95 % intervals.

    films: "test": films kept aside; "fit": those that the threshold was fitted to, which flatter it; "none":
        measured on neither, and then both estimates are NaN.
    split: what those films are called in the bundle. positives, negatives: their number.
    undefined: why an estimate is NaN; empty where none is.
    """

    films: Literal["test", "fit", "none"]
    split: str
    positives: int
    negatives: int
    sensitivity: Estimate
    specificity: Estimate
    undefined: str

    @property
    def scarce(self) -> bool:
        """Whether the films of a class are too few for the interval to say much."""
        return self.films != "none" and min(self.positives, self.negatives) < SCARCE


@dataclass(frozen=True)
class Row:
    """One observation of a reading.

    probability, threshold, low, high: calibrated, in [0, 1]; NaN where not trained, the band (low, high) also
        where the threshold is a default. logit: raw log-odds.
    rule: how the threshold was set. default: why it is a default; None where it was fitted.
    calibration: the method; uncalibrated: why the probability is the raw sigmoid; None where calibrated.
    peak: (y, x) of the map's highest point as shares of the film's height and width, and place: that in words
        of the language in use; None and empty where the map is nowhere positive, or not trained.
    not_trained: the reason; None where trained. verdict: the reader's; None where none was given.
    """

    observation: str
    probability: float
    threshold: float
    low: float
    high: float
    logit: float
    decision: Decision
    point: OperatingPoint
    rule: str
    default: str | None
    calibration: str
    uncalibrated: str | None
    peak: tuple[float, float] | None
    place: str
    not_trained: str | None
    verdict: Verdict | None

    @property
    def name(self) -> str:
        """The observation in the language in use."""
        return tr(self.observation)

    @property
    def words(self) -> str:
        """The decision in the language in use."""
        return tr(DECISIONS[self.decision])

    def figure(self, value: float) -> str:
        """Write a score or a threshold of this row: below 0.1 two decimals would make the two alike."""
        return number(value, ".3f" if self.threshold < _SMALL else ".2f")

    @property
    def notes(self) -> tuple[str, ...]:
        """What to know of this row's figures, in sentences."""
        if self.not_trained is not None:
            return (
                tr("{name}: not trained in this model ({reason}).", name=self.name, reason=self.not_trained),
            )
        said = []
        about = {"name": self.name, "value": self.threshold, "reason": self.default or self.uncalibrated}
        if self.default is not None and self.default == self.uncalibrated:
            said.append(
                tr(
                    "{name}: the threshold {value:.2f} is a default and the score is not calibrated "
                    "({reason}); it compares with no other finding's.",
                    **about,
                )
            )
        elif self.default is not None:
            said.append(tr("{name}: the threshold {value:.2f} is a default ({reason}).", **about))
        if self.uncalibrated is not None and self.default != self.uncalibrated:
            said.append(
                tr(
                    "{name}: the score is not calibrated ({reason}); it compares with no other finding's.",
                    name=self.name,
                    reason=self.uncalibrated,
                )
            )
        if self.point.undefined:
            said.append(
                tr(
                    "{name}: sensitivity or specificity is undefined ({reason}).",
                    name=self.name,
                    reason=self.point.undefined,
                )
            )
        return tuple(said)


def rows(prediction: Prediction, bundle: Bundle, word: Word) -> tuple[Row, ...]:
    """Say of each of the 14 observations, in their order, what a reading says of it and how far to trust it.

    Args:
        prediction: by `bundle`.
        bundle: where threshold, calibration and operating point come from.
        word: the reader's.

    Raises:
        BundleError: the bundle's metrics are damaged.
    """
    scores = _test_scores(bundle)
    found = []
    for k, observation in enumerate(prediction.observations):
        point = bundle.thresholds[k]
        untrained = prediction.not_trained.get(observation)
        reason = None if untrained is None else told(untrained)
        low, high = prediction.bands[k].tolist()
        found.append(
            Row(
                observation=observation,
                probability=float(prediction.probabilities[k]),
                threshold=math.nan if reason is not None else float(prediction.thresholds[k]),
                low=low,
                high=high,
                logit=float(prediction.logits[k]),
                decision=_decision(prediction, k),
                point=_point(point, scores.get(observation), trained=reason is None),
                rule=point.rule,
                default=told(point.reason) if point.rule == "default" else None,
                calibration=bundle.calibrations[k].method,
                uncalibrated=_uncalibrated(bundle.calibrations[k]),
                peak=peak(prediction.heatmaps[k], prediction.shape),
                place=position(prediction.heatmaps[k], prediction.shape),
                not_trained=reason,
                verdict=word.of(observation),
            )
        )
    return tuple(found)


def by_weight(found: tuple[Row, ...]) -> list[Row]:
    """Put the rows in the order of reading: at or above threshold, indeterminate, below, not trained.

    Within each the highest probability comes first.
    """
    return sorted(found, key=lambda row: (_READ_FIRST.index(row.decision), -_or_zero(row.probability)))


def with_interval(estimate: Estimate) -> str:
    """Write an estimate with its interval in the language in use; a dash where undefined."""
    value = number(estimate.value)
    if math.isnan(estimate.value) or math.isnan(estimate.low):
        return value
    return f"{value} ({number(estimate.low)}–{number(estimate.high)})"


def band_words(row: Row) -> str:
    """Write a threshold and the indeterminate band around it."""
    if math.isnan(row.low):
        return row.figure(row.threshold)
    return f"{row.figure(row.threshold)} ({row.figure(row.low)}–{row.figure(row.high)})"


def _or_zero(value: float) -> float:
    return 0.0 if math.isnan(value) else value


def _decision(prediction: Prediction, k: int) -> Decision:
    if prediction.decisions[k] is None:
        return "not_trained"
    if prediction.indeterminate[k]:
        return "indeterminate"
    return "at_or_above" if prediction.decisions[k] else "below"


def _uncalibrated(calibration: Calibration) -> str | None:
    return told(calibration.reason) if calibration.method == "none" else None


def _test_scores(bundle: Bundle) -> dict[str, ObservationScore]:
    """Scores on the test films, by observation; none where there was no test, or it was of other weights."""
    if not (bundle.path / "metrics.json").is_file():
        return {}
    metrics = bundle.metrics()
    if "test" not in metrics.splits or metrics.weights_sha256 != bundle.manifest.weights_sha256:
        return {}
    return {score.observation: score for score in metrics.splits["test"].scores}


def _point(fitted: Threshold, tested: ObservationScore | None, *, trained: bool) -> OperatingPoint:
    """Take the test films where they were judged at this very threshold, else the films of its fit."""
    if not trained:
        return OperatingPoint("none", "", 0, 0, UNKNOWN, UNKNOWN, tr(NOT_TRAINED))
    if tested is not None and math.isclose(tested.threshold, fitted.value, abs_tol=1e-9):
        return OperatingPoint(
            films="test",
            split="test",
            positives=tested.positives,
            negatives=tested.negatives,
            sensitivity=tested.recall,
            specificity=tested.specificity,
            undefined=told(tested.undefined),
        )
    if math.isnan(fitted.sensitivity.value) and math.isnan(fitted.specificity.value):
        reason = told(fitted.reason) or tr("measured neither on test films nor on those of the fit")
        return OperatingPoint("none", "", 0, 0, UNKNOWN, UNKNOWN, reason)
    return OperatingPoint(
        films="fit",
        split=fitted.split,
        positives=fitted.positives,
        negatives=fitted.negatives,
        sensitivity=fitted.sensitivity,
        specificity=fitted.specificity,
        undefined="",
    )
