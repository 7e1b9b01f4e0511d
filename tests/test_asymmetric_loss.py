"""The asymmetric loss against its paper, and what every loss has in common."""

import math
from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from loss_batches import NAN, batch, gradient
from torch.nn import functional as F

from train.losses import masked_asymmetric_loss, masked_focal_loss


def asymmetric_by_the_paper(
    logits: torch.Tensor, targets: torch.Tensor, positive: float, negative: float, margin: float
) -> torch.Tensor:
    """Equations 4 to 6 of the paper, label by label, and the mean over what is known."""
    terms = []
    for logit, label in zip(logits.flatten().tolist(), targets.flatten().tolist(), strict=True):
        if label != label:
            continue
        p = 1 / (1 + math.exp(-logit))
        shifted = max(p - margin, 0.0)
        gain = (1 - p) ** positive * math.log(p)
        loss = shifted**negative * math.log(1 - shifted)
        terms.append(-label * gain - (1 - label) * loss)
    return torch.tensor(sum(terms) / len(terms), dtype=torch.float64)


@settings(max_examples=25, deadline=None)
@given(
    positive=st.floats(0, 4),
    negative=st.floats(1, 6),
    margin=st.floats(0.01, 0.4),
    seed=st.integers(0, 2**31),
    soft=st.booleans(),
)
def test_the_asymmetric_loss_is_the_papers(
    positive: float, negative: float, margin: float, seed: int, soft: bool
) -> None:
    logits, targets = batch(seed, soft=soft)
    found = masked_asymmetric_loss(
        logits, targets, gamma_positive=positive, gamma_negative=negative, margin=margin
    )
    expected = asymmetric_by_the_paper(logits, targets, positive, negative, margin)
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-12)


def test_the_asymmetric_loss_by_hand() -> None:
    """At p = 1/2: a positive costs ½·ln 2, a negative 0.45⁴·(−ln 0.55)."""
    zero = torch.zeros(1, 1)
    positive = masked_asymmetric_loss(zero, torch.ones(1, 1)).item()
    negative = masked_asymmetric_loss(zero, torch.zeros(1, 1)).item()
    assert positive == pytest.approx(0.5 * math.log(2), rel=1e-6)
    assert negative == pytest.approx(-(0.45**4) * math.log(0.55), rel=1e-6)


@pytest.mark.parametrize("soft", [False, True])
def test_without_asymmetry_it_is_the_focal_loss(soft: bool) -> None:
    """Equal exponents and no margin: the focal loss; with exponents of 0, binary cross-entropy."""
    logits, targets = batch(soft=soft)
    for gamma in (0.0, 1.0, 2.0):
        found = masked_asymmetric_loss(
            logits, targets, gamma_positive=gamma, gamma_negative=gamma, margin=1e-12, alpha=3.0
        )
        torch.testing.assert_close(
            found, masked_focal_loss(logits, targets, gamma=gamma, alpha=3.0), rtol=1e-8, atol=1e-8
        )
    known = ~torch.isnan(targets)
    plain = masked_asymmetric_loss(logits, targets, gamma_positive=0, gamma_negative=0, margin=1e-12)
    expected = F.binary_cross_entropy_with_logits(logits[known], targets[known])
    torch.testing.assert_close(plain, expected, rtol=1e-8, atol=1e-8)


def test_alpha_weighs_the_positives_of_the_asymmetric_loss() -> None:
    logits, targets = batch()
    positives = torch.where(targets == 1, targets, torch.zeros_like(targets))
    positives[targets != 1] = NAN
    known, ones = (~torch.isnan(targets)).sum(), (targets == 1).sum()
    plain, weighed = (masked_asymmetric_loss(logits, targets, alpha=alpha) for alpha in (None, 5.0))
    share = masked_asymmetric_loss(logits, positives) * ones / known
    torch.testing.assert_close(weighed, plain + 4 * share)
    each = masked_asymmetric_loss(logits, targets, alpha=torch.full((14,), 5.0))
    torch.testing.assert_close(each, weighed)


def test_easy_negatives_count_nothing_at_all() -> None:
    """Up to p = m loss and gradient are exactly 0, just above they are not; a positive there counts."""
    easy = torch.logit(torch.tensor([[1e-6, 0.01, 0.04, 0.0499]]))
    none, slope = gradient(easy, torch.zeros(1, 4), masked_asymmetric_loss)
    assert none == 0
    assert torch.equal(slope, torch.zeros(1, 4))
    some, slope = gradient(torch.logit(torch.tensor([[0.06]])), torch.zeros(1, 1), masked_asymmetric_loss)
    assert some > 0
    assert slope.item() > 0
    _, slope = gradient(easy, torch.ones(1, 4), masked_asymmetric_loss)
    assert (slope < 0).all()


@pytest.mark.parametrize("negative", [1.0, 1.5, 4.0])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_the_asymmetric_loss_stays_finite_at_extreme_logits(negative: float, dtype: torch.dtype) -> None:
    logits = torch.tensor([-1e4, -100, -2.9444, -1e-4, 0, 1e-4, 100, 1e4], dtype=dtype).repeat(4, 1)
    targets = torch.tensor([0, 1, 0.7, NAN]).reshape(4, 1).expand(4, 8)
    loss, slope = gradient(logits, targets, masked_asymmetric_loss, gamma_negative=negative, alpha=60.0)
    assert math.isfinite(loss)
    assert torch.isfinite(slope).all()
    assert torch.equal(slope[3], torch.zeros(8, dtype=dtype))
    assert slope[1, 0] < 0  # a positive called impossible still pulls
    # A negative called certain no longer does: the paper takes it for a wrong label.
    assert slope[0, -1] == 0


@pytest.mark.parametrize("gammas", [(0.0, 1.0), (1.0, 4.0), (2.0, 2.0)])
def test_the_asymmetric_gradient_is_the_derivative(gammas: tuple[float, float]) -> None:
    logits, targets = batch(soft=True)
    leaf = logits[:4].clone().requires_grad_(True)
    assert torch.autograd.gradcheck(
        lambda scores: masked_asymmetric_loss(
            scores, targets[:4], gamma_positive=gammas[0], gamma_negative=gammas[1], alpha=5.0
        ),
        leaf,
    )


def test_masked_entries_do_not_matter_to_the_asymmetric_loss() -> None:
    logits, targets = batch()
    masked = torch.isnan(targets)
    loss, slope = gradient(logits, targets, masked_asymmetric_loss, alpha=3.0)
    assert (slope[masked] == 0).all()
    assert (slope[targets == 1] != 0).all()
    for filler in (1e30, -1e30, float("inf"), NAN):
        other, other_slope = gradient(
            logits.masked_fill(masked, filler), targets, masked_asymmetric_loss, alpha=3.0
        )
        assert other == loss
        assert torch.equal(other_slope, slope)
    nothing, flat = gradient(logits, torch.full_like(targets, NAN), masked_asymmetric_loss)
    assert nothing == 0
    assert torch.equal(flat, torch.zeros_like(logits))


def test_half_precision_of_the_asymmetric_loss_is_computed_in_single() -> None:
    logits, targets = batch()
    half = logits.half()
    loss = masked_asymmetric_loss(half, targets)
    assert loss.dtype == torch.float32
    torch.testing.assert_close(loss, masked_asymmetric_loss(half.float(), targets))
    assert masked_asymmetric_loss(logits, targets).dtype == torch.float64


@pytest.mark.parametrize("objective", [masked_focal_loss, masked_asymmetric_loss])
def test_count_is_what_the_sum_is_divided_by(objective: Callable[..., torch.Tensor]) -> None:
    logits, targets = batch()
    known = (~torch.isnan(targets)).sum()
    loss = objective(logits, targets)
    torch.testing.assert_close(objective(logits, targets, count=known), loss)
    torch.testing.assert_close(objective(logits, targets, count=2 * known), loss / 2)
    nothing, flat = gradient(logits, torch.full_like(targets, NAN), objective, count=torch.tensor(0.0))
    assert nothing == 0
    assert torch.equal(flat, torch.zeros_like(logits))


@pytest.mark.parametrize("objective", [masked_focal_loss, masked_asymmetric_loss])
@pytest.mark.parametrize("labelled", [3, 1, 32])
def test_ranks_with_the_mean_count_give_the_gradient_of_the_whole_batch(
    objective: Callable[..., torch.Tensor], labelled: int
) -> None:
    """Two ranks, of which one may have no label at all: the mean of their gradients is that of one batch."""
    logits, targets = batch(masked=0)
    logits[:, :] = logits.abs()  # no easy negatives, whose gradient is 0 either way
    targets[labelled:] = NAN
    targets[:labelled, 1:] = NAN
    whole, expected = gradient(logits, targets, objective)
    halves = [(logits[:16], targets[:16]), (logits[16:], targets[16:])]
    mean_count = torch.tensor([float((~torch.isnan(labels)).sum()) for _, labels in halves]).mean()
    losses_, slopes = zip(
        *(gradient(scores, labels, objective, count=mean_count) for scores, labels in halves), strict=True
    )
    assert sum(losses_) / 2 == pytest.approx(whole)
    torch.testing.assert_close(torch.cat(slopes) / 2, expected)
    assert (expected[:labelled, 0] != 0).all()
