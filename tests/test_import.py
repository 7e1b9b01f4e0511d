"""Weights of torchxrayvision as a bundle: its own logits, honest about where they come from."""

import io
import json
import shutil
import sys
from contextlib import redirect_stderr
from pathlib import Path

import numpy as np
import pytest
import torch
from apps import ran
from streamlit.testing.v1 import AppTest
from torch import nn

from chexmodel import bundle, images, phantom
from chexmodel.errors import BundleError
from chexmodel.geometry import to_square8
from chexmodel.labels import ALIASES, OBSERVATIONS
from chexmodel.predictor import Predictor
from chexmodel.ui.bundles import MODEL_KEY
from train.__main__ import main
from train.commands import EvaluateConfig, ImportConfig
from train.evaluate import evaluate
from train.importing import PUBLISHED, import_torchxrayvision

xrv = pytest.importorskip("torchxrayvision")

NAME = "densenet121-res224-chex"
PAGES = Path(__file__).resolve().parents[1] / "chexmodel" / "ui"
UNTRAINED = {"No Finding", "Pleural Other", "Support Devices"}


def densenet() -> nn.Module:
    """The library's network with random weights, and batch norms that have seen films."""
    torch.manual_seed(0)
    model = xrv.models.DenseNet(num_classes=18)
    for norm in model.modules():
        if isinstance(norm, nn.BatchNorm2d):
            nn.init.uniform_(norm.weight, 0.5, 1.5)
            nn.init.normal_(norm.bias, std=0.3)
            norm.momentum = 0.9
    with torch.no_grad():
        model.train()(own_input(drawn(4)))
    return model.eval()


def drawn(count: int) -> list[torch.Tensor]:
    return [to_square8(images.read(phantom.draw(size=224, seed=seed)).pixels, 224) for seed in range(count)]


def own_input(squares: list[torch.Tensor]) -> torch.Tensor:
    """What the library makes of 8-bit pictures."""
    return torch.from_numpy(np.stack([xrv.utils.normalize(square.numpy(), 255)[None] for square in squares]))


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home directory in which the library finds “downloaded” weights: a pickled module, as it publishes."""
    home = tmp_path_factory.mktemp("home")
    file = home / ".torchxrayvision" / "models_data" / Path(xrv.models.model_urls[NAME]["weights_url"]).name
    file.parent.mkdir(parents=True)
    torch.save(densenet(), file)
    return home


@pytest.fixture(scope="module")
def theirs(home: Path) -> nn.Module:
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("HOME", str(home))
        return xrv.models.DenseNet(weights=NAME)


@pytest.fixture(scope="module")
def imported(home: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("runs") / "xrv-chex"
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("HOME", str(home))
        assert main(["import", "torchxrayvision", "--weights", NAME, "--out", str(out)]) == 0
    return out


@pytest.fixture(scope="module")
def evaluated(imported: Path, tiny_data: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The bundle completed on other data, and what the command said on stderr."""
    out = Path(shutil.copytree(imported, tmp_path_factory.mktemp("judged") / "xrv-chex"))
    command = ["evaluate", str(out), "--data", str(tiny_data), "--bootstrap", "20", "--workers", "0"]
    with redirect_stderr(io.StringIO()) as said:
        assert main([*command, "--validation", "0.3"]) == 0
    return out, said.getvalue()


@pytest.fixture
def judged(evaluated: tuple[Path, str]) -> Path:
    return evaluated[0]


def assert_same_logits(imported: Path, theirs: nn.Module, squares: list[torch.Tensor]) -> None:
    manifest = bundle.read_manifest(imported)
    net = bundle.load_network(imported, manifest)
    with torch.no_grad():
        wanted = theirs.classifier(theirs.features2(own_input(squares)))
        logits, _ = net(torch.stack([manifest.preprocessing.normalise(square) for square in squares]))
    assert wanted.std() > 0.05
    for k, observation in enumerate(OBSERVATIONS):
        if observation in UNTRAINED:
            assert (logits[:, k] == 0).all()
        else:
            row = theirs.pathologies.index({v: n for n, v in ALIASES.items()}.get(observation, observation))
            torch.testing.assert_close(logits[:, k], wanted[:, row], rtol=0, atol=1e-5)


def test_logits_are_the_librarys(imported: Path, theirs: nn.Module) -> None:
    assert_same_logits(imported, theirs, drawn(2))


@pytest.mark.shared
def test_logits_are_the_librarys_on_real_films(imported: Path, theirs: nn.Module, shared: Path) -> None:
    films = sorted(shared.glob("xrays/**/*.jpg"))[::100]
    assert len(films) > 5
    assert_same_logits(imported, theirs, [to_square8(images.read(film).pixels, 224) for film in films])


def test_the_manifest_says_where_it_is_from(imported: Path) -> None:
    manifest = bundle.read_manifest(imported)
    reason = f"not among the outputs of {NAME}"
    assert manifest.not_trained == dict.fromkeys(sorted(UNTRAINED, key=OBSERVATIONS.index), reason)
    assert manifest.preprocessing.mean == (0.5,)
    assert manifest.weights_dtype == "float32"
    assert manifest.origin is not None
    assert NAME in manifest.origin.source
    assert manifest.origin.trained_on == "CheXpert"
    assert manifest.origin.outputs["Pleural Effusion"] == "Effusion"
    assert manifest.config == {}


def test_the_card_gives_licence_citation_and_what_differs(imported: Path, judged: Path) -> None:
    for path in (imported, judged):
        card = (path / "card.md").read_text()
        for words in (
            "Not trained by this program",
            "Apache License 2.0",
            "arXiv:2111.00595",
            "Not a medical",
        ):
            assert words in card
        assert "central square" in card
        assert "its own operating points is left out" in card
        assert "Pleural Effusion is its “Effusion”" in card
        assert "may be among those that it was trained on" in card
        assert f"--weights {NAME}" in card
        assert "train fit" not in card
    assert "Scores on the test split" not in (imported / "card.md").read_text()
    assert "Scores on the test split" in card


def test_until_it_is_judged_it_says_how(imported: Path) -> None:
    with pytest.raises(BundleError, match=r"lacks calibration\.json.*evaluate"):
        bundle.load(imported)


def test_a_reading_adds_up(judged: Path) -> None:
    predictor = Predictor.from_bundle(judged)
    reading = predictor.predict(phantom.draw(size=240, seed=7))
    trained = [name not in UNTRAINED for name in OBSERVATIONS]
    assert np.array_equal(np.isfinite(reading.logits), trained)
    sums = reading.heatmaps.mean(axis=(1, 2)) + predictor.bundle.network.head.bias.numpy()
    np.testing.assert_allclose(sums[trained], reading.logits[trained], atol=1e-5)
    assert reading.heat("Edema", method="LayerCAM").shape == reading.film.shape


def test_it_is_judged_with_its_conditions(imported: Path, evaluated: tuple[Path, str]) -> None:
    judged, said = evaluated
    assert "may be among those that it was trained on: CheXpert" in said
    loaded = bundle.load(judged)
    assert "--validation 0.3" in loaded.metrics().command
    assert "may be among those that it was trained on" in loaded.metrics().command
    data = loaded.manifest.data
    assert set(data.files) == {"train.csv", "valid.csv"}
    assert set(data.films) == {"validation", "test"}
    assert data.films["test"] == loaded.metrics().splits["test"].films
    assert loaded.manifest.weights_sha256 == bundle.read_manifest(imported).weights_sha256


def test_the_model_page_shows_the_origin(judged: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHEXMODEL_RUNS", str(judged.parent))
    at = AppTest.from_file(str(PAGES / "model.py"), default_timeout=60)
    at.session_state[MODEL_KEY] = str(judged)
    shown = "\n".join(element.value for element in ran(at).markdown)
    assert NAME in shown
    assert "arXiv:2111.00595" in shown
    assert "Pleural Other: not among the outputs" in shown


@pytest.mark.parametrize("page", ["analyse", "evaluation", "training"])
def test_the_other_pages_take_it(judged: Path, page: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHEXMODEL_RUNS", str(judged.parent))
    at = AppTest.from_file(str(PAGES / f"{page}.py"), default_timeout=60)
    at.session_state[MODEL_KEY] = str(judged)
    assert not ran(at).error


def test_every_published_name_and_output_is_known() -> None:
    urls = xrv.models.model_urls
    assert set(PUBLISHED) == {name for name in urls if name.startswith("densenet121-res224")}
    outputs = {label for name in PUBLISHED for label in urls[name]["labels"]} - {""}
    without = {"Infiltration", "Emphysema", "Fibrosis", "Nodule", "Mass", "Hernia"}
    assert {ALIASES.get(name, name) for name in outputs - without} <= set(OBSERVATIONS)
    assert not without & set(OBSERVATIONS)


# ---------------------------------------------------------------------------------------- own files


def save(file: Path, model: nn.Module, pathologies: list[str]) -> Path:
    torch.save({"state_dict": model.state_dict(), "pathologies": pathologies}, file)
    return file


def config(weights: Path | str, out: Path) -> ImportConfig:
    return ImportConfig(source="torchxrayvision", weights=str(weights), out=out)


def test_a_saved_file_gives_the_same_weights_without_the_package(
    imported: Path, theirs: nn.Module, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = save(tmp_path / "mine.pt", theirs, theirs.pathologies)
    monkeypatch.setitem(sys.modules, "torchxrayvision", None)
    manifest = bundle.read_manifest(import_torchxrayvision(config(file, tmp_path / "out")))
    assert manifest.weights_sha256 == bundle.read_manifest(imported).weights_sha256
    assert manifest.origin is not None
    assert "mine.pt" in manifest.origin.source
    assert str(tmp_path) not in (tmp_path / "out" / "bundle.json").read_text()


def test_a_pickled_module_is_not_run(home: Path, tmp_path: Path) -> None:
    file = next(home.rglob("*.pt"))
    with pytest.raises(BundleError, match=r"does not hold a state dict and its pathologies.*torch\.save"):
        import_torchxrayvision(config(file, tmp_path / "out"))


def test_files_that_do_not_fit(theirs: nn.Module, tmp_path: Path) -> None:
    names = list(theirs.pathologies)
    coloured, short = xrv.models.DenseNet(in_channels=3), tmp_path / "short.pt"
    cases = {
        save(tmp_path / "rgb.pt", coloured, names): r"one input channel.*conv0",
        save(short, theirs, names[:5]): "18 outputs, 5 pathologies",
        save(tmp_path / "linear.pt", nn.Linear(3, 18), names): "not a DenseNet-121",
        save(tmp_path / "other.pt", theirs, ["Mass"] * 18): "none of the outputs",
        tmp_path / "none.pt": "does not exist",
    }
    for file, reason in cases.items():
        with pytest.raises(BundleError, match=reason):
            import_torchxrayvision(config(file, tmp_path / "out"))
    assert not (tmp_path / "out").exists()


# ------------------------------------------------------------------------------------------- errors


@pytest.mark.parametrize("name", ["resnet50-res512-all", "densenet121-res224-chexpert", "chex", "", "."])
def test_other_names_are_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="choose one of densenet121-res224-all"):
        import_torchxrayvision(config(name, tmp_path / "out"))


def test_without_the_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "torchxrayvision", None)
    command = ["import", "torchxrayvision", "--weights", NAME, "--out", str(tmp_path / "out")]
    assert main(command) == 2
    assert "pip install torchxrayvision" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_without_a_network(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import requests

    def offline(*_: object, **__: object) -> None:
        raise requests.ConnectionError("no route")

    monkeypatch.setattr(requests, "get", offline)
    monkeypatch.setenv("HOME", str(tmp_path))
    command = ["import", "torchxrayvision", "--weights", NAME, "--out", str(tmp_path / "out")]
    assert main(command) == 2
    said = capsys.readouterr()
    last = said.err.strip().splitlines()[-1]
    assert "can't be downloaded (ConnectionError): connect to the network, or fetch https://" in last
    assert str(tmp_path / ".torchxrayvision") in last
    assert said.out == ""
    assert not (tmp_path / "out").exists()


def test_a_cut_download(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, home: Path) -> None:
    file = tmp_path / next(home.rglob("*.pt")).relative_to(home)
    file.parent.mkdir(parents=True)
    file.write_bytes(next(home.rglob("*.pt")).read_bytes()[:5000])
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(BundleError, match=rf"can't read {file}.*delete it"):
        import_torchxrayvision(config(NAME, tmp_path / "out"))


def test_nothing_is_overwritten(imported: Path) -> None:
    before = json.loads((imported / "bundle.json").read_text())
    with pytest.raises(BundleError, match=r"not empty: choose another --out"):
        import_torchxrayvision(config(NAME, imported))
    assert json.loads((imported / "bundle.json").read_text()) == before


def test_shares_are_for_imported_bundles_alone(tmp_path: Path, tiny_data: Path) -> None:
    from tiny_bundle import write_tiny_bundle

    own = write_tiny_bundle(tmp_path / "tiny")
    with pytest.raises(BundleError, match="is that of its training"):
        evaluate(EvaluateConfig(bundle=own, data=tiny_data, validation=0.5))
