"""Logits and targets for the tests of the losses."""

from collections.abc import Callable

import torch

from train.losses import masked_focal_loss

NAN = float("nan")
GAMMAS = (0.0, 0.5, 1.0, 2.0, 5.0)


def batch(seed: int = 0, *, masked: float = 0.4, soft: bool = False) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits and targets (32, 14), float64; about `masked` of the targets are NaN."""
    generator = torch.Generator().manual_seed(seed)
    logits = 4 * torch.randn(32, 14, generator=generator, dtype=torch.float64)
    targets = torch.rand(32, 14, generator=generator, dtype=torch.float64)
    if not soft:
        targets = targets.round()
    targets[torch.rand(32, 14, generator=generator) < masked] = NAN
    return logits, targets


def gradient(
    logits: torch.Tensor,
    targets: torch.Tensor,
    objective: Callable[..., torch.Tensor] = masked_focal_loss,
    **options: object,
) -> tuple[float, torch.Tensor]:
    leaf = logits.detach().clone().requires_grad_(True)
    loss = objective(leaf, targets, **options)
    loss.backward()
    return loss.item(), leaf.grad
