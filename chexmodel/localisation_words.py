"""What is said of a localisation: how it was measured, and whether a map beats maps that look at no film."""

import math
from collections.abc import Sequence
from typing import Final

from chexmodel.language import mark, number, tr, trn
from chexmodel.localisation import BASELINES, Localisation, LocalisationScore, Margin, Measure
from chexmodel.reasons import told
from chexmodel.scores import interval

MEASURES: Final[dict[Measure, str]] = {"hit": mark("hit rate"), "iou": mark("mean IoU")}

SPLITS: Final = {
    "validation": mark("validation"),
    "test": mark("test"),
    "all": mark("validation and test"),
}
"""Which films the splits of a localisation are, messages."""

UNSEEN: Final = mark("Each film's map is by a network that did not learn from its patient.")

RULE: Final = mark(
    "Hit rate: the share of films on which the map's highest point lies in what radiologists marked. IoU: "
    "what the map marks at a cut-off, a share of its own maximum, against that; the cut-off comes from "
    "films of other patients. A map that is nowhere positive is no hit and has an IoU of 0. The image centre "
    "is the film's middle, for the IoU a centred box; the mean box averages what is marked on other "
    "patients' films. 95 % intervals: percentile bootstrap over patients; differences are paired, against "
    "the better of the two baselines."
)

ELSEWHERE: Final = mark(
    "For comparison, as others measured it on other films: on CheXpert, Grad-CAM's hit rate averages 0.60 "
    "over 9 findings, that of radiologists 0.80 (arXiv:2509.18015)."
)


def verdict(margin: Margin | None) -> str:
    """Say whether a map beats the better baseline: only where the difference's interval lies above 0."""
    if margin is None:
        return tr("has no baseline to be held against")
    low, high = margin.difference.low, margin.difference.high
    said = {"baseline": tr(margin.baseline), "difference": interval(margin.difference, signed=True)}
    if math.isnan(low):
        return tr("differs from the {baseline} by {difference}, without an interval", **said)
    if margin.beaten:
        return tr("beats the {baseline}: {difference}", **said)
    if high < 0:
        return tr("does worse than the {baseline}: {difference}", **said)
    return tr("does not beat the {baseline}: {difference}", **said)


def summary(scores: Sequence[LocalisationScore], measure: Measure) -> str:
    """Say in a sentence which methods beat the better baseline by a measure, and which do not.

    Args:
        scores: of one observation on one split.
        measure: "hit" or "iou".
    """
    held = {score.method: margin for score in scores if (margin := score.margin(measure)) is not None}
    held = {name: margin for name, margin in held.items() if not math.isnan(margin.difference.low)}
    words = tr(MEASURES[measure])
    if not held:
        return tr("By {measure} no method can be held against a baseline with an interval.", measure=words)
    baseline = next(iter(held.values())).baseline
    better = [name for name, margin in held.items() if margin.beaten]
    worse = [name for name, margin in held.items() if margin.difference.high < 0]
    level = [name for name in held if name not in (*better, *worse)]
    said = [
        trn("{names} beats it", "{names} beat it", len(better), names=_listed(better)),
        trn("{names} does not beat it", "{names} do not beat it", len(level), names=_listed(level)),
        trn("{names} does worse", "{names} do worse", len(worse), names=_listed(worse)),
    ]
    return tr(
        "By {measure}, the better baseline is the {baseline}: {said}.",
        measure=words,
        baseline=tr(baseline),
        said="; ".join(part for part, names in zip(said, (better, level, worse), strict=True) if names),
    )


def _listed(names: Sequence[str]) -> str:
    if len(names) < 2:
        return "".join(names)
    return tr("{some} and {last}", some=", ".join(names[:-1]), last=names[-1])


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
        return tr("not measured.")
    said = [
        tr(
            "on {films} films of {patients} patients ({split}), its peak lies in what radiologists marked on "
            "{rates}. {caution}",
            films=score.films,
            patients=score.patients,
            split=tr(SPLITS[score.split]),
            rates=_rates(score),
            caution=tr(caution),
        )
    ]
    baselines = [row for row in localisation.of(observation, score.split) if row.method in BASELINES]
    if baselines:
        rates = "; ".join(f"{tr(row.method)} {_rates(row)}" for row in baselines)
        said.append(tr("Maps that look at no film: {rates}.", rates=rates))
    said += [
        tr("By {measure} it {verdict}.", measure=tr(words), verdict=verdict(margin))
        for measure, words in MEASURES.items()
        if (margin := score.margin(measure)) is not None
    ]
    if score.undefined:
        said.append(tr("IoU undefined: {reason}.", reason=told(score.undefined)))
    return " ".join(said)


def _rates(score: LocalisationScore) -> str:
    hit = number(score.hit.value, ".0%")
    if not math.isnan(score.hit.low):
        hit = tr(
            "{share} ({low} to {high})",
            share=hit,
            low=number(score.hit.low, ".0%"),
            high=number(score.hit.high, ".0%"),
        )
    if math.isnan(score.iou.value):
        return hit
    return tr("{hits}, mean IoU {overlap}", hits=hit, overlap=interval(score.iou))
