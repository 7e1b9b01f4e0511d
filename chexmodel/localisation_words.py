"""What is said of a localisation: how it was measured, and whether a map beats maps that look at no film."""

import math
from collections.abc import Sequence
from typing import Final

from chexmodel.localisation import BASELINES, Localisation, LocalisationScore, Margin, Measure
from chexmodel.scores import interval

MEASURES: Final[dict[Measure, str]] = {"hit": "hit rate", "iou": "mean IoU"}

SPLITS: Final = {"validation": "validation", "test": "test", "all": "validation and test"}
"""Which films the splits of a localisation are."""

UNSEEN: Final = "Each film's map is by a network that did not learn from its patient."

RULE: Final = (
    "Hit rate: the share of films on which the map's highest point lies in what radiologists marked. IoU: "
    "what the map marks at a cut-off, a share of its own maximum, against that; the cut-off comes from "
    "films of other patients. A map that is nowhere positive is no hit and has an IoU of 0. The image centre "
    "is the film's middle, for the IoU a centred box; the mean box averages what is marked on other "
    "patients' films. 95 % intervals: percentile bootstrap over patients; differences are paired, against "
    "the better of the two baselines."
)

ELSEWHERE: Final = (
    "For comparison, as others measured it on other films: on CheXpert, Grad-CAM's hit rate averages 0.60 "
    "over 9 findings, that of radiologists 0.80 (arXiv:2509.18015)."
)


def verdict(margin: Margin | None) -> str:
    """Say whether a map beats the better baseline: only where the difference's interval lies above 0."""
    if margin is None:
        return "has no baseline to be held against"
    low, high = margin.difference.low, margin.difference.high
    difference = interval(margin.difference, signed=True)
    if math.isnan(low):
        return f"differs from the {margin.baseline} by {difference}, without an interval"
    verb = "beats" if margin.beaten else "does worse than" if high < 0 else "does not beat"
    return f"{verb} the {margin.baseline}: {difference}"


def summary(scores: Sequence[LocalisationScore], measure: Measure) -> str:
    """Say in a sentence which methods beat the better baseline by a measure, and which do not.

    Args:
        scores: of one observation on one split.
        measure: "hit" or "iou".
    """
    held = {score.method: margin for score in scores if (margin := score.margin(measure)) is not None}
    held = {name: margin for name, margin in held.items() if not math.isnan(margin.difference.low)}
    if not held:
        return f"By {MEASURES[measure]} no method can be held against a baseline with an interval."
    baseline = next(iter(held.values())).baseline
    better = [name for name, margin in held.items() if margin.beaten]
    worse = [name for name, margin in held.items() if margin.difference.high < 0]
    level = [name for name in held if name not in (*better, *worse)]
    said = [
        f"{_listed(names)} {verb if len(names) > 1 else single}"
        for names, verb, single in (
            (better, "beat it", "beats it"),
            (level, "do not beat it", "does not beat it"),
            (worse, "do worse", "does worse"),
        )
        if names
    ]
    return f"By {MEASURES[measure]}, the better baseline is the {baseline}: {'; '.join(said)}."


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def trust(localisation: Localisation, observation: str, method: str, *, caution: str = UNSEEN) -> str:
    """Say in sentences how well a method's maps mark an observation; "not measured" where nobody looked.

    Args:
        localisation: of a bundle.
        observation: one of the 14.
        method: one of `METHODS`.
        caution: whether the films were seen in training: of imported weights their origin's caution.
    """
    score = localisation.widest(observation, method)
    if score is None:
        return "not measured."
    said = [
        f"on {score.films} films of {score.patients} patients ({SPLITS[score.split]}), its peak lies in what "
        f"radiologists marked on {_rates(score)}. {caution}"
    ]
    baselines = [row for row in localisation.of(observation, score.split) if row.method in BASELINES]
    if baselines:
        rates = "; ".join(f"{row.method} {_rates(row)}" for row in baselines)
        said.append(f"Maps that look at no film: {rates}.")
    said += [
        f"By {words} it {verdict(margin)}."
        for measure, words in MEASURES.items()
        if (margin := score.margin(measure)) is not None
    ]
    if score.undefined:
        said.append(f"IoU undefined: {score.undefined}.")
    return " ".join(said)


def _rates(score: LocalisationScore) -> str:
    hit = f"{score.hit.value:.0%}"
    if not math.isnan(score.hit.low):
        hit += f" ({score.hit.low:.0%} to {score.hit.high:.0%})"
    return hit if math.isnan(score.iou.value) else f"{hit}, mean IoU {interval(score.iou)}"
