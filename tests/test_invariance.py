"""What must not change a score: the order of rows, what lies under the mask, masked copies of films."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scores import random_scores

from chexmodel.comparison import compare
from chexmodel.draws import MACRO
from chexmodel.metrics import Evaluation, evaluate
from chexmodel.scores import Estimate

SETTINGS = settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def judged(targets: np.ndarray, probs: np.ndarray, patients: np.ndarray) -> Evaluation:
    return evaluate(targets, probs, thresholds=np.linspace(0.2, 0.8, 14), patients=patients, bootstrap=15)


def numbers(evaluation: Evaluation) -> np.ndarray:
    """Every estimate of every observation, its lifts, and all averages."""

    def parts(estimate: Estimate) -> list[float]:
        return [estimate.value, estimate.low, estimate.high]

    found = [
        parts(estimate)
        for score in evaluation.scores
        for estimate in (*(getattr(score, name) for name in MACRO), *score.lift.values())
    ]
    for averages in (evaluation.macro, evaluation.macro_distinct, evaluation.macro_lift, evaluation.micro):
        found += [parts(average) for average in averages.values()]
    return np.array(found)


def films(seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    targets, probs = random_scores(40, seed=seed)
    patients = np.array([f"p{k}" for k in np.random.default_rng(seed).integers(0, 25, 40)])
    return targets, probs, patients


@SETTINGS
@given(st.integers(0, 2**31), st.randoms())
def test_the_order_of_rows(seed: int, random) -> None:
    targets, probs, patients = films(seed)
    order = random.sample(range(40), 40)
    np.testing.assert_allclose(
        numbers(judged(targets[order], probs[order], patients[order])),
        numbers(judged(targets, probs, patients)),
        atol=1e-12,
    )


@SETTINGS
@given(st.integers(0, 2**31))
def test_what_lies_under_the_mask(seed: int) -> None:
    targets, probs, patients = films(seed)
    rng = np.random.default_rng(seed)
    masked = ~np.isin(targets, (0, 1))
    hidden = np.where(masked, rng.random(probs.shape), probs)
    swapped = np.where(masked, np.where(rng.random(probs.shape) < 0.5, -1, np.nan), targets)
    np.testing.assert_array_equal(
        numbers(judged(swapped, hidden, patients)), numbers(judged(targets, probs, patients))
    )


@SETTINGS
@given(st.integers(0, 2**31), st.integers(1, 30))
def test_masked_copies_of_films(seed: int, copies: int) -> None:
    targets, probs, patients = films(seed)
    again = np.random.default_rng(seed).integers(0, 40, copies)
    found = judged(
        np.concatenate([targets, np.full((copies, 14), np.nan)]),
        np.concatenate([probs, probs[again]]),
        np.concatenate([patients, patients[again]]),
    )
    np.testing.assert_array_equal(numbers(found), numbers(judged(targets, probs, patients)))


@pytest.mark.parametrize("seed", range(3))
def test_a_paired_difference_ignores_masked_copies_too(seed: int) -> None:
    targets, probs, patients = films(seed)
    other = np.clip(probs + 0.1 * np.random.default_rng(9).normal(size=probs.shape), 0, 1)
    options = {"thresholds": (0.5, 0.5), "bootstrap": 20}
    expected = compare(targets, probs, other, patients=patients, **options)
    found = compare(
        np.concatenate([targets, np.full((5, 14), -1.0)]),
        np.concatenate([probs, probs[:5]]),
        np.concatenate([other, other[:5]]),
        patients=np.concatenate([patients, patients[:5]]),
        **options,
    )
    for a, b in zip(expected.observations, found.observations, strict=True):
        np.testing.assert_array_equal(
            [list(a.metrics[name].model_dump().values()) for name in a.metrics],
            [list(b.metrics[name].model_dump().values()) for name in b.metrics],
        )
