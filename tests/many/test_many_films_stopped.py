"""Very many films into a folder of scores: taken up where it stopped, whatever fails."""

import errno
import hashlib
import itertools
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pyarrow.parquet as pq
import pytest
from many_films import scores, tables, zipped
from tiny_bundle import write_tiny_bundle

from chexmodel import containers, film_rows, phantom
from chexmodel.predictor import Prediction, Predictor


def test_a_second_run_reads_nothing(read: Any, drawn: Path, tmp_path: Path, seen: list[bytes]) -> None:
    assert read(drawn) == 0
    before = tables(tmp_path / "out")
    seen.clear()
    assert read(drawn) == 0
    assert not seen
    assert tables(tmp_path / "out") == before


@pytest.mark.parametrize("workers", [1, 3])
def test_an_interrupted_run_goes_on(
    read: Any,
    drawn: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    workers: int,
) -> None:
    read(drawn, out="straight")
    predict, calls, given = Predictor.predict, iter(range(10**6)), list[bytes]()

    def interrupted(self: Predictor, image: bytes, **options: Any) -> Prediction:
        if next(calls) == 7:
            raise KeyboardInterrupt
        given.append(image)
        return predict(self, image, **options)

    monkeypatch.setattr(Predictor, "predict", interrupted)
    assert read(drawn, "--workers", workers) == 130
    assert "the same command goes on from there" in capsys.readouterr().err
    assert not (tmp_path / "out" / "scores.csv").exists()
    kept = [
        digest
        for part in (tmp_path / "out" / "parts").iterdir()
        for digest in pq.read_table(part)["sha256"].to_pylist()
    ]
    assert 0 < len(kept) < 12
    given.clear()
    assert read(drawn) == 0
    capsys.readouterr()
    again = [hashlib.sha256(image).hexdigest() for image in given]
    assert len(again) == 12 - len(kept)
    assert not set(again) & set(kept)
    assert tables(tmp_path / "out") == tables(tmp_path / "straight")


def test_a_killed_run_goes_on(
    read: Any, drawn: Path, tmp_path: Path, tiny_bundle: Path, seen: list[bytes]
) -> None:
    program = f"""
import time
from chexmodel import headless
from chexmodel.__main__ import main
from chexmodel.predictor import Predictor
headless.PART_SECONDS = 0
predict = Predictor.predict
def slow(*arguments, **options):
    time.sleep(0.2)
    return predict(*arguments, **options)
Predictor.predict = slow
main(["read", {str(drawn)!r}, "--out", {str(tmp_path / "out")!r}, "--model", {str(tiny_bundle)!r}])
"""
    parts = tmp_path / "out" / "parts"
    started, process = time.monotonic(), subprocess.Popen([sys.executable, "-c", program])
    while len(list(parts.glob("*.parquet"))) < 3 and time.monotonic() - started < 120:
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    kept = sum(pq.read_metadata(part).num_rows for part in parts.glob("*.parquet"))
    assert 3 <= kept < 12
    assert read(drawn) == 0
    assert len(seen) == 12 - kept
    read(drawn, out="straight")
    assert tables(tmp_path / "out") == tables(tmp_path / "straight")


def test_what_changed_is_read_anew_and_what_left_is_dropped(
    read: Any, drawn: Path, tmp_path: Path, seen: list[bytes]
) -> None:
    read(drawn)
    before = scores(tmp_path / "out")
    changed = phantom.png(size=80, seed=99)
    (drawn / "03.png").write_bytes(changed)
    (drawn / "04.png").unlink()
    shutil.copyfile(drawn / "05.png", drawn / "new.png")
    seen.clear()
    assert read(drawn) == 0
    assert sorted(map(len, seen)) == sorted([len(changed), (drawn / "new.png").stat().st_size])
    after = scores(tmp_path / "out")
    assert set(after.index) == set(before.index) - {"04.png"} | {"new.png"}
    assert after.loc["03.png", "sha256"] == hashlib.sha256(changed).hexdigest()
    same = after.index.drop(["03.png", "new.png"])
    pd.testing.assert_frame_equal(after.loc[same], before.loc[same])


def test_what_could_not_be_opened_is_tried_again(
    read: Any, drawn: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = Path.open

    def away(self: Path, *arguments: Any, **options: Any) -> Any:
        if self.name == "05.png":
            raise OSError(errno.EIO, "Input/output error")
        return plain(self, *arguments, **options)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "open", away)
        assert read(drawn) == 1
    row = scores(tmp_path / "out").loc["05.png"]
    assert row["status"] == "not read"
    assert "Input/output error" in row["reason"]
    assert read(drawn) == 0
    assert len(scores(tmp_path / "out")) == 12


def test_what_can_not_even_be_looked_at_is_told_and_stops_nothing(
    read: Any, drawn: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = Path.stat

    def closed(self: Path, **options: Any) -> Any:
        if self.name == "05.png":
            raise PermissionError(errno.EACCES, "Permission denied")
        return plain(self, **options)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "stat", closed)
        assert read(drawn) == 1
    table = scores(tmp_path / "out")
    assert "Permission denied" in table.loc["05.png", "reason"]
    assert (table["status"] == "read").sum() == 11


def test_a_busy_machine_loses_no_film_of_an_archive(
    read: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = tmp_path / "busy.zip"
    archive.write_bytes(zipped({f"{seed}.png": phantom.png(size=64, seed=seed) for seed in range(3)}))
    hours = SimpleNamespace(monotonic=itertools.count(0, 3600).__next__)
    monkeypatch.setattr(containers, "time", hours)
    assert read(archive) == 0
    assert scores(tmp_path / "out")["status"].tolist() == ["read"] * 3


def test_an_archive_too_large_is_a_row(read: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archive = tmp_path / "large.zip"
    archive.write_bytes(zipped({"noise": os.urandom(2**20)}))
    monkeypatch.setattr(film_rows, "MAX_ARCHIVE", 2**20)
    assert read(archive) == 1
    (reason,) = scores(tmp_path / "out")["reason"]
    assert reason == "The archive is 1 MB; the limit is 1 MB: unpack it."


def test_other_settings_are_refused_until_restarted(
    read: Any, drawn: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = write_tiny_bundle(tmp_path / "other", seed=1)
    read(drawn, "--overlays", "Edema")
    painted = set((tmp_path / "out" / "overlays").iterdir())
    assert len(painted) == 12
    assert read(drawn, "--overlays", "Edema", model=other) == 2
    assert "another model and checksum: give another --out, or --restart" in capsys.readouterr().err
    assert read(drawn) == 2
    assert "another overlays" in capsys.readouterr().err
    assert read(drawn.parent, "--overlays", "Edema") == 2
    assert "another root" in capsys.readouterr().err
    mine = tmp_path / "out" / "overlays" / "mine.png"
    mine.write_bytes(b"1")
    assert read(drawn, "--restart", model=other) == 0
    assert list((tmp_path / "out" / "overlays").iterdir()) == [mine]
    assert set(scores(tmp_path / "out")["model"]) == {"other"}
