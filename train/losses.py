"""The training objectives: each a pure function of logits and targets in which NaN masks an entry.

Common to all: logits and targets are (..., K); a masked entry has no loss and no gradient, and is not
counted in the mean. Everything is computed from log p and log(1−p), so that loss and gradient stay finite
for any finite logit.
"""

import torch
import torch.nn.functional as F

from chexmodel.weighting import pos_weight

__all__ = ["masked_asymmetric_loss", "masked_focal_loss", "pointing_loss", "pos_weight"]


def masked_focal_loss(
    logits: torch.Tensor,
    targets: torch.Tensor,
    *,
    gamma: float = 2.0,
    alpha: torch.Tensor | float | None = None,
    count: torch.Tensor | None = None,
) -> torch.Tensor:
    """Mean over unmasked entries of −[α·y·(1−p)^γ·log p + (1−y)·p^γ·log(1−p)], with p = sigmoid(logit).

    Focal loss (Lin T.-Y. et al., *Focal Loss for Dense Object Detection*, ICCV 2017, arXiv:1708.02002)
    for many labels with missing ones; with γ = 0 it is (weighted) binary cross-entropy.

    Args:
        logits: (..., K), any real number; half precision is computed in single.
        targets: same shape, in [0, 1]; NaN masks an entry.
        gamma: focusing exponent, ≥ 0.
        alpha: weight of the positives, (K,) or one number; None is 1.
        count: what the sum is divided by, a scalar ≥ 0; None is the number of unmasked entries.

    Returns:
        A scalar; 0 with a zero gradient where every entry is masked.
    """
    known, scores, labels = _unmasked(logits, targets)
    log_p, log_not_p = F.logsigmoid(scores), F.logsigmoid(-scores)
    positive = labels * torch.exp(gamma * log_not_p) * log_p
    negative = (1.0 - labels) * torch.exp(gamma * log_p) * log_not_p
    return _mean(positive, negative, known, alpha, count)


def masked_asymmetric_loss(
    logits: torch.Tensor,
    targets: torch.Tensor,
    *,
    gamma_positive: float = 1.0,
    gamma_negative: float = 4.0,
    margin: float = 0.05,
    alpha: torch.Tensor | float | None = None,
    count: torch.Tensor | None = None,
) -> torch.Tensor:
    """Mean over unmasked entries of −[α·y·(1−p)^γ₊·log p + (1−y)·q^γ₋·log(1−q)], with q = max(p − m, 0).

    Asymmetric loss (Ridnik T. et al., *Asymmetric Loss For Multi-Label Classification*, ICCV 2021,
    arXiv:2009.14119) with the paper's exponents: easy negatives, p ≤ m, count nothing at all.

    Args:
        logits: (..., K), any real number.
        targets: same shape, in [0, 1]; NaN masks an entry.
        gamma_positive: exponent γ₊ of the positives, ≥ 0.
        gamma_negative: exponent γ₋ of the negatives, ≥ 1.
        margin: shift m of the negatives' probability, in (0, 1).
        alpha: weight of the positives, (K,) or one number; None is 1.
        count: what the sum is divided by, a scalar ≥ 0; None is the number of unmasked entries.

    Returns:
        A scalar; 0 with a zero gradient where every entry is masked.
    """
    known, scores, labels = _unmasked(logits, targets)
    log_p, log_not_p = F.logsigmoid(scores), F.logsigmoid(-scores)
    positive = labels * torch.exp(gamma_positive * log_not_p) * log_p
    shifted = (torch.sigmoid(scores) - margin).clamp(min=0.0)
    negative = (1.0 - labels) * shifted.pow(gamma_negative) * torch.log1p(-shifted)
    return _mean(positive, negative, known, alpha, count)


def pointing_loss(maps: torch.Tensor, inside: torch.Tensor) -> torch.Tensor:
    """Mean over boxed maps of −log Σ_xy softmax(map)·inside: the share of a map's softmax in its boxes.

    Localisation learnt from a few boxes beside many image labels, as in Li Z. et al., *Thoracic Disease
    Identification and Localization with Limited Supervision*, CVPR 2018, arXiv:1711.06373; the softmax over
    the map makes its peak, not its level, what is taught.

    Args:
        maps: (B, K, h, w) class activation maps, log-odds.
        inside: (B, K, H, W) in [0, 1], the share of each pixel that lies in a box; NaN where a film has no
            box for an observation. Pooled to (h, w).

    Returns:
        A scalar; 0 with a zero gradient where nothing is boxed.
    """
    boxed = ~torch.isnan(inside[:, :, 0, 0])
    if not boxed.any():
        return maps.sum() * 0.0
    share = F.adaptive_avg_pool2d(inside[boxed].unsqueeze(1), (maps.shape[2], maps.shape[3])).flatten(1)
    chosen = torch.log_softmax(maps[boxed].float().flatten(1), dim=1)
    # A box that augmentation moved off the film leaves nothing to point at.
    seen = share.sum(dim=1) > 0
    return -torch.logsumexp(chosen[seen] + share[seen].log(), dim=1).sum() / seen.sum().clamp(min=1)


def _unmasked(logits: torch.Tensor, targets: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Which entries are known, and logits and targets with 0 where they are not."""
    known = ~torch.isnan(targets)
    # Masked entries are replaced before the logarithms: 0 · NaN would still be NaN in the backward pass.
    dtype = torch.promote_types(logits.dtype, torch.float32)  # half precision has no room for the powers
    scores = torch.where(known, logits, torch.zeros_like(logits)).to(dtype)
    labels = torch.where(known, targets, torch.zeros_like(targets)).to(dtype)
    return known, scores, labels


def _mean(
    positive: torch.Tensor,
    negative: torch.Tensor,
    known: torch.Tensor,
    alpha: torch.Tensor | float | None,
    count: torch.Tensor | None,
) -> torch.Tensor:
    if alpha is not None:
        positive = positive * torch.as_tensor(alpha, dtype=positive.dtype, device=positive.device)
    entries = -(positive + negative) * known
    divisor = known.sum() if count is None else count
    # Not clamped to 1: the mean count of several ranks may lie below it.
    return entries.sum() / divisor.masked_fill(divisor == 0, 1)
