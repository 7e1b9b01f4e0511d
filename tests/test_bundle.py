import hashlib
import json
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from networks import lively
from safetensors.torch import load, save
from tiny_bundle import HISTORY, UNTRAINED, write_tiny_bundle

from chexmodel import bundle
from chexmodel.bundle import Metrics, weights_bytes
from chexmodel.calibration import Calibration
from chexmodel.errors import BundleError
from chexmodel.labels import OBSERVATIONS
from chexmodel.network import Network

REQUIRED = ("bundle.json", "model.safetensors", "calibration.json", "thresholds.json")


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_bundle(tmp_path_factory.mktemp("runs") / "tiny")


@pytest.fixture
def tiny(written: Path, tmp_path: Path) -> Path:
    """A copy to damage."""
    return shutil.copytree(written, tmp_path / "tiny")


def edit(path: Path, name: str, change: Callable[[object], object]) -> None:
    content = json.loads((path / name).read_bytes())
    (path / name).write_text(json.dumps(change(content)))


def put_weights(path: Path, data: bytes) -> None:
    """Replace the weights and have the manifest vouch for them."""
    (path / "model.safetensors").write_bytes(data)
    edit(path, "bundle.json", lambda content: content | {"weights_sha256": hashlib.sha256(data).hexdigest()})


def put_network(path: Path, network: Network, dtype: bundle.Dtype = "float16") -> dict[str, torch.Tensor]:
    data = weights_bytes(network, dtype)
    put_weights(path, data)
    return load(data)


def test_everything_comes_back(written: Path) -> None:
    loaded = bundle.load(written)
    assert loaded.path == written
    assert loaded.manifest == bundle.read_manifest(written)
    assert (loaded.manifest.name, loaded.manifest.backbone) == ("tiny", "test_resnet")
    assert [row.observation for row in loaded.calibrations] == list(OBSERVATIONS)
    assert [row.observation for row in loaded.thresholds] == list(OBSERVATIONS)
    assert loaded.trained == [name != UNTRAINED for name in OBSERVATIONS]
    assert set(loaded.metrics().splits) == {"validation", "test"}
    assert bundle.read_history(loaded.path).equals(HISTORY)
    assert set(loaded.predictions()["split"]) == {"validation", "test"}
    assert "test_resnet" in loaded.card()
    rewritten = bundle.to_json(loaded.metrics(), Metrics)
    assert rewritten == (written / "metrics.json").read_bytes()
    assert b"NaN" not in rewritten
    assert (
        bundle.to_json(loaded.calibrations, list[Calibration]) == (written / "calibration.json").read_bytes()
    )


def test_the_network_comes_back_as_written(tiny: Path) -> None:
    """What is loaded computes with the weights as rounded in the file, in single precision."""
    original = lively("test_resnet")
    tensors = put_network(tiny, original)
    network = bundle.load(tiny).network
    assert not network.training
    assert not any(value.requires_grad for value in network.parameters())
    images = torch.randn(3, 3, 64, 64)
    exact = original(images)[0]
    original.load_state_dict({name: value.float() for name, value in tensors.items()})
    assert torch.equal(network(images)[0], original(images)[0])
    assert not torch.equal(network(images)[0], exact)  # the rounding is there, and small
    torch.testing.assert_close(network(images)[0], exact, rtol=0.02, atol=0.02)


def test_single_precision_loses_nothing(tiny: Path) -> None:
    original = lively("test_resnet")
    put_network(tiny, original, "float32")
    network = bundle.load(tiny).network
    for name, value in original.state_dict().items():
        assert torch.equal(network.state_dict()[name], value)


def test_batch_norm_and_biases_stay_in_single_precision() -> None:
    original = lively("test_resnet")
    for name, value in load(weights_bytes(original, "float16")).items():
        source = original.state_dict()[name]
        if source.is_floating_point() and source.ndim > 1:
            assert value.dtype == torch.float16
            assert torch.equal(value, source.half())
        else:
            assert value.dtype == source.dtype
            assert torch.equal(value, source)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 1e5])
def test_weights_that_are_not_finite_are_not_written(value: float) -> None:
    network = lively("test_resnet")
    network.head.weight[0, 0] = value
    with pytest.raises(BundleError, match=r"weight head\.weight is not finite as float16.*use float32"):
        weights_bytes(network, "float16")
    if np.isfinite(value):
        weights_bytes(network, "float32")


def test_a_missing_directory(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=r"no bundle at .*nothing.*python -m train fit"):
        bundle.load(tmp_path / "nothing")


@pytest.mark.parametrize("name", REQUIRED)
def test_a_missing_file(tiny: Path, name: str) -> None:
    (tiny / name).unlink()
    maker = "fit" if name in ("bundle.json", "model.safetensors") else f"evaluate {tiny} --data DIR"
    with pytest.raises(BundleError, match=f"{tiny} lacks {name}: run `python -m train {maker}"):
        bundle.load(tiny)


READ = {
    "metrics.json": bundle.Bundle.metrics,
    "predictions.parquet": bundle.Bundle.predictions,
    "history.csv": lambda loaded: bundle.read_history(loaded.path),
    "card.md": bundle.Bundle.card,
}


@pytest.mark.parametrize("name", READ)
def test_what_the_pages_show_may_be_missing_until_asked_for(tiny: Path, name: str) -> None:
    (tiny / name).unlink()
    loaded = bundle.load(tiny)
    with pytest.raises(BundleError, match=f"lacks {name}: run `python -m train"):
        READ[name](loaded)


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b'"text"', b"\xff\xfe\x00", b"null", b"{}", b"[" * 10**5]
)
@pytest.mark.parametrize("name", ["bundle.json", "calibration.json", "thresholds.json"])
def test_json_that_is_none_or_another(tiny: Path, name: str, content: bytes) -> None:
    (tiny / name).write_bytes(content)
    message = rf"{name} of bundle .* is damaged .*copy the bundle again"
    if (name, content) == ("bundle.json", b"{}"):
        message = "has format version None"
    with pytest.raises(BundleError, match=message):
        bundle.load(tiny)


@pytest.mark.parametrize("name", ["metrics.json", "predictions.parquet", "history.csv"])
def test_damaged_extras(tiny: Path, name: str) -> None:
    (tiny / name).write_bytes(b"")
    with pytest.raises(BundleError, match=rf"{name} of bundle .* is damaged"):
        READ[name](bundle.load(tiny))


def test_another_format_version(tiny: Path) -> None:
    edit(tiny, "bundle.json", lambda content: content | {"format_version": 3})
    message = r"format version 3, this program reads 1 to 2.*version of the program"
    with pytest.raises(BundleError, match=message):
        bundle.load(tiny)


def test_the_first_format_version_is_still_read(tiny: Path) -> None:
    """It knew neither members nor origins: one network, trained by this program."""

    def first(content: object) -> object:
        kept = {name: value for name, value in content.items() if name not in ("members", "origin")}
        return kept | {"format_version": 1}

    edit(tiny, "bundle.json", first)
    loaded = bundle.load(tiny)
    assert (loaded.manifest.format_version, loaded.manifest.members, loaded.manifest.origin) == (1, 1, None)
    assert loaded.network.head.weight.shape[0] == len(OBSERVATIONS)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"observations": OBSERVATIONS[::-1]}, "other observations than CheXpert's 14"),
        ({"backbone": "no_such_net"}, "timm has no backbone 'no_such_net'"),
        ({"backbone": "hf-hub:someone/else"}, "timm has no backbone"),
        ({"backbone": "test_efficientnet"}, "model.safetensors of bundle .* is damaged"),
        ({"preprocessing": {"size": 64}}, "bundle.json of bundle .* is damaged .*preprocessing.mean"),
        ({"weights_dtype": "int4"}, "bundle.json of bundle .* is damaged .*weights_dtype"),
        ({"weights_sha256": "0" * 64}, "not those that its bundle.json names .*copy the bundle again"),
    ],
)
def test_a_manifest_that_does_not_fit(tiny: Path, change: dict[str, object], message: str) -> None:
    edit(tiny, "bundle.json", lambda content: content | change)
    with pytest.raises(BundleError, match=message):
        bundle.load(tiny)


def test_one_changed_byte_of_the_weights(tiny: Path) -> None:
    data = bytearray((tiny / "model.safetensors").read_bytes())
    data[-1] ^= 1
    (tiny / "model.safetensors").write_bytes(data)
    with pytest.raises(BundleError, match="SHA-256 differs"):
        bundle.load(tiny)


class Bomb:
    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[object, tuple[Path]]:
        return Path.touch, (self.target,)


def test_weights_that_the_checksum_does_not_betray(tiny: Path, tmp_path: Path) -> None:
    """Whoever writes the weights writes the checksum too: it guards against accidents alone."""
    whole = (tiny / "model.safetensors").read_bytes()
    tensors = load(whole)
    exploded = tmp_path / "exploded"
    fewer = {name: value for name, value in tensors.items() if name != "head.bias"}
    for data, reason in [
        (whole[: len(whole) // 2], ""),
        (b"", ""),
        (b"\xff" * 64, ""),
        (pickle.dumps(Bomb(exploded)), ""),
        (save(tensors | {"head.weight": torch.ones(14, 3)}), "head.weight"),
        (save(tensors | {"more": torch.ones(3)}), "more"),
        (save(fewer), "head.bias"),
    ]:
        put_weights(tiny, data)
        with pytest.raises(
            BundleError,
            match=rf"model\.safetensors of bundle .* is damaged .*{reason}.*copy the bundle again",
        ):
            bundle.load(tiny)
    assert not exploded.exists()


def test_weights_that_are_not_finite_are_not_read(tiny: Path) -> None:
    tensors = load((tiny / "model.safetensors").read_bytes())
    tensors["head.bias"][3] = torch.nan
    put_weights(tiny, save(tensors))
    with pytest.raises(BundleError, match=r"model\.safetensors .* is damaged \(head\.bias is not finite"):
        bundle.load(tiny)


@pytest.mark.parametrize("name", ["calibration.json", "thresholds.json"])
@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda rows: rows[::-1], "does not list the 14 observations in their order"),
        (lambda rows: rows[:13], "does not list the 14 observations"),
        (lambda rows: [row | {"split": None} for row in rows], "split"),
    ],
)
def test_rows_that_do_not_fit(
    tiny: Path, name: str, change: Callable[[object], object], message: str
) -> None:
    edit(tiny, name, change)
    with pytest.raises(BundleError, match=rf"{name} of bundle .* is damaged .*{message}"):
        bundle.load(tiny)


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("calibration.json", {"slope": 0}),
        ("calibration.json", {"slope": -2.0}),
        ("calibration.json", {"slope": float("inf")}),
        ("calibration.json", {"intercept": float("nan")}),
        ("thresholds.json", {"value": 1.5}),
        ("thresholds.json", {"value": float("nan")}),
        ("thresholds.json", {"rule": "by eye"}),
    ],
)
def test_numbers_out_of_range(tiny: Path, name: str, change: dict[str, object]) -> None:
    edit(tiny, name, lambda rows: [rows[0] | change, *rows[1:]])
    with pytest.raises(BundleError, match=rf"{name} of bundle .* is damaged .*0\.{next(iter(change))}"):
        bundle.load(tiny)


def test_saving_again_keeps_the_other_files(tiny: Path) -> None:
    before = {file.name: file.read_bytes() for file in tiny.iterdir()}
    bundle.save(tiny, {"card.md": b"# anew"})
    assert {file.name: file.read_bytes() for file in tiny.iterdir()} == before | {"card.md": b"# anew"}
    assert [file.name for file in tiny.parent.iterdir()] == ["tiny"]
    assert bundle.load(tiny).card() == "# anew"
