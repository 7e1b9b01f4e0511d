import warnings

import numpy as np
import pytest
from scipy.special import expit
from sklearn.metrics import log_loss, roc_auc_score

from chexmodel.calibration import (
    Calibration,
    CalibrationMethod,
    fit_calibrations,
    fit_line,
    probabilities,
)
from chexmodel.labels import OBSERVATIONS

METHODS: tuple[CalibrationMethod, ...] = ("temperature", "platt")


@pytest.fixture(autouse=True)
def warnings_are_errors():
    """A fit that did not converge says so in a warning only."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def drawn(
    slope: float, intercept: float, *, films: int = 20_000, seed: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """Labels and logits such that sigmoid(slope · logit + intercept) is the true probability."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(scale=2 / abs(slope), size=films)
    return (rng.random(films) < expit(slope * logits + intercept)).astype(float), logits


@pytest.mark.parametrize(("slope", "intercept"), [(1, 0), (0.4, -1.5), (3, 1), (0.01, -2), (200, 0.5)])
def test_platt_recovers_the_line(slope: float, intercept: float) -> None:
    found = fit_line(*drawn(slope, intercept), method="platt")
    assert found[0] == pytest.approx(slope, rel=0.06)
    assert found[1] == pytest.approx(intercept, abs=0.08)


@pytest.mark.parametrize("slope", [0.01, 0.5, 1, 4, 200])
def test_temperature_recovers_the_slope_and_has_no_intercept(slope: float) -> None:
    found = fit_line(*drawn(slope, 0), method="temperature")
    assert found[0] == pytest.approx(slope, rel=0.06)
    assert found[1] == 0


@pytest.mark.parametrize("method", METHODS)
def test_the_unit_of_the_logits_does_not_matter(method: CalibrationMethod) -> None:
    labels, logits = drawn(0.7, -1, films=200)
    slope, intercept = fit_line(labels, logits, method=method)
    for unit in (1e-3, 1e3):
        scaled = fit_line(labels, unit * logits, method=method)
        assert scaled[0] * unit == pytest.approx(slope, rel=1e-2)
        assert scaled[1] == pytest.approx(intercept, abs=1e-2)


def smoothed_loss(labels: np.ndarray, logits: np.ndarray, slope: float, intercept: float) -> float:
    """Platt's objective, written out."""
    positives, negatives = labels.sum(), (1 - labels).sum()
    soft = np.where(labels == 1, (positives + 1) / (positives + 2), 1 / (negatives + 2))
    line = slope * logits + intercept
    return float(np.mean(np.maximum(line, 0) - soft * line + np.log1p(np.exp(-np.abs(line)))))


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("films", [30, 300])
def test_no_neighbouring_line_is_better(method: CalibrationMethod, films: int) -> None:
    labels, logits = drawn(0.6, -1, films=films)
    slope, intercept = fit_line(labels, logits, method=method)
    best = smoothed_loss(labels, logits, slope, intercept)
    for change in (0.9, 0.99, 1.01, 1.1):
        assert smoothed_loss(labels, logits, slope * change, intercept) > best
    if method == "platt":
        for change in (-0.1, -0.01, 0.01, 0.1):
            assert smoothed_loss(labels, logits, slope, intercept + change) > best


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("scale", [1, 30, 1000])
def test_perfect_separation_stays_finite(method: CalibrationMethod, scale: float) -> None:
    labels = np.repeat([0.0, 1.0], 15)
    slope, intercept = fit_line(labels, scale * np.linspace(-1, 1, 30), method=method)
    assert np.isfinite([slope, intercept]).all()
    assert slope > 0
    # Platt's targets: nothing gets surer than (P + 1) / (P + 2) on average over the positives.
    assert expit(slope * scale * np.linspace(-1, 1, 30) + intercept)[labels == 1].mean() < 0.97


def columns(*, films: int = 400) -> tuple[np.ndarray, np.ndarray]:
    """Targets and logits (N, 14): some well scaled, some not; 12 inverted, 13 too rare; some masked."""
    lines = [(0.3 + 0.2 * k, 0.5 - 0.2 * k) for k in range(14)]
    pairs = [drawn(*line, films=films, seed=k) for k, line in enumerate(lines)]
    targets, logits = (np.stack(arrays, axis=1) for arrays in zip(*pairs, strict=True))
    logits[:, 12] *= -1
    targets[:, 13] = 0
    targets[:9, 13] = 1
    targets[np.random.default_rng(0).random(targets.shape) < 0.1] = np.nan
    return targets, logits


@pytest.mark.parametrize("method", METHODS)
def test_one_calibration_per_observation(method: CalibrationMethod) -> None:
    targets, logits = columns()
    fitted = fit_calibrations(targets, logits, method=method, split="some")
    assert tuple(calibration.observation for calibration in fitted) == OBSERVATIONS
    for k, calibration in enumerate(fitted[:12]):
        known = ~np.isnan(targets[:, k])
        line = fit_line(targets[known, k], logits[known, k], method=method)
        assert (calibration.slope, calibration.intercept) == line
        assert (calibration.method, calibration.reason, calibration.split) == (method, None, "some")
        assert (calibration.intercept == 0) == (method == "temperature")


@pytest.mark.parametrize("method", METHODS)
def test_where_no_fit_is_possible_the_sigmoid_stays_with_the_reason(method: CalibrationMethod) -> None:
    targets, logits = columns()
    inverted, rare = fit_calibrations(targets, logits, method=method)[12:]
    for calibration in (inverted, rare):
        assert (calibration.method, calibration.slope, calibration.intercept) == ("none", 1, 0)
    assert "turn the ranking round" in inverted.reason
    assert "validation split" in inverted.reason
    assert "10 of each are needed" in rare.reason


@pytest.mark.parametrize("method", METHODS)
def test_calibration_keeps_the_ranking_and_does_not_hurt(method: CalibrationMethod) -> None:
    targets, logits = columns()
    calibrated = probabilities(logits, fit_calibrations(targets, logits, method=method))
    assert calibrated.shape == logits.shape
    np.testing.assert_array_equal(np.argsort(calibrated, axis=0), np.argsort(logits, axis=0))
    for k in range(14):
        known = ~np.isnan(targets[:, k])
        y = targets[known, k]
        assert roc_auc_score(y, calibrated[known, k]) == roc_auc_score(y, logits[known, k])
        before, after = log_loss(y, expit(logits[known, k])), log_loss(y, calibrated[known, k])
        assert after <= before + 1e-3  # the smoothed targets leave it a hair above the very optimum


def test_probabilities_are_the_sigmoid_of_the_line() -> None:
    rows = [
        Calibration(
            observation=name,
            split="s",
            positives=1,
            negatives=1,
            method="platt",
            slope=k + 0.5,
            intercept=k - 7,
        )
        for k, name in enumerate(OBSERVATIONS)
    ]
    logits = np.random.default_rng(0).normal(size=(3, 2, 14)).astype(np.float32)
    logits[0, 0, 4] = np.nan
    expected = expit(logits.astype(float) * (np.arange(14) + 0.5) + np.arange(14) - 7)
    found = probabilities(logits, rows)
    assert found.dtype == np.float64
    np.testing.assert_array_equal(found, expected)
    assert np.isnan(found).sum() == 1


def test_a_slope_that_turns_the_ranking_round_is_no_calibration() -> None:
    with pytest.raises(ValueError, match="slope"):
        Calibration(observation="Edema", split="s", positives=1, negatives=1, method="platt", slope=-1)
