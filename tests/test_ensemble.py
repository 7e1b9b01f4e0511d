"""An ensemble is one network of the same form: its logits and its maps are the means of its members'."""

import hashlib
import json
import shutil
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from apps import ran
from networks import lively
from pytorch_grad_cam.utils.image import scale_cam_image
from streamlit.testing.v1 import AppTest
from tiny_bundle import UNTRAINED, write_tiny_bundle

from chexmodel import bundle, phantom
from chexmodel.bundle import weight_files
from chexmodel.errors import BundleError
from chexmodel.explain import METHODS, class_activation_maps, relative_map
from chexmodel.labels import OBSERVATIONS
from chexmodel.network import Network, build, ensemble
from chexmodel.predictor import Predictor
from chexmodel.ui.bundles import MODEL_KEY

ROOT = Path(__file__).resolve().parents[1]


def noise(films: int = 2, side: int = 96) -> torch.Tensor:
    return torch.randn(films, 3, side, side, generator=torch.Generator().manual_seed(7))


@torch.no_grad()
def read(net: Network, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits (B, 14) and maps (B, 14, h, w)."""
    logits, features = net(images)
    return logits, class_activation_maps(features, net.head.weight)


@pytest.mark.parametrize(
    ("backbone", "members"), [("test_resnet", 3), ("densenet121", 2), ("tf_efficientnet_lite0", 2)]
)
def test_logits_and_maps_are_the_means_and_still_add_up(backbone: str, members: int) -> None:
    networks = [lively(backbone, seed=seed) for seed in range(members)]
    single = [read(net, noise()) for net in networks]
    for one, other in pairwise(single):
        assert not torch.allclose(one[0], other[0], atol=1e-3)  # or the mean would prove nothing
    joined = ensemble(networks)
    logits, maps = read(joined, noise())
    torch.testing.assert_close(logits, torch.stack([s[0] for s in single]).mean(0), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(maps, torch.stack([s[1] for s in single]).mean(0), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(maps.mean(dim=(2, 3)) + joined.head.bias, logits, rtol=1e-4, atol=1e-5)
    assert not joined.training
    assert not any(value.requires_grad for value in joined.parameters())


def test_members_may_have_other_backbones() -> None:
    """Only the maps' size has to agree: widths are weighed by the columns of the linear layer."""
    networks = [lively("test_resnet"), lively("resnet10t")]
    assert networks[0].head.in_features != networks[1].head.in_features
    logits, maps = read(ensemble(networks), noise())
    single = [read(net, noise()) for net in networks]
    torch.testing.assert_close(logits, (single[0][0] + single[1][0]) / 2, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(maps, (single[0][1] + single[1][1]) / 2, rtol=1e-4, atol=1e-5)


def test_one_member_and_copies_of_one_change_nothing() -> None:
    net = lively("test_resnet")
    logits, maps = read(net, noise())
    for copies in (1, 4):
        found = read(ensemble([net] * copies), noise())
        torch.testing.assert_close(found, (logits, maps), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("method", [method for method in METHODS if method != "Grad-CAM"])
def test_the_grad_cam_package_reads_an_ensemble(method: str) -> None:
    joined = ensemble([lively("test_resnet", seed=seed) for seed in (0, 1)])
    found = relative_map(joined, noise(1)[0], 3, method=method)
    assert (found.shape, found.min().item()) == ((96, 96), 0)
    assert found.max() == pytest.approx(1, abs=1e-3)
    assert found.std() > 0.05


def test_the_packages_hirescam_is_the_mean_map() -> None:
    """Behind an average pooling HiResCAM is Grad-CAM: the package finds the mean of the members' maps."""
    networks = [lively("test_resnet", seed=seed) for seed in (0, 1)]
    image = noise(1)[0]
    mean = (read(networks[0], image[None])[1] + read(networks[1], image[None])[1])[0] / 2
    k = int(mean.amax(dim=(1, 2)).argmax())
    positive = mean[k : k + 1].clamp(min=0).numpy()
    expected = scale_cam_image(scale_cam_image(positive / positive.size, (96, 96)))[0]
    found = relative_map(ensemble(networks), image, k, method="HiResCAM")
    np.testing.assert_allclose(found.numpy(), expected, atol=1e-4)
    assert expected.std() > 0.05


# ---------------------------------------------------------------------------------------------- bundle


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_bundle(tmp_path_factory.mktemp("runs") / "three", members=3)


@pytest.fixture
def three(written: Path, tmp_path: Path) -> Path:
    """A copy to damage."""
    return Path(shutil.copytree(written, tmp_path / "three"))


def test_names_of_the_weight_files() -> None:
    assert weight_files(1) == ["model.safetensors"]
    assert weight_files(3) == ["model.safetensors", "members/01.safetensors", "members/02.safetensors"]


def test_an_ensemble_comes_back(written: Path) -> None:
    loaded = bundle.load(written)
    assert loaded.manifest.members == 3
    assert loaded.manifest.format_version == bundle.FORMAT_VERSION == 2
    members = bundle.load_members(written, loaded.manifest)
    assert len(members) == 3
    single = torch.stack([read(net, noise(side=64))[0] for net in members])
    assert single.std(dim=0).min() > 0
    torch.testing.assert_close(
        read(loaded.network, noise(side=64))[0], single.mean(dim=0), rtol=1e-4, atol=1e-6
    )


def test_the_predictor_reads_with_all_members(written: Path) -> None:
    predictor = Predictor.from_bundle(written)
    film = phantom.draw(size=128, seed=1)
    prediction = predictor.predict(film)
    trained = np.array([name != UNTRAINED for name in OBSERVATIONS])
    assert (np.isnan(prediction.logits) == ~trained).all()
    members = bundle.load_members(written, predictor.bundle.manifest)
    image = predictor.bundle.manifest.preprocessing.tensor(prediction.film)[None]
    single = [read(net, image) for net in members]
    logits, maps = (torch.stack([s[part][0] for s in single]).mean(0).numpy() for part in (0, 1))
    np.testing.assert_allclose(prediction.logits[trained], logits[trained], atol=1e-5)
    np.testing.assert_allclose(prediction.heatmaps[trained], maps[trained], atol=1e-5)
    bias = predictor.bundle.network.head.bias.numpy()
    added = prediction.heatmaps.mean(axis=(1, 2)) + bias
    np.testing.assert_allclose(added[trained], prediction.logits[trained], atol=1e-5)
    assert prediction.overlay("Edema", method="LayerCAM").size == (128, 128)


@pytest.mark.parametrize("name", ["model.safetensors", "members/01.safetensors", "members/02.safetensors"])
def test_a_missing_member(three: Path, name: str) -> None:
    (three / name).unlink()
    with pytest.raises(BundleError, match=rf"lacks {name}: run `python -m train fit .*copy the bundle again"):
        bundle.load(three)


def test_a_changed_member(three: Path) -> None:
    file = three / "members" / "02.safetensors"
    data = bytearray(file.read_bytes())
    data[-1] ^= 1
    file.write_bytes(data)
    with pytest.raises(BundleError, match=r"SHA-256 differs.*copy the bundle again"):
        bundle.load(three)


def test_swapped_members(three: Path) -> None:
    """Out-of-fold scores need each member at its place."""
    first, second = (three / "members" / f"{number}.safetensors" for number in ("01", "02"))
    kept = first.read_bytes()
    first.write_bytes(second.read_bytes())
    second.write_bytes(kept)
    with pytest.raises(BundleError, match="SHA-256 differs"):
        bundle.load(three)


def test_a_damaged_member_that_the_checksum_does_not_betray(three: Path) -> None:
    (three / "members" / "01.safetensors").write_bytes(b"\xff" * 64)
    content = json.loads((three / "bundle.json").read_bytes())
    digest = hashlib.sha256(b"".join((three / name).read_bytes() for name in weight_files(3)))
    (three / "bundle.json").write_text(json.dumps(content | {"weights_sha256": digest.hexdigest()}))
    with pytest.raises(BundleError, match=r"members/01\.safetensors of bundle .* is damaged"):
        bundle.load(three)


@pytest.mark.parametrize("members", [0, 100, "two", 2.5])
def test_a_number_of_members_that_is_none(three: Path, members: object) -> None:
    content = json.loads((three / "bundle.json").read_bytes())
    (three / "bundle.json").write_text(json.dumps(content | {"members": members}))
    with pytest.raises(BundleError, match=r"bundle\.json of bundle .* is damaged .*members"):
        bundle.load(three)


def test_saving_again_keeps_the_members(three: Path) -> None:
    before = [(three / name).read_bytes() for name in weight_files(3)]
    bundle.save(three, {"card.md": b"# anew"})
    assert [(three / name).read_bytes() for name in weight_files(3)] == before
    assert bundle.load(three).card() == "# anew"


def test_members_are_of_one_backbone(three: Path) -> None:
    """Weights of another network in a member's file are damage, not a second architecture."""
    (three / "members" / "02.safetensors").write_bytes(bundle.weights_bytes(build("resnet10t"), "float16"))
    content = json.loads((three / "bundle.json").read_bytes())
    digest = hashlib.sha256(b"".join((three / name).read_bytes() for name in weight_files(3)))
    (three / "bundle.json").write_text(json.dumps(content | {"weights_sha256": digest.hexdigest()}))
    with pytest.raises(BundleError, match=r"members/02\.safetensors of bundle .* is damaged"):
        bundle.load(three)


# ------------------------------------------------------------------------------------- card and pages


def test_the_card_says_what_an_ensembles_figures_are(written: Path) -> None:
    card = (written / "card.md").read_text()
    assert "3 members, one a fold" in card
    assert "out-of-fold" in card
    assert "too flat" in card
    assert "dealt out to 3 folds" in card
    assert "--folds 3" in card
    assert "| train | 120 | 60 |" in card
    assert "| validation |" not in card


def test_the_card_of_one_network_says_nothing_of_members(tmp_path: Path) -> None:
    card = (write_tiny_bundle(tmp_path / "one") / "card.md").read_text()
    assert "members" not in card
    assert "fold" not in card


def test_the_model_page_says_it_too(written: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHEXMODEL_RUNS", str(written.parent))
    at = AppTest.from_file(str(ROOT / "chexmodel" / "ui" / "model.py"), default_timeout=60)
    at.session_state[MODEL_KEY] = str(written)
    ran(at)
    shown = "\n".join(element.value for kind in (at.markdown, at.caption) for element in kind)
    assert "**Members**: 3, one a fold" in shown
    assert "Fitted out of fold" in shown
    assert "120 train, 80 test" in shown
