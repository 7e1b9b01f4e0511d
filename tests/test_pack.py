"""Packs: what is in them, and what interrupts or spoils them."""

import json
import os
import pickle
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
from packs import all_paths, packed
from PIL import Image

from chexmodel import images
from chexmodel.boxes import Box, read_boxes
from chexmodel.errors import ChexError, DatasetError
from chexmodel.geometry import to_square8
from chexmodel.labels import OBSERVATIONS
from chexmodel.masks import Mask, image_id, read_masks
from chexmodel.table import csv_files, read_table
from train.__main__ import main
from train.pack import PackedFilm, Plan, open_pack
from train.packing import PLAN, SHAPES, _require_room

ROOT = Path(__file__).resolve().parents[1]


def test_boxes_come_along_with_their_tables(copied_data: Path, tmp_path: Path) -> None:
    film = read_table(copied_data / "valid.csv")["Path"][0]
    boxes = f"Path,finding,x,y,width,height\n{film},Edema,1,2,3,4\n"
    (copied_data / "valid_boxes.csv").write_text(boxes)
    out = packed(copied_data, tmp_path / "pack")
    assert read_boxes(out / "valid.csv") == {film: [Box("Edema", 1, 2, 4, 6)]}
    assert read_boxes(out / "train.csv") == {}


def test_masks_come_along_with_their_tables(copied_data: Path, tmp_path: Path) -> None:
    image = image_id(read_table(copied_data / "valid.csv")["Path"][0])
    masks = {image: {"Edema": {"size": [5, 7], "counts": ";230009"}}}
    (copied_data / "valid_masks.json").write_text(json.dumps(masks))
    out = packed(copied_data, tmp_path / "pack")
    assert read_masks(out / "valid.csv") == {image: [Mask("Edema", (5, 7), (11, 2, 3, 2, 3, 2, 12))]}


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
