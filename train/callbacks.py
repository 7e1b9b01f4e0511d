"""What watches a run while it goes on: the progress bar, `history.csv`, the look for what is not finite."""

import math
import time
from pathlib import Path
from typing import Any, Final

import pandas as pd
import torch
from lightning import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import TQDMProgressBar
from tqdm import tqdm

from chexmodel.atomic import write_file
from chexmodel.errors import ChexError

HISTORY: Final = "history.csv"
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
        """Rows and the epoch's seconds so far: a resumed run writes one unbroken history."""
        return {"rows": self.rows, "seconds": time.monotonic() - self.started}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take up the rows and the clock of a checkpoint."""
        self.rows = list(state_dict["rows"])
        self.started = time.monotonic() - state_dict["seconds"]


class Finite(Callback):
    """Stop at a loss or a weight that is NaN or infinite, before a checkpoint could keep it."""

    EVERY: Final = 50
    """Steps between two looks at the loss on a GPU, each of which waits for the device."""

    def __init__(self) -> None:
        self.total = torch.zeros(())  # of all losses: one that is not finite stays in it

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Look at the losses so far."""
        self.total = self.total + outputs["loss"]
        if self.total.device.type == "cpu" or (batch_idx + 1) % self.EVERY == 0:
            self._require(math.isfinite(self.total), trainer)

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Look at the weights too: every score of the epoch would be undefined."""
        weights = pl_module.state_dict().values()
        finite = all(bool(value.isfinite().all()) for value in weights)
        self._require(finite and math.isfinite(self.total), trainer)

    def on_save_checkpoint(
        self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Look at all that would be kept."""
        self.on_validation_start(trainer, pl_module)

    def _require(self, finite: bool, trainer: Trainer) -> None:
        if finite:
            return
        coarse = "" if trainer.precision == "32-true" else " or --precision 32-true"
        raise ChexError(
            f"the loss is NaN or infinite in epoch {trainer.current_epoch + 1}, by step "
            f"{trainer.fit_loop.batch_idx + 1} of {trainer.num_training_batches}: start again in another "
            f"--out with a lower --learning-rate{coarse}; the checkpoints of before that are kept"
        )


class Progress(TQDMProgressBar):
    """Loss, learning rate, films per second of all devices and the time left in the whole run."""

    EVERY: Final = 0.1
    """Seconds between two drawings, one of which takes as long as a step of a small network."""

    def __init__(self, batch_size: int) -> None:
        super().__init__()
        self.batch_size = batch_size
        self.drawn = 0.0
        self.loss = float("nan")

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Set the bar of an epoch that a resumed run is in the middle of: its start will not come again."""
        super().on_train_start(trainer, pl_module)
        bar = self.train_progress_bar
        bar.total = self.total_train_batches
        bar.n = bar.initial = trainer.fit_loop.epoch_loop.batch_progress.current.ready
        bar.set_description(f"Epoch {trainer.current_epoch}", refresh=False)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Draw the bar, unless that was done just now."""
        now = time.monotonic()
        if trainer.is_last_batch or now - self.drawn >= self.EVERY:
            self.drawn = now
            self.loss = float(outputs["loss"])  # not logged by the module: that takes 0.7 ms a step
            super().on_train_batch_end(trainer, pl_module, outputs, batch, batch_idx)

    def get_metrics(
        self, trainer: Trainer, pl_module: LightningModule
    ) -> dict[str, int | str | float | dict[str, float]]:
        """Add loss, learning rate, speed and time left to what the module logs for the bar."""
        shown = super().get_metrics(trainer, pl_module)
        shown["loss"] = f"{self.loss:.4f}"
        shown["lr"] = f"{trainer.optimizers[0].param_groups[0]['lr']:.1e}"
        bar = self.train_progress_bar
        elapsed = bar.format_dict["elapsed"]
        steps = bar.n - bar.initial
        if steps and elapsed:
            steps_left = trainer.estimated_stepping_batches - trainer.global_step
            shown["films/s"] = f"{steps * self.batch_size * trainer.world_size / elapsed:.0f}"
            shown["left"] = tqdm.format_interval(steps_left * elapsed / steps)
        return shown
