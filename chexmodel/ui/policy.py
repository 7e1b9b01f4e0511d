"""The tab of the Dataset page that explains label policies before anything is trained."""

from typing import Final, get_args

import streamlit as st

from chexmodel.labels import BlankPolicy, UncertainPolicy
from chexmodel.language import mark, number, tr
from chexmodel.policies import PolicyEffect, explain_policy
from chexmodel.statistics import Statistics
from chexmodel.table import Views
from chexmodel.ui import charts
from chexmodel.ui.components import chart, guard, table
from chexmodel.ui.conclusions import conclusions
from chexmodel.ui.loading import Loaded
from chexmodel.weighting import FACTOR_CAP, POS_WEIGHT_CAP, RARE_PREVALENCE

UNCERTAIN_KEY: Final = "policy-uncertain"
BLANK_KEY: Final = "policy-blank"
VIEWS_KEY: Final = "policy-views"
WEIGHT_KEY: Final = "policy-pos-weight"
CAP_KEY: Final = "policy-cap"
RARE_KEY: Final = "policy-rare"
FACTOR_KEY: Final = "policy-factor"

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
@guard()
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
