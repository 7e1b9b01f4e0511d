"""Operating points: per observation, the probability from which on a film counts as positive."""

import math
from collections.abc import Sequence
from typing import Annotated, Final, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import ConfigDict, Field

from chexmodel import reasons
from chexmodel.bootstrap import Confusion, Counted, Numbers, Ranked, confusion, count, draw_weights, ratio
from chexmodel.draws import estimate
from chexmodel.fitting import Provenance, Sample, samples
from chexmodel.language import mark
from chexmodel.scores import UNKNOWN, Estimate, Undefinable

Rule = Literal["f1", "youden", "sensitivity"]
Floats = NDArray[np.float64]

RULE_WORDS: Final[dict[str, str]] = {
    "f1": mark("f1"),
    "youden": mark("youden"),
    "sensitivity": mark("sensitivity"),
    "default": mark("default"),
}
"""Rule → what it is called, a message."""

DEFAULT_THRESHOLD: Final = 0.5
_CHUNK: Final = 1 << 20  # weights handled at once


class Threshold(Provenance):
    """An operating point, the rule that set it and the films that it was fitted on.

    `low` and `high` are the 95 % bootstrap interval over patients of the threshold itself: other films of the
    kind would have put it somewhere there. It is the band in which a reading is *indeterminate*, widened to
    hold `value` where few resamples miss it; NaN for a default. `sensitivity` and `specificity` are those at
    `value` on the films of the fit, which flatter it.
    `wanted` is the sensitivity that the rule of that name was asked for. `weights_sha256` is the model's.
    """

    model_config = ConfigDict(frozen=True, ser_json_inf_nan="null")

    value: Annotated[float, Field(ge=0, le=1)]
    rule: Rule | Literal["default"]
    wanted: float | None = None
    low: Undefinable = math.nan
    high: Undefinable = math.nan
    sensitivity: Estimate = UNKNOWN
    specificity: Estimate = UNKNOWN
    weights_sha256: str = ""


def fit_threshold(targets: Floats, probs: Floats, *, rule: Rule, sensitivity: float = 0.9) -> float:
    """Find the operating point of one observation on its unmasked films.

    Args:
        targets: (N,) in {0, 1}, both present.
        probs: (N,) in [0, 1].
        rule: "f1" maximises F1; "youden" sensitivity + specificity − 1 (Youden W. J., Cancer 1950);
            "sensitivity" takes the highest threshold that reaches `sensitivity`.
        sensitivity: in (0, 1], for that rule alone.

    Returns:
        A threshold between two neighbouring probabilities (or the lowest itself), so that `probs >= value`
        is the decision and rounding does not tip the film that set it.
    """
    ranked = Ranked.of(targets, probs, np.arange(len(targets)))
    alone = count(ranked, np.ones((1, len(targets)), np.uint16))
    return float(_cuts(ranked, probs, alone, _best(ranked, alone, rule=rule, sensitivity=sensitivity))[0])


def fit_thresholds(
    targets: NDArray[np.floating],
    probs: NDArray[np.floating],
    *,
    rule: Rule = "f1",
    sensitivity: float = 0.9,
    split: str = "validation",
    patients: Sequence[str] | None = None,
    bootstrap: int = 1000,
    seed: int = 0,
    weights_sha256: str = "",
) -> list[Threshold]:
    """Fit one operating point per observation, or 0.5 with the reason where the films allow none.

    That is where they are too few, and where the scores rank them no better than chance: the best cut would
    then be to call every film positive.

    Args:
        targets: (N, 14) in {0, 1} or NaN.
        probs: (N, 14) calibrated probabilities in [0, 1].
        rule: see `fit_threshold`.
        sensitivity: see `fit_threshold`.
        split: name of the films' split, recorded.
        patients: N ids; whole patients are resampled. None takes every film for a patient of its own.
        bootstrap: resamples in which the threshold is fitted anew; the calibration stays as it is.
        seed: of the resampling.
        weights_sha256: of the model, recorded.

    Returns:
        14 thresholds in the order of `OBSERVATIONS`.
    """
    ids = np.arange(len(targets)) if patients is None else np.asarray(patients)
    groups = np.unique(ids, return_inverse=True)[1]
    resampled = draw_weights(groups, resamples=bootstrap, rng=np.random.default_rng(seed))
    weights = np.concatenate([np.ones((1, len(groups)), resampled.dtype), resampled])
    fitted = []
    for sample in samples(targets, probs, split=split):
        reason = sample.provenance.reason or _no_skill(sample, split)
        about = sample.provenance.model_dump() | {"reason": reason, "weights_sha256": weights_sha256}
        if reason is not None:
            fitted.append(Threshold(value=DEFAULT_THRESHOLD, rule="default", **about))
            continue
        values, counts = _refitted(sample, weights, rule=rule, sensitivity=sensitivity)
        interval = estimate(values)
        fitted.append(
            Threshold(
                value=interval.value,
                # A value beside its own band would make a score positive, and a higher one indeterminate.
                low=float(np.minimum(interval.low, interval.value)),
                high=float(np.maximum(interval.high, interval.value)),
                rule=rule,
                wanted=sensitivity if rule == "sensitivity" else None,
                sensitivity=estimate(ratio(counts.tp, counts.tp + counts.fn)),
                specificity=estimate(ratio(counts.tn, counts.tn + counts.fp)),
                **about,
            )
        )
    return fitted


def _refitted(
    sample: Sample, weights: NDArray[np.uint16], *, rule: Rule, sensitivity: float
) -> tuple[Floats, Confusion]:
    """The threshold of each row of weights (NaN where it drew one class), and the counts at the first one."""
    ranked = Ranked.of(sample.labels, sample.scores, sample.films)
    values, counts, calls = [], [], None
    rows = max(1, _CHUNK // len(sample.films))
    for start in range(0, len(weights), rows):
        counted = count(ranked, weights[start : start + rows, ranked.order])
        best = _best(ranked, counted, rule=rule, sensitivity=sensitivity)
        chosen = _cuts(ranked, sample.scores, counted, best)
        positives, whole = counted.true[:, -1], counted.called[:, -1]
        values.append(np.where((positives > 0) & (positives < whole), chosen, np.nan))
        if calls is None:
            calls = int((sample.scores >= chosen[0]).sum())
        counts.append(confusion(ranked, counted, calls))
    return np.concatenate(values), Confusion(*map(np.concatenate, zip(*counts, strict=True)))


def _cuts(ranked: Ranked, probs: NDArray[np.floating], counted: Counted, steps: NDArray[np.intp]) -> Floats:
    """The threshold, (R,), that calls the films of one step and above: midway to the next film drawn."""
    descending = np.append(-np.sort(-probs.astype(np.float64)), -1.0)
    through = ranked.through[steps]
    # Where the weight called next rises: a film that a resample left out sets no threshold.
    following = [
        int(np.searchsorted(called, called[last + 1], side="right")) - 1
        for called, last in zip(counted.called, through, strict=True)
    ]
    at, below = descending[through], descending[following]
    middle = (at + below) / 2
    # Neighbours in floating point have nothing between them.
    return np.where((below >= 0) & (below < middle), middle, at)


def _best(ranked: Ranked, counted: Counted, *, rule: Rule, sensitivity: float) -> NDArray[np.intp]:
    """Which step the rule takes under each row of weights: (R,), one of which a positive film was drawn.

    Another is never better; at an equal F1 the lowest would be one that the resample says nothing of.
    """
    called: Numbers = counted.called[:, ranked.through + 1]
    tp = counted.true[:, ranked.reached].astype(np.float64)
    positives = counted.true[:, -1:].astype(np.float64)
    undrawn = np.diff(tp, axis=1, prepend=0) == 0
    if rule == "f1":
        with np.errstate(invalid="ignore"):  # a resample without a positive: the caller leaves it
            f1 = np.where(undrawn, -1.0, 2 * tp / (positives + called))
        best = f1.shape[1] - 1 - f1[:, ::-1].argmax(axis=1)  # of equal ones the lowest
    elif rule == "sensitivity":
        best = (tp >= sensitivity * positives).argmax(axis=1)
    else:
        negatives = counted.called[:, -1:] - positives
        with np.errstate(invalid="ignore", divide="ignore"):  # a resample of one class: the caller leaves it
            youden = tp / positives - (called - tp) / negatives
        best = np.where(undrawn, -np.inf, youden).argmax(axis=1)
    return np.asarray(best, dtype=np.intp)


def _no_skill(sample: Sample, split: str) -> str | None:
    from sklearn.metrics import roc_auc_score  # here, for reading a film needs none of it

    auroc = roc_auc_score(sample.labels, sample.scores)
    if auroc > 0.5:
        return None
    return reasons.NO_SKILL.format(split=split, auroc=auroc)
