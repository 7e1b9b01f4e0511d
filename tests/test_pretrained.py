import pickle
from pathlib import Path

import pytest
import timm
import torch
from networks import lively
from safetensors.torch import save_file
from torch import nn

from chexmodel.errors import BundleError
from train.pretrained import load_backbone_weights

SMALL = "test_resnet"


def body() -> nn.Module:
    return timm.create_model(SMALL, num_classes=0)


def assert_loaded(target: nn.Module, source: nn.Module) -> None:
    for name, value in source.state_dict().items():
        if not name.endswith("num_batches_tracked"):
            torch.testing.assert_close(target.state_dict()[name], value, rtol=0, atol=0)


@pytest.mark.parametrize("suffix", [".pth", ".pt", ".safetensors"])
def test_weights_are_matched_by_name(tmp_path: Path, suffix: str) -> None:
    source = lively(SMALL).backbone
    state = dict(reversed(source.state_dict().items())) | {"fc.weight": torch.ones(5, 96)}
    file = tmp_path / f"weights{suffix}"
    if suffix == ".safetensors":
        save_file(state, file)
    else:
        torch.save(state, file)
    target = body()
    load_backbone_weights(target, file)
    assert_loaded(target, source)


@pytest.mark.parametrize("counters", [True, False])
def test_weights_under_other_names_are_matched_in_order(tmp_path: Path, counters: bool) -> None:
    source = lively(SMALL).backbone
    state = {
        name: value
        for name, value in renamed(source.state_dict()).items()
        if counters or not name.endswith("num_batches_tracked")
    }
    torch.save(state | {"classifier.weight": torch.ones(5, 96)}, tmp_path / "w.pth")
    target = body()
    load_backbone_weights(target, tmp_path / "w.pth")
    assert_loaded(target, source)


def renamed(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {f"other.{name}": value for name, value in state.items()}


def test_safetensors_under_other_names_are_refused(tmp_path: Path) -> None:
    """The format sorts by name: matched in order, a batch norm's bias would become its weight, unnoticed."""
    save_file(renamed(body().state_dict()), tmp_path / "w.safetensors")
    with pytest.raises(BundleError, match=r"names its tensors otherwise.*\.pth"):
        load_backbone_weights(body(), tmp_path / "w.safetensors")


def test_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    target, file = body(), tmp_path / "w.pth"
    before = {name: value.clone() for name, value in target.state_dict().items()}
    state = target.state_dict()
    name = next(iter(state))
    for wrong in ({**state, name: torch.ones(3, 3)}, renamed({**state, name: torch.ones(3, 3)})):
        torch.save(wrong, file)
        with pytest.raises(BundleError, match=rf"does not fit: {name} is \(3, 3\), the backbone needs \("):
            load_backbone_weights(target, file)
    torch.save(dict(list(renamed(state).items())[:10]), file)
    with pytest.raises(BundleError, match=r"has \d+ tensors, the backbone needs \d+"):
        load_backbone_weights(target, file)
    for name, value in target.state_dict().items():
        assert torch.equal(value, before[name])


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_a_file_that_is_no_state_dict(tmp_path: Path, suffix: str) -> None:
    file = tmp_path / f"w{suffix}"
    with pytest.raises(BundleError, match="does not exist: check --weights"):
        load_backbone_weights(body(), file)
    file.write_bytes(b"these are no weights")
    with pytest.raises(BundleError, match="can't be read as a state dict"):
        load_backbone_weights(body(), file)


@pytest.mark.parametrize(
    "content", [torch.ones(3), [torch.ones(3)], {"state_dict": {"a": torch.ones(3)}, "epoch": 3}]
)
def test_a_file_that_holds_something_else(tmp_path: Path, content: object) -> None:
    torch.save(content, tmp_path / "w.pth")
    with pytest.raises(BundleError, match=r"does not map names to tensors.*state_dict\(\), FILE"):
        load_backbone_weights(body(), tmp_path / "w.pth")


class Bomb:
    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[object, tuple[Path]]:
        return Path.touch, (self.target,)


@pytest.mark.parametrize("save", [torch.save, lambda content, file: file.write_bytes(pickle.dumps(content))])
def test_code_in_a_weights_file_is_not_run(tmp_path: Path, save) -> None:
    exploded = tmp_path / "exploded"
    save({"weight": Bomb(exploded)}, tmp_path / "w.pth")
    with pytest.raises(BundleError, match="can't be read as a state dict"):
        load_backbone_weights(body(), tmp_path / "w.pth")
    assert not exploded.exists()
