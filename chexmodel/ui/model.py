"""Model: the card of the chosen model, what it is for, and what it can't do."""

import re
from typing import Final

import streamlit as st

from chexmodel.bundle import Bundle
from chexmodel.errors import ChexError
from chexmodel.evaluation_tables import calibrations_table, thresholds_table
from chexmodel.language import current, mark, number, tr, using
from chexmodel.predictor import Predictor
from chexmodel.reasons import told
from chexmodel.records import records
from chexmodel.ui import service
from chexmodel.ui.bundles import active_predictor
from chexmodel.ui.components import NOTICE, guard, table

_SPLITS: Final = {"train": mark("train"), "validation": mark("validation"), "test": mark("test")}
_FIRST: Final = (mark("Intended use"), mark("Limits"))
# The card's tables scroll within the page, which itself never scrolls sideways.
_STYLE: Final = """<style>
[data-testid="stMarkdownContainer"]:has(table){overflow-x:auto}
[data-testid="stMarkdownContainer"] table{width:max-content}
[data-testid="stMarkdownContainer"] td{max-width:22rem}
[data-testid="stMarkdownContainer"] li code{overflow-wrap:anywhere;white-space:normal}
</style>"""


def page() -> None:
    """Draw the page."""
    st.title(tr("Model"))
    st.html(_STYLE)
    with guard():
        predictor = active_predictor()
        bundle = predictor.bundle
        sections = _sections(bundle)
        st.subheader(bundle.manifest.name)
        if current() != "en":
            st.caption(tr("The card comes with the model, and is written in English."))
        st.markdown(re.sub(r"^# .*\n*", "", sections.pop("", "")))
        st.warning(tr(NOTICE), icon=":material/warning:")
        for title in _FIRST:
            if title in sections:
                st.subheader(tr(title))
                st.markdown(sections.pop(title))
        _facts(bundle)
        _engine(predictor)
        _not_trained(bundle)
        _calibration(bundle)
        if sections:
            st.subheader(tr("The rest of the card"))
        for title, text in sections.items():
            # Long tables wait behind a click: the Evaluation page shows the same figures better.
            with st.expander(tr(title), expanded=text.count("\n") < 12):
                st.markdown(text)


def _sections(bundle: Bundle) -> dict[str, str]:
    """Split the card at its second-level headings; what comes before the first has the title ""."""
    try:
        card = bundle.card()
    except ChexError as error:
        st.info(tr("No card, hence no stated limits: {error}", error=error))
        return {}
    parts = re.split(r"^## +(.+?)\s*$", card, flags=re.MULTILINE)
    return {"": parts[0].strip()} | {
        title: text.strip() for title, text in zip(parts[1::2], parts[2::2], strict=True)
    }


def _facts(bundle: Bundle) -> None:
    manifest = bundle.manifest
    parameters = sum(weight.numel() for weight in bundle.network.parameters())
    side = manifest.preprocessing.size
    films = ", ".join(
        f"{number(count, ',')} {tr(_SPLITS.get(split, split))}"
        for split, count in manifest.data.films.items()
    )
    facts = {
        tr("Network"): tr(
            "`{backbone}`, {parameters:,} parameters", backbone=manifest.backbone, parameters=parameters
        ),
        tr("Input"): (
            tr("{side} × {side} px, all films", side=side)
            if manifest.policies.views == "all"
            else tr("{side} × {side} px, frontal films", side=side)
        ),
        tr("Labels"): tr(
            "uncertain: {uncertain}; blank: {blank}",
            uncertain=manifest.policies.uncertain,
            blank=manifest.policies.blank,
        ),
        tr("Films"): films,
        tr("Weights"): f"{manifest.weights_dtype}, SHA-256 `{manifest.weights_sha256}`",
        tr("Made"): tr(
            "{created}, code {version}, seed {seed}",
            created=manifest.created,
            version=manifest.code_version,
            seed=manifest.seed,
        ),
        tr("Bundle"): tr("{name}, format {version}", name=manifest.name, version=manifest.format_version),
    }
    if manifest.members > 1:
        facts[tr("Members")] = tr(
            "{n}, one a fold; logits and maps are the means of theirs", n=manifest.members
        )
    if manifest.origin is not None:
        origin = manifest.origin
        facts[tr("Origin")] = tr(
            "{source}, trained by its authors on {films}", source=origin.source, films=origin.trained_on
        )
        facts |= {tr("Licence"): origin.licence, tr("To cite"): origin.citation}
    st.subheader(tr("Facts"))
    st.markdown("\n".join(tr("- **{name}**: {fact}", name=name, fact=fact) for name, fact in facts.items()))


def _engine(predictor: Predictor) -> None:
    said = tr("Computed by `{engine}`.", engine=predictor.engine)
    if service.being_made(predictor):
        said += " " + tr("model.onnx, which is faster, is being made.")
    elif predictor.engine_note:  # which names places on the server
        said += " " + tr("There is no model.onnx, which is faster: the server's log says why.")
    st.caption(said)


def _not_trained(bundle: Bundle) -> None:
    missing = bundle.manifest.not_trained
    if missing:
        st.subheader(tr("Not trained in this model"))
        st.markdown(
            "\n".join(
                tr("- {name}: {fact}", name=tr(name), fact=told(reason)) for name, reason in missing.items()
            )
        )


def _calibration(bundle: Bundle) -> None:
    st.subheader(tr("Calibration"))
    st.caption(
        tr(
            "temperature, platt: probability = sigmoid(slope · logit + intercept); isotonic: steps that rise "
            "with the logit; none: the sigmoid of the logit."
        )
    )
    if bundle.manifest.members > 1:
        st.caption(
            tr(
                "Fitted out of fold: to the score that each film has from the one member that did not learn "
                "from its patient. The mean of the members, which reads a film here, varies less than a "
                "single one: the slopes are somewhat too flat for it."
            )
        )
    pinned = {
        "observation": st.column_config.Column(pinned=True),
        "why a default": st.column_config.Column(width="large"),
    }
    name = bundle.manifest.name
    trained = [row for row in bundle.calibrations if row.observation not in bundle.manifest.not_trained]
    with using("en"):  # a file is the same for every reader
        saved = calibrations_table(trained)
    shown = calibrations_table(trained)
    table(saved, f"{name}-calibration", shown=shown, columns=pinned, hide_index=True)
    st.subheader(tr("Thresholds"))
    st.caption(
        tr(
            "They apply to the calibrated probability; within its indeterminate band a score is called "
            "neither way. Sensitivity and specificity: at the threshold, on the films of the fit."
        )
    )
    points = [point for point in bundle.thresholds if point.observation not in bundle.manifest.not_trained]
    table(
        records(points),
        f"{name}-thresholds",
        shown=thresholds_table(points),
        columns=pinned,
        hide_index=True,
    )


page()
