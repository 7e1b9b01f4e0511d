"""From raw logits to calibrated probabilities, per observation."""

from collections.abc import Sequence
from typing import Annotated, Any, Final, Literal, Self, get_args

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, FiniteFloat, model_validator
from scipy.special import expit

from chexmodel import reasons
from chexmodel.fitting import Provenance, samples
from chexmodel.language import mark

CalibrationMethod = Literal["temperature", "platt", "isotonic"]
Line = Literal["temperature", "platt"]

METHOD_WORDS: Final = {
    "temperature": mark("temperature"),
    "platt": mark("platt"),
    "isotonic": mark("isotonic"),
    "none": mark("none"),
}
"""Method → what it is called, a message."""

FOLDS: Final = 5
"""Patient-wise parts of the fitting split by which the method is chosen."""
MIN_ISOTONIC: Final = 50
"""With fewer positives or negatives isotonic steps get so few and so long that they tie most films."""


class Calibration(Provenance):
    """`probability = sigmoid(slope · logit + intercept)`; temperature scaling is 1/T with no intercept.

    Of isotonic regression the probability is interpolated between `knots` (logit, probability), both rising,
    and constant outside. `held_out_log_loss` is that by which the method was chosen, where one was.
    """

    method: CalibrationMethod | Literal["none"]
    slope: float = Field(default=1.0, gt=0, allow_inf_nan=False)
    intercept: float = Field(default=0.0, allow_inf_nan=False)
    knots: tuple[tuple[FiniteFloat, Annotated[float, Field(ge=0, le=1)]], ...] = ()
    held_out_log_loss: dict[str, float] = Field(default={})

    @model_validator(mode="after")
    def _rises(self) -> Self:
        logits, probs = np.array(self.knots).reshape(-1, 2).T
        if (np.diff(logits) <= 0).any() or (np.diff(probs) < 0).any():
            raise ValueError("the knots do not rise")
        if (self.method == "isotonic") != bool(self.knots):
            raise ValueError("isotonic calibration has knots, the others have none")
        return self

    def of(self, logits: NDArray[np.floating]) -> NDArray[np.float64]:
        """Turn raw logits of this observation, of any shape, into probabilities in [0, 1]; NaN stays NaN."""
        if self.knots:
            at, probs = np.array(self.knots).T
            values: NDArray[np.float64] = np.interp(logits, at, probs)
        else:
            values = expit(np.asarray(logits, dtype=np.float64) * self.slope + self.intercept)
        return values


def probabilities(logits: NDArray[np.floating], calibrations: Sequence[Calibration]) -> NDArray[np.float64]:
    """Turn raw logits (..., 14) into calibrated probabilities (..., 14) in [0, 1]."""
    return np.stack([row.of(logits[..., k]) for k, row in enumerate(calibrations)], axis=-1)


def fit_line(
    labels: NDArray[np.floating], logits: NDArray[np.floating], *, method: Line
) -> tuple[float, float]:
    """Slope and intercept that minimise the log-loss on films of both classes.

    Platt J., *Probabilistic outputs for support vector machines*, 1999, with his smoothed targets, which
    keep the slope finite where the classes separate; temperature scaling (Guo C. et al., ICML 2017,
    arXiv:1706.04599) is the same fit without the intercept.

    Args:
        labels: (N,) in {0, 1}, both present.
        logits: (N,).
        method: "platt" or "temperature".

    Returns:
        (slope, intercept).
    """
    from sklearn.linear_model import LogisticRegression  # here, for reading a film needs none of it

    soft = _soft(labels)
    # In units of their spread: the solver's tolerance is absolute.
    centre = float(logits.mean()) if method == "platt" else 0.0
    spread = float(np.sqrt(np.mean((logits - centre) ** 2))) or 1.0
    units = (logits - centre) / spread
    # A soft target is its film twice: as a positive of weight t and as a negative of weight 1 − t.
    model = LogisticRegression(C=np.inf, fit_intercept=method == "platt", max_iter=1000)
    model.fit(
        np.concatenate([units, units]).reshape(-1, 1),
        np.repeat([1, 0], len(labels)),
        sample_weight=np.concatenate([soft, 1 - soft]),
    )
    slope = float(model.coef_[0, 0]) / spread
    return slope, float(np.ravel(model.intercept_)[0]) - slope * centre


def fit_curve(labels: NDArray[np.floating], logits: NDArray[np.floating]) -> tuple[tuple[float, float], ...]:
    """Isotonic regression: the rising steps that fit best, as knots (logit, probability).

    Zadrozny B., Elkan C., KDD 2002. On the smoothed targets of `fit_line`, so that no probability is 0 or 1.

    Args:
        labels: (N,) in {0, 1}, both present.
        logits: (N,).
    """
    from sklearn.isotonic import IsotonicRegression

    steps = IsotonicRegression(out_of_bounds="clip").fit(logits, _soft(labels))
    return tuple(zip(steps.X_thresholds_.tolist(), steps.y_thresholds_.tolist(), strict=True))


def _soft(labels: NDArray[np.floating]) -> NDArray[np.float64]:
    """Platt's targets: (P + 1) / (P + 2) for a positive, 1 / (N + 2) for a negative."""
    positives = float(labels.sum())
    negatives = float(len(labels) - positives)
    return np.where(labels == 1, (positives + 1) / (positives + 2), 1 / (negatives + 2))


def fit_calibrations(
    targets: NDArray[np.floating],
    logits: NDArray[np.floating],
    *,
    method: CalibrationMethod | Literal["best"] = "best",
    split: str = "validation",
    patients: Sequence[str] | None = None,
) -> list[Calibration]:
    """Calibrate every observation that has enough films; the others keep sigmoid(logit), with the reason.

    "best" takes the method with the lowest log-loss on films of other patients than it was fitted to
    (`FOLDS`-fold cross-validation within the split), the raw sigmoid among them; it is then fitted to all.
    Isotonic regression takes part from `MIN_ISOTONIC` positives and negatives on.

    Args:
        targets: (N, 14) in {0, 1} or NaN.
        logits: (N, 14), raw.
        method: one for all observations, or "best".
        split: name of the films' split, recorded.
        patients: N ids, for "best": a patient's films stay together. None takes each film for a patient.

    Returns:
        14 calibrations in the order of `OBSERVATIONS`.
    """
    ids = np.arange(len(targets)) if patients is None else np.asarray(patients)
    fitted = []
    for films, labels, scores, provenance in samples(targets, logits, split=split):
        if provenance.reason is not None:
            fitted.append(Calibration(method="none", **provenance.model_dump()))
            continue
        losses = held_out_losses(labels, scores, ids[films]) if method == "best" else {}
        chosen = min(losses, key=losses.__getitem__) if method == "best" else method
        found = _fit(labels, scores, chosen, provenance)
        untried = {"reason": reasons.NO_OTHERS.format(split=split)} if len(losses) == 1 else {}
        fitted.append(found.model_copy(update={"held_out_log_loss": losses} | untried))
    return fitted


def held_out_losses(
    labels: NDArray[np.floating], logits: NDArray[np.floating], patients: NDArray[Any]
) -> dict[Literal["none"] | CalibrationMethod, float]:
    """Log-loss of each method, "none" first, on films of patients that it was not fitted to.

    Args:
        labels: (N,) in {0, 1}, enough of both.
        logits: (N,).
        patients: (N,) ids.

    Returns:
        Method → mean log-loss, natural logarithm, over all N films; "none" alone where the films of a class
        are of too few patients to hold some of them out. Fewer than `FOLDS` patients are held out one by one.
    """
    from sklearn.metrics import log_loss
    from sklearn.model_selection import StratifiedGroupKFold

    groups = np.unique(patients, return_inverse=True)[1]
    unfitted = Provenance(observation="", split="", positives=0, negatives=0)
    candidates: list[Literal["none"] | CalibrationMethod] = ["none", *get_args(CalibrationMethod)]
    if min(labels.sum(), len(labels) - labels.sum()) < MIN_ISOTONIC:
        candidates.remove("isotonic")
    held_out = {candidate: expit(logits.astype(np.float64)) for candidate in candidates}
    none_alone: dict[Literal["none"] | CalibrationMethod, float]
    none_alone = {"none": float(log_loss(labels, held_out["none"]))}
    folds = min(FOLDS, int(groups.max()) + 1)
    if folds < 2:
        return none_alone
    for fit, test in StratifiedGroupKFold(folds).split(logits, labels, groups):
        if len(np.unique(labels[fit])) < 2:
            return none_alone
        for candidate in candidates[1:]:
            held_out[candidate][test] = _fit(labels[fit], logits[fit], candidate, unfitted).of(logits[test])
    return {candidate: float(log_loss(labels, probs)) for candidate, probs in held_out.items()}


def _fit(
    labels: NDArray[np.floating],
    logits: NDArray[np.floating],
    method: Literal["none"] | CalibrationMethod,
    provenance: Provenance,
) -> Calibration:
    about = provenance.model_dump()
    if method == "none":
        return Calibration(
            method="none", **about | {"reason": reasons.NO_BETTER.format(split=provenance.split)}
        )
    if method == "isotonic":
        knots = fit_curve(labels, logits)
        if knots[0][1] < knots[-1][1]:
            return Calibration(method=method, knots=knots, **about)
    else:
        slope, intercept = fit_line(labels, logits, method=method)
        if slope > 0:
            return Calibration(method=method, slope=slope, intercept=intercept, **about)
    return Calibration(method="none", **about | {"reason": reasons.INVERTED.format(split=provenance.split)})
