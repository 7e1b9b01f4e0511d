"""What a training step costs beyond its arithmetic: `pytest tests/benchmarks -m benchmark -s`."""

import copy
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from lightning import Callback, LightningModule, Trainer
from torch.utils.data import DataLoader

from train.config import FitConfig
from train.films import Batch
from train.losses import masked_focal_loss
from train.module import Classifier
from train.run import CHECKPOINTS, _trainer
from train.sampling import EpochSampler

pytestmark = pytest.mark.benchmark
STEPS = 200


class OneLayer(torch.nn.Module):
    """A network that costs next to nothing: what is left of a step is the loop around it."""

    def __init__(self) -> None:
        super().__init__()
        self.head = torch.nn.Linear(3 * 8 * 8, 14)

    def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return self.head(images.flatten(1)), images


class Clock(Callback):
    """Seconds from the start of the first step to the end of the last, whatever is in between."""

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, at: int) -> None:
        if at == 0:
            self.started = time.perf_counter()

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, at: int
    ) -> None:
        self.seconds = time.perf_counter() - self.started


def bare(net: OneLayer, batches: list[Batch], config: FitConfig) -> float:
    """Train in a loop written out here; seconds."""
    groups = [{"params": [net.head.weight]}, {"params": [net.head.bias], "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=config.learning_rate, weight_decay=config.weight_decay)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, max_lr=config.learning_rate, total_steps=len(batches)
    )
    started = time.perf_counter()
    for images, targets in batches:
        optimizer.zero_grad()
        loss = masked_focal_loss(net(images)[0], targets, gamma=config.gamma)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), config.gradient_clip)
        optimizer.step()
        schedule.step()
    return time.perf_counter() - started


def test_a_step_beside_a_bare_loop(tmp_path: Path) -> None:
    """The trainer as `fit` builds it, bar and logging and all, and a bare loop, on the same batches."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    config = FitConfig(data=tmp_path, out=tmp_path, epochs=1, batch_size=16, accelerator="cpu")
    batches = [
        (torch.randn(16, 3, 8, 8), torch.tensor([0.0, 1.0, torch.nan])[torch.randint(3, (16, 14))])
        for _ in range(STEPS)
    ]
    (tmp_path / CHECKPOINTS).mkdir()
    start = OneLayer()
    seconds: dict[str, list[float]] = {"ours": [], "bare": []}
    for _ in range(10):
        ours, theirs = copy.deepcopy(start), copy.deepcopy(start)
        seconds["bare"].append(bare(theirs, batches, config))
        trainer = _trainer(config, EpochSampler(np.ones(16), seed=0, batch_size=16), "last")
        clock = Clock()
        trainer.callbacks.append(clock)
        loader = DataLoader(batches, batch_size=None)  # type: ignore[arg-type, var-annotated]
        trainer.fit(Classifier(ours, config, alpha=None), loader)  # type: ignore[arg-type]
        seconds["ours"].append(clock.seconds)
        torch.testing.assert_close(ours.state_dict(), theirs.state_dict(), atol=1e-5, rtol=0)
        assert not torch.equal(ours.head.weight, start.head.weight)
    mine, peer = (min(times) / STEPS * 1e3 for times in seconds.values())
    print(f"\na training step: {mine:.2f} ms here, {peer:.2f} ms in a bare loop: {mine - peer:.2f} ms more")
