"""Operating points: per observation, the probability from which on a film counts as positive."""

from typing import Annotated, Final, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from sklearn.metrics import precision_recall_curve, roc_auc_score, roc_curve

from chexmodel.fitting import Provenance, samples

Rule = Literal["f1", "youden", "sensitivity"]

DEFAULT_THRESHOLD: Final = 0.5


class Threshold(Provenance):
    """An operating point, the rule that set it and the films that it was fitted on."""

    value: Annotated[float, Field(ge=0, le=1)]
    rule: Rule | Literal["default"]


def fit_threshold(
    targets: NDArray[np.floating], probs: NDArray[np.floating], *, rule: Rule, sensitivity: float = 0.9
) -> float:
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
    if rule == "f1":
        precision, recall, cuts = precision_recall_curve(targets, probs)
        f1 = 2 * precision * recall / np.maximum(precision + recall, 1e-12)
        best = float(cuts[int(np.argmax(f1[:-1]))])
    else:
        curve = roc_curve(targets, probs, drop_intermediate=False)
        fpr, tpr, cuts = (values[1:] for values in curve)  # its first cut, ∞, is no probability
        chosen = np.argmax(tpr - fpr) if rule == "youden" else np.argmax(tpr >= sensitivity)
        best = float(cuts[int(chosen)])
    below = float(probs[probs < best].max(initial=-1.0))
    middle = (best + below) / 2
    return middle if 0 <= below < middle else best  # neighbours in floating point have nothing between them


def fit_thresholds(
    targets: NDArray[np.floating],
    probs: NDArray[np.floating],
    *,
    rule: Rule = "f1",
    sensitivity: float = 0.9,
    split: str = "validation",
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

    Returns:
        14 thresholds in the order of `OBSERVATIONS`.
    """
    fitted = []
    for labels, scores, provenance in samples(targets, probs, split=split):
        value: float = DEFAULT_THRESHOLD
        used: Rule | Literal["default"] = "default"
        reason = provenance.reason or _no_skill(labels, scores, split)
        if reason is None:
            value, used = fit_threshold(labels, scores, rule=rule, sensitivity=sensitivity), rule
        fitted.append(Threshold(value=value, rule=used, **provenance.model_dump() | {"reason": reason}))
    return fitted


def _no_skill(labels: NDArray[np.floating], scores: NDArray[np.floating], split: str) -> str | None:
    auroc = roc_auc_score(labels, scores)
    if auroc > 0.5:
        return None
    return f"the scores rank the {split} split no better than chance (AUROC {auroc:.2f})"
