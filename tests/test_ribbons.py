from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import precision_recall_curve, precision_score, recall_score, roc_curve

from chexmodel.bootstrap import draw_weights
from chexmodel.operating import Scored
from chexmodel.ribbons import predictive_values, rates_at_cuts, ribbons


def films(count: int = 90, *, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Labels, scores with ties, patients of two films."""
    rng = np.random.default_rng(seed)
    labels = (rng.random(count) < 0.4).astype(float)
    labels[:2] = 0, 1
    probs = np.round(np.clip(0.3 * labels + 0.7 * rng.random(count), 0, 1), 2)
    return labels, probs, np.array([f"p{k // 2}" for k in range(count)])


def drawn(patients: np.ndarray, resamples: int, seed: int) -> np.ndarray:
    groups = np.unique(patients, return_inverse=True)[1]
    return draw_weights(groups, resamples=resamples, rng=np.random.default_rng(seed)).astype(float)


def test_the_roc_ribbon_is_that_of_resampled_curves() -> None:
    labels, probs, patients = films()
    found = ribbons(labels, probs, patients, bootstrap=40, seed=3).roc
    heights = []
    for weight in drawn(patients, 40, 3):
        fpr, tpr, _ = roc_curve(labels, probs, sample_weight=weight, drop_intermediate=False)
        heights.append(np.interp(found.x, fpr, tpr))
    low, high = np.percentile(heights, [2.5, 97.5], axis=0)
    np.testing.assert_allclose(found.low, low, atol=1e-9)
    np.testing.assert_allclose(found.high, high, atol=1e-9)


def test_the_precision_recall_ribbon_is_that_of_resampled_curves() -> None:
    labels, probs, patients = films()
    found = ribbons(labels, probs, patients, bootstrap=40, seed=3).precision_recall
    heights = []
    for weight in drawn(patients, 40, 3):
        precision, recall, _ = precision_recall_curve(labels, probs, sample_weight=weight)
        # scikit-learn goes from the lowest threshold on; the highest that reaches a recall is the last one.
        reaching = [np.flatnonzero(recall[:-1] >= x - 1e-12)[-1] for x in found.x]
        heights.append(precision[reaching])
    low, high = np.percentile(heights, [2.5, 97.5], axis=0)
    np.testing.assert_allclose(found.low, low, atol=1e-9)
    np.testing.assert_allclose(found.high, high, atol=1e-9)


def test_at_recall_0_stands_the_precision_of_the_highest_film_drawn() -> None:
    """Also where the highest film of all was not drawn."""
    labels, probs = np.array([1.0, 0, 1, 0, 1, 0]), np.linspace(0.9, 0.1, 6)
    patients = np.arange(6).astype(str)
    heights = []
    for weight in drawn(patients, 60, 2):
        films = np.repeat(np.arange(6), weight.astype(int))
        if len(set(labels[films])) == 2:
            heights.append(labels[films[0]])
    assert 0 < np.mean(heights) < 1
    found = ribbons(labels, probs, patients, bootstrap=60, seed=2).precision_recall
    expected = np.percentile(heights, [2.5, 97.5])
    assert (found.low[0], found.high[0]) == pytest.approx(tuple(expected))


def test_resamples_of_one_class_are_left_out() -> None:
    labels, probs = np.array([1.0, 0, 0, 0]), np.array([0.9, 0.8, 0.2, 0.1])
    found = ribbons(labels, probs, np.arange(4).astype(str), bootstrap=200, seed=0)
    assert (found.roc.low[1:] == 1).all()
    assert np.isfinite(found.precision_recall.low).all()
    nothing = ribbons(labels, probs, np.arange(4).astype(str), bootstrap=0, seed=0)
    assert np.isnan(nothing.roc.low).all()


def test_rates_at_cuts_are_those_of_scikit_learn() -> None:
    labels, probs, patients = films()
    cuts = np.array([0, 0.3, 0.31, 0.415, 0.5, 0.999, 1])
    rates = rates_at_cuts(labels, probs, patients, cuts=cuts, bootstrap=5, seed=1)
    assert rates.sensitivity.shape == rates.specificity.shape == (6, len(cuts))
    weights = np.concatenate([np.ones((1, len(labels))), drawn(patients, 5, 1)])
    for row, weight in enumerate(weights):
        for column, cut in enumerate(cuts):
            calls = probs >= cut
            expected = recall_score(labels, calls, sample_weight=weight, zero_division=np.nan)
            assert rates.sensitivity[row, column] == pytest.approx(expected, abs=1e-12)
            expected = recall_score(1 - labels, ~calls, sample_weight=weight, zero_division=np.nan)
            assert rates.specificity[row, column] == pytest.approx(expected, abs=1e-12)


@settings(max_examples=8, deadline=None)
@given(st.integers(0, 2**31))
def test_rows_may_come_in_any_order(seed: int) -> None:
    labels, probs, patients = films(30, seed=seed)
    order = np.random.default_rng(seed).permutation(30)
    for compute in (partial(rates_at_cuts, cuts=np.linspace(0, 1, 11)), ribbons):
        first = compute(labels, probs, patients, bootstrap=5, seed=1)
        second = compute(labels[order], probs[order], patients[order], bootstrap=5, seed=1)
        for a, b in zip(np.ravel(first), np.ravel(second), strict=True):
            np.testing.assert_allclose(a, b, atol=1e-12)


def test_predictive_values_at_the_films_own_prevalence_are_theirs() -> None:
    labels, probs, _ = films()
    calls = probs >= 0.5
    ppv, npv = predictive_values(
        np.array([recall_score(labels, calls)]), np.array([recall_score(1 - labels, ~calls)]), labels.mean()
    )
    assert ppv[0] == pytest.approx(precision_score(labels, calls))
    assert npv[0] == pytest.approx(precision_score(1 - labels, ~calls))


def test_predictive_values_by_hand() -> None:
    # Of 1,000 films 10 are positive: 9 found, 99 false alarms; 1 missed, 891 cleared.
    ppv, npv = predictive_values(np.array([0.9]), np.array([0.9]), 0.01)
    assert (ppv[0], npv[0]) == pytest.approx((9 / 108, 891 / 892))
    ppv, npv = predictive_values(np.array([0.0, 1.0]), np.array([1.0, 0.0]), 0.2)
    np.testing.assert_array_equal(ppv, [np.nan, 0.2])
    np.testing.assert_array_equal(npv, [0.8, np.nan])


def test_a_film_at_the_threshold_is_called_as_in_the_rates() -> None:
    labels, probs = np.array([1.0, 0, 1, 0]), np.array([0.8, 0.5, 0.5, 0.2])
    patients = np.arange(4).astype(str).astype(object)
    assert Scored("Edema", labels, probs, 0.5, patients).at(0.5) == (2, 1, 0, 1)
    rates = rates_at_cuts(labels, probs, patients, cuts=np.array([0.5]), bootstrap=0, seed=0)
    assert (rates.sensitivity[0, 0], rates.specificity[0, 0]) == (1, 0.5)
