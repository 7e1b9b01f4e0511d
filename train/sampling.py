"""Which films an epoch shows, and in which order."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import Sampler, WeightedRandomSampler

from chexmodel.weighting import sample_weights, sampling_factors

__all__ = ["Draw", "EpochSampler", "sample_weights", "sampling_factors"]


class Draw(NamedTuple):
    """One film of an epoch: its position in the split, and the seed of its augmentation."""

    position: int
    seed: int


class EpochSampler(Sampler[Draw]):
    """Draw an epoch of films with replacement, in proportion to their weights.

    With equal weights every film is shown once, shuffled. Draws and augmentation seeds are a function of
    (seed, epoch) alone, so that neither the number of workers nor an interruption changes them.

    Args:
        weights: (N,), > 0.
        seed: of the run.
    """

    def __init__(self, weights: NDArray[np.float64], *, seed: int) -> None:
        self.weights = torch.as_tensor(weights, dtype=torch.float64)
        self.seed = seed
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch that the next iteration draws."""
        self.epoch = epoch

    def __len__(self) -> int:
        """Films per epoch: as many as the split has."""
        return len(self.weights)

    def __iter__(self) -> Iterator[Draw]:
        """Yield the epoch's draws."""
        seed = int(np.random.SeedSequence([self.seed, self.epoch]).generate_state(1, np.uint64)[0] >> 1)
        generator = torch.Generator().manual_seed(seed)
        if bool((self.weights == self.weights[0]).all()):
            positions = torch.randperm(len(self), generator=generator).tolist()
        else:
            positions = list(WeightedRandomSampler(self.weights, len(self), generator=generator))  # type: ignore[arg-type]
        seeds = torch.randint(2**62, (len(self),), generator=generator).tolist()
        return map(Draw._make, zip(positions, seeds, strict=True))
