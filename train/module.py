"""The Lightning shell around the network, the loss and the validation metrics."""

from typing import Any

import numpy as np
import torch
from lightning import LightningModule
from torchmetrics import CatMetric, MeanMetric

from chexmodel.metrics import evaluate
from chexmodel.network import Network
from train.config import FitConfig
from train.dataset import Batch
from train.losses import masked_focal_loss


class Classifier(LightningModule):
    """Optimise masked focal loss with AdamW and a one-cycle schedule; score every epoch on validation.

    The learning rate follows OneCycleLR (Smith L. N. and Topin N., arXiv:1708.07120), stepped per batch.
    """

    def __init__(self, network: Network, config: FitConfig, *, alpha: torch.Tensor | None) -> None:
        super().__init__()
        self.network = network
        self.config = config
        self.register_buffer("alpha", alpha, persistent=False)
        self.train_loss = MeanMetric()
        self.val_loss = MeanMetric()
        # NaN is a masked target here, not a fault: "disable" leaves it where it is.
        self.probs = CatMetric(nan_strategy="disable")
        self.truth = CatMetric(nan_strategy="disable")

    def _loss(self, batch: Batch, mean: MeanMetric) -> tuple[torch.Tensor, torch.Tensor]:
        """Loss and logits of a batch; an epoch's mean goes over unmasked entries, not over batches."""
        images, targets = batch
        logits, _ = self.network(images.contiguous(memory_format=torch.channels_last))
        alpha = self.alpha if isinstance(self.alpha, torch.Tensor) else None
        loss = masked_focal_loss(logits, targets, gamma=self.config.gamma, alpha=alpha)
        known = (~torch.isnan(targets)).sum()
        if known > 0:
            mean.update(loss.detach(), known)
        return loss, logits

    def training_step(self, batch: Batch, _: int) -> torch.Tensor:
        """Return the loss of one batch."""
        loss, _logits = self._loss(batch, self.train_loss)
        self.log("loss", loss, prog_bar=True, logger=False)
        return loss

    def validation_step(self, batch: Batch, _: int) -> None:
        """Add one batch to the validation metrics."""
        _loss, logits = self._loss(batch, self.val_loss)
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
        self.log_dict(scores)
        self.log("auroc", scores["val_auroc"], prog_bar=True, logger=False)
        for metric in (self.train_loss, self.val_loss, self.probs, self.truth):
            metric.reset()

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
