"""Part of the page Evaluation: whether maps point where radiologists saw the finding."""

import math
import os
from pathlib import Path
from typing import Final

import streamlit as st

from chexmodel.bundle import Bundle
from chexmodel.labels import OBSERVATIONS
from chexmodel.language import tr
from chexmodel.localisation import Localisation, LocalisationScore, Measure
from chexmodel.localisation_charts import forest
from chexmodel.localisation_tables import scores_table
from chexmodel.localisation_words import ELSEWHERE, MEASURES, RULE, SPLITS, UNSEEN, summary
from chexmodel.reasons import told
from chexmodel.ui.components import chart, guard, table
from chexmodel.ui.marked_films import browse

OBSERVATION_KEY: Final = "localisation-observation"
SPLIT_KEY: Final = "localisation-split"


def data_directory() -> Path | None:
    """Where the films are, if whoever runs the app says so in CHEXMODEL_DATA; never a visitor's word."""
    named = os.environ.get("CHEXMODEL_DATA")
    return Path(named) if named else None


def section(bundle: Bundle, data: Path | None) -> None:
    """Show hit rates and IoU per method beside the baselines, and the films themselves.

    Args:
        bundle: the model.
        data: directory of its films, folder in CheXpert's layout; None shows no film.
    """
    st.subheader(tr("Localisation"))
    measured = bundle.localisation()
    if not (bundle.path / "localisation.json").is_file():
        st.info(
            tr(
                "Bundle {name} lacks localisation.json: whether its maps point where radiologists saw the "
                "finding is not known. Run `python -m train evaluate {path} --data DIR`.",
                name=bundle.manifest.name,
                path=bundle.path,
            )
        )
        return
    if not measured.scores:
        st.info(
            "Not measured: none of the films that this model was evaluated on is marked by radiologists. "
            "Put boxes (`valid_boxes.csv`) or CheXlocalize's masks (`valid_masks.json`) beside the table "
            f"and run `python -m train evaluate {bundle.path} --data DIR`."
        )
        return
    if measured.weights_sha256 not in (None, bundle.manifest.weights_sha256):
        st.error(
            tr(
                "These figures are of other weights than the bundle's: the model was trained again since. "
                "Run `python -m train evaluate {path} --data DIR`.",
                path=bundle.path,
            )
        )
    left, right = st.columns(2)
    names = [name for name in OBSERVATIONS if any(score.observation == name for score in measured.scores)]
    observation = left.selectbox(tr("Marked finding"), names, key=OBSERVATION_KEY, format_func=tr)
    splits = [split for split in reversed(SPLITS) if measured.of(observation, split)]
    split = right.radio(tr("Marked films"), splits, key=SPLIT_KEY, horizontal=True, format_func=tr)
    scores = measured.of(observation, split)
    _conditions(bundle, measured, scores[0])
    _charts(scores)
    # That nothing beats a map of no film is this section's finding, and not left to the fine print.
    show = (
        st.markdown
        if any(_beaten(score, measure) for score in scores for measure in MEASURES)
        else st.warning
    )
    measures = [
        measure
        for measure in MEASURES
        if any(not math.isnan(score.measured(measure).value) for score in scores)
    ]
    if measures:
        show(" ".join(summary(scores, measure) for measure in measures))
    missing = [name for name in OBSERVATIONS if name not in names and name not in bundle.manifest.not_trained]
    st.caption(f"{tr(RULE)} {tr(ELSEWHERE)}")
    st.markdown(
        tr(
            "**Not measured**, as no film is marked for them: {observations}.",
            observations=", ".join(map(tr, missing)),
        )
        if missing
        else tr("Every observation that was trained has marked films.")
    )
    table(
        measured.frame(),
        f"{bundle.manifest.name}-localisation",
        shown=scores_table(scores),
        columns={"map": st.column_config.Column(pinned=True)},
        hide_index=True,
    )
    with guard():
        browse(bundle, data, observation=observation, split=split)


def _conditions(bundle: Bundle, measured: Localisation, score: LocalisationScore) -> None:
    parts = [
        tr(
            "{films} films of {patients} patients marked for {observation}: {split} films. {bootstrap:,} "
            "resamples, seed {seed}.",
            films=score.films,
            patients=score.patients,
            observation=tr(score.observation),
            split=tr(SPLITS[score.split]),
            bootstrap=measured.bootstrap,
            seed=measured.seed,
        )
    ]
    if score.undefined:
        parts.append(tr("Undefined (“—”): {those}.", those=told(score.undefined)))
    if bundle.manifest.config.get("box_weight"):
        parts.append(
            tr("This model's maps were taught with boxes, of other patients' films than those measured.")
        )
    parts.append(bundle.manifest.origin.caution if bundle.manifest.origin else tr(UNSEEN))
    st.caption(" ".join(parts))


def _charts(scores: list[LocalisationScore]) -> None:
    for column, measure in zip(st.columns(2), MEASURES, strict=True):
        with column:
            if all(math.isnan(score.measured(measure).value) for score in scores):
                st.info(
                    tr(
                        "The {measure} is undefined: {reason}.",
                        measure=tr(MEASURES[measure]),
                        reason=told(scores[0].undefined),
                    )
                )
                continue
            st.markdown(
                tr("**Hit rate**: filled marks beat the better baseline")
                if measure == "hit"
                else tr("**Mean IoU**: squares are baselines that look at no film")
            )
            chart(forest(scores, measure), f"localisation-{measure}")


def _beaten(score: LocalisationScore, measure: Measure) -> bool:
    margin = score.margin(measure)
    return margin is not None and margin.beaten
