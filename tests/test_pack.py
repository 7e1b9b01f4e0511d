"""Packs: what is in them, what interrupts or spoils them, and that they change nothing for a network."""

import os
import pickle
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from chexmodel import bundle, images
from chexmodel.boxes import Box, read_boxes
from chexmodel.errors import ChexError, DatasetError
from chexmodel.geometry import to_square8
from chexmodel.labels import OBSERVATIONS
from chexmodel.preprocessing import Preprocessing
from chexmodel.table import csv_files, image_paths, read_table
from train.__main__ import main
from train.config import EvaluateConfig, FitConfig, PackConfig
from train.dataset import Splits, load_splits
from train.evaluate import evaluate
from train.films import Films, augmentation
from train.fit import fit
from train.pack import PackedFilm, Plan, open_pack
from train.packing import PLAN, SHAPES, _require_room, pack
from train.sampling import Draw

ROOT = Path(__file__).resolve().parents[1]


def packed(data: Path, out: Path, **options: Any) -> Path:
    return pack(PackConfig(data=data, out=out, **({"size": 64, "workers": 1} | options)))


@pytest.fixture(scope="module")
def tiny_pack(tiny_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return packed(tiny_data, tmp_path_factory.mktemp("packs") / "tiny", workers=2)


@pytest.fixture
def copied_data(tiny_data: Path, tmp_path: Path) -> Path:
    """A copy of the tiny data whose tables and films a test may spoil."""
    root = tmp_path / "data"
    for csv in (tiny_data / "train.csv", tiny_data / "valid.csv"):
        for path in image_paths(read_table(csv), csv):
            file = root / path.relative_to(tiny_data)
            file.parent.mkdir(parents=True)
            shutil.copyfile(path, file)
        (root / csv.name).write_bytes(csv.read_bytes())
    return root


def test_boxes_come_along_with_their_tables(copied_data: Path, tmp_path: Path) -> None:
    film = read_table(copied_data / "valid.csv")["Path"][0]
    boxes = f"Path,finding,x,y,width,height\n{film},Edema,1,2,3,4\n"
    (copied_data / "valid_boxes.csv").write_text(boxes)
    out = packed(copied_data, tmp_path / "pack")
    assert read_boxes(out / "valid.csv") == {film: [Box("Edema", 1, 2, 4, 6)]}
    assert read_boxes(out / "train.csv") == {}


def all_paths(data: Path) -> list[Path]:
    tables = [csv for csv in csv_files(data) if csv is not None]
    return [path for csv in tables for path in image_paths(read_table(csv), csv)]


def test_a_pack_holds_every_film_as_the_app_sees_it(tiny_pack: Path, tiny_data: Path) -> None:
    opened = open_pack(tiny_pack)
    assert opened is not None
    paths = all_paths(tiny_data)
    assert opened.squares.shape == (len(paths), 64, 64)
    for row, path in enumerate(paths):
        square = to_square8(images.read(path).pixels, 64).numpy()
        assert np.array_equal(opened.squares[row], square)
    index = opened.index()
    assert index["Path"].tolist() == [
        name for csv in csv_files(tiny_data) if csv for name in read_table(csv)["Path"]
    ]
    assert (index[["height", "width"]] == 96).all(axis=None)
    assert not index["rejected"].any()
    assert (tiny_pack / "rejects.csv").read_text() == "Path,reason\n"
    assert not {PLAN, SHAPES} & {file.name for file in tiny_pack.iterdir()}


def test_films_are_found_by_their_path(tiny_pack: Path, tiny_data: Path) -> None:
    opened = open_pack(tiny_pack)
    assert opened is not None
    ids = read_table(tiny_data / "valid.csv")["Path"].tolist()
    first = len(read_table(tiny_data / "train.csv"))
    found = opened.films("valid.csv", ids[::-1])
    assert found == [PackedFilm(opened, row, (96, 96)) for row in range(first, first + len(ids))][::-1]
    with pytest.raises(DatasetError, match=r"index\.parquet"):
        opened.films("train.csv", ids)


def test_a_pack_travels_to_a_loading_process_without_its_films(tiny_pack: Path) -> None:
    opened = open_pack(tiny_pack)
    assert opened is not None
    assert opened.squares.nbytes > 100_000
    sent = pickle.dumps(opened)
    assert len(sent) < 2000
    assert np.array_equal(pickle.loads(sent).squares, opened.squares)


def test_a_folder_is_no_pack(tiny_data: Path, tmp_path: Path) -> None:
    assert open_pack(tiny_data) is None
    assert open_pack(tiny_data / "train.csv") is None
    assert open_pack(tmp_path / "none") is None


def test_unreadable_films_are_listed_and_stop_nothing(copied_data: Path, tmp_path: Path) -> None:
    paths = all_paths(copied_data)
    ids = read_table(copied_data / "train.csv")["Path"]
    for spoilt in paths[2:4]:
        spoilt.unlink()
    paths[2].write_bytes(b"\xff\xd8\xff\xe0 no film")
    out = packed(copied_data, tmp_path / "pack")
    rejects = pd.read_csv(out / "rejects.csv")
    assert rejects["Path"].tolist() == [ids[2], ids[3]]
    assert rejects["reason"][1] == "missing"
    assert rejects["reason"][0] != "missing"
    assert str(copied_data) not in rejects["reason"][0]
    opened = open_pack(out)
    assert opened is not None
    assert opened.manifest.rejected == 2
    found = opened.films("train.csv", ids.tolist()[1:5])
    assert found == [PackedFilm(opened, 1, (96, 96)), None, None, PackedFilm(opened, 4, (96, 96))]
    assert not opened.squares[2:4].any()


def test_only_unreadable_films_are_an_error(copied_data: Path, tmp_path: Path) -> None:
    for path in all_paths(copied_data):
        path.unlink()
    with pytest.raises(DatasetError, match=r"none of the 36 films could be read.*patient00000.*missing"):
        packed(copied_data, tmp_path / "pack")
    with pytest.raises(DatasetError, match="unfinished"):
        open_pack(tmp_path / "pack")


def test_a_killed_packing_goes_on_where_it_stopped(tmp_path: Path) -> None:
    """One chunk of small films is packed quickly, then two of large ones are not: there it is killed."""
    data, out = tmp_path / "data", tmp_path / "pack"
    rng = np.random.default_rng(0)
    for name, shape in {"small": (70, 64), "large": (2000, 1900)}.items():
        Image.fromarray(rng.integers(0, 256, shape, dtype=np.uint8)).save(tmp_path / f"{name}.png")
    names = [f"train/patient{k:05d}/study1/view1_frontal.png" for k in range(48)]
    for k, name in enumerate(names):
        (data / name).parent.mkdir(parents=True)
        os.link(tmp_path / ("small.png" if k < 16 else "large.png"), data / name)
    about = {"Sex": "Male", "Age": 40, "Frontal/Lateral": "Frontal", "AP/PA": "PA"}
    table = pd.DataFrame({"Path": names} | about | dict.fromkeys(OBSERVATIONS, 0.0))
    table.to_csv(data / "train.csv", index=False)
    command = [sys.executable, "-m", "train", "pack", "--data", str(data), "--out", str(out), "--size", "64"]
    process = subprocess.Popen([*command, "--workers", "1"], cwd=ROOT, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 300
    try:
        while not (out / SHAPES).is_file() or not np.load(out / SHAPES).any():
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.01)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert 16 <= np.count_nonzero(np.load(out / SHAPES)[:, 0]) < 48
    with pytest.raises(DatasetError, match="same pack command again"):
        open_pack(out)
    (data / names[0]).unlink()  # it is done: if it were read again, it would be rejected now
    packed(data, out)
    os.link(tmp_path / "small.png", data / names[0])
    straight = packed(data, tmp_path / "straight")
    for name in ("films.npy", "index.parquet", "rejects.csv", "pack.json", "train.csv"):
        assert (out / name).read_bytes() == (straight / name).read_bytes(), name


def test_other_directories_are_left_alone(tiny_pack: Path, tiny_data: Path, tmp_path: Path) -> None:
    before = (tiny_pack / "pack.json").read_bytes()
    with pytest.raises(DatasetError, match=r"other --size .*36 films.*at 64 px.*another --out"):
        packed(tiny_data, tiny_pack, size=96)
    (tmp_path / "note.txt").write_text("mine")
    with pytest.raises(DatasetError, match="not empty and no pack"):
        packed(tiny_data, tmp_path)
    assert packed(tiny_data, tiny_pack) == tiny_pack  # finished: nothing to do
    assert (tiny_pack / "pack.json").read_bytes() == before


def test_an_unfinished_pack_of_other_data_is_not_gone_on_with(
    copied_data: Path, tiny_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("train.packing._decode", interrupted)
        with pytest.raises(ChexError, match="goes on where it stopped"):
            packed(copied_data, tmp_path / "pack")
    with pytest.raises(DatasetError, match="other source directory"):
        packed(tiny_data, tmp_path / "pack")


def test_changed_tables_are_refused(copied_data: Path, tmp_path: Path) -> None:
    out = packed(copied_data, tmp_path / "pack")
    original = (copied_data / "train.csv").read_text()
    (copied_data / "train.csv").write_text(original.replace("Male", "Female"))
    with pytest.raises(DatasetError, match=r"have changed since.*another --out"):
        open_pack(out)
    with pytest.raises(DatasetError, match=r"other tables.*another --out"):
        packed(copied_data, out)
    copied_data.rename(tmp_path / "elsewhere")
    assert open_pack(out) is not None  # without its source a pack stands for itself
    (out / "train.csv").write_text(original + "\n")
    with pytest.raises(DatasetError, match="are not those that it was made from"):
        open_pack(out)


@pytest.mark.parametrize("name", ["films.npy", "pack.json", "index.parquet"])
def test_damaged_packs_are_sentences(tiny_pack: Path, tmp_path: Path, name: str) -> None:
    for file in tiny_pack.iterdir():
        os.link(file, tmp_path / file.name)
    damaged = (tmp_path / name).read_bytes()[:1000]
    (tmp_path / name).unlink()
    (tmp_path / name).write_bytes(damaged[:-40])
    with pytest.raises(DatasetError, match=f"{name} of pack .* is damaged"):
        open_pack(tmp_path).films("train.csv", [])  # type: ignore[union-attr]


def test_the_disk_is_asked_before_anything_is_written(
    tiny_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=36 * 64 * 64 - 1))
    out = tmp_path / "deep" / "pack"
    with pytest.raises(DatasetError, match=r"needs 0\.15 MB more.*--size"):
        packed(tiny_data, out)
    assert "36 films at 64 × 64: 0.15 MB" in capsys.readouterr().err
    assert not out.parent.exists()


def test_the_whole_of_chexpert_takes_what_the_readme_says(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plan = Plan(source=tmp_path, files={}, size=256, films=224_316)
    with suppress(DatasetError):
        _require_room(tmp_path, plan)
    assert "224,316 films at 256 × 256: 14.7 GB" in capsys.readouterr().err


def test_the_command_line_says_it_in_a_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["pack", "--data", str(tmp_path), "--out", str(tmp_path / "pack")]) == 2
    message = capsys.readouterr().err
    assert "no train.csv" in message
    assert "Traceback" not in message


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
