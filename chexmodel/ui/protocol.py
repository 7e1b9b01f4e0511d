"""Part of the page Evaluation: the reference project's way to score beside ours."""

from typing import Final

import streamlit as st

from chexmodel import records
from chexmodel.bundle import Bundle, Manifest
from chexmodel.language import tr
from chexmodel.protocol import REPORTED_F1, load_table_protocols
from chexmodel.protocol_scores import Judgement, ReferenceProtocol, TableProtocols
from chexmodel.protocol_tables import RULES, WAYS, both_ways, leak_sentence, observation_table, one_class
from chexmodel.ui.bundles import ROOT
from chexmodel.ui.components import guard, table

CHEXPERT: Final = ROOT / "assets" / "statistics" / "reference_protocol.json"


def section(bundle: Bundle) -> None:
    """Show a model and the constant answers scored both ways; without the file, the constant answers.

    Raises:
        BundleError: `reference_protocol.json` is damaged.
    """
    st.subheader(tr("One model, two ways to score"))
    st.markdown(
        tr(
            "The course project that this one grows from reports a macro F1 of {reported:.3f} on CheXpert. A "
            "score says little without the way it was made:",
            reported=REPORTED_F1,
        )
        + "".join(f"\n- **{_capital(tr(way))}**: {tr(RULES[name])}." for name, way in WAYS.items())
        + "\n\n"
        + tr(
            "Reports mention what is there more than what is not: most negatives of CheXpert are blanks. "
            "With blanks masked, mostly positives remain, and “yes” to everything is mostly right. *Lift* "
            "is what a model gains over the best answer that looks at no film; “prevalence” answers yes "
            "where most labels of the training part do."
        )
    )
    shown = None
    with guard():
        chexpert = load_table_protocols(CHEXPERT)
        shown = chexpert.provenance.sha256
        _labels(chexpert, tr("CheXpert's own labels, without a film"), "constants-chexpert")
    found = bundle.reference_protocol()
    if found is None:
        st.info(
            tr(
                "This model was not scored the reference's way. "
                "`python -m train evaluate {path} --data DIR --protocol reference` does it.",
                path=bundle.path,
            )
        )
        return
    if found.weights_sha256 != bundle.manifest.weights_sha256:
        st.error(
            tr(
                "reference_protocol.json is of other weights than the bundle's: run "
                "`python -m train evaluate {path} --data DIR --protocol reference` anew.",
                path=bundle.path,
            )
        )
        return
    _model(found, bundle.manifest)
    if found.other is not None and found.other.provenance.sha256 != shown:
        _labels(
            found.other,
            tr("{source}, without a film", source=found.other.provenance.source),
            "constants-table",
        )


def _labels(found: TableProtocols, title: str, name: str) -> None:
    st.markdown(f"**{title}**")
    _side_by_side(found.reference, found.ours, name)
    st.markdown(leak_sentence(found.leak))
    origin = found.provenance
    st.caption(
        tr(
            "{share:.0f} % of the images, and of the patients, scored. {conditions} Source `{source}`, "
            "SHA-256 `{sha256}`. Command: `{command}`",
            share=100 * found.fraction,
            conditions=_conditions(found.reference),
            source=origin.source,
            sha256=origin.sha256,
            command=origin.command,
        )
    )


def _model(found: ReferenceProtocol, manifest: Manifest) -> None:
    st.markdown(tr("**{name}**, on films that it did not learn from", name=manifest.name))
    _side_by_side(found.reference, found.ours, f"model-{manifest.name}")
    st.markdown(
        leak_sentence(found.own.leak)
        + " "
        + tr(
            "This model was not trained on such a split: what the leak would add to its score cannot be told "
            "without training it again so, and is not in these figures."
        )
    )
    st.caption(
        tr(
            "Reference's way: those of the random images whose patients the scoring network did not see, the "
            "plain sigmoid from 0.5 on. Our way: the test split, calibrated, at the bundle's thresholds. "
            "{conditions} Command: `{command}`",
            conditions=_conditions(found.reference),
            command=found.command,
        )
    )


def _side_by_side(reference: Judgement, ours: Judgement, name: str) -> None:
    table(records.answers(reference, ours), f"{name}-both-ways", shown=both_ways(reference, ours))
    for judgement in (reference, ours):
        title = tr(
            "Per observation, {way}: {films:,} films of {patients:,} patients",
            way=tr(WAYS[judgement.way]),
            films=judgement.films,
            patients=judgement.patients,
        )
        with st.expander(title):
            table(
                records.judged(judgement),
                f"{name}-{judgement.way}",
                shown=observation_table(judgement),
            )
    for judgement in (reference, ours):
        undefined = one_class(judgement)
        if undefined:
            st.caption(
                tr(
                    "Labels of one class or none, {way}: {those}.",
                    way=tr(WAYS[judgement.way]),
                    those=undefined,
                )
            )


def _conditions(judgement: Judgement) -> str:
    return tr(
        "95 % intervals, bootstrap over patients, {bootstrap:,} resamples, seed {seed}.",
        bootstrap=judgement.bootstrap,
        seed=judgement.seed,
    )


def _capital(words: str) -> str:
    return words[:1].upper() + words[1:]
