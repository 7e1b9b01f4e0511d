"""A pack changes nothing for a network: the same films, inputs and weights as from the folder."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from packs import all_paths, packed

from chexmodel import bundle, images
from chexmodel.errors import DatasetError
from chexmodel.geometry import to_square8
from chexmodel.preprocessing import Preprocessing
from train.commands import EvaluateConfig
from train.config import FitConfig
from train.dataset import Splits, load_splits
from train.evaluate import evaluate
from train.films import Films, augmentation
from train.fit import fit
from train.sampling import Draw


def trained(data: Path, out: Path, **options: Any) -> Path:
    small = {"backbone": "test_resnet", "weights": "none", "image_size": 64, "batch_size": 8, "workers": 1}
    run = {"epochs": 1, "validation": 0.4, "accelerator": "cpu", "seed": 3}
    return fit(FitConfig(data=data, out=out, **(small | run | options)))


def splits_of(data: Path, **options: Any) -> Splits:
    return load_splits(FitConfig(data=data, out=data, **({"image_size": 64, "validation": 0.4} | options)))


@pytest.fixture(scope="module")
def large_pack(tiny_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return packed(tiny_data, tmp_path_factory.mktemp("packs") / "large", size=74)


PLAIN = Preprocessing(size=64, mean=(0.4, 0.5, 0.6), std=(0.2, 0.3, 0.4))


def test_pack_folder_and_app_give_the_same_tensor(tiny_pack: Path, tiny_data: Path) -> None:
    folder, from_pack = (splits_of(data) for data in (tiny_data, tiny_pack))
    assert from_pack.fingerprint == folder.fingerprint
    for name in ("train", "validation"):
        one, other = (getattr(splits.pairs[0], name) for splits in (folder, from_pack))
        assert one.ids == other.ids
        assert np.array_equal(one.targets, other.targets, equal_nan=True)
        assert np.array_equal(one.truth, other.truth, equal_nan=True)
        films, packed_films = (Films(split, split.truth, PLAIN) for split in (one, other))
        for position, path in enumerate(one.sources):
            app = PLAIN.tensor(images.read(path.read_bytes()).pixels)
            assert torch.equal(films[position][0], app)
            assert torch.equal(packed_films[position][0], app)


@pytest.mark.parametrize("augment", ["affine", "crop", "none"])
def test_augmentation_is_the_same_from_pack_and_folder(
    tiny_pack: Path, large_pack: Path, tiny_data: Path, augment: Any
) -> None:
    """The pack has the size that the augmentation takes its input from: 64 px, or 74 px for a crop."""
    wanted = FitConfig(data=tiny_data, out=tiny_data, image_size=64, augment=augment)
    seen = []
    for data in (tiny_data, large_pack if augment == "crop" else tiny_pack):
        split = splits_of(data, augment=augment).pairs[0].train
        films = Films(split, split.targets, PLAIN, augmentation(wanted))
        seen.append([films[Draw(0, seed)][0] for seed in (7, 7, 8)])
        assert seen[-1][0].shape == (3, 64, 64)
    assert all(torch.equal(one, other) for one, other in zip(*seen, strict=True))
    first, again, other = seen[0]
    assert torch.equal(first, again)
    assert torch.equal(first, other) == (augment == "none")


def test_a_crop_is_a_window_of_the_film(tiny_data: Path) -> None:
    wanted = FitConfig(data=tiny_data, out=tiny_data, image_size=64, augment="crop", contrast=0)
    change = augmentation(wanted)
    assert change is not None
    assert change.side == 74
    square = torch.arange(74 * 74).reshape(1, 74, 74).remainder(251).to(torch.uint8)
    torch.manual_seed(0)
    window = change.change(square)[0]
    places = [
        (top, left)
        for top in range(11)
        for left in range(11)
        if torch.equal(square[0, top : top + 64, left : left + 64], window)
    ]
    assert len(places) == 1


def test_a_larger_pack_comes_close_to_what_the_app_sees(large_pack: Path, tiny_data: Path) -> None:
    films = splits_of(large_pack).test
    for source, path in zip(films.sources, splits_of(tiny_data).test.sources, strict=True):
        twice = source.square(64).float()
        once = to_square8(images.read(path).pixels, 64).float()
        assert 0 < (twice - once).abs().mean() < 4  # of 255


def test_a_smaller_pack_is_refused(tiny_pack: Path, large_pack: Path) -> None:
    with pytest.raises(DatasetError, match=r"have 64 px, but 65 px are needed"):
        splits_of(tiny_pack, image_size=65)
    with pytest.raises(DatasetError, match=r"have 64 px, but 74 px are needed"):
        splits_of(tiny_pack, augment="crop")
    assert splits_of(large_pack, augment="crop").pack is not None


def test_rejected_films_are_left_out_and_counted(
    copied_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for path in all_paths(copied_data)[:2]:
        path.write_bytes(b"\xff\xd8\xff\xe0 no film")
    out = packed(copied_data, tmp_path / "pack")
    assert "2 could not be read, see" in capsys.readouterr().err
    splits = splits_of(out)
    assert splits.fingerprint.missing_images == 2
    assert sum(splits.fingerprint.films.values()) == 34


def test_training_on_a_pack_is_training_on_its_folder(
    tiny_pack: Path, large_pack: Path, tiny_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    runs = [trained(data, tmp_path / data.name) for data in (tiny_data, tiny_pack)]
    one, other = (bundle.read_manifest(run) for run in runs)
    assert one.weights_sha256 == other.weights_sha256
    assert one.data == other.data
    judged = [
        evaluate(EvaluateConfig(bundle=runs[0], data=data, bootstrap=0, workers=0)).splits["test"]
        for data in (tiny_data, tiny_pack)
    ]
    assert judged[0].model_dump_json() == judged[1].model_dump_json()
    assert "a second time" not in capsys.readouterr().err
    evaluate(EvaluateConfig(bundle=runs[1], data=large_pack, bootstrap=0, workers=0))
    assert "resized from 74 px, a second time" in capsys.readouterr().err
