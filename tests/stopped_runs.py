"""Small runs that are stopped on purpose, and what must be equal when they went on."""

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest
import timm
import torch

from chexmodel import bundle
from train.checkpoint import BEST, LAST
from train.config import FitConfig
from train.module import Classifier
from train.run import CHECKPOINTS

# 20 films to learn from: epochs of 10 steps. A path through the backbone is dropped at random, so that the
# weights depend on torch's random state besides the draws and their augmentation.
OPTIONS = {
    "backbone": "test_resnet",
    "weights": "none",
    "image_size": 64,
    "batch_size": 2,
    "validation": 0.4,
    "epochs": 2,
    "ema": 0.9,
    "checkpoint_steps": 3,
    "seed": 3,
    "workers": 0,
    "accelerator": "cpu",
}
DROPPING = functools.partial(timm.create_model, drop_path_rate=0.3)
CURVES = ["epoch", "train_loss", "val_loss", "val_accuracy", "val_auroc", "learning_rate"]


class Killed(BaseException):
    """Nothing catches it and nothing is written after it, as after SIGKILL."""


def config(data: Path, out: Path, **options: Any) -> FitConfig:
    return FitConfig(data=data, out=out, **(OPTIONS | options))


def resumed(wanted: FitConfig) -> FitConfig:
    return wanted.model_copy(update={"resume": True})


def checkpoint(out: Path, name: str = LAST) -> dict[str, Any]:
    return dict(torch.load(out / CHECKPOINTS / name, weights_only=True))


def epochs_and_steps(out: Path) -> tuple[int, int]:
    place = checkpoint(out)["place"]
    return place["epochs"], place["steps"]


def assert_same(one: object, other: object) -> None:
    if isinstance(one, torch.Tensor):
        assert isinstance(other, torch.Tensor)
        assert torch.equal(one, other)
    elif isinstance(one, dict):
        assert isinstance(other, dict)
        assert one.keys() == other.keys()
        for key in one:
            assert_same(one[key], other[key])
    elif isinstance(one, list):
        assert isinstance(other, list)
        for mine, theirs in zip(one, other, strict=True):
            assert_same(mine, theirs)
    else:
        assert one == other


def assert_same_run(out: Path, straight: Path) -> None:
    """Everything is equal to the bit, the state to go on from too."""
    weights = [bundle.read_manifest(path).weights_sha256 for path in (out, straight)]
    assert weights[0] == weights[1]
    pd.testing.assert_frame_equal(
        bundle.read_history(out)[CURVES], bundle.read_history(straight)[CURVES], check_exact=True
    )
    for name in (LAST, BEST):
        mine, theirs = checkpoint(out, name), checkpoint(straight, name)
        for part in ("epoch", "state_dict", "current_model_state", "averaging_state", "place"):
            assert_same(mine[part], theirs[part])
        for part in ("optimizer_states", "lr_schedulers"):
            assert_same(mine[part], theirs[part])
    assert not list(out.rglob(".*"))


def stop_at(step: int, how: Callable[[], float], patch: pytest.MonkeyPatch) -> None:
    """In a step, counted over the whole run from 0, raise something or change the loss by a factor."""
    plain = Classifier.training_step

    def training_step(self: Classifier, batch: Any, index: int) -> torch.Tensor:
        loss = plain(self, batch, index)
        return loss * how() if self.trainer.global_step == step else loss

    patch.setattr(Classifier, "training_step", training_step)


def kill() -> float:
    raise Killed


@contextmanager
def killed_at(step: int) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        stop_at(step, kill, patch)
        with pytest.raises(Killed):
            yield


def judged(scores: list[float]) -> Callable[..., SimpleNamespace]:
    """Give the epochs these scores, whatever the network says."""
    given = iter(scores)

    def evaluation(*_: Any, **__: Any) -> SimpleNamespace:
        value = SimpleNamespace(value=next(given))
        return SimpleNamespace(macro=dict.fromkeys(("precision", "recall", "f1", "auroc"), value))

    return evaluation
