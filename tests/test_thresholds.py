import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import recall_score

from chexmodel.bootstrap import draw_weights
from chexmodel.fitting import MIN_CLASS_COUNT
from chexmodel.labels import OBSERVATIONS
from chexmodel.thresholds import DEFAULT_THRESHOLD, Rule, Threshold, fit_threshold, fit_thresholds

LABELS = np.array([0, 1, 0, 1, 1, 1, 1], dtype=float)
PROBS = np.array([0.1, 0.2, 0.3, 0.4, 0.5, 0.7, 0.9])
RULES: tuple[Rule, ...] = ("f1", "youden", "sensitivity")


@st.composite
def films(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    """Labels of both classes, and probabilities with ties, zeros, ones and neighbours in floating point."""
    count = draw(st.integers(2, 25))
    labels = [0, 1, *draw(st.lists(st.integers(0, 1), min_size=count - 2, max_size=count - 2))]
    near_one = [1.0, np.nextafter(1, 0), np.nextafter(np.nextafter(1, 0), 0)]
    one = st.one_of(
        st.floats(0, 1),
        st.integers(0, 10).map(lambda tenth: tenth / 10),
        st.sampled_from([0.0, 5e-324, *near_one]),
    )
    return np.array(labels, float), np.array(draw(st.lists(one, min_size=count, max_size=count)))


def cuts(probs: np.ndarray) -> np.ndarray:
    """Every threshold that decides differently, but the one that calls nobody."""
    return np.unique(probs)


def f1(labels: np.ndarray, calls: np.ndarray) -> float:
    return 2 * (labels * calls).sum() / (labels.sum() + calls.sum())


def youden(labels: np.ndarray, calls: np.ndarray) -> float:
    return calls[labels == 1].mean() - calls[labels == 0].mean()


def test_by_hand() -> None:
    # "≥ 0.2" has F1 10/11 and Youden's index 1/2, "≥ 0.4" 8/9 and 4/5.
    assert fit_threshold(LABELS, PROBS, rule="f1") == pytest.approx(0.15)
    assert fit_threshold(LABELS, PROBS, rule="youden") == pytest.approx(0.35)
    for sensitivity, expected in [(1.0, 0.15), (0.81, 0.15), (0.8, 0.35), (0.79, 0.35), (0.2, 0.8)]:
        found = fit_threshold(LABELS, PROBS, rule="sensitivity", sensitivity=sensitivity)
        assert found == pytest.approx(expected)


def test_a_threshold_at_the_lowest_probability_is_that_probability() -> None:
    assert fit_threshold(np.array([1.0, 1, 0]), np.array([0.3, 0.8, 0.8]), rule="f1") == 0.3
    assert fit_threshold(np.array([1.0, 0]), np.array([0.4, 0.4]), rule="f1") == 0.4


@settings(max_examples=60, deadline=None)
@given(films())
def test_no_other_cut_has_a_higher_f1(case: tuple[np.ndarray, np.ndarray]) -> None:
    labels, probs = case
    best = f1(labels, probs >= fit_threshold(labels, probs, rule="f1"))
    assert best == pytest.approx(max(f1(labels, probs >= cut) for cut in cuts(probs)), abs=1e-12)


@settings(max_examples=60, deadline=None)
@given(films())
def test_no_other_cut_has_a_higher_youden_index(case: tuple[np.ndarray, np.ndarray]) -> None:
    labels, probs = case
    best = youden(labels, probs >= fit_threshold(labels, probs, rule="youden"))
    assert best == pytest.approx(max(youden(labels, probs >= cut) for cut in cuts(probs)), abs=1e-12)


@settings(max_examples=60, deadline=None)
@given(films(), st.sampled_from([0.1, 0.5, 0.8, 0.9, 1.0]))
def test_the_sensitivity_is_reached_by_the_highest_cut(
    case: tuple[np.ndarray, np.ndarray], wanted: float
) -> None:
    labels, probs = case
    value = fit_threshold(labels, probs, rule="sensitivity", sensitivity=wanted)
    assert (probs >= value)[labels == 1].mean() >= wanted
    above = probs[probs >= value].min()
    assert (probs > above)[labels == 1].mean() < wanted


@settings(max_examples=60, deadline=None)
@given(films(), st.sampled_from(RULES))
def test_a_threshold_is_a_probability_and_lies_off_the_films(
    case: tuple[np.ndarray, np.ndarray], rule: Rule
) -> None:
    labels, probs = case
    value = fit_threshold(labels, probs, rule=rule)
    assert 0 <= value <= 1
    called, passed = probs[probs >= value], probs[probs < value]
    if len(called) and len(passed) and called.min() - passed.max() > 1e-9:
        assert passed.max() < value < called.min()


def columns(positives: int, negatives: int, *, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Give (60, 14) targets, so many of each class in a column, and probabilities of some skill."""
    rng = np.random.default_rng(seed)
    targets = np.full((60, 14), np.nan)
    targets[:positives], targets[positives : positives + negatives] = 1, 0
    targets = rng.permuted(targets, axis=0)
    return targets, 0.6 * rng.random((60, 14)) + 0.4 * (targets == 1)


@pytest.mark.parametrize("rule", RULES)
def test_one_threshold_per_observation(rule: Rule) -> None:
    targets, probs = columns(20, 30)
    fitted = fit_thresholds(targets, probs, rule=rule, sensitivity=0.8, split="some")
    assert tuple(threshold.observation for threshold in fitted) == OBSERVATIONS
    for k, threshold in enumerate(fitted):
        known = ~np.isnan(targets[:, k])
        expected = fit_threshold(targets[known, k], probs[known, k], rule=rule, sensitivity=0.8)
        assert threshold.value == expected
        assert (threshold.rule, threshold.reason, threshold.split) == (rule, None, "some")
        assert (threshold.positives, threshold.negatives) == (20, 30)


@pytest.mark.parametrize(
    ("positives", "negatives"), [(MIN_CLASS_COUNT - 1, 40), (40, MIN_CLASS_COUNT - 1), (0, 0), (0, 60)]
)
def test_too_few_films_leave_the_default_with_its_reason(positives: int, negatives: int) -> None:
    for threshold in fit_thresholds(*columns(positives, negatives)):
        assert (threshold.value, threshold.rule) == (DEFAULT_THRESHOLD, "default")
        assert threshold.reason == (
            f"{positives} positives and {negatives} negatives in the validation split; "
            f"{MIN_CLASS_COUNT} of each are needed"
        )


def test_just_enough_films_are_fitted() -> None:
    fitted = fit_thresholds(*columns(MIN_CLASS_COUNT, MIN_CLASS_COUNT))
    assert all(threshold.reason is None for threshold in fitted)


def test_scores_without_skill_leave_the_default_with_its_reason() -> None:
    """Else the best F1 of a finding that the model can't see would call every film positive."""
    targets, probs = columns(20, 30)
    targets, probs = targets[~np.isnan(targets[:, 3])], probs[~np.isnan(targets[:, 3])]
    probs[:, 3], probs[:, 4] = 1 - targets[:, 3], 0.5
    fitted = fit_thresholds(targets, probs, split="some")
    chance = "the scores rank the some split no better than chance"
    assert [threshold.reason for threshold in fitted[3:5]] == [
        f"{chance} (AUROC {v})" for v in ("0.00", "0.50")
    ]
    for threshold in fitted[3:5]:
        assert (threshold.value, threshold.rule) == (DEFAULT_THRESHOLD, "default")
    assert fitted[5].rule == "f1"


def test_masked_films_do_not_move_a_threshold() -> None:
    targets, probs = columns(20, 30)
    others = np.where(np.isnan(targets), np.nan, probs)
    first, second = (fit_thresholds(targets, given, bootstrap=20) for given in (others, probs))
    assert first == second


@pytest.mark.parametrize("rule", RULES)
def test_the_band_is_the_interval_of_the_threshold_fitted_to_resampled_films(rule: Rule) -> None:
    targets, probs = columns(20, 30)
    probs[:, 7] = np.round(probs[:, 7], 1)  # with ties
    patients = np.arange(60) // 2
    fitted = fit_thresholds(targets, probs, rule=rule, patients=patients.astype(str), bootstrap=15, seed=5)
    groups = np.unique(patients.astype(str), return_inverse=True)[1]
    weights = draw_weights(groups, resamples=15, rng=np.random.default_rng(5))
    for k in (0, 7):
        known = np.flatnonzero(~np.isnan(targets[:, k]))
        refitted = []
        for weight in weights:
            films = np.repeat(known, weight[known])
            refitted.append(fit_threshold(targets[films, k], probs[films, k], rule=rule))
        low, high = np.percentile(refitted, [2.5, 97.5])
        low, high = min(low, fitted[k].value), max(high, fitted[k].value)
        assert (fitted[k].low, fitted[k].high) == pytest.approx((low, high), abs=1e-12)


def test_scores_that_separate_the_classes_have_a_band_too() -> None:
    """The gap between the classes moves with the films at its edges, drawn or not."""
    targets, probs = columns(20, 30)
    probs = 0.4 * probs + 0.6 * (targets == 1)
    for threshold in fit_thresholds(targets, probs, bootstrap=200):
        assert threshold.low < threshold.value < threshold.high


@pytest.mark.parametrize("seed", range(8))
def test_a_threshold_lies_in_its_band_however_few_the_resamples(seed: int) -> None:
    for threshold in fit_thresholds(*columns(20, 30), bootstrap=1, seed=seed):
        assert threshold.low <= threshold.value <= threshold.high
    assert np.isnan([fit_thresholds(*columns(20, 30), bootstrap=0)[0].low]).all()


def test_sensitivity_and_specificity_at_the_threshold() -> None:
    targets, probs = columns(20, 30)
    for k, threshold in enumerate(fit_thresholds(targets, probs, rule="youden", bootstrap=100)):
        known = ~np.isnan(targets[:, k])
        y, calls = targets[known, k], probs[known, k] >= threshold.value
        assert threshold.sensitivity.value == pytest.approx(recall_score(y, calls))
        assert threshold.specificity.value == pytest.approx(recall_score(1 - y, ~calls))
        assert threshold.sensitivity.low <= threshold.sensitivity.value <= threshold.sensitivity.high
        assert threshold.specificity.low <= threshold.specificity.value <= threshold.specificity.high


def test_a_film_at_the_threshold_is_called() -> None:
    targets = np.repeat([[1.0], [0.0]], 12, axis=0) * np.ones(14)
    probs = np.linspace(0.9, 0.4, 24)[:, None] * np.ones(14)
    probs[0] = 0.1  # a positive film below all others: sensitivity 1 takes its very probability
    for threshold in fit_thresholds(targets, probs, rule="sensitivity", sensitivity=1.0, bootstrap=10):
        assert (threshold.value, threshold.sensitivity.value, threshold.specificity.value) == (0.1, 1, 0)


def test_provenance_is_recorded() -> None:
    fitted = fit_thresholds(
        *columns(20, 30), rule="sensitivity", sensitivity=0.8, bootstrap=10, weights_sha256="abc"
    )
    assert {(t.wanted, t.weights_sha256) for t in fitted} == {(0.8, "abc")}
    assert {t.wanted for t in fit_thresholds(*columns(20, 30), bootstrap=0)} == {None}


def test_a_default_has_no_band() -> None:
    for threshold in fit_thresholds(*columns(MIN_CLASS_COUNT - 1, 40), bootstrap=20):
        assert np.isnan([threshold.low, threshold.high, threshold.sensitivity.value]).all()
    text = threshold.model_dump_json()
    assert '"low":null' in text
    assert np.isnan(Threshold.model_validate_json(text).low)


def test_the_band_narrows_with_the_number_of_films() -> None:
    def width(films: int) -> float:
        rng = np.random.default_rng(films)
        targets = np.full((films, 14), np.nan)
        targets[:, 0] = rng.random(films) < 0.3
        probs = np.full((films, 14), 0.5)
        probs[:, 0] = np.clip(0.3 * rng.normal(size=films) + 0.35 + 0.3 * targets[:, 0], 0, 1)
        threshold = fit_thresholds(targets, probs, rule="sensitivity", bootstrap=300)[0]
        return threshold.high - threshold.low

    assert 0 < width(5000) < 0.5 * width(200)


@pytest.mark.parametrize("rule", RULES)
def test_rows_may_come_in_any_order(rule: Rule) -> None:
    targets, probs = columns(20, 30)
    patients = np.array([f"p{k // 2}" for k in range(60)])
    order = np.random.default_rng(1).permutation(60)
    first = fit_thresholds(targets, probs, rule=rule, patients=patients, bootstrap=50)
    second = fit_thresholds(targets[order], probs[order], rule=rule, patients=patients[order], bootstrap=50)
    assert [t.model_dump_json() for t in first] == [t.model_dump_json() for t in second]
