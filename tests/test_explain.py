from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from matplotlib import colormaps
from networks import lively
from pytorch_grad_cam import EigenCAM, GradCAM
from pytorch_grad_cam.utils.image import scale_cam_image
from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget
from torch import nn

from chexmodel.explain import (
    EXACT,
    METHODS,
    class_activation_maps,
    method_map,
    paint,
    relative_map,
    strength,
)
from chexmodel.network import Network

LAST = {
    "densenet121": lambda backbone: backbone.features.norm5,
    "resnet50": lambda backbone: backbone.layer4,
    "tf_efficientnet_lite0": lambda backbone: backbone.bn2,
    "regnety_016": lambda backbone: backbone.s4,
}
"""Where someone who uses the grad-cam package would listen."""

RELATIVE = [method for method in METHODS if method != EXACT]


class LogitsOnly(nn.Module):
    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.network(images)[0]


def packaged(maps: np.ndarray, side: int) -> np.ndarray:
    """Normalise maps (B, h, w) as the package does: ReLU, stretched to [0, 1], enlarged, stretched again."""
    return scale_cam_image(scale_cam_image(np.maximum(maps, 0), (side, side)))


@pytest.mark.parametrize("backbone", LAST)
def test_one_pass_maps_are_grad_cam(backbone: str) -> None:
    side = 96
    net = lively(backbone, side=side)
    images = torch.randn(2, 3, side, side, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        logits, features = net(images)
        maps = class_activation_maps(features, net.head.weight)
    assert maps.shape == (2, 14, *features.shape[2:])
    assert min(maps.shape[2:]) >= 3
    torch.testing.assert_close(maps.mean(dim=(2, 3)) + net.head.bias, logits, rtol=1e-4, atol=1e-5)

    cells = maps[0, 0].numel()  # the package averages the gradients over the map, the linear layer does not
    with GradCAM(LogitsOnly(net), [LAST[backbone](net.backbone)]) as cam:
        for k in (0, 13):
            batch = images.clone().requires_grad_(True)
            expected = cam(batch, [ClassifierOutputTarget(k)] * 2)
            found = packaged(maps[:, k].numpy() / cells, side)
            np.testing.assert_allclose(found, expected, atol=1e-4)
            assert expected.std() > 0.05  # neither a blank map nor a flat one


def test_maps_by_hand() -> None:
    features = torch.tensor([[[[1.0, 2.0]], [[10.0, 20.0]]]])
    weight = torch.tensor([[1.0, 0.0], [-1.0, 0.5], [2.0, 2.0]])
    expected = torch.tensor([[[[1.0, 2.0]], [[4.0, 8.0]], [[22.0, 44.0]]]])
    torch.testing.assert_close(class_activation_maps(features, weight), expected)


@pytest.fixture(scope="module")
def net() -> Network:
    return lively("test_resnet")


@pytest.fixture(scope="module")
def images() -> torch.Tensor:
    return torch.randn(3, 3, 96, 128, generator=torch.Generator().manual_seed(2))


@pytest.mark.parametrize("method", RELATIVE)
def test_relative_maps_span_zero_to_one(net: Network, images: torch.Tensor, method: str) -> None:
    found = relative_map(net, images[0], 3, method=method)
    assert (found.shape, found.dtype) == ((96, 128), torch.float32)
    assert found.min() == 0
    assert found.max() == pytest.approx(1, abs=1e-3)
    other = relative_map(net, images[0], 4, method=method)
    assert torch.equal(other, found) == (method == "EigenCAM")


def test_hirescam_is_grad_cam_here(net: Network, images: torch.Tensor) -> None:
    """Behind an average pooling the gradient is the same in every cell, which makes the two one method."""
    with torch.no_grad():
        maps = class_activation_maps(net(images[:1])[1], net.head.weight)[:, 5].numpy()
    found = relative_map(net, images[0], 5, method="HiResCAM").numpy()
    expected = scale_cam_image(scale_cam_image(np.maximum(maps / maps.size, 0), (128, 96)))[0]
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_eigencam_is_the_package_s(net: Network, images: torch.Tensor) -> None:
    class Listening(LogitsOnly):
        def __init__(self) -> None:
            super().__init__(net)
            self.last = nn.Identity()

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return net.classify(self.last(net.backbone.forward_features(images)))

    listening = Listening()
    for image in images:
        with EigenCAM(listening, [listening.last]) as cam:
            expected = cam(image[None].clone().requires_grad_(True), [ClassifierOutputTarget(0)])[0]
        np.testing.assert_allclose(relative_map(net, image, 0, method="EigenCAM"), expected, atol=1e-4)


def test_any_method_is_asked_for_alike(net: Network, images: torch.Tensor) -> None:
    with torch.no_grad():
        exact = class_activation_maps(net(images[:1])[1], net.head.weight)[0, 5]
    torch.testing.assert_close(method_map(net, images[0], 5, method=EXACT), exact)
    for method in RELATIVE:
        grey = relative_map(net, images[0], 5, method=method)
        assert torch.equal(method_map(net, images[0], 5, method=method), grey)


@pytest.mark.parametrize("method", RELATIVE)
def test_explaining_leaves_the_network_alone(net: Network, images: torch.Tensor, method: str) -> None:
    before = {name: value.clone() for name, value in net.state_dict().items()}
    image = images[0].clone()
    with torch.inference_mode(False), torch.no_grad():  # the caller's mode does not matter
        relative_map(net, image, 0, method=method)
    assert not any(module._forward_hooks or module._backward_hooks for module in net.modules())
    assert all(value.grad is None and not value.requires_grad for value in net.parameters())
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
    assert torch.equal(image, images[0])
    assert not image.requires_grad
    assert not net.training


def test_many_threads_see_what_one_sees(net: Network, images: torch.Tensor) -> None:
    jobs = [(which, method, 5 * which) for which in range(3) for method in RELATIVE] * 2

    def run(job: tuple[int, str, int]) -> tuple[torch.Tensor, torch.Tensor]:
        which, method, k = job
        grey = relative_map(net, images[which], k, method=method)
        with torch.inference_mode():
            logits = net(images[which : which + 1])[0].clone()
        return grey, logits

    alone = [run(job) for job in jobs]
    with ThreadPoolExecutor(6) as pool:
        together = list(pool.map(run, jobs))
    for (grey, logits), (expected_grey, expected_logits) in zip(together, alone, strict=True):
        torch.testing.assert_close(grey, expected_grey, rtol=0, atol=1e-5)
        torch.testing.assert_close(logits, expected_logits, rtol=0, atol=1e-5)


def test_strength_is_the_strongest_evidence_of_any_observation() -> None:
    maps = np.array([[[1.0, -9.0]], [[3.5, 2.0]], [[np.nan, np.nan]]])
    assert strength(maps) == 3.5
    assert strength(-np.abs(maps)) == 1
    assert strength(maps[2:]) == 1
    assert strength(np.zeros((2, 3, 3))) == 1


FILM = np.linspace(0, 1, 256, dtype=np.float32).reshape(8, 32)
GREY = np.repeat(np.arange(256, dtype=np.uint8).reshape(8, 32, 1), 3, axis=2)


def test_without_heat_or_opacity_the_film_keeps_its_grey_values() -> None:
    for heat in (np.zeros_like(FILM), np.full_like(FILM, -3)):
        np.testing.assert_array_equal(paint(FILM, heat, alpha=1.0), GREY)
    np.testing.assert_array_equal(paint(FILM, np.ones_like(FILM), alpha=0.0), GREY)


def test_only_the_heated_half_is_coloured() -> None:
    heat = np.where(np.arange(32) < 16, -0.5, 0.8) * np.ones((8, 1))
    painted = paint(FILM, heat, alpha=0.6)
    assert (painted.shape, painted.dtype) == ((8, 32, 3), np.uint8)
    np.testing.assert_array_equal(painted[:, :16], GREY[:, :16])
    assert (np.ptp(painted[:, 16:].astype(int), axis=2) > 20).all()


def test_full_heat_is_full_colour_at_the_opacity_asked_for() -> None:
    colour = np.array(colormaps["inferno"](1.0)[:3])
    for level in (1.0, 7.0):
        for alpha in (0.3, 1.0):
            painted = paint(FILM, np.full_like(FILM, level), alpha=alpha)
            expected = 255 * (FILM[..., None] * (1 - alpha) + alpha * colour)
            np.testing.assert_allclose(painted, expected, atol=0.51)


def test_more_heat_covers_more() -> None:
    film = np.zeros((1, 5), np.float32)
    painted = paint(film, np.array([[0, 0.25, 0.5, 0.75, 1.0]]), alpha=0.8).astype(int)
    assert (np.diff(painted.sum(axis=2)[0]) > 0).all()
