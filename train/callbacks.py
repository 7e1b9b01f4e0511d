"""What a run shows and keeps while it goes on: the progress bar, `history.csv`, the point to resume from."""

import time
from pathlib import Path
from typing import Any

import pandas as pd
from lightning import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import TQDMProgressBar
from tqdm import tqdm

from chexmodel.atomic import write_file
from train.sampling import EpochSampler

COLUMNS = (
    "train_loss",
    "val_loss",
    "val_accuracy",
    "val_precision",
    "val_recall",
    "val_f1",
    "val_auroc",
)
"""Metrics of `history.csv`; besides them it has `epoch` (from 1), `learning_rate` and `seconds`."""


class History(Callback):
    """Write one row an epoch to `history.csv`, whole at any moment."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.rows: list[dict[str, float]] = []
        self.started = 0.0

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start the epoch's clock."""
        self.started = time.monotonic()

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Add the epoch's row: the module logs all metrics at the end of its validation, before this."""
        if not trainer.is_global_zero:
            return
        measured = trainer.callback_metrics
        row = {"epoch": float(trainer.current_epoch + 1)}
        row |= {name: float(measured[name]) for name in COLUMNS if name in measured}
        row["learning_rate"] = float(trainer.optimizers[0].param_groups[0]["lr"])
        row["seconds"] = round(time.monotonic() - self.started, 1)
        self.rows.append(row)
        table = pd.DataFrame(self.rows).astype({"epoch": int})
        write_file(self.path, table.to_csv(index=False).encode())

    def state_dict(self) -> dict[str, Any]:
        """Rows so far, for the checkpoint: a resumed run writes one unbroken history."""
        return {"rows": self.rows}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take up the rows of a checkpoint."""
        self.rows = list(state_dict["rows"])


class SamplerEpoch(Callback):
    """Point the sampler at the epoch that a checkpoint goes on with.

    Lightning makes the first iterator before it calls `set_epoch`: without this, a resumed run would
    show the films of epoch 0 again.
    """

    def __init__(self, sampler: EpochSampler) -> None:
        self.sampler = sampler

    def on_load_checkpoint(
        self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Checkpoints are written at the end of an epoch; the next one is to be drawn."""
        self.sampler.set_epoch(int(checkpoint["epoch"]) + 1)


class Progress(TQDMProgressBar):
    """Loss, learning rate, films per second and the time left in the whole run."""

    def __init__(self, films_per_step: int) -> None:
        super().__init__()
        self.films_per_step = films_per_step

    def get_metrics(
        self, trainer: Trainer, pl_module: LightningModule
    ) -> dict[str, int | str | float | dict[str, float]]:
        """Add learning rate, speed and time left to what the module logs for the bar."""
        shown = super().get_metrics(trainer, pl_module)
        shown["lr"] = f"{trainer.optimizers[0].param_groups[0]['lr']:.1e}"
        bar = self.train_progress_bar
        elapsed = bar.format_dict["elapsed"]
        if bar.n and elapsed:
            steps_left = trainer.estimated_stepping_batches - trainer.global_step
            shown["films/s"] = f"{bar.n * self.films_per_step / elapsed:.0f}"
            shown["left"] = tqdm.format_interval(steps_left * elapsed / bar.n)
        return shown
