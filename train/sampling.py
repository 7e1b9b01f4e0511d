"""Which films an epoch shows, in which order, and which of them each process of a training takes."""

from collections.abc import Iterator, Sequence
from itertools import cycle, islice
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import Sampler, WeightedRandomSampler

from chexmodel.weighting import sample_weights, sampling_factors

__all__ = ["Draw", "EpochSampler", "ShardedOrder", "sample_weights", "sampling_factors"]


class Draw(NamedTuple):
    """One film of an epoch: its position in the split, and the seed of its augmentation (None: as it is).

    A masked draw fills up a process that comes short: its targets are NaN, so that it counts nowhere.
    """

    position: int
    seed: int | None = None
    masked: bool = False


class EpochSampler(Sampler[Draw]):
    """Draw an epoch of films with replacement, in proportion to their weights.

    With equal weights every film is shown once, shuffled. The draws of all processes and their augmentation
    seeds are a function of (seed, epoch) alone, so that neither the number of workers nor an interruption
    changes them; step t of all processes together shows the films of the single process's step t, if that
    has the batch size of all of them. A last step of at most one film a process is left out, since batch
    norm would see a variance of nothing, unless it is the only one or all are like that.

    Args:
        weights: (N,), > 0.
        seed: of the run.
        batch_size: films per step and process.
        rank: number of this process, 0 … world − 1.
        world: number of processes.
    """

    def __init__(
        self, weights: NDArray[np.float64], *, seed: int, batch_size: int, rank: int = 0, world: int = 1
    ) -> None:
        self.weights = torch.as_tensor(weights, dtype=torch.float64)
        self.seed = seed
        self.batch_size = batch_size
        self.rank = rank
        self.world = world
        self.epoch = 0
        self.skipped = 0

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch that the next iteration draws, from its start unless it was resumed at."""
        if epoch != self.epoch:
            self.resume(epoch, steps=0)

    def resume(self, epoch: int, *, steps: int) -> None:
        """Choose the epoch that the next iteration draws, and leave out as many steps as were done of it."""
        self.epoch, self.skipped = epoch, steps

    def __len__(self) -> int:
        """Draws of one process in a whole epoch, whatever an iteration leaves out."""
        return -(-self._shown // self.world)

    @property
    def _shown(self) -> int:
        films, step = len(self.weights), self.batch_size * self.world
        rest = films % step
        return films - rest if rest <= self.world < step < films else films

    def __iter__(self) -> Iterator[Draw]:
        """Yield this process's draws of the epoch, or what is left of them."""
        seed = int(np.random.SeedSequence([self.seed, self.epoch]).generate_state(1, np.uint64)[0] >> 1)
        generator = torch.Generator().manual_seed(seed)
        films = len(self.weights)
        if bool((self.weights == self.weights[0]).all()):
            positions = torch.randperm(films, generator=generator).tolist()
        else:
            positions = list(WeightedRandomSampler(self.weights, films, generator=generator))  # type: ignore[arg-type]
        seeds = torch.randint(2**62, (films,), generator=generator).tolist()
        draws = list(map(Draw, positions, seeds))[: self._shown]
        return iter(_share(draws, self.rank, self.world)[self.skipped * self.batch_size :])


class ShardedOrder(Sampler[Draw]):
    """Films in their order, as they are: process r of W takes films r, r + W, … in turn.

    Args:
        films: number of films, ≥ 1.
        rank: number of this process, 0 … world − 1.
        world: number of processes.
    """

    def __init__(self, films: int, *, rank: int = 0, world: int = 1) -> None:
        self.draws = _share(list(map(Draw, range(films))), rank, world)

    def __len__(self) -> int:
        """Draws of this process, the same number as of the others."""
        return len(self.draws)

    def __iter__(self) -> Iterator[Draw]:
        """Yield this process's draws."""
        return iter(self.draws)


def _share(draws: Sequence[Draw], rank: int, world: int) -> list[Draw]:
    """Every world-th of the draws, and a masked one where this process comes short of the others."""
    filling = islice(cycle(draws), -len(draws) % world)
    return [*draws, *(draw._replace(masked=True) for draw in filling)][rank::world]
