"""What label policies make of a table: counts by hand, expectations against the definition of a draw."""

from itertools import product

import numpy as np
import pytest
import torch
from chexpert_rows import labelled, real_table
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils.data import WeightedRandomSampler

from chexmodel.errors import DatasetError
from chexmodel.labels import OBSERVATIONS
from chexmodel.policies import expected_epoch, explain_all, explain_policy
from chexmodel.table import read_table, targets
from chexmodel.weighting import pos_weight, sample_weights, sampling_factors
from train.sampling import EpochSampler

EDEMA, FRACTURE = OBSERVATIONS.index("Edema"), OBSERVATIONS.index("Fracture")


def column(name: str, states: list[float]) -> np.ndarray:
    """Labels that are blank but for one observation."""
    labels = np.full((len(states), 14), np.nan)
    labels[:, OBSERVATIONS.index(name)] = states
    return labels


# Two positives, one negative, one uncertain, four blanks.
STATES = [1, 1, 0, -1, np.nan, np.nan, np.nan, np.nan]


@pytest.mark.parametrize(
    ("uncertain", "blank", "expected"),
    [  # positives, negatives, masked, F1 of the constant yes
        ("ignore", "negative", (2, 5, 1, 4 / 9)),
        ("ignore", "ignore", (2, 1, 5, 4 / 5)),
        ("ones", "negative", (3, 5, 0, 6 / 11)),
        ("ones", "ignore", (3, 1, 4, 6 / 7)),
        ("zeros", "negative", (2, 6, 0, 4 / 10)),
        ("zeros", "ignore", (2, 2, 4, 4 / 6)),
        ("mixed", "ignore", (3, 1, 4, 6 / 7)),  # Edema: ones
    ],
)
def test_counts_by_hand(uncertain: str, blank: str, expected: tuple[float, ...]) -> None:
    effect = explain_policy(labelled(column("Edema", STATES)), uncertain=uncertain, blank=blank)
    edema = effect.observations["Edema"]
    assert (edema.positives, edema.negatives, edema.masked) == expected[:3]
    assert edema.f1_constant_yes == pytest.approx(expected[3], abs=1e-6)
    assert effect.frame().loc["Edema", "pos_weight"] == pytest.approx(expected[1] / expected[0], abs=1e-5)
    never = effect.observations["Fracture"]  # never labelled: nothing is known, whatever a blank means
    assert (never.positives, never.negatives, never.masked) == (0, 0, 8)
    assert np.isnan(never.f1_constant_yes)
    assert np.isnan(effect.frame().loc["Fracture", "pos_weight"])
    assert effect.macro_constant_yes() == (edema.f1_constant_yes, 1)


def test_smoothed_labels_count_by_their_parts_and_are_no_truth() -> None:
    effect = explain_policy(labelled(column("Edema", STATES)), uncertain="smooth", blank="ignore")
    edema = effect.observations["Edema"]
    assert 2.55 <= edema.positives <= 2.85
    assert edema.positives + edema.negatives == pytest.approx(4)
    assert edema.f1_constant_yes == pytest.approx(4 / 5)


def test_no_positive_anywhere_is_undefined() -> None:
    effect = explain_policy(labelled(column("Edema", [0, 0])))
    assert np.isnan(effect.macro_constant_yes()[0])
    assert effect.macro_constant_yes()[1] == 0
    assert effect.observations["Edema"].drawn == 0


def test_the_cap_bounds_the_weight_and_none_does_not() -> None:
    effect = explain_policy(labelled(column("Edema", [1] + 19 * [0])))
    weights = {cap: effect.frame(cap=cap).loc["Edema", "pos_weight"] for cap in (1.0, 10.0, np.inf)}
    assert weights == pytest.approx({1.0: 1.0, 10.0: 10.0, np.inf: 19.0}, rel=1e-5)


def test_views_keep_what_the_file_knows() -> None:
    # Fracture is labelled on a lateral film alone: on frontal ones a blank is still a negative.
    labels = column("Fracture", [np.nan, np.nan, 1])
    table = labelled(labels).assign(**{"Frontal/Lateral": ["Frontal", "Frontal", "Lateral"]})
    effect = explain_policy(table, views="frontal")
    assert effect.films == 2
    assert effect.observations["Fracture"].negatives == 2
    table.index = [7, 3, 5]
    # As text: NaN, which the undefined is, equals nothing.
    assert explain_policy(table, views="frontal").model_dump_json() == effect.model_dump_json()


def test_expectations_by_hand() -> None:
    # Weights 3, 1, 1, 1: each of 4 draws shows the first film with probability 1/2.
    labels = np.full((4, 14), 0.0)
    labels[0, EDEMA] = 1
    labels[:2, FRACTURE] = 1
    labels[3, FRACTURE] = np.nan
    drawn, distinct = expected_epoch(labels, np.array([3.0, 1.0, 1.0, 1.0]))
    assert drawn[EDEMA] == pytest.approx(2)
    assert drawn[FRACTURE] == pytest.approx(4 * (1 / 2 + 1 / 6))
    assert distinct == pytest.approx((1 - (1 / 2) ** 4) + 3 * (1 - (5 / 6) ** 4))


@settings(max_examples=50, deadline=None)
@given(
    st.lists(st.tuples(st.floats(1, 20), st.sampled_from([0.0, 1.0, np.nan])), min_size=2, max_size=5),
)
def test_expectations_are_those_of_every_possible_epoch(films: list[tuple[float, float]]) -> None:
    """Against the definition: all N^N epochs of N draws with replacement, each with its probability."""
    weights = np.array([weight for weight, _ in films])
    labels = np.array([[label] for _, label in films])
    drawn, distinct = expected_epoch(labels, weights)
    if np.all(weights == weights[0]):
        assert (drawn[0], distinct) == (np.nansum(labels), len(films))
        return
    chances = weights / weights.sum()
    epochs = list(product(range(len(films)), repeat=len(films)))
    likely = [np.prod(chances[list(epoch)]) for epoch in epochs]
    assert drawn[0] == pytest.approx(
        sum(p * np.nansum(labels[list(epoch)]) for p, epoch in zip(likely, epochs, strict=True))
    )
    assert distinct == pytest.approx(sum(p * len(set(e)) for p, e in zip(likely, epochs, strict=True)))


def test_expectations_are_those_of_torchs_sampler() -> None:
    """WeightedRandomSampler draws each film with the chance that the expectation takes it to have."""
    labels = np.zeros((40, 14))
    labels[:2, EDEMA] = labels[1:3, FRACTURE] = 1
    weights = sample_weights(labels, factors=sampling_factors(labels))
    drawn, distinct = expected_epoch(labels, weights)
    draws = 400_000
    sampler = WeightedRandomSampler(weights.tolist(), draws, generator=torch.Generator().manual_seed(0))
    shown = np.bincount(list(sampler), minlength=40) / draws
    # Five standard errors of a share of 400,000 draws.
    np.testing.assert_allclose(shown @ labels[:, EDEMA], drawn[EDEMA] / 40, atol=5 * np.sqrt(0.25 / draws))
    np.testing.assert_allclose(shown, weights / weights.sum(), atol=5 * np.sqrt(0.1 / draws))
    epochs = EpochSampler(weights, seed=0, batch_size=4)
    numbers = []
    for epoch in range(300):
        epochs.set_epoch(epoch)
        numbers.append(len({draw.position for draw in epochs}))
    assert np.mean(numbers) == pytest.approx(distinct, abs=5 * np.std(numbers) / np.sqrt(300))


def test_it_is_what_training_computes() -> None:
    rng = np.random.default_rng(0)
    labels = rng.choice([1, 0, -1, np.nan], size=(200, 14), p=[0.05, 0.2, 0.1, 0.65])
    table = labelled(labels)
    frame = explain_policy(table, uncertain="zeros", blank="negative").frame()
    chosen = targets(table, uncertain="zeros", blank="negative")
    np.testing.assert_allclose(frame["pos_weight"], pos_weight(chosen), rtol=1e-5)
    np.testing.assert_allclose(frame["factor"], sampling_factors(chosen), rtol=1e-5)


@pytest.mark.parametrize("option", [{"uncertain": "maybe"}, {"blank": "maybe"}, {"views": "maybe"}])
def test_an_unknown_policy_is_refused(option: dict[str, str]) -> None:
    with pytest.raises(DatasetError, match="maybe"):
        explain_policy(labelled(column("Edema", STATES)), **option)


def test_the_order_of_the_films_does_not_matter() -> None:
    rng = np.random.default_rng(1)
    table = labelled(rng.choice([1, 0, -1, np.nan], size=(50, 14), p=[0.05, 0.2, 0.1, 0.65]))
    for one, two in zip(explain_all(table), explain_all(table.iloc[::-1]), strict=True):
        assert one.frame().to_numpy() == pytest.approx(two.frame().to_numpy(), nan_ok=True)
        assert one.distinct == pytest.approx(two.distinct)


def test_on_the_real_table_a_constant_yes_reaches_what_the_reference_project_reports() -> None:
    effect = explain_policy(read_table(real_table()), blank="ignore")
    assert effect.macro_constant_yes()[0] == pytest.approx(0.816, abs=5e-4)
    assert effect.observations["No Finding"].negatives == 0
