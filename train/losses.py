"""The training objective."""

import torch
import torch.nn.functional as F

from chexmodel.weighting import pos_weight

__all__ = ["masked_focal_loss", "pos_weight"]


def masked_focal_loss(
    logits: torch.Tensor,
    targets: torch.Tensor,
    *,
    gamma: float = 2.0,
    alpha: torch.Tensor | float | None = None,
) -> torch.Tensor:
    """Mean over unmasked entries of −[α·y·(1−p)^γ·log p + (1−y)·p^γ·log(1−p)], with p = sigmoid(logit).

    Focal loss (Lin T.-Y. et al., *Focal Loss for Dense Object Detection*, ICCV 2017, arXiv:1708.02002)
    for many labels with missing ones. Everything is computed from log p and log(1−p), so that it and its
    gradient stay finite for any finite logit.

    Args:
        logits: (..., K), any real number; half precision is computed in single.
        targets: same shape, in [0, 1]; NaN masks an entry: no loss, no gradient, not counted in the mean.
        gamma: focusing exponent, ≥ 0; 0 gives (weighted) binary cross-entropy.
        alpha: weight of the positives, (K,) or one number; None is 1.

    Returns:
        A scalar; 0 with a zero gradient where every entry is masked.
    """
    known = ~torch.isnan(targets)
    # Masked entries are replaced before the logarithms: 0 · NaN would still be NaN in the backward pass.
    dtype = torch.promote_types(logits.dtype, torch.float32)  # half precision has no room for the powers
    scores = torch.where(known, logits, torch.zeros_like(logits)).to(dtype)
    labels = torch.where(known, targets, torch.zeros_like(targets)).to(dtype)
    log_p = F.logsigmoid(scores)
    log_not_p = F.logsigmoid(-scores)
    positive = labels * torch.exp(gamma * log_not_p) * log_p
    negative = (1.0 - labels) * torch.exp(gamma * log_p) * log_not_p
    if alpha is not None:
        positive = positive * torch.as_tensor(alpha, dtype=dtype, device=positive.device)
    entries = -(positive + negative) * known
    return entries.sum() / known.sum().clamp(min=1)
