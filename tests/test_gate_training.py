"""Fitting and measuring the check of the input, and how it goes on with its bundle."""

import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from networks import lively
from PIL import Image
from sklearn.linear_model import Ridge as Reference

from chexmodel import bundle, phantom
from chexmodel.correction import CORRECTIONS, UPRIGHT
from chexmodel.errors import BundleError, DatasetError
from chexmodel.gate import GATE, Gate
from chexmodel.gate_rates import ALL_PLACED, AS_THEY_ARE
from chexmodel.labels import OBSERVATIONS
from chexmodel.network import Network
from chexmodel.preprocessing import Preprocessing
from train.__main__ import main
from train.commands import EvaluateConfig
from train.config import FitConfig
from train.dataset import Pair, Split
from train.evaluate import evaluate
from train.fit import fit
from train.gate import learnt
from train.gate_fit import fit_gate
from train.gate_measure import Watch, external, film_rates, other_rate, others, unseen
from train.gate_seen import varied
from train.ridge import Samples, splits

PREPROCESSING = Preprocessing(size=96, mean=(0.5,) * 3, std=(0.5,) * 3)
MANIFEST = SimpleNamespace(weights_sha256="a" * 64, preprocessing=PREPROCESSING)


def split(films: list[Path], patients: list[str] | None = None) -> Split:
    nothing = np.zeros((len(films), len(OBSERVATIONS)), np.float32)
    return Split(
        list(films), [film.name for film in films], patients or [f.stem for f in films], nothing, nothing
    )


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    root = tmp_path_factory.mktemp("films")
    paths = [root / f"{i:02d}.png" for i in range(36)]
    for i, path in enumerate(paths):
        drawn = phantom.draw(size=96, seed=i, opacity=bool(i % 2))
        Image.fromarray((drawn >> 8).astype(np.uint8)).save(path)
    return paths


@pytest.fixture(scope="module")
def network() -> Network:
    return lively("test_resnet")


@pytest.fixture(scope="module")
def watch(network: Network, films: list[Path]) -> Watch:
    """A gate fitted to 24 phantoms."""
    return Watch(fit_gate(network, MANIFEST, split(films[:24]), films=24, seed=0), network, PREPROCESSING)


def test_it_tells_upright_films_from_all_others(watch: Watch, films: list[Path], tmp_path: Path) -> None:
    """On phantoms that it did not see, by a network of random weights."""
    rates = film_rates(watch, unseen(split(films[24:]), "valid.csv"))
    assert [rate.shown for rate in rates[:2]] == [AS_THEY_ARE, ALL_PLACED]
    assert {rate.shown for rate in rates[2:]} == {one.words() for one in CORRECTIONS if one != UPRIGHT}
    as_they_are, placed = rates[:2]
    assert as_they_are.accepted >= 10
    assert (as_they_are.pictures, as_they_are.corrected) == (12, 0)
    assert as_they_are.right.value == as_they_are.accepted / 12
    assert placed.pictures == 15 * 12
    assert placed.accepted == sum(rate.accepted for rate in rates[2:])
    assert placed.corrected == sum(rate.corrected for rate in rates[2:])
    assert placed.right.value == 1 - placed.accepted / placed.pictures >= 0.85
    assert placed.mended.value == placed.corrected / placed.pictures >= 0.75
    (tmp_path / "noise").mkdir()
    rng = np.random.default_rng(0)
    for i in range(4):
        noise = rng.integers(0, 256, (64, 80), dtype=np.uint8)
        Image.fromarray(noise).save(tmp_path / "noise" / f"{i}.png")
    (tmp_path / "noise" / "broken.png").write_bytes(b"no picture")
    (tmp_path / "noise" / "SOURCE.txt").write_text("noise\n")
    (folder,) = others(tmp_path)
    rate = other_rate(watch, folder)
    assert (rate.source, rate.description) == (f"{tmp_path.name}/noise", "noise")
    assert (rate.pictures, rate.accepted, rate.unreadable) == (4, 0, 1)


def test_a_film_in_another_placing_is_judged_as_the_predictor_would(watch: Watch, films: list[Path]) -> None:
    """The rates come from 16 looks at a film: what a correction makes of a turned film is among them."""
    rates = film_rates(watch, unseen(split(films[30:31]), "one"))
    film = np.array(Image.open(films[30]))
    for needed, rate in zip(CORRECTIONS, [rates[0], *rates[2:]], strict=True):
        shown = needed.inverse().apply(film)
        result = watch.judged(shown)
        assert rate.accepted == result.accepted
        assert rate.corrected == (result.correction == needed)


def test_the_fit_is_the_same_again_and_moves_with_the_seed(
    watch: Watch, network: Network, films: list[Path]
) -> None:
    again = fit_gate(network, MANIFEST, split(films[:24]), films=24, seed=0)
    assert again.to_bytes() == watch.gate.to_bytes()
    assert fit_gate(network, MANIFEST, split(films[:24]), films=24, seed=1).to_bytes() != again.to_bytes()
    fewer = fit_gate(network, MANIFEST, split(films[:24]), films=9, seed=0)
    assert (fewer.fit.films, fewer.fit.patients) == (9, 9)
    assert again.fit.weights_sha256 == MANIFEST.weights_sha256


def test_one_patient_is_too_few(network: Network, films: list[Path]) -> None:
    with pytest.raises(DatasetError, match="films of two patients"):
        fit_gate(network, MANIFEST, split(films[:4], ["a"] * 4), films=4, seed=0)


def test_a_varied_film_is_a_film(films: list[Path]) -> None:
    film = np.asarray(Image.open(films[0]))
    made = varied(film, np.random.default_rng(0))
    assert made.dtype == np.uint8
    assert all(72 <= side <= 96 for side in made.shape)
    np.testing.assert_array_equal(made, varied(film, np.random.default_rng(0)))


def test_the_ridge_is_scikit_learn_s() -> None:
    rng = np.random.default_rng(0)
    features = rng.normal(size=(30, 50)).astype(np.float16)
    targets = rng.normal(size=(30, 2))
    samples = Samples(features, np.ones(30, bool))
    scaled = features.astype(np.float64) * samples.scale
    centred = scaled - scaled.mean(axis=0)
    penalty = 0.3 * (centred**2).sum() / 30
    found = samples.ridge(targets, penalty=0.3)
    expected = Reference(alpha=penalty).fit(scaled, targets)
    np.testing.assert_allclose(
        features @ found.weights + found.biases, expected.predict(scaled), rtol=1e-3, atol=1e-4
    )
    groups = np.arange(30) // 2
    scores = samples.out_of_fold(targets, groups, penalty=0.3, folds=3)
    for fitted, held in splits(groups, 3):
        assert not set(groups[fitted]) & set(groups[held])
        part = scaled[fitted] - scaled[fitted].mean(axis=0)
        reference = Reference(alpha=0.3 * (part**2).sum() / len(fitted)).fit(scaled[fitted], targets[fitted])
        np.testing.assert_allclose(scores[held], reference.predict(scaled[held]), rtol=1e-3, atol=1e-3)


def test_each_training_film_counts_once(films: list[Path]) -> None:
    parts = [split(films[:3]), split(films[3:5]), split(films[5:6])]
    pairs = tuple(Pair(*pair) for pair in ((_joined(parts[:2]), parts[2]), (_joined(parts[1:]), parts[0])))
    found = learnt(SimpleNamespace(pairs=pairs))
    assert sorted(found.ids) == [film.name for film in films[:6]]


def _joined(parts: list[Split]) -> Split:
    return split([source for part in parts for source in part.sources])


def test_folders_say_what_they_are(films: list[Path], tmp_path: Path) -> None:
    folder = tmp_path / "hospital"
    (folder / "images").mkdir(parents=True)
    for film in films[:3]:
        shutil.copyfile(film, folder / "images" / film.name)
    found = external(folder)
    assert (found.name, len(found.files), len(set(found.patients))) == ("hospital", 3, 3)
    (folder / "metadata.csv").write_text("image_id,patient_id\n00,p\n01,p\n")
    assert len(set(external(folder).patients)) == 2
    with pytest.raises(DatasetError, match="has no folders of pictures"):
        others(folder / "images")
    with pytest.raises(DatasetError, match="has no pictures"):
        external(tmp_path / "nowhere")


@pytest.fixture(scope="module")
def run(tiny_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("runs") / "tiny"
    fit(
        FitConfig(
            data=tiny_data,
            out=out,
            backbone="resnet10t",
            weights="none",
            image_size=64,
            batch_size=8,
            workers=0,
            epochs=1,
            validation=0.4,
            accelerator="cpu",
        )
    )
    evaluate(EvaluateConfig(bundle=out, data=tiny_data, bootstrap=5, workers=0))
    return out


def test_evaluation_fits_a_gate_with_the_bundle(run: Path) -> None:
    loaded = bundle.load(run)
    assert loaded.gate is not None
    rates = loaded.gate_rates()
    assert rates is not None
    assert rates.rates == []
    assert rates.fitted_films == loaded.gate.fit.films == loaded.manifest.data.films["train"]
    card = loaded.card()
    assert "## Input check" in card
    assert "was not measured: run `python -m train gate runs/tiny" in card
    assert "Nothing checks" not in card


def test_the_command_measures_and_evaluation_keeps_it(
    run: Path, tiny_data: Path, films: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copy = Path(shutil.copytree(run, tmp_path / "tiny"))
    source = tmp_path / "others" / "flat"
    source.mkdir(parents=True)
    Image.new("L", (64, 64), 128).save(source / "grey.png")
    (source / "SOURCE.txt").write_text("a grey square\n")
    hospital = tmp_path / "hospital"
    hospital.mkdir()
    shutil.copyfile(films[0], hospital / "film.png")
    command = ["gate", str(copy), "--data", str(tiny_data), "--films", "12"]
    assert main([*command, "--external", str(hospital), "--others", str(source.parent)]) == 0
    loaded = bundle.load(copy)
    rates = loaded.gate_rates()
    assert rates is not None
    assert rates.fitted_films == 12
    assert {rate.source for rate in rates.rates} == {"valid.csv", "hospital", "others/flat"}
    assert rates.command == (
        "python -m train gate runs/tiny --data DIR --external hospital --others others --films 12"
    )
    card = loaded.card()
    assert "a grey square" in card
    assert rates.command in card
    assert "lateral" in card[card.index("## Limits") :]
    assert str(tmp_path) not in card
    assert "valid.csv, as they are" in capsys.readouterr().out
    before = {name: (copy / name).read_bytes() for name in (GATE, "gate.json", "card.md")}
    evaluate(EvaluateConfig(bundle=copy, data=tiny_data, bootstrap=5, workers=0))
    assert (copy / "gate.json").read_bytes() == before["gate.json"]
    assert Gate.from_bytes((copy / GATE).read_bytes()).fit == Gate.from_bytes(before[GATE]).fit
    assert "a grey square" in (copy / "card.md").read_text()


def test_evaluation_replaces_a_gate_of_other_weights(run: Path, tiny_data: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(run, tmp_path / "tiny"))
    gate = Gate.from_bytes((copy / GATE).read_bytes())
    foreign = gate.fit.model_copy(update={"weights_sha256": "1" * 64})
    parts = (gate.centre, gate.placed, gate.facing, gate.biases)
    for data in (Gate(foreign, *parts).to_bytes(), b"nonsense"):
        (copy / GATE).write_bytes(data)
        with pytest.raises(BundleError):
            bundle.load(copy)
        evaluate(EvaluateConfig(bundle=copy, data=tiny_data, bootstrap=5, workers=0))
        torch.testing.assert_close(bundle.load(copy).gate.centre, gate.centre)


def test_a_wrong_path_leaves_the_bundle_as_it_was(
    run: Path, tiny_data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = (run / GATE).read_bytes()
    assert main(["gate", str(run), "--data", str(tiny_data), "--others", str(run / "nowhere")]) == 2
    assert "has no folders of pictures" in capsys.readouterr().err
    assert (run / GATE).read_bytes() == before
