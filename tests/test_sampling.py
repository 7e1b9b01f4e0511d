from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.stats import chisquare

from chexmodel import weighting
from chexmodel.preprocessing import Preprocessing
from train import sampling
from train.config import FitConfig
from train.dataset import load_splits
from train.films import Films, loader
from train.sampling import Draw, EpochSampler, ShardedOrder

WEIGHTS = np.array([1.0, 2.0, 4.0, 1.0, 8.0])


def draws(weights: np.ndarray, *, seed: int = 0, epoch: int = 0) -> list[Draw]:
    sampler = EpochSampler(weights, seed=seed, batch_size=8)
    sampler.set_epoch(epoch)
    return list(sampler)


def steps(draws: list[Draw], size: int) -> list[list[Draw]]:
    return [draws[start : start + size] for start in range(0, len(draws), size)]


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
    sampler = EpochSampler(weights, seed=3, batch_size=8)
    sampler.set_epoch(5)
    assert list(sampler) == list(sampler) == first  # iterating twice draws the same epoch


def test_equal_weights_show_every_film_once_and_shuffled() -> None:
    for weight in (1.0, 0.25):
        positions = [draw.position for draw in draws(np.full(40, weight))]
        assert sorted(positions) == list(range(40))
        assert positions != list(range(40))


def test_an_epoch_is_as_long_as_the_split() -> None:
    sampler = EpochSampler(WEIGHTS, seed=0, batch_size=8)
    assert len(sampler) == len(list(sampler)) == 5
    assert all(0 <= position < 5 for position, *_ in sampler)


def test_draws_follow_the_weights() -> None:
    repeats = 2000
    sampler = EpochSampler(np.repeat(WEIGHTS, repeats), seed=1, batch_size=8)
    drawn = Counter(position // repeats for position, *_ in sampler)
    observed = np.array([drawn[k] for k in range(len(WEIGHTS))])
    assert chisquare(observed, len(sampler) * WEIGHTS / WEIGHTS.sum()).pvalue > 1e-3


def test_augmentation_seeds_differ_between_draws_of_one_film() -> None:
    seeds = [seed for _, seed, _ in draws(np.tile(WEIGHTS, 200))]
    assert len(set(seeds)) == len(seeds)
    assert all(0 <= seed < 2**63 for seed in seeds)


@pytest.mark.parametrize("films", [1, 2, 3, 7, 15, 16, 17, 18, 19, 31, 32, 33, 35, 40])
@pytest.mark.parametrize(("world", "size"), [(2, 4), (2, 8), (3, 5), (5, 1)])
def test_processes_together_make_the_steps_of_one(films: int, world: int, size: int) -> None:
    weights = np.random.default_rng(films).uniform(1, 5, films)
    shards = [EpochSampler(weights, seed=7, batch_size=size, rank=r, world=world) for r in range(world)]
    assert len({len(shard) for shard in shards}) == 1
    assert all(len(shard) == len(list(shard)) for shard in shards)
    together = [
        {draw for part in parts for draw in part if not draw.masked}
        for parts in zip(*(steps(list(shard), size) for shard in shards), strict=True)
    ]
    whole = list(EpochSampler(weights, seed=7, batch_size=films + 1))
    expected = [set(step) for step in steps(whole, size * world)]
    if len(expected) > 1 and len(expected[-1]) <= world < size * world:
        expected.pop()
    assert together == expected


@pytest.mark.parametrize(
    ("films", "size", "shown"), [(9, 8, 8), (8, 8, 8), (10, 8, 10), (1, 8, 1), (17, 8, 16), (3, 1, 3)]
)
def test_a_last_step_of_one_film_is_left_out(films: int, size: int, shown: int) -> None:
    sampler = EpochSampler(np.ones(films), seed=0, batch_size=size)
    assert len(sampler) == len(list(sampler)) == shown


@pytest.mark.parametrize("world", [1, 2, 3])
def test_an_epoch_goes_on_at_a_step_and_the_next_begins_at_its_start(world: int) -> None:
    def sampler() -> EpochSampler:
        return EpochSampler(np.tile(WEIGHTS, 10), seed=3, batch_size=4, rank=world - 1, world=world)

    whole = {}
    for epoch in (2, 3):
        other = sampler()
        other.set_epoch(epoch)
        whole[epoch] = list(other)
    resumed = sampler()
    resumed.resume(2, steps=3)
    assert len(resumed) == len(whole[2])  # Lightning counts the steps of whole epochs
    assert list(resumed) == whole[2][3 * 4 :]
    resumed.set_epoch(2)  # as Lightning does when it goes on with the epoch
    assert list(resumed) == whole[2][3 * 4 :]
    resumed.set_epoch(3)
    assert list(resumed) == whole[3]


@pytest.mark.parametrize("world", [1, 2, 3, 9])
@pytest.mark.parametrize("films", [1, 6, 7, 8])
def test_sharded_order_shows_every_film_once(films: int, world: int) -> None:
    shards = [list(ShardedOrder(films, rank=rank, world=world)) for rank in range(world)]
    assert len({len(shard) for shard in shards}) == 1
    assert len(ShardedOrder(films, world=world)) == len(shards[0])
    together = [draw for turn in zip(*shards, strict=True) for draw in turn]
    assert together[:films] == [Draw(position) for position in range(films)]
    assert all(draw.masked for draw in together[films:])


def test_a_masked_film_has_no_targets(tiny_data: Path, tmp_path: Path) -> None:
    config = FitConfig(data=tiny_data, out=tmp_path, validation=0.4, batch_size=4, workers=0)
    split = load_splits(config).test
    films = Films(split, split.truth, Preprocessing(size=32, mean=(0.5,) * 3, std=(0.5,) * 3))
    parts = [
        list(loader(films, config, sampler=ShardedOrder(len(films), rank=rank, world=4))) for rank in range(4)
    ]
    assert len(films) == 6
    assert [len(targets) for part in parts for _, targets in part] == [2, 2, 2, 2]
    for rank, ((images, targets),) in enumerate(parts):
        assert torch.equal(images[0], films[rank][0])
        assert torch.equal(targets[0].nan_to_num(-1), films.labels[rank].nan_to_num(-1))
        assert torch.isfinite(images).all()
        assert bool(targets[1].isnan().all()) == (rank >= 2)
