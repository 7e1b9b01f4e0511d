"""Speeds beside a named peer, measured in the same run: `pytest tests/benchmarks -m benchmark -s`.

Nothing here fails for being slow; what is asserted is that both sides did the same work.
"""

from typing import Any

import numpy as np
import pytest
import torch
from sklearn.metrics import average_precision_score, f1_score, roc_auc_score
from timing import measured, report

from chexmodel import network
from chexmodel.bootstrap import draw_weights
from chexmodel.draws import Draws, draw
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


def test_bootstrap_of_a_hospital() -> None:
    """33,512 films × 14 observations, 1,000 resamples of patients: AUROC, AP, F1 (and the other metrics).

    The peer calls scikit-learn once a resample, observation and metric; three resamples are timed and the
    time is scaled to 1,000.
    """
    films, resamples, timed = 33_512, 1000, 3
    rng = np.random.default_rng(0)
    shares = rng.uniform(0.02, 0.5, len(OBSERVATIONS))
    targets = (rng.random((films, len(OBSERVATIONS))) < shares).astype(float)
    probs = 0.7 * rng.random(targets.shape) + 0.3 * targets * rng.random(targets.shape)
    patients = np.arange(films) // 3

    def ours() -> Draws:
        return draw(targets, probs, thresholds=0.5, patients=patients, bootstrap=resamples, seed=0)

    def peer() -> list[list[float]]:
        weights = draw_weights(patients, resamples=resamples, rng=np.random.default_rng(0))[:timed]
        return [
            [
                metric(targets[:, k], called if metric is f1_score else probs[:, k], sample_weight=weight)
                for metric in (roc_auc_score, average_precision_score, f1_score)
            ]
            for weight in weights.astype(float)
            for k in range(len(OBSERVATIONS))
            for called in [probs[:, k] >= 0.5]
        ]

    mine, drawn = measured(ours, rounds=2)
    theirs, expected = measured(peer, rounds=1)
    names = ("auroc", "average_precision", "f1")
    found = [[found[name][row] for name in names] for row in range(1, timed + 1) for found in drawn.metrics]
    np.testing.assert_allclose(found, expected, atol=1e-12)
    report("1,000 resamples of 33,512 × 14", mine, "scikit-learn (scaled)", theirs * resamples / timed)


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
