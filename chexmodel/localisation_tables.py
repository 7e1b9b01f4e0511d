"""A localisation as a table of text, for the page and the report."""

from collections.abc import Sequence
from typing import Final

import pandas as pd

from chexmodel.language import mark, number, tr
from chexmodel.localisation import BASELINES, OVERLAP, LocalisationScore, Measure
from chexmodel.localisation_words import MEASURES
from chexmodel.scores import interval

_NONE: Final = mark("baseline")


def scores_table(scores: Sequence[LocalisationScore]) -> pd.DataFrame:
    """One row a method or baseline, of one observation on one split."""
    baselines: dict[Measure, str] = {
        measure: tr(next((margin.baseline for s in scores if (margin := s.margin(measure))), _NONE))
        for measure in MEASURES
    }
    return pd.DataFrame([_row(score, baselines) for score in scores])


def _row(score: LocalisationScore, baselines: dict[Measure, str]) -> dict[str, str | int]:
    return {
        mark("map"): tr(score.method),
        mark("hit rate (95 %)"): interval(score.hit),
        tr("hit rate − {baseline}", baseline=baselines["hit"]): _difference(score, "hit"),
        mark("mean IoU (95 %)"): interval(score.iou),
        tr("IoU − {baseline}", baseline=baselines["iou"]): _difference(score, "iou"),
        tr("share with IoU ≥ {least}", least=OVERLAP): interval(score.overlapping),
        mark("cut-offs"): ", ".join(number(cutoff) for cutoff in score.cutoffs) or "—",
        mark("nowhere positive"): score.nowhere,
    }


def _difference(score: LocalisationScore, measure: Measure) -> str:
    margin = score.margin(measure)
    if score.method in BASELINES or margin is None:
        return "—"
    return interval(margin.difference, signed=True)
