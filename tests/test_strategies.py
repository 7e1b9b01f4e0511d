"""The strategies of a training, each an option: what it asks for is what the network is trained with."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import EMAWeightAveraging

from chexmodel import bundle
from chexmodel.errors import ChexError
from chexmodel.labels import OBSERVATIONS
from chexmodel.weighting import POS_WEIGHT_CAP, pos_weight
from train.config import FitConfig
from train.dataset import load_splits
from train.fit import fit
from train.losses import masked_asymmetric_loss, masked_focal_loss
from train.module import Classifier
from train.predict import predict
from train.run import class_weights, train_network

DECAY = 0.7
"""So low that the average follows the handful of steps of a tiny training."""

State = dict[str, torch.Tensor]


def config(data: Path, out: Path, **options: Any) -> FitConfig:
    small = {"backbone": "test_resnet", "weights": "none", "image_size": 64, "batch_size": 8, "workers": 0}
    run = {"epochs": 1, "validation": 0.4, "accelerator": "cpu", "seed": 3, "learning_rate": 1e-2}
    return FitConfig(data=data, out=out, **(small | run | options))


@pytest.mark.parametrize(
    ("options", "objective"),
    [
        ({"loss": "focal"}, lambda z, y, a: masked_focal_loss(z, y, gamma=2.0, alpha=a)),
        ({"loss": "focal", "gamma": 0.5}, lambda z, y, a: masked_focal_loss(z, y, gamma=0.5, alpha=a)),
        ({"loss": "bce", "gamma": 5.0}, lambda z, y, a: masked_focal_loss(z, y, gamma=0.0, alpha=a)),
        ({"loss": "asl", "pos_weight": "off"}, lambda z, y, _: masked_asymmetric_loss(z, y)),
        ({"loss": "asl"}, lambda z, y, a: masked_asymmetric_loss(z, y, alpha=a)),
        ({"ema": DECAY}, lambda z, y, a: masked_focal_loss(z, y, gamma=2.0, alpha=a)),
    ],
    ids=["focal", "gamma", "bce", "asl", "weighted asl", "moving average"],
)
def test_the_epochs_validation_loss_is_that_of_the_network_kept(
    tiny_data: Path, tmp_path: Path, options: dict[str, Any], objective: Any
) -> None:
    """Of the loss that was asked for, and of the averaged weights where there is an average."""
    wanted = config(tiny_data, tmp_path / "run", **options)
    pair = load_splits(wanted).pairs[0]
    net, preprocessing = train_network(wanted, pair, kept="last")
    logits = predict(net.eval(), pair.validation, preprocessing, wanted, name="validation")
    alpha = torch.from_numpy(pos_weight(pair.train.targets))
    expected = objective(torch.from_numpy(logits), torch.from_numpy(pair.validation.truth), alpha).item()
    found = bundle.read_history(wanted.out)["val_loss"].iloc[-1]
    assert found == pytest.approx(expected, rel=1e-4)


def test_class_weights(tiny_data: Path, tmp_path: Path) -> None:
    wanted = config(tiny_data, tmp_path / "run")
    split = load_splits(wanted).pairs[0].train
    split.targets[:, 3] = 0
    split.targets[0, 3] = 1
    uncapped = (len(split) - 1) / 1  # one positive among all films
    weights = {
        mode: class_weights(split, wanted.model_copy(update={"pos_weight": mode, "pos_weight_cap": 3.0}))
        for mode in ("on", "off", "cap")
    }
    assert weights["off"] is None
    assert weights["on"].dtype == weights["cap"].dtype == torch.float32
    assert weights["on"][3].item() == pytest.approx(uncapped, rel=1e-4)
    assert uncapped > 3
    torch.testing.assert_close(weights["cap"], weights["on"].clamp(max=3.0))
    np.testing.assert_allclose(class_weights(split, wanted), pos_weight(split.targets), rtol=1e-6)
    assert (wanted.pos_weight, wanted.pos_weight_cap) == ("cap", POS_WEIGHT_CAP)


def test_class_weights_are_finite_where_there_is_no_positive(tiny_data: Path, tmp_path: Path) -> None:
    """neg / (pos + 1e-6) of an observation without one is some 10⁷: it never meets a positive to weigh."""
    wanted = config(tiny_data, tmp_path / "run", pos_weight="on")
    weights = class_weights(load_splits(wanted).pairs[0].train, wanted)
    assert torch.isfinite(weights).all()
    assert weights[OBSERVATIONS.index("Fracture")] == 0  # not labelled at all


class Recorded(EMAWeightAveraging):
    """Keep the raw weights after every step, and Lightning's average of them."""

    raw: list[State] = []  # noqa: RUF012
    average: State = {}  # noqa: RUF012

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *rest: Any) -> None:
        super().on_train_batch_end(trainer, pl_module, *rest)
        Recorded.raw.append({name: value.clone() for name, value in pl_module.network.state_dict().items()})
        averaged = self._average_model.module.network
        Recorded.average = {name: value.clone() for name, value in averaged.state_dict().items()}


def averaged_by_hand(states: list[State], decay: float) -> State:
    """Start from the weights after the first step; then `decay · average + (1 − decay) · weights`."""
    average = {name: value.double() for name, value in states[0].items()}
    for state in states[1:]:
        average = {
            name: decay * value + (1 - decay) * state[name].double() for name, value in average.items()
        }
    return average


def test_the_bundle_has_the_moving_average(
    tiny_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Batch-norm statistics too, since those of the raw weights would not fit the averaged ones."""
    monkeypatch.setattr("train.run.EMAWeightAveraging", Recorded)
    monkeypatch.setattr(Recorded, "raw", [])
    wanted = config(tiny_data, tmp_path / "run", epochs=3, ema=DECAY, folds=2, weights_dtype="float32")
    fit(wanted)
    steps = len(Recorded.raw) // 2
    assert steps >= 6
    members = bundle.load_members(wanted.out, bundle.read_manifest(wanted.out))
    for number, member in enumerate(members):
        raw = Recorded.raw[number * steps : (number + 1) * steps]
        expected, found = averaged_by_hand(raw, DECAY), member.state_dict()
        names = [name for name in found if not name.endswith("num_batches_tracked")]
        for name in names:
            torch.testing.assert_close(found[name].double(), expected[name], rtol=1e-4, atol=1e-6)
        apart = [name for name in names if not torch.allclose(found[name], raw[-1][name], rtol=1e-3)]
        assert "head.weight" in apart
        assert any(name.endswith("running_var") for name in apart)
    for name, value in members[-1].state_dict().items():
        torch.testing.assert_close(value, Recorded.average[name], rtol=0, atol=0)


def test_without_it_the_weights_are_those_of_the_last_step(
    tiny_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    step, raw = Classifier.on_train_batch_end, []

    def recorded(self: Classifier, *arguments: Any) -> None:
        step(self, *arguments)
        raw.append({name: value.clone() for name, value in self.network.state_dict().items()})

    monkeypatch.setattr(Classifier, "on_train_batch_end", recorded)
    wanted = config(tiny_data, tmp_path / "run")
    net, _ = train_network(wanted, load_splits(wanted).pairs[0], kept="last")
    for name, value in net.state_dict().items():
        torch.testing.assert_close(value, raw[-1][name], rtol=0, atol=0)


@pytest.mark.parametrize("checkpoint_steps", [0, 1])
def test_an_average_survives_an_interruption(
    tiny_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, checkpoint_steps: int
) -> None:
    """Raw and averaged weights go on as they were, also in the middle of an epoch."""
    straight, stopped = (
        config(tiny_data, tmp_path / name, epochs=2, ema=DECAY, checkpoint_steps=checkpoint_steps)
        for name in ("straight", "stopped")
    )
    fit(straight)
    step = Classifier.training_step

    def interrupted(self: Classifier, batch: Any, index: int) -> torch.Tensor:
        if (self.current_epoch, index) == (1, 1):
            raise KeyboardInterrupt
        return step(self, batch, index)

    with monkeypatch.context() as patched:
        patched.setattr(Classifier, "training_step", interrupted)
        with pytest.raises(ChexError, match="--resume"):
            fit(stopped)
    fit(stopped.model_copy(update={"resume": True}))
    hashes = {bundle.read_manifest(wanted.out).weights_sha256 for wanted in (straight, stopped)}
    assert len(hashes) == 1


@pytest.mark.parametrize(
    "wrong", [{"ema": 1.0}, {"ema": -0.1}, {"loss": "dice"}, {"pos_weight": "yes"}, {"pos_weight_cap": 0.5}]
)
def test_values_that_make_no_sense_are_refused(tmp_path: Path, wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        config(tmp_path, tmp_path / "run", **wrong)
