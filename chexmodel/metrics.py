"""Masked multi-label metrics with bootstrap intervals, beside what a constant answer would get."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from chexmodel.baselines import constant_answers
from chexmodel.draws import MACRO, Draws, average, averages, draw, estimate
from chexmodel.labels import OBSERVATIONS
from chexmodel.reasons import NOT_TRAINED, ONE_CLASS
from chexmodel.scores import Average, Estimate, Evaluation, ObservationScore

__all__ = [
    "MACRO",
    "Average",
    "Estimate",
    "Evaluation",
    "ObservationScore",
    "constant_yes_f1",
    "equivalent_groups",
    "evaluate",
    "partition",
]


def evaluate(
    targets: NDArray[np.floating],
    probs: NDArray[np.floating],
    *,
    thresholds: float | Sequence[float] | NDArray[np.floating],
    patients: Sequence[str] | NDArray[np.object_] | None = None,
    bootstrap: int = 1000,
    seed: int = 0,
) -> Evaluation:
    """Score probabilities against targets.

    Args:
        targets: (N, 14) in {0, 1, −1, NaN}; −1 and NaN are masked.
        probs: (N, 14) in [0, 1]; a column that is NaN throughout was not trained and is undefined.
        thresholds: 14 values in [0, 1], or one for all; `probs >= threshold` is the decision.
        patients: N ids; whole patients are resampled. None takes every film for a patient of its own.
        bootstrap: number of resamples R; 0 leaves the intervals undefined.
        seed: of the resampling.

    Returns:
        The evaluation; estimates of one-class observations are NaN and say why.

    Raises:
        DatasetError: shapes that do not fit, no films, or values out of range.
    """
    drawn = draw(targets, probs, thresholds=thresholds, patients=patients, bootstrap=bootstrap, seed=seed)
    equivalent = equivalent_groups(drawn.targets)
    return Evaluation(
        films=len(drawn.targets),
        patients=drawn.patients,
        bootstrap=bootstrap,
        seed=seed,
        scores=tuple(_score(drawn, k) for k in range(len(OBSERVATIONS))),
        macro=averages(drawn.metrics, [[k] for k in range(len(OBSERVATIONS))]),
        macro_distinct=averages(drawn.metrics, partition(equivalent)),
        macro_lift=averages(drawn.lifts, [[k] for k in range(len(OBSERVATIONS))]),
        micro={name: average(values, _defined(drawn)) for name, values in drawn.micro.items()},
        equivalent=tuple(tuple(OBSERVATIONS[k] for k in group) for group in equivalent),
    )


def constant_yes_f1(positives: float, negatives: float) -> float:
    """F1 of calling every film positive: 2P / (2P + N); NaN without a positive."""
    return float("nan") if positives == 0 else 2 * positives / (2 * positives + negatives)


def equivalent_groups(targets: NDArray[np.floating]) -> list[list[int]]:
    """Groups of observations whose labels are equal, or complementary, wherever both are known.

    Both have to be known on at least half of the films on which either is.

    Args:
        targets: (N, K) in {0, 1} or NaN.

    Returns:
        Groups of two or more column indices; a column of one class is equivalent to nothing.
    """
    groups: list[list[int]] = []
    for k in range(targets.shape[1]):
        for group in groups:
            known = ~np.isnan(targets[:, [k, group[0]]])
            both = known.all(axis=1)
            if 2 * both.sum() < known.sum(axis=0).max():
                continue  # agreeing on a few films that both happen to know is no equivalence
            a, b = targets[both, k], targets[both, group[0]]
            if len(np.unique(a)) == 2 and (np.all(a == b) or np.all(a == 1 - b)):
                group.append(k)
                break
        else:
            groups.append([k])
    return [group for group in groups if len(group) > 1]


def partition(equivalent: list[list[int]]) -> list[list[int]]:
    """Complete the groups of `equivalent_groups` by the observations that are alone, for `averages`."""
    grouped = {k for group in equivalent for k in group}
    return [*equivalent, *([k] for k in range(len(OBSERVATIONS)) if k not in grouped)]


def _defined(drawn: Draws) -> int:
    return sum(not np.isnan(metrics["auroc"][0]) for metrics in drawn.metrics)


def _score(drawn: Draws, k: int) -> ObservationScore:
    labels, cut = drawn.targets[:, k], float(drawn.thresholds[k])
    positives, negatives = int((labels == 1).sum()), int((labels == 0).sum())
    undefined = None
    if np.isnan(drawn.probs[:, k]).all():
        undefined, cut = NOT_TRAINED, float("nan")
    elif positives == 0 or negatives == 0:
        undefined = ONE_CLASS.format(positives=positives, negatives=negatives)
    constants = constant_answers(np.array([positives], float), np.array([negatives], float))
    estimates = {metric: estimate(drawn.metrics[k][metric]) for metric in MACRO}
    return ObservationScore(
        observation=OBSERVATIONS[k],
        positives=positives,
        negatives=negatives,
        masked=int(np.isnan(labels).sum()),
        threshold=cut,
        prevalence=positives / (positives + negatives) if positives + negatives else float("nan"),
        f1_constant_yes=constant_yes_f1(positives, negatives),
        constants={
            answer: {name: float(value[0]) for name, value in metrics.items()}
            for answer, metrics in constants.items()
        },
        lift={metric: estimate(gain) for metric, gain in drawn.lifts[k].items()},
        undefined=undefined,
        **estimates,
    )
