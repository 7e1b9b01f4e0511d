"""Files to go on from after an interruption: whole at any moment, and exact to the bit."""

import io
import zipfile
from pathlib import Path
from typing import Any, Final

import torch
from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import Checkpoint
from lightning.pytorch.plugins.io import TorchCheckpointIO
from torchmetrics import Metric

from chexmodel.atomic import write_file
from chexmodel.errors import BundleError
from train.sampling import EpochSampler

LAST: Final = "last.ckpt"
BEST: Final = "best.ckpt"
_PLACE: Final = "place"  # key in the checkpoint


class WholeFiles(TorchCheckpointIO):
    """Replace a checkpoint only by a whole one that has reached the disk."""

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | Path, storage_options: object = None
    ) -> None:
        """Write a checkpoint.

        Raises:
            OSError: the disk is full or not writable; the former file is then as it was.
        """
        buffer = io.BytesIO()
        torch.save(checkpoint, buffer)
        write_file(Path(path), buffer.getvalue())


def require_whole(directory: Path) -> None:
    """Read the checkpoints of a directory against the checksums in them.

    Raises:
        BundleError: one is cut off or changed.
    """
    for file in sorted(directory.glob("*.ckpt")):
        try:
            with zipfile.ZipFile(file) as archive:
                spoilt = archive.testzip()
        except (OSError, EOFError, zipfile.BadZipFile) as error:
            spoilt = str(error)
        if spoilt is not None:
            raise BundleError(
                f"checkpoint {file} is damaged ({spoilt}): restore it from a copy, or start again in "
                "another --out"
            )


class Checkpoints(Checkpoint):
    """Keep `last.ckpt`, from which a run goes on as if nothing had happened, and `best.ckpt`.

    To what Lightning saves (weights, optimizer, schedule, progress, the callbacks' states) they add the place
    in the epoch, torch's random state, the training loss so far and the best score. The file names are
    those of the directory that is given, wherever it was when the run began.

    Args:
        directory: where the files are.
        sampler: of the training films; loading a checkpoint points it at the place, since Lightning makes
            the first iterator before it calls `set_epoch`.
        steps: also save in the course of an epoch, after so many steps each; 0: only at its end.
        monitor: metric whose highest value makes an epoch the best; None: no `best.ckpt`.
    """

    def __init__(
        self, directory: Path, sampler: EpochSampler, *, steps: int = 0, monitor: str | None = None
    ) -> None:
        self.directory = directory
        self.sampler = sampler
        self.steps = steps
        self.monitor = monitor
        self.best: float | None = None
        self.done = (0, 0)  # whole epochs, and steps of the next
        self.loaded: dict[str, Any] | None = None

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Save in the course of an epoch; after its last step validation comes first."""
        self.done = (trainer.current_epoch, batch_idx + 1)
        if self.steps and (batch_idx + 1) % self.steps == 0 and not trainer.is_last_batch:
            self._save(trainer, LAST)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Save at the end of an epoch: Lightning calls this after the other callbacks, early stopping too."""
        self.done = (trainer.current_epoch + 1, 0)
        if self.monitor is not None:
            score = float(trainer.callback_metrics[self.monitor])
            if self.best is None or score > self.best:
                self.best = score
                self._save(trainer, BEST)
        self._save(trainer, LAST)

    def _save(self, trainer: Trainer, name: str) -> None:
        trainer.save_checkpoint(self.directory / name, weights_only=False)

    def on_save_checkpoint(
        self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Add the place to what Lightning saves."""
        epochs, steps = self.done
        on_gpu = pl_module.device.type == "cuda"
        metric = _train_loss(pl_module)
        with metric.sync_context():  # one sum of all processes: only the first one's checkpoint is written
            running = {name: torch.as_tensor(value).clone() for name, value in metric.metric_state.items()}
        checkpoint[_PLACE] = {
            "epochs": epochs,
            "steps": steps,
            "stopped": trainer.should_stop,
            "best": self.best,
            "train_loss": running,
            "random": torch.get_rng_state(),
            "random_gpu": torch.cuda.get_rng_state(pl_module.device) if on_gpu else None,
        }

    def on_load_checkpoint(
        self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Point the sampler at the place, before the first iterator is made."""
        if _PLACE not in checkpoint:
            raise BundleError(
                f"{self.directory / LAST} is of an older version of this program: go on with that, or start "
                "again in another --out"
            )
        self.loaded = place = dict(checkpoint[_PLACE])
        self.sampler.resume(place["epochs"], steps=place["steps"])
        self.best = place["best"]
        if self.best is not None and not (self.directory / BEST).is_file():
            raise BundleError(
                f"{self.directory / BEST} is missing, the weights of the best epoch so far: restore it, or "
                "start again in another --out"
            )

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Take up the rest, now that nothing draws random numbers any more before the next step."""
        if self.loaded is None:
            return
        place, self.loaded = self.loaded, None
        trainer.should_stop = place["stopped"]
        if trainer.is_global_zero:
            for name, value in place["train_loss"].items():
                setattr(_train_loss(pl_module), name, value.to(pl_module.device))
        torch.set_rng_state(place["random"])
        if pl_module.device.type == "cuda" and place["random_gpu"] is not None:
            torch.cuda.set_rng_state(place["random_gpu"], pl_module.device)


def _train_loss(module: LightningModule) -> Metric:
    metric = module.train_loss
    assert isinstance(metric, Metric)
    return metric
