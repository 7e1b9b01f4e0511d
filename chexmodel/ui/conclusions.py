"""What follows from a choice of label policies, in sentences."""

from typing import Final

from chexmodel.language import number, tr, trn
from chexmodel.policies import PolicyEffect

EASY: Final = 0.9
"""A constant yes with at least this F1 is named."""


def conclusions(effect: PolicyEffect, other: PolicyEffect) -> list[str]:
    """What a visitor should take from a choice of policies, each a sentence with its numbers.

    Args:
        effect: of the choice.
        other: of the same choice with the other blank policy.
    """
    seen = effect.observations
    f1, over = effect.macro_constant_yes()
    said = []
    if over:
        said.append(
            tr(
                "A constant “yes”, which looks at no film, gets a macro F1 of **{f1:.3f}** over {over} "
                "observations when scored against these targets. A model shows skill by what it adds to "
                "that.",
                f1=f1,
                over=over,
            )
        )
    without = [name for name, one in seen.items() if one.positives and not one.negatives]
    if without:
        said.append(
            tr(
                "No negative is left for {observations}: a “yes” is always right there, the F1 is 1.00 for "
                "everyone, and the network can learn nothing but “yes”.",
                observations=_listed(without),
            )
        )
    easy = [
        f"{tr(name)} {number(one.f1_constant_yes)}"
        for name, one in seen.items()
        if one.f1_constant_yes >= EASY and name not in without
    ]
    if easy:
        said.append(
            tr(
                "A constant “yes” also gets {scores}: almost all unmasked films are positive.",
                scores=", ".join(easy),
            )
        )
    empty = [name for name, one in seen.items() if not one.positives]
    if empty:
        said.append(
            tr(
                "No positive: {observations}. F1 is undefined there, and nothing can be learnt.",
                observations=_listed(empty),
            )
        )
    if effect.blank == "negative":
        said.append(_why_negative(other))
    if effect.uncertain != "ignore":
        said.append(tr("`evaluate` masks −1 whatever the policy: its constant “yes” is that of “ignore”."))
    return [*said, _drawing(effect)]


def _why_negative(masked: PolicyEffect) -> str:
    """What is gained and lost by taking a blank for a negative, beside what masking it would do."""
    f1, over = masked.macro_constant_yes()
    without = [name for name, one in masked.observations.items() if one.positives and not one.negatives]
    text = tr(
        "A finding that a report leaves out counts as absent: the authors of CheXpert's labeler treat a "
        "blank so, and it is the default here."
    )
    if not over:
        return text
    masking = (
        tr(
            "With blanks masked a constant “yes” would get {f1:.3f}: reports say what is there and seldom "
            "what is not, and {observations} would keep no negative at all.",
            f1=f1,
            observations=_listed(without),
        )
        if without
        else tr(
            "With blanks masked a constant “yes” would get {f1:.3f}: reports say what is there and seldom "
            "what is not.",
            f1=f1,
        )
    )
    return f"{text} {masking}"


def _drawing(effect: PolicyEffect) -> str:
    raised = {name: one for name, one in effect.observations.items() if one.factor > 1}
    if not raised:
        return tr(
            "No observation is rarer than {percent:g} % of its unmasked films: the sampler draws every film "
            "once, and the epoch is only shuffled.",
            percent=100 * effect.rare,
        )
    name, most = max(raised.items(), key=lambda item: item[1].factor)
    return trn(
        "The sampler oversamples {n} rare observation, {observation} (factor {factor:.2f}): "
        "{positives:,.0f} positives become {drawn:,.0f} in an epoch of {films:,} draws, which is expected to "
        "show {distinct:,.0f} different films.",
        "The sampler oversamples {n} rare observations, most of all {observation} (factor {factor:.2f}): "
        "{positives:,.0f} positives become {drawn:,.0f} in an epoch of {films:,} draws, which is expected to "
        "show {distinct:,.0f} different films.",
        len(raised),
        observation=tr(name),
        factor=most.factor,
        positives=most.positives,
        drawn=most.drawn,
        films=effect.films,
        distinct=effect.distinct,
    )


def _listed(names: list[str]) -> str:
    return ", ".join(map(tr, names))
