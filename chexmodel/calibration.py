"""From raw logits to calibrated probabilities, per observation."""

from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from scipy.special import expit
from sklearn.linear_model import LogisticRegression

from chexmodel.fitting import Provenance, samples

CalibrationMethod = Literal["temperature", "platt"]

_INVERTED = "the best fit in the {} split does not rise with the logit: it would turn the ranking round"


class Calibration(Provenance):
    """`probability = sigmoid(slope · logit + intercept)`; temperature scaling is 1/T with no intercept."""

    method: CalibrationMethod | Literal["none"]
    slope: float = Field(default=1.0, gt=0, allow_inf_nan=False)
    intercept: float = Field(default=0.0, allow_inf_nan=False)


def probabilities(logits: NDArray[np.floating], calibrations: list[Calibration]) -> NDArray[np.float64]:
    """Turn raw logits (..., 14) into calibrated probabilities (..., 14) in [0, 1]."""
    slopes = np.array([calibration.slope for calibration in calibrations])
    intercepts = np.array([calibration.intercept for calibration in calibrations])
    values: NDArray[np.float64] = expit(np.asarray(logits, dtype=np.float64) * slopes + intercepts)
    return values


def fit_line(
    labels: NDArray[np.floating], logits: NDArray[np.floating], *, method: CalibrationMethod
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
    positives = float(labels.sum())
    negatives = float(len(labels) - positives)
    soft = np.where(labels == 1, (positives + 1) / (positives + 2), 1 / (negatives + 2))
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


def fit_calibrations(
    targets: NDArray[np.floating],
    logits: NDArray[np.floating],
    *,
    method: CalibrationMethod = "platt",
    split: str = "validation",
) -> list[Calibration]:
    """Calibrate every observation that has enough films; the others keep sigmoid(logit), with the reason.

    Args:
        targets: (N, 14) in {0, 1} or NaN.
        logits: (N, 14), raw.
        method: see `fit_line`.
        split: name of the films' split, recorded.

    Returns:
        14 calibrations in the order of `OBSERVATIONS`.
    """
    fitted = []
    for labels, scores, provenance in samples(targets, logits, split=split):
        slope, intercept, found = 1.0, 0.0, provenance
        if provenance.reason is None:
            slope, intercept = fit_line(labels, scores, method=method)
            if slope <= 0:
                slope, intercept = 1.0, 0.0
                found = provenance.model_copy(update={"reason": _INVERTED.format(provenance.split)})
        used: CalibrationMethod | Literal["none"] = method if found.reason is None else "none"
        fitted.append(Calibration(method=used, slope=slope, intercept=intercept, **found.model_dump()))
    return fitted
