from collections import Counter

import numpy as np
import pytest
from scipy.stats import chisquare

from chexmodel import weighting
from train import sampling
from train.sampling import Draw, EpochSampler

WEIGHTS = np.array([1.0, 2.0, 4.0, 1.0, 8.0])


def draws(weights: np.ndarray, *, seed: int = 0, epoch: int = 0) -> list[Draw]:
    sampler = EpochSampler(weights, seed=seed)
    sampler.set_epoch(epoch)
    return list(sampler)


def test_the_weights_are_those_of_the_pages() -> None:
    assert sampling.sample_weights is weighting.sample_weights
    assert sampling.sampling_factors is weighting.sampling_factors


@pytest.mark.parametrize("weights", [np.ones(50), np.tile(WEIGHTS, 10)], ids=["equal", "weighted"])
def test_draws_are_a_function_of_seed_and_epoch(weights: np.ndarray) -> None:
    first = draws(weights, seed=3, epoch=5)
    np.random.default_rng(0).random()  # nothing global takes part
    assert draws(weights, seed=3, epoch=5) == first
    others = [
        draws(weights, seed=3, epoch=6),
        draws(weights, seed=4, epoch=5),
        draws(weights, seed=5, epoch=3),
    ]
    assert all(other != first for other in others)
    sampler = EpochSampler(weights, seed=3)
    sampler.set_epoch(5)
    assert list(sampler) == list(sampler) == first  # iterating twice draws the same epoch


def test_equal_weights_show_every_film_once_and_shuffled() -> None:
    for weight in (1.0, 0.25):
        positions = [draw.position for draw in draws(np.full(40, weight))]
        assert sorted(positions) == list(range(40))
        assert positions != list(range(40))


def test_an_epoch_is_as_long_as_the_split() -> None:
    sampler = EpochSampler(WEIGHTS, seed=0)
    assert len(sampler) == len(list(sampler)) == 5
    assert all(0 <= position < 5 for position, _ in sampler)


def test_draws_follow_the_weights() -> None:
    repeats = 2000
    sampler = EpochSampler(np.repeat(WEIGHTS, repeats), seed=1)
    drawn = Counter(position // repeats for position, _ in sampler)
    observed = np.array([drawn[k] for k in range(len(WEIGHTS))])
    assert chisquare(observed, len(sampler) * WEIGHTS / WEIGHTS.sum()).pvalue > 1e-3


def test_augmentation_seeds_differ_between_draws_of_one_film() -> None:
    seeds = [seed for _, seed in draws(np.tile(WEIGHTS, 200))]
    assert len(set(seeds)) == len(seeds)
    assert all(0 <= seed < 2**63 for seed in seeds)
