import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from chexmodel.errors import DatasetError
from chexmodel.labels import OBSERVATIONS
from chexmodel.weighting import (
    FACTOR_CAP,
    POS_WEIGHT_CAP,
    RARE_PREVALENCE,
    counts,
    pos_weight,
    sample_weights,
    sampling_factors,
)

NAN = np.nan
TARGETS = hnp.arrays(
    np.float32,
    st.tuples(st.integers(1, 30), st.just(14)),
    elements=st.sampled_from([0.0, 0.0, 1.0, NAN, 0.7]),
)


def column(positives: int, negatives: int, masked: int = 0) -> np.ndarray:
    return np.repeat([1.0, 0.0, NAN], [positives, negatives, masked]).reshape(-1, 1)


def test_counts_by_hand() -> None:
    targets = np.array([[1, NAN, 0.6], [0, NAN, 0.8], [0, 1, NAN]])
    positives, negatives = counts(targets)
    np.testing.assert_allclose(positives, [1, 1, 1.4])
    np.testing.assert_allclose(negatives, [2, 0, 0.6])


@settings(max_examples=60, deadline=None)
@given(TARGETS)
def test_pos_weight_is_the_written_formula(targets: np.ndarray) -> None:
    expected = []
    for values in targets.astype(np.float64).T:
        known = values[~np.isnan(values)]
        expected.append(min((1 - known).sum() / (known.sum() + 1e-6), POS_WEIGHT_CAP))
    np.testing.assert_allclose(pos_weight(targets), expected, rtol=1e-12, atol=0)


@settings(max_examples=30, deadline=None)
@given(TARGETS, st.integers(1, 20))
def test_masked_rows_change_no_weight(targets: np.ndarray, more: int) -> None:
    padded = np.concatenate([targets, np.full((more, 14), NAN, np.float32)])
    np.testing.assert_allclose(pos_weight(padded), pos_weight(targets), rtol=1e-12)
    np.testing.assert_allclose(sampling_factors(padded), sampling_factors(targets), rtol=1e-12)


def test_pos_weight_limits() -> None:
    assert pos_weight(column(1, 50))[0] == pytest.approx(50, abs=1e-4)
    assert pos_weight(column(1, 500))[0] == POS_WEIGHT_CAP
    assert pos_weight(column(0, 1))[0] == POS_WEIGHT_CAP
    assert pos_weight(column(1, 500), cap=7)[0] == 7
    assert pos_weight(column(3, 0, 4))[0] == 0
    assert pos_weight(column(0, 0, 4))[0] == 0


@pytest.mark.parametrize(
    ("positives", "negatives", "factor"),
    [
        (100, 900, 1),  # at the limit of rare
        (500, 500, 1),
        (25, 975, 2),  # a quarter of the limit: its square root
        (1, 9999, FACTOR_CAP),
        (0, 100, 1),
        (0, 0, 1),
        (7, 0, 1),
    ],
)
def test_sampling_factor_is_the_square_root_of_the_rarity(
    positives: int, negatives: int, factor: float
) -> None:
    assert RARE_PREVALENCE == 0.1
    assert sampling_factors(column(positives, negatives, 50))[0] == pytest.approx(factor)


def test_sampling_factors_can_be_set() -> None:
    assert sampling_factors(column(10, 990), rare=0.04)[0] == pytest.approx(2)
    assert sampling_factors(column(1, 9999), cap=9)[0] == 9


def test_a_film_weighs_the_product_of_what_it_truly_shows() -> None:
    factors = np.array([2.0, 3.0, 1.0])
    targets = np.array(
        [[0, 0, 0], [1, 0, 0], [1, 1, 0], [1, 1, 1], [NAN, 1, NAN], [0.99, NAN, 0], [NAN] * 3, [-1, 0.7, 1]]
    )
    np.testing.assert_allclose(sample_weights(targets, factors=factors), [1, 2, 6, 6, 3, 1, 1, 1])


@settings(max_examples=60, deadline=None)
@given(TARGETS, st.integers(0, 13), st.integers(0, 29))
def test_one_more_rare_observation_multiplies_the_weight(
    targets: np.ndarray, observation: int, row: int
) -> None:
    factors = np.linspace(1, 4, 14)
    row %= len(targets)
    before, after = targets.copy(), targets.copy()
    before[row, observation], after[row, observation] = 0, 1
    ratio = sample_weights(after, factors=factors) / sample_weights(before, factors=factors)
    expected = np.ones(len(targets))
    expected[row] = factors[observation]
    np.testing.assert_allclose(ratio, expected, rtol=1e-12)


@pytest.mark.parametrize(
    ("factors", "message"),
    [
        ([1.0, 2.0], "one per observation is needed: 3"),
        ([[1.0, 2.0, 3.0]], "one per observation"),
        ([1.0, 0.5, 2.0], "at least 1"),
        ([1.0, NAN, 2.0], "finite"),
        ([1.0, np.inf, 2.0], "finite"),
    ],
)
def test_factors_that_do_not_fit(factors: list[float], message: str) -> None:
    with pytest.raises(DatasetError, match=message):
        sample_weights(np.zeros((4, 3)), factors=np.array(factors))


def test_factors_by_name_are_those_by_place() -> None:
    targets = np.zeros((3, len(OBSERVATIONS)))
    targets[1, OBSERVATIONS.index("Fracture")] = 1
    assert sample_weights(targets, factors={"Fracture": 2.5}).tolist() == pytest.approx([1, 2.5, 1])
    with pytest.raises(DatasetError, match="Fractures"):
        sample_weights(targets, factors={"Fractures": 2.0})
