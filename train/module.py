"""The Lightning shell around the network, the loss and the validation metrics."""

from typing import Any, Final

import numpy as np
import torch
from lightning import LightningModule
from torchmetrics import CatMetric, MeanMetric

from chexmodel.errors import BundleError
from chexmodel.explain import class_activation_maps
from chexmodel.metrics import evaluate
from chexmodel.network import Network
from train.config import FitConfig
from train.films import Batch
from train.losses import masked_asymmetric_loss, masked_focal_loss, pointing_loss

_DEVICES: Final = "devices"  # key in the checkpoint


class Classifier(LightningModule):
    """Optimise a masked loss with AdamW and a one-cycle schedule; score every epoch on validation.

    The learning rate follows OneCycleLR (Smith L. N. and Topin N., arXiv:1708.07120), stepped per batch.
    """

    def __init__(self, network: Network, config: FitConfig, *, alpha: torch.Tensor | None) -> None:
        super().__init__()
        self.network = network
        self.config = config
        self.register_buffer("alpha", alpha, persistent=False)
        # Not "disable" for these two: it would also drop the weights, which are the counts of labels.
        self.train_loss = MeanMetric()
        self.val_loss = MeanMetric()
        # NaN is a masked target here, not a fault: "disable" leaves it where it is.
        self.probs = CatMetric(nan_strategy="disable")
        self.truth = CatMetric(nan_strategy="disable")

    def _objective(
        self, logits: torch.Tensor, targets: torch.Tensor, count: torch.Tensor | None = None
    ) -> torch.Tensor:
        alpha = self.alpha if isinstance(self.alpha, torch.Tensor) else None
        if self.config.loss == "asl":
            return masked_asymmetric_loss(logits, targets, alpha=alpha, count=count)
        gamma = self.config.gamma if self.config.loss == "focal" else 0.0
        return masked_focal_loss(logits, targets, gamma=gamma, alpha=alpha, count=count)

    def _forward(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        logits, features = self.network(images.contiguous(memory_format=torch.channels_last))
        return logits, features

    def on_train_batch_start(self, batch: Batch, batch_idx: int) -> None:
        """Let dropout differ between ranks, which all have the seed of the run."""
        if self.trainer.world_size > 1:
            # Of the step, so that a resumed run goes on alike: a checkpoint has the state of one rank only.
            key = [self.config.seed, self.trainer.global_step, self.global_rank]
            torch.manual_seed(int(np.random.SeedSequence(key).generate_state(1, np.uint64)[0] >> 1))

    def training_step(self, batch: Batch, _: int) -> torch.Tensor:
        """Return the loss of one batch; the epoch's mean goes over unmasked entries, not over batches."""
        images, targets, *boxes = batch
        logits, features = self._forward(images)
        count = self._over_ranks((~torch.isnan(targets)).sum())
        world = self.trainer.world_size
        # DDP averages the ranks' gradients: this share of each rank makes that the gradient of the mean
        # over all unmasked entries of the global batch, however they are spread over the ranks.
        loss = self._objective(logits, targets, count) * world
        self.train_loss.update(loss.detach(), count / world)
        if boxes:
            maps = class_activation_maps(features, self.network.head.weight)
            boxed = (boxes[0] > 0).flatten(2).any(dim=2).sum()
            share = boxed * world / self._over_ranks(boxed).clamp(min=1)
            return loss + self.config.box_weight * share * pointing_loss(maps, boxes[0])
        return loss

    def _over_ranks(self, count: torch.Tensor) -> torch.Tensor:
        """Sum of a count over the ranks."""
        if self.trainer.world_size > 1:
            count = count.clone()
            # Not Lightning's reduction, which would hold the device up with a barrier in every step.
            torch.distributed.all_reduce(count)
        return count

    def validation_step(self, batch: Batch, _: int) -> None:
        """Add one batch to the validation metrics."""
        logits, _features = self._forward(batch[0])
        known = (~torch.isnan(batch[1])).sum()
        self.val_loss.update(self._objective(logits, batch[1]), known)
        self.probs.update(torch.sigmoid(logits.float()))
        self.truth.update(batch[1])

    def on_validation_epoch_end(self) -> None:
        """Log the epoch's validation metrics, macro over the observations where they are defined."""
        probs, truth = (metric.compute().float().cpu().numpy() for metric in (self.probs, self.truth))
        macro = evaluate(truth, probs, thresholds=0.5, bootstrap=0).macro
        known = ~np.isnan(truth)
        scores = {
            # Here, since the epoch's last training batch is behind us and the callbacks are yet to come.
            "train_loss": float(self.train_loss.compute()),
            "val_loss": float(self.val_loss.compute()),
            "val_accuracy": float(((probs >= 0.5) == (truth == 1))[known].mean()),
            **{f"val_{name}": macro[name].value for name in ("precision", "recall", "f1", "auroc")},
        }
        # The same on all ranks already; Lightning can't know that, and would warn.
        self.log_dict(scores, sync_dist=True)
        self.log("auroc", scores["val_auroc"], prog_bar=True, logger=False, sync_dist=True)
        for metric in (self.train_loss, self.val_loss, self.probs, self.truth):
            metric.reset()

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add the number of devices to what Lightning saves."""
        checkpoint[_DEVICES] = self.trainer.world_size

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Refuse to go on with another number of devices."""
        former, now = checkpoint.get(_DEVICES, 1), self.trainer.world_size
        if former != now:
            raise BundleError(
                f"the run was started on {former} device(s) and would go on with {now}, whose steps are of "
                f"another number of films: resume with --devices times --num-nodes equal to {former}"
            )

    def configure_optimizers(self) -> Any:
        """AdamW (arXiv:1711.05101) without decay on vectors, under OneCycleLR stepped per batch."""
        decayed = [p for p in self.network.parameters() if p.ndim > 1]
        others = [p for p in self.network.parameters() if p.ndim <= 1]
        groups: list[dict[str, Any]] = [{"params": decayed}, {"params": others, "weight_decay": 0.0}]
        optimizer = torch.optim.AdamW(
            groups,
            lr=self.config.learning_rate,
            weight_decay=self.config.weight_decay,
        )
        schedule = torch.optim.lr_scheduler.OneCycleLR(
            optimizer,
            max_lr=self.config.learning_rate,
            total_steps=int(self.trainer.estimated_stepping_batches),
        )
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}
