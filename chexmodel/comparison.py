"""Two models on the same films: paired differences with their intervals, and the options that differ."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from chexmodel import reasons
from chexmodel.draws import averages, draw, estimate
from chexmodel.errors import DatasetError
from chexmodel.labels import OBSERVATIONS
from chexmodel.language import mark, tr
from chexmodel.metrics import equivalent_groups, partition
from chexmodel.scores import Average, Estimate

METRICS: Final = ("auroc", "average_precision", "f1")

NOT_COMPARED: Final = frozenset(
    {"data", "out", "resume", "checkpoint_steps", "workers", "accelerator", "devices", "num_nodes"}
    | {"description"}
)
"""Options that say where a run happens, which is no part of a bundle, and what its card says at length."""

Cuts = float | Sequence[float] | NDArray[np.floating]
_NAMES: Final = (mark("the first model"), mark("the second model"))


@dataclass(frozen=True, eq=False)
class Judged:
    """What one model says of the films of a split, beside their labels.

    ids: (N,), all different. patients: (N,). targets: (N, 14) in {0, 1} or NaN. probs: (N, 14) calibrated,
    in [0, 1], NaN where not trained. thresholds: (14,) in [0, 1].
    """

    name: str
    ids: NDArray[np.object_]
    patients: NDArray[np.object_]
    targets: NDArray[np.float64]
    probs: NDArray[np.float64]
    thresholds: NDArray[np.float64]


@dataclass(frozen=True)
class Difference:
    """Second model minus first for one observation: `metrics` has the names of `METRICS`.

    `undefined` says why they are NaN, where they are.
    """

    observation: str
    positives: int
    negatives: int
    metrics: dict[str, Estimate]
    undefined: str | None


@dataclass(frozen=True)
class Comparison:
    """Differences, second model minus first, with the conditions under which they hold.

    `left_out` counts the films that only the first and only the second model was judged on. The averages
    go over the observations that both models define; in `macro_distinct` those of `equivalent` labels
    count as one.
    """

    films: int
    patients: int
    bootstrap: int
    seed: int
    observations: tuple[Difference, ...]
    macro: dict[str, Average]
    macro_distinct: dict[str, Average]
    equivalent: tuple[tuple[str, ...], ...]
    left_out: tuple[int, int] = (0, 0)


def compare(
    targets: NDArray[np.floating],
    first_probs: NDArray[np.floating],
    second_probs: NDArray[np.floating],
    *,
    thresholds: tuple[Cuts, Cuts],
    patients: Sequence[str] | NDArray[np.object_] | None = None,
    bootstrap: int = 1000,
    seed: int = 0,
    names: tuple[str, str] = _NAMES,
) -> Comparison:
    """Score two models on the same resamples of patients, and take the difference draw by draw.

    What makes a film hard, it makes hard for both: the paired interval is narrower than what the two
    models' own intervals suggest.

    Args:
        targets: (N, 14) in {0, 1, −1, NaN}; −1 and NaN are masked.
        first_probs: (N, 14) in [0, 1]; a column that is NaN throughout was not trained.
        second_probs: as `first_probs`, of the same films in the same order.
        thresholds: of the first and of the second model, each 14 values in [0, 1] or one for all.
        patients: N ids; None takes every film for a patient of its own.
        bootstrap: number of resamples; 0 leaves the intervals undefined.
        seed: of the resampling.
        names: of the models, for the reasons of what is undefined.

    Returns:
        AUROC, average precision and F1 of the second model minus those of the first, each with its 95 %
        percentile interval; NaN where either is undefined.

    Raises:
        DatasetError: shapes that do not fit, no films, or values out of range.
    """
    first, second = (
        draw(targets, probs, thresholds=cuts, patients=patients, bootstrap=bootstrap, seed=seed)
        for probs, cuts in zip((first_probs, second_probs), thresholds, strict=True)
    )
    gains = [
        {metric: b[metric] - a[metric] for metric in METRICS}
        for a, b in zip(first.metrics, second.metrics, strict=True)
    ]
    observations = []
    for k, name in enumerate(OBSERVATIONS):
        positives, negatives = (int((first.targets[:, k] == value).sum()) for value in (1, 0))
        untrained = [
            model
            for model, drawn in zip(names, (first, second), strict=True)
            if np.isnan(drawn.probs[:, k]).all()
        ]
        undefined = None
        if len(untrained) == 2:
            undefined = reasons.UNTRAINED_IN_BOTH.format(first=untrained[0], second=untrained[1])
        elif untrained:
            undefined = reasons.UNTRAINED_IN_ONE.format(model=untrained[0])
        if not untrained and 0 in (positives, negatives):
            undefined = reasons.ONE_CLASS.format(positives=positives, negatives=negatives)
        found = {metric: estimate(gains[k][metric]) for metric in METRICS}
        observations.append(Difference(name, positives, negatives, found, undefined))
    equivalent = equivalent_groups(first.targets)
    return Comparison(
        films=len(first.targets),
        patients=first.patients,
        bootstrap=bootstrap,
        seed=seed,
        observations=tuple(observations),
        macro=averages(gains, [[k] for k in range(len(OBSERVATIONS))]),
        macro_distinct=averages(gains, partition(equivalent)),
        equivalent=tuple(tuple(OBSERVATIONS[k] for k in group) for group in equivalent),
    )


def compare_judged(first: Judged, second: Judged, *, bootstrap: int = 1000, seed: int = 0) -> Comparison:
    """Compare two models on the films that both were judged on; a label unknown to either is masked.

    Raises:
        DatasetError: they have no film in common, or their labels disagree.
    """
    # Sorted by id: the resamples do not depend on the order in which either lists its films.
    common, a, b = np.intersect1d(first.ids, second.ids, assume_unique=True, return_indices=True)
    both = tr("{first} and {second}", first=first.name, second=second.name)
    if len(common) == 0:
        raise DatasetError(
            tr(
                "{both} were not judged on a single film in common: evaluate both on the same data and split",
                both=both,
            )
        )
    targets = np.where(np.isnan(second.targets[b]), np.nan, first.targets[a])
    known = ~np.isnan(targets)
    differing = int((targets != second.targets[b])[known].sum())
    if differing:
        raise DatasetError(
            tr(
                "{differing:,} of {known:,} labels that both know differ between {both}: they were "
                "judged on other labels or by other label policies, so their scores can't be "
                "subtracted. Train and evaluate both on the same table, with the same --blank",
                differing=int(differing),
                known=int(known.sum()),
                both=both,
            )
        )
    comparison = compare(
        targets,
        first.probs[a],
        second.probs[b],
        thresholds=(first.thresholds, second.thresholds),
        patients=first.patients[a],
        bootstrap=bootstrap,
        seed=seed,
        names=(first.name, second.name),
    )
    left_out = (len(first.ids) - len(common), len(second.ids) - len(common))
    return replace(comparison, left_out=left_out)


def excludes_zero(difference: Estimate | Average) -> bool:
    """Whether the 95 % interval lies on one side of 0; an undefined one does not."""
    return difference.low > 0 or difference.high < 0


def options(configurations: Mapping[str, Mapping[str, Any]]) -> pd.DataFrame:
    """Put the options of runs side by side, as text; a dash where a run has no such option.

    Returns:
        One row per option, one column per run.
    """
    words = {
        run: pd.Series(
            {
                name: value if isinstance(value, str) else json.dumps(value)
                for name, value in configuration.items()
                if name not in NOT_COMPARED
            },
            dtype=object,
        )
        for run, configuration in configurations.items()
    }
    return pd.DataFrame(words).fillna("—").rename_axis(mark("option"))


def differences(table: pd.DataFrame) -> pd.DataFrame:
    """Keep the rows of `options` in which a run differs from the first."""
    return table[table.ne(table.iloc[:, 0], axis=0).any(axis=1)]
