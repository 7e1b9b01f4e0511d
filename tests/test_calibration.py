import warnings

import numpy as np
import pytest
from scipy.special import expit
from sklearn.isotonic import IsotonicRegression
from sklearn.metrics import log_loss, roc_auc_score
from sklearn.model_selection import StratifiedGroupKFold

from chexmodel.calibration import (
    MIN_ISOTONIC,
    Calibration,
    CalibrationMethod,
    Line,
    fit_calibrations,
    fit_curve,
    fit_line,
    held_out_losses,
    probabilities,
)
from chexmodel.labels import OBSERVATIONS

LINES: tuple[Line, ...] = ("temperature", "platt")
METHODS: tuple[CalibrationMethod, ...] = (*LINES, "isotonic")


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


@pytest.mark.parametrize("method", LINES)
def test_the_unit_of_the_logits_does_not_matter(method: Line) -> None:
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


@pytest.mark.parametrize("method", LINES)
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


@pytest.mark.parametrize("method", LINES)
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


@pytest.mark.parametrize("method", LINES)
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


@pytest.mark.parametrize("method", LINES)
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


def test_isotonic_by_hand() -> None:
    # Two blocks violate the order and are pooled; Platt's targets of 2 positives and 2 negatives are ¾ and ¼.
    knots = fit_curve(np.array([0.0, 1, 0, 1]), np.array([-2.0, -1, 1, 3]))
    assert knots == ((-2, 0.25), (-1, 0.5), (1, 0.5), (3, 0.75))
    row = Calibration(
        observation="Edema", split="s", positives=2, negatives=2, method="isotonic", knots=knots
    )
    logits = np.array([-9, -2, -1.5, 0, 2, 9, np.nan])
    np.testing.assert_allclose(row.of(logits), [0.25, 0.25, 0.375, 0.5, 0.625, 0.75, np.nan])


def test_isotonic_keeps_the_order_and_is_that_of_scikit_learn() -> None:
    labels, logits = drawn(0.8, -1, films=500)
    row = fit_calibrations(*one_column(labels, logits), method="isotonic")[5]
    soft = np.where(labels == 1, (labels.sum() + 1) / (labels.sum() + 2), 1 / ((1 - labels).sum() + 2))
    expected = IsotonicRegression(out_of_bounds="clip").fit(logits, soft).predict(logits)
    np.testing.assert_allclose(row.of(logits), expected, atol=1e-12)
    assert (np.diff(row.of(np.sort(logits))) >= 0).all()
    assert row.of(logits).min() > 0
    assert row.of(logits).max() < 1


@pytest.mark.parametrize("knots", [((0.0, 0.5), (0.0, 0.6)), ((0.0, 0.5), (1.0, 0.4)), ()])
def test_knots_that_do_not_rise_are_refused(knots: tuple[tuple[float, float], ...]) -> None:
    with pytest.raises(ValueError, match="knots"):
        Calibration(observation="Edema", split="s", positives=1, negatives=1, method="isotonic", knots=knots)


def one_column(labels: np.ndarray, logits: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Give (N, 14) targets and logits of which only column 5 is labelled."""
    targets = np.full((len(labels), 14), np.nan)
    targets[:, 5] = labels
    return targets, np.tile(logits[:, None], 14)


def step(films: int) -> tuple[np.ndarray, np.ndarray]:
    """Labels whose true probability is a staircase of the logit: no line fits it."""
    rng = np.random.default_rng(4)
    logits = rng.uniform(-3, 3, films)
    return (rng.random(films) < np.select([logits < -1, logits < 1], [0.02, 0.5], 0.55)).astype(float), logits


@pytest.mark.parametrize(
    ("case", "expected"),
    [
        (drawn(0.3, 0, films=4000), "temperature"),
        (drawn(0.3, -2, films=4000), "platt"),
        (step(6000), "isotonic"),
    ],
    ids=["temperature", "platt", "isotonic"],
)
def test_the_best_method_is_chosen_on_other_patients(
    case: tuple[np.ndarray, np.ndarray], expected: CalibrationMethod
) -> None:
    row = fit_calibrations(*one_column(*case), method="best")[5]
    assert row.method == min(row.held_out_log_loss, key=row.held_out_log_loss.__getitem__)
    assert set(row.held_out_log_loss) == {"none", *METHODS}
    if expected == "temperature":  # a line without an intercept is a line: either may win by a hair
        assert row.held_out_log_loss["temperature"] < row.held_out_log_loss["none"] - 0.01
        assert row.method in LINES
    else:
        assert row.method == expected


def test_held_out_losses_written_out() -> None:
    labels, logits = drawn(0.5, -1, films=120)
    patients = np.arange(120) // 2
    found = held_out_losses(labels, logits, patients)
    assert found["none"] == pytest.approx(log_loss(labels, expit(logits)))
    held_out = np.empty(120)
    for fit, test in StratifiedGroupKFold(5).split(logits, labels, patients):
        assert not set(patients[fit]) & set(patients[test])
        slope, intercept = fit_line(labels[fit], logits[fit], method="platt")
        held_out[test] = expit(slope * logits[test] + intercept)
    assert found["platt"] == pytest.approx(log_loss(labels, held_out))


@pytest.mark.parametrize("positives", [MIN_ISOTONIC - 1, MIN_ISOTONIC])
def test_isotonic_needs_more_films(positives: int) -> None:
    labels = np.repeat([1.0, 0], [positives, 200])
    losses = held_out_losses(
        labels, labels + np.random.default_rng(0).normal(size=len(labels)), np.arange(len(labels))
    )
    assert ("isotonic" in losses) == (positives >= MIN_ISOTONIC)


def test_the_order_of_rows_does_not_choose() -> None:
    labels, logits = drawn(0.5, -1, films=200)
    patients = np.array([f"p{k // 3}" for k in range(200)])
    order = np.random.default_rng(0).permutation(200)
    first = held_out_losses(labels, logits, patients)
    second = held_out_losses(labels[order], logits[order], patients[order])
    assert first == pytest.approx(second, abs=1e-6)


def test_the_raw_sigmoid_stays_where_nothing_is_better() -> None:
    # Half of the films are positive, whatever the logit: 0.5 is the best that can be said.
    labels, noise = np.tile([0.0, 1.0], 30), 1e-9 * drawn(1, 0, films=60, seed=2)[1]
    row = fit_calibrations(*one_column(labels, noise))[5]
    assert (row.method, row.slope, row.intercept) == ("none", 1, 0)
    assert row.reason == "no method lowers the log-loss on other patients of the validation split"
    assert min(row.held_out_log_loss, key=row.held_out_log_loss.__getitem__) == "none"


@pytest.mark.parametrize("patients", [1, 2, 3, 4])
def test_a_few_patients_are_held_out_one_by_one(patients: int) -> None:
    labels, logits = drawn(0.5, -1, films=80)
    ids = [f"p{film % patients}" for film in range(80)]
    row = fit_calibrations(*one_column(labels, logits), patients=ids)[5]
    if patients == 1:
        assert (row.method, row.held_out_log_loss.keys()) == ("none", {"none"})
        assert row.reason == (
            "in the validation split too few patients have films of a class to try a method on others"
        )
        return
    held_out = np.empty(80)
    for patient in range(patients):
        mine = np.arange(80) % patients == patient
        slope, intercept = fit_line(labels[~mine], logits[~mine], method="platt")
        held_out[mine] = expit(slope * logits[mine] + intercept)
    assert row.held_out_log_loss["platt"] == pytest.approx(log_loss(labels, held_out), abs=1e-6)


def test_a_class_of_one_patient_is_not_held_out() -> None:
    labels, logits = drawn(0.5, -1, films=80)
    ids = [f"p{film}" if label == 0 else "the same" for film, label in enumerate(labels)]
    row = fit_calibrations(*one_column(labels, logits), patients=ids)[5]
    assert row.method == "none"
    assert row.reason is not None
    assert "too few patients" in row.reason
