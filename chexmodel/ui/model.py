"""Model: the card of the chosen model, what it is for, and what it can't do."""

import math
import re
from typing import Final

import pandas as pd
import streamlit as st

from chexmodel.bundle import Bundle
from chexmodel.errors import ChexError
from chexmodel.ui.components import NOTICE, active_bundle, guard

_FIRST: Final = ("Intended use", "Limits")


def page() -> None:
    """Draw the page."""
    st.title("Model")
    with guard():
        bundle = active_bundle()
        sections = _sections(bundle)
        st.subheader(bundle.manifest.name)
        st.markdown(re.sub(r"^# .*\n*", "", sections.pop("", "")))
        st.warning(NOTICE, icon=":material/warning:")
        for title in _FIRST:
            if title in sections:
                st.subheader(title)
                st.markdown(sections.pop(title))
        _facts(bundle)
        _not_trained(bundle)
        _calibration(bundle)
        if sections:
            st.subheader("The rest of the card")
        for title, text in sections.items():
            # Long tables wait behind a click: the Evaluation page shows the same figures better.
            with st.expander(title, expanded=text.count("\n") < 12):
                st.markdown(text)


def _sections(bundle: Bundle) -> dict[str, str]:
    """Split the card at its second-level headings; what comes before the first has the title ""."""
    try:
        card = bundle.card()
    except ChexError as error:
        st.info(f"No card, hence no stated limits: {error}")
        return {}
    parts = re.split(r"^## +(.+?)\s*$", card, flags=re.MULTILINE)
    return {"": parts[0].strip()} | {
        title: text.strip() for title, text in zip(parts[1::2], parts[2::2], strict=True)
    }


def _facts(bundle: Bundle) -> None:
    manifest = bundle.manifest
    parameters = sum(weight.numel() for weight in bundle.network.parameters())
    side = manifest.preprocessing.size
    films = ", ".join(f"{count:,} {split}" for split, count in manifest.data.films.items())
    facts = {
        "Network": f"`{manifest.backbone}`, {parameters:,} parameters",
        "Input": f"{side} × {side} px, {manifest.policies.views} films",
        "Labels": f"uncertain: {manifest.policies.uncertain}; blank: {manifest.policies.blank}",
        "Films": films,
        "Weights": f"{manifest.weights_dtype}, SHA-256 `{manifest.weights_sha256}`",
        "Made": f"{manifest.created}, code {manifest.code_version}, seed {manifest.seed}",
        "Bundle": f"{manifest.name}, format {manifest.format_version}",
    }
    if manifest.members > 1:
        facts |= {"Members": f"{manifest.members}, one a fold; logits and maps are the means of theirs"}
    if manifest.origin is not None:
        origin = manifest.origin
        facts |= {"Origin": f"{origin.source}, trained by its authors on {origin.trained_on}"}
        facts |= {"Licence": origin.licence, "To cite": origin.citation}
    st.subheader("Facts")
    st.markdown("\n".join(f"- **{name}**: {fact}" for name, fact in facts.items()))


def _not_trained(bundle: Bundle) -> None:
    missing = bundle.manifest.not_trained
    if missing:
        st.subheader("Not trained in this model")
        st.markdown("\n".join(f"- {name}: {reason}" for name, reason in missing.items()))


def _calibration(bundle: Bundle) -> None:
    st.subheader("Calibration")
    st.caption(
        "probability = sigmoid(slope · logit + intercept), of isotonic regression interpolated between the "
        "steps in calibration.json; the threshold applies to the probability. The band is the threshold's "
        "95 % interval: a score within it is read as indeterminate."
    )
    if bundle.manifest.members > 1:
        st.caption(
            "Fitted out of fold: to the score that each film has from the one member that did not learn from "
            "its patient. The mean of the members, which reads a film here, varies less than a single one: "
            "the slopes are somewhat too flat for it."
        )
    rows = []
    for calibration, point in zip(bundle.calibrations, bundle.thresholds, strict=True):
        trained = calibration.observation not in bundle.manifest.not_trained
        line = trained and not calibration.knots
        rows.append(
            {
                "observation": calibration.observation,
                "method": calibration.method,
                "slope": f"{calibration.slope:.3f}" if line else "—",
                "intercept": f"{calibration.intercept:.3f}" if line else "—",
                "threshold": f"{point.value:.3f}" if trained else "—",
                "indeterminate band": "—" if math.isnan(point.low) else f"{point.low:.3f}–{point.high:.3f}",
                "rule": point.rule,
                "fitted on": f"{calibration.split}: {calibration.positives}+ / {calibration.negatives}−",
                "why a default": calibration.reason or point.reason or "" if trained else "not trained",
            }
        )
    st.dataframe(
        pd.DataFrame(rows),
        hide_index=True,
        height="content",
        column_config={
            "observation": st.column_config.Column(pinned=True),
            "why a default": st.column_config.Column(width="large"),
        },
    )


page()
