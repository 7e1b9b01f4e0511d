"""A localisation as a table of text, for the page and the report."""

from collections.abc import Sequence

import pandas as pd

from chexmodel.localisation import BASELINES, OVERLAP, LocalisationScore, Measure
from chexmodel.localisation_words import MEASURES
from chexmodel.scores import interval


def scores_table(scores: Sequence[LocalisationScore]) -> pd.DataFrame:
    """One row a method or baseline, of one observation on one split."""
    baselines: dict[Measure, str] = {
        measure: next((margin.baseline for s in scores if (margin := s.margin(measure))), "baseline")
        for measure in MEASURES
    }
    return pd.DataFrame([_row(score, baselines) for score in scores])


def _row(score: LocalisationScore, baselines: dict[Measure, str]) -> dict[str, str | int]:
    return {
        "map": score.method,
        "hit rate (95 %)": interval(score.hit),
        f"hit rate − {baselines['hit']}": _difference(score, "hit"),
        "mean IoU (95 %)": interval(score.iou),
        f"IoU − {baselines['iou']}": _difference(score, "iou"),
        f"share with IoU ≥ {OVERLAP}": interval(score.overlapping),
        "cut-offs": ", ".join(f"{cutoff:.2f}" for cutoff in score.cutoffs) or "—",
        "nowhere positive": score.nowhere,
    }


def _difference(score: LocalisationScore, measure: Measure) -> str:
    margin = score.margin(measure)
    if score.method in BASELINES or margin is None:
        return "—"
    return interval(margin.difference, signed=True)
