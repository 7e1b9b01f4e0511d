"""Speeds beside a named peer, measured in the same run: `pytest tests/benchmarks -m benchmark -s`.

Nothing here fails for being slow; what is asserted is that both sides did the same work.
"""

from typing import Any

import numpy as np
import pytest
import torch
from sklearn.metrics import average_precision_score, roc_auc_score
from timing import measured, report

from chexmodel import network
from chexmodel.bootstrap import draw_weights, ranking
from chexmodel.explain import class_activation_maps
from chexmodel.labels import OBSERVATIONS

pytestmark = pytest.mark.benchmark


def test_fourteen_maps_in_one_pass() -> None:
    """All 14 maps of one film: one pass here, 14 of the grad-cam package."""
    from pytorch_grad_cam import GradCAM
    from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

    net = network.build("densenet121").eval()
    film = torch.rand(1, 3, 224, 224)

    class Logits(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net, self.last = net, torch.nn.Identity()

        def forward(self, batch: torch.Tensor) -> torch.Tensor:
            return net.classify(self.last(net.backbone.forward_features(batch)))

    def ours() -> torch.Tensor:
        with torch.inference_mode():
            _, features = net(film)
            return class_activation_maps(features, net.head.weight)

    def peer() -> np.ndarray[Any, Any]:
        model = Logits()
        with GradCAM(model, [model.last]) as cam:
            return np.stack([cam(film, [ClassifierOutputTarget(k)])[0] for k in range(len(OBSERVATIONS))])

    mine, maps = measured(ours, rounds=5)
    theirs, painted = measured(peer, rounds=2)
    assert maps.shape[1] == len(painted) == len(OBSERVATIONS)
    report("14 maps of DenseNet-121", mine, "grad-cam", theirs)


def test_bootstrap_of_ranking_metrics() -> None:
    """AUROC and average precision under 50 resamples: sorted once here, 50 calls of scikit-learn."""
    rng = np.random.default_rng(0)
    labels = (rng.random(5000) < 0.1).astype(float)
    scores = np.round(rng.random(5000) * 0.7 + labels * 0.3, 3)
    weights = draw_weights(np.arange(5000) // 2, resamples=50, rng=rng).astype(np.float64)

    def peer() -> np.ndarray[Any, Any]:
        pair = (roc_auc_score, average_precision_score)
        return np.array([[metric(labels, scores, sample_weight=w) for w in weights] for metric in pair])

    mine, ours = measured(lambda: ranking(labels, scores, weights), rounds=5)
    theirs, expected = measured(peer, rounds=2)
    assert np.allclose(np.stack(ours), expected, atol=1e-10)
    report("50 resamples of 5,000 films", mine, "scikit-learn", theirs)


def test_activations_of_a_training_film() -> None:
    """Memory that one 224 px film keeps for the backward pass of DenseNet-121, float32."""
    net = network.build("densenet121")
    weights = {weight.untyped_storage().data_ptr() for weight in net.parameters()}
    kept: dict[int, int] = {}

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        logits, _ = net(torch.rand(4, 3, 224, 224))
    assert logits.requires_grad
    print(f"\nDenseNet-121, activations of one training film: {sum(kept.values()) / 4e6:.0f} MB")
