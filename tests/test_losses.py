import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from loss_batches import GAMMAS, NAN, batch, gradient
from torch.nn import functional as F
from torchvision.ops import sigmoid_focal_loss

from chexmodel import weighting
from train import losses
from train.losses import masked_focal_loss


def written_formula(
    logits: torch.Tensor, targets: torch.Tensor, gamma: float, alpha: torch.Tensor
) -> torch.Tensor:
    """The formula as it stands in the design, term by term."""
    p = torch.sigmoid(logits)
    terms = -(alpha * targets * (1 - p) ** gamma * torch.log(p) + (1 - targets) * p**gamma * torch.log(1 - p))
    return terms[~torch.isnan(targets)].mean()


def test_pos_weight_is_the_one_of_weighting() -> None:
    assert losses.pos_weight is weighting.pos_weight


@settings(max_examples=40, deadline=None)
@given(
    gamma=st.floats(0, 6),
    seed=st.integers(0, 2**31),
    soft=st.booleans(),
    alpha=st.one_of(st.none(), st.floats(0, 60), st.just("each")),
)
def test_it_is_the_written_formula(gamma: float, seed: int, soft: bool, alpha: float | str | None) -> None:
    logits, targets = batch(seed, soft=soft)
    given_alpha = torch.linspace(0.1, 50, 14) if alpha == "each" else alpha
    wide = torch.as_tensor(1.0 if given_alpha is None else given_alpha, dtype=torch.float64)
    expected = written_formula(logits, targets, gamma, wide)
    loss = masked_focal_loss(logits, targets, gamma=gamma, alpha=given_alpha)
    torch.testing.assert_close(loss, expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("soft", [False, True])
def test_without_focus_it_is_binary_cross_entropy(soft: bool) -> None:
    logits, targets = batch(soft=soft)
    known = ~torch.isnan(targets)
    expected = F.binary_cross_entropy_with_logits(logits[known], targets[known])
    torch.testing.assert_close(masked_focal_loss(logits, targets, gamma=0, alpha=None), expected)


def test_without_focus_alpha_is_pos_weight() -> None:
    logits, targets = batch()
    known = ~torch.isnan(targets)
    alpha = torch.linspace(0.2, 30, 14, dtype=torch.float64)
    entries = F.binary_cross_entropy_with_logits(
        logits, targets.nan_to_num(), pos_weight=alpha, reduction="none"
    )
    torch.testing.assert_close(
        masked_focal_loss(logits, targets, gamma=0, alpha=alpha), entries[known].mean()
    )


@pytest.mark.parametrize("gamma", GAMMAS)
def test_it_agrees_with_torchvision_where_nothing_is_masked(gamma: float) -> None:
    logits, targets = batch(masked=0)
    expected = sigmoid_focal_loss(logits, targets, alpha=-1, gamma=gamma, reduction="mean")
    torch.testing.assert_close(masked_focal_loss(logits, targets, gamma=gamma), expected)


@pytest.mark.parametrize("gamma", GAMMAS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_extreme_logits_stay_finite(gamma: float, dtype: torch.dtype) -> None:
    extremes = torch.tensor([-1e4, -100, -1e-4, 0, 1e-4, 100, 1e4], dtype=dtype)
    logits = extremes.repeat(4, 1)
    targets = torch.tensor([0, 1, 0.7, NAN]).reshape(4, 1).expand(4, 7)
    loss, slope = gradient(logits, targets, gamma=gamma, alpha=60.0)
    assert torch.isfinite(torch.tensor(loss))
    assert torch.isfinite(slope).all()
    # A positive called impossible still pulls: the gradient does not vanish where p underflows.
    assert slope[1, 0] < 0
    assert slope[0, -1] > 0


def test_the_worst_mistake_costs_its_logit() -> None:
    logits = torch.tensor([[-1e4], [1e4]])
    targets = torch.tensor([[1.0], [0.0]])
    assert masked_focal_loss(logits, targets).item() == pytest.approx(1e4)
    assert masked_focal_loss(-logits, targets).item() == 0


@pytest.mark.parametrize("gamma", GAMMAS)
def test_masked_entries_get_no_gradient_and_their_logits_do_not_matter(gamma: float) -> None:
    logits, targets = batch()
    masked = torch.isnan(targets)
    loss, slope = gradient(logits, targets, gamma=gamma, alpha=3.0)
    assert (slope[masked] == 0).all()
    assert (slope[~masked] != 0).all()
    for filler in (1e30, -1e30, float("inf"), NAN):
        other, other_slope = gradient(logits.masked_fill(masked, filler), targets, gamma=gamma, alpha=3.0)
        assert other == loss
        assert torch.equal(other_slope, slope)


def test_it_is_the_mean_over_unmasked_entries() -> None:
    logits, targets = batch(masked=0)
    loss = masked_focal_loss(logits, targets)
    padded = torch.cat([targets, torch.full_like(targets, NAN)])
    torch.testing.assert_close(masked_focal_loss(torch.cat([logits, logits]), padded), loss)
    one = torch.full_like(targets, NAN)
    one[3, 5] = targets[3, 5]
    torch.testing.assert_close(
        masked_focal_loss(logits, one), masked_focal_loss(logits[3:4, 5:6], targets[3:4, 5:6])
    )


def test_a_batch_without_labels_gives_zero_and_a_zero_gradient() -> None:
    logits = torch.randn(4, 14)
    loss, slope = gradient(logits, torch.full((4, 14), NAN), alpha=torch.ones(14))
    assert loss == 0
    assert torch.equal(slope, torch.zeros(4, 14))


def test_focus_spares_the_easy_ones() -> None:
    """Relative to cross-entropy, an entry loses the more the surer it is right: (1 − p_t)^γ."""
    logits = torch.tensor([[-2.0, 0.0, 4.0]])
    targets = torch.ones(1, 3)
    ratios = [
        (masked_focal_loss(one, label) / masked_focal_loss(one, label, gamma=0)).item()
        for one, label in zip(logits.split(1, dim=1), targets.split(1, dim=1), strict=True)
    ]
    expected = ((1 - torch.sigmoid(logits)) ** 2)[0].tolist()
    assert ratios == pytest.approx(expected, rel=1e-5)
    assert ratios[0] > ratios[1] > ratios[2]


def test_soft_targets_mix_the_two_losses() -> None:
    logits, _ = batch()
    ones, zeros = torch.ones_like(logits), torch.zeros_like(logits)
    mixed = 0.7 * masked_focal_loss(logits, ones, alpha=2.0) + 0.3 * masked_focal_loss(
        logits, zeros, alpha=2.0
    )
    torch.testing.assert_close(masked_focal_loss(logits, 0.7 * ones, alpha=2.0), mixed)


@pytest.mark.parametrize("gamma", [0.0, 1.0, 2.0])
def test_the_gradient_is_the_derivative(gamma: float) -> None:
    logits, targets = batch(soft=True)
    leaf = logits[:4].clone().requires_grad_(True)
    assert torch.autograd.gradcheck(
        lambda scores: masked_focal_loss(scores, targets[:4], gamma=gamma, alpha=5.0), leaf
    )


def test_half_precision_is_computed_in_single() -> None:
    logits, targets = batch()
    half = logits.half()
    loss = masked_focal_loss(half, targets)
    assert loss.dtype == torch.float32
    torch.testing.assert_close(loss, masked_focal_loss(half.float(), targets))
    assert masked_focal_loss(logits, targets).dtype == torch.float64
