"""What a constant answer would score on the same films: the ground that a model has to rise above."""

from collections.abc import Mapping
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from chexmodel.bootstrap import ratio

Floats = NDArray[np.float64]
Answer = Literal["yes", "no", "prevalence"]

LIFTED: Final = ("auroc", "average_precision", "f1", "accuracy", "balanced_accuracy", "brier")
"""Metrics of which the lift over the best constant answer is given."""

LOWER_IS_BETTER: Final = frozenset({"brier", "ece"})


def constant_answers(positives: Floats, negatives: Floats) -> dict[Answer, dict[str, Floats]]:
    """Metrics of three answers that do not look at the film.

    "yes" gives every film probability 1, "no" 0, "prevalence" the share of positives π of these very films;
    the decision of the last is that of the larger class.

    Args:
        positives: (R,) weight of the positive films of each resample.
        negatives: (R,) of the negative ones.

    Returns:
        Answer → metric → (R,) values; NaN where undefined: precision where nobody is called, negative
        predictive value where everybody is, all of them without a positive or without a negative.
    """
    share = ratio(positives, np.where(negatives > 0, positives + negatives, 0.0))
    share = np.where(share > 0, share, np.nan)
    half, nothing, undefined = 0.5 + 0 * share, 0 * share, np.nan * share
    ranking = {"auroc": half, "average_precision": share, "balanced_accuracy": half}
    yes = {
        "precision": share,
        "recall": 1 + nothing,
        "specificity": nothing,
        "npv": undefined,
        "f1": 2 * share / (1 + share),
        "accuracy": share,
    }
    no = {
        "precision": undefined,
        "recall": nothing,
        "specificity": 1 + nothing,
        "npv": 1 - share,
        "f1": nothing,
        "accuracy": 1 - share,
    }
    larger = {name: np.where(share >= 0.5, yes[name], no[name]) for name in yes}
    return {
        "yes": {**ranking, **yes, "brier": 1 - share, "ece": 1 - share},
        "no": {**ranking, **no, "brier": share, "ece": share},
        "prevalence": {**ranking, **larger, "brier": share * (1 - share), "ece": nothing},
    }


def lift(
    metrics: Mapping[str, Floats], constants: Mapping[Answer, Mapping[str, Floats]]
) -> dict[str, Floats]:
    """By how much a model is better than the best of the constant answers; of Brier, by how much lower.

    Args:
        metrics: metric → (R,) values of the model.
        constants: of `constant_answers`, on the same films.

    Returns:
        Metric of `LIFTED` → (R,); above 0 the model is ahead.
    """
    found = {}
    for name in LIFTED:
        sign = -1.0 if name in LOWER_IS_BETTER else 1.0
        best = np.max([sign * answer[name] for answer in constants.values()], axis=0)
        found[name] = sign * metrics[name] - best
    return found
