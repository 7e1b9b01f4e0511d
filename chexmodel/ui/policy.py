"""The tab of the Dataset page that explains label policies before anything is trained."""

from typing import Final, get_args

import streamlit as st

from chexmodel.labels import BlankPolicy, UncertainPolicy
from chexmodel.language import mark, number, tr, trn
from chexmodel.policies import PolicyEffect, explain_policy
from chexmodel.statistics import Statistics
from chexmodel.table import Views
from chexmodel.ui import charts
from chexmodel.ui.components import chart, guard, table
from chexmodel.ui.loading import Loaded
from chexmodel.weighting import FACTOR_CAP, POS_WEIGHT_CAP, RARE_PREVALENCE

UNCERTAIN_KEY: Final = "policy-uncertain"
BLANK_KEY: Final = "policy-blank"
VIEWS_KEY: Final = "policy-views"
WEIGHT_KEY: Final = "policy-pos-weight"
CAP_KEY: Final = "policy-cap"
RARE_KEY: Final = "policy-rare"
FACTOR_KEY: Final = "policy-factor"

EASY: Final = 0.9
"""A constant yes with at least this F1 is named."""

_UNCERTAIN: Final[dict[UncertainPolicy, str]] = {
    "ignore": mark("ignore: masked"),
    "ones": mark("ones: positive"),
    "zeros": mark("zeros: negative"),
    "smooth": mark("smooth: 0.55 to 0.85"),
    "mixed": mark("mixed: per observation"),
}
_BLANK: Final[dict[BlankPolicy, str]] = {"negative": mark("negative"), "ignore": mark("ignore: masked")}
_VIEWS: Final[dict[Views, str]] = {"all": mark("all"), "frontal": mark("frontal")}
_WEIGHTS: Final = {"cap": mark("capped"), "on": mark("uncapped"), "off": mark("off")}
_COLUMNS: Final = {
    "f1_constant_yes": mark("F1 of constant yes"),
    "factor": mark("sampling factor"),
    "drawn": mark("positives, weighted"),
}


@st.fragment
def show(loaded: Loaded) -> None:
    """Choices, and what follows from them at once."""
    assert loaded.statistics is not None
    st.subheader(tr("What training would see"))
    st.caption(
        tr(
            "On the whole table; `python -m train fit` works the same out on its training split. The options "
            "are those of `fit`, with its defaults but for the films: there only frontal ones are taken."
        )
    )
    first, second, third = st.columns(3)
    uncertain = first.selectbox(
        tr("Uncertain (−1) is"),
        get_args(UncertainPolicy),
        format_func=lambda name: tr(_UNCERTAIN[name]),
        key=UNCERTAIN_KEY,
    )
    blank = second.radio(
        tr("A blank is"),
        get_args(BlankPolicy),
        format_func=lambda name: tr(_BLANK[name]),
        key=BLANK_KEY,
        horizontal=True,
    )
    views = third.radio(
        tr("Films"),
        get_args(Views)[::-1],
        format_func=lambda name: tr(_VIEWS[name]),
        key=VIEWS_KEY,
        horizontal=True,
    )
    rare, factor = _sampler(loaded)
    with guard():
        effect, other = (
            _effect(loaded, uncertain, policy, views, rare, factor) for policy in (blank, _other(blank))
        )
        _conclude(effect, other)
        _table(effect)


def _other(blank: BlankPolicy) -> BlankPolicy:
    return "ignore" if blank == "negative" else "negative"


def _sampler(loaded: Loaded) -> tuple[float, float]:
    known = loaded.table is not None
    with st.expander(tr("Sampler")):
        left, right = st.columns(2)
        rare = left.slider(
            tr("Rare below a prevalence of"),
            0.01,
            0.5,
            RARE_PREVALENCE,
            0.01,
            key=RARE_KEY,
            disabled=not known,
        )
        factor = right.slider(
            tr("Largest factor of one observation"),
            1.0,
            16.0,
            FACTOR_CAP,
            0.5,
            key=FACTOR_KEY,
            disabled=not known,
        )
        if not known:
            st.caption(
                tr(
                    "Expected draws depend on which observations come together on a film. For the shipped "
                    "counts they were worked out at these defaults; upload the table to change them."
                )
            )
    return rare, factor


def _effect(
    loaded: Loaded, uncertain: UncertainPolicy, blank: BlankPolicy, views: Views, rare: float, factor: float
) -> PolicyEffect:
    if loaded.table is None:
        statistics: Statistics | None = loaded.statistics
        assert statistics is not None
        return statistics.policy(uncertain=uncertain, blank=blank, views=views)
    key = (loaded.key, uncertain, blank, views, rare, factor)
    # The last choices of the session, of one table: moving back and forth costs nothing.
    kept: dict[tuple[object, ...], PolicyEffect] = st.session_state.setdefault("policy-effects", {})
    if key not in kept:
        while len(kept) >= 32:
            kept.pop(next(iter(kept)))
        kept[key] = explain_policy(
            loaded.table, uncertain=uncertain, blank=blank, views=views, rare=rare, factor_cap=factor
        )
    return kept[key]


def _conclude(effect: PolicyEffect, other: PolicyEffect) -> None:
    f1, over = effect.macro_constant_yes()
    changed, over_changed = other.macro_constant_yes()
    with st.container(horizontal=True, gap="medium"):
        st.metric(tr("Macro F1 of a constant “yes”"), _score(f1, over), width="content")
        name = tr("… with blanks masked") if other.blank == "ignore" else tr("… with blanks negative")
        st.metric(name, _score(changed, over_changed), width="content")
        st.metric(tr("Films"), number(effect.films, ","), width="content")
        st.metric(
            tr("Different films in a weighted epoch"),
            f"{number(effect.distinct, ',.0f')} ({_percent(effect.distinct, effect.films)})",
            width="content",
        )
    st.markdown("\n".join(f"- {sentence}" for sentence in conclusions(effect, other)))


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


def _table(effect: PolicyEffect) -> None:
    left, right = st.columns([2, 1], vertical_alignment="bottom")
    weight = left.radio(
        tr("Weight of positives (pos_weight)"),
        list(_WEIGHTS),
        format_func=lambda name: tr(_WEIGHTS[name]),
        key=WEIGHT_KEY,
        horizontal=True,
    )
    cap = right.number_input(
        tr("Largest weight"), 1.0, 1e6, POS_WEIGHT_CAP, 1.0, key=CAP_KEY, disabled=weight != "cap"
    )
    frame = effect.frame(cap=cap if weight == "cap" else float("inf"))
    if weight == "off":
        frame["pos_weight"] = 1.0
    table(
        frame.rename(columns=_COLUMNS),
        f"policy-{effect.uncertain}-{effect.blank}-{effect.views}",
        words=["observation"],
        formats={
            "positives": ",",
            "negatives": ",",
            "pos_weight": ".2f",
            "sampling factor": ".2f",
            "positives, weighted": ",.0f",
        },
    )
    said = [
        tr(
            "pos_weight: negatives / positives. Sampling factor: √(rare / prevalence), at least 1; a film's "
            "weight is the product over what it shows. Positives, weighted: expected in an epoch of weighted "
            "draws with replacement, computed, not drawn."
        )
    ]
    if effect.uncertain == "smooth":
        said.append(tr("A smoothed label counts by its parts."))
    st.caption(" ".join(said))
    chart(charts.epoch(effect), "policy-epoch")


def _score(f1: float, over: int) -> str:
    return tr("{score} over {n}", score=number(f1, ".3f"), n=over) if over else "—"


def _percent(part: float, whole: int) -> str:
    return tr("{percent:.0f} %", percent=100 * part / whole) if whole else "—"


def _listed(names: list[str]) -> str:
    return ", ".join(map(tr, names))
