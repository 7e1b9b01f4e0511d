"""A run that was stopped, wherever and by whatever, ends as the one that never was."""

import multiprocessing
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import nullcontext
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from stopped_runs import (
    CURVES,
    OPTIONS,
    Killed,
    assert_same_run,
    checkpoint,
    config,
    epochs_and_steps,
    judged,
    kill,
    killed_at,
    resumed,
)

from chexmodel import bundle
from chexmodel.errors import BundleError
from train.checkpoint import BEST, LAST, require_whole
from train.config import FitConfig
from train.fit import fit
from train.module import Classifier
from train.run import CHECKPOINTS, train_network

ROOT = Path(__file__).resolve().parents[1]
pytestmark = pytest.mark.usefixtures("dropping")


@pytest.mark.parametrize("steps", [[0, 1, 4, 12, 19], [3, 9, 10, 16]])
def test_a_run_killed_at_many_steps_ends_as_if_it_had_not_been(
    tiny_data: Path, tmp_path: Path, straight: Path, steps: list[int]
) -> None:
    wanted = config(tiny_data, tmp_path / "run")
    for step in steps:
        begun = (wanted.out / CHECKPOINTS / LAST).is_file()
        with killed_at(step):
            fit(resumed(wanted) if begun else wanted)
    fit(resumed(wanted))
    assert_same_run(wanted.out, straight)


def test_a_run_killed_in_the_validation_of_an_epoch_ends_as_if_it_had_not_been(
    tiny_data: Path, tmp_path: Path, straight: Path
) -> None:
    wanted = config(tiny_data, tmp_path / "run", checkpoint_steps=5)  # the last step of an epoch is one
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Classifier, "validation_step", lambda *_: kill())
        with pytest.raises(Killed):
            fit(wanted)
    fit(resumed(wanted))
    assert_same_run(wanted.out, straight)


def written(out: Path) -> int:
    """Changes whenever the checkpoint was replaced."""
    file = out / CHECKPOINTS / LAST
    return file.stat().st_mtime_ns if file.is_file() else 0


def trained(wanted: FitConfig) -> None:
    os.setsid()  # a group of its own, so that the loading processes can be killed with it
    fit(wanted)


def wait_for(event: Callable[[], object], process: BaseProcess) -> None:
    deadline = time.monotonic() + 240
    while not event():
        assert process.is_alive(), "it was faster than the test"
        assert time.monotonic() < deadline
        time.sleep(0.002)


@pytest.mark.slow
def test_a_run_with_workers_killed_by_the_system_ends_as_if_it_had_not_been(
    tiny_data: Path, tmp_path: Path, straight: Path
) -> None:
    wanted = config(tiny_data, tmp_path / "run", workers=2, checkpoint_steps=1)
    files = wanted.out / CHECKPOINTS
    moments = random.Random(0)
    for attempt in range(3):
        # A fork: a new interpreter would import for longer than it trains.
        process = multiprocessing.get_context("fork").Process(
            target=trained, args=(resumed(wanted) if attempt else wanted,)
        )
        process.start()
        try:
            for _ in range(moments.randint(1, 4)):
                before = written(wanted.out)
                wait_for(lambda before=before: written(wanted.out) != before, process)
            if attempt == 1:  # in the middle of writing
                wait_for(lambda: list(files.glob(f".{LAST}.*")), process)
            else:
                time.sleep(moments.uniform(0, 0.05))
        finally:
            os.killpg(process.pid, signal.SIGKILL)
            process.join()
        assert process.exitcode == -signal.SIGKILL
        require_whole(files)
    assert (0, 0) < epochs_and_steps(wanted.out) < (2, 0)
    program = (
        "import functools, sys, timm; "
        "timm.create_model = functools.partial(timm.create_model, drop_path_rate=0.3); "
        "from train.__main__ import main; sys.exit(main())"
    )
    given = {"data": wanted.data, "out": wanted.out} | OPTIONS | {"workers": 1, "checkpoint_steps": 0}
    words = [word for name, value in given.items() for word in (f"--{name.replace('_', '-')}", str(value))]
    done = subprocess.run(
        [sys.executable, "-c", program, "fit", *words, "--resume"],
        cwd=ROOT,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "not resumable" not in done.stderr
    assert_same_run(wanted.out, straight)


@pytest.mark.parametrize("share", [0.0, 0.2, 0.9, 0.999])
def test_half_a_checkpoint_is_never_taken_for_a_whole_one(
    straight: Path, tiny_data: Path, tmp_path: Path, share: float
) -> None:
    out = Path(shutil.copytree(straight, tmp_path / "run"))
    file = out / CHECKPOINTS / LAST
    data = file.read_bytes()
    file.write_bytes(data[: int(share * len(data))])
    with pytest.raises(BundleError, match=r"last\.ckpt is damaged.*restore"):
        fit(resumed(config(tiny_data, out)))
    middle = len(data) // 2
    file.write_bytes(data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :])
    with pytest.raises(BundleError, match=r"last\.ckpt is damaged"):
        fit(resumed(config(tiny_data, out)))


def test_what_a_kill_left_half_written_is_swept_away(straight: Path, tiny_data: Path, tmp_path: Path) -> None:
    out = Path(shutil.copytree(straight, tmp_path / "run"))
    for name in (
        f"{CHECKPOINTS}/.{LAST}.x1",
        f"{CHECKPOINTS}/.{BEST}.x2",
        ".history.csv.x3",
        ".config.json.x4",
    ):
        (out / name).write_bytes(b"half")
    fit(resumed(config(tiny_data, out)))
    assert_same_run(out, straight)


def test_checkpoints_of_other_programs_and_runs_are_refused(
    straight: Path, tiny_data: Path, tmp_path: Path
) -> None:
    out = Path(shutil.copytree(straight, tmp_path / "run"))
    (out / CHECKPOINTS / BEST).rename(tmp_path / BEST)
    with pytest.raises(BundleError, match=r"best\.ckpt is missing.*restore"):
        fit(resumed(config(tiny_data, out)))
    older = checkpoint(out)
    del older["place"]
    torch.save(older, out / CHECKPOINTS / LAST)
    with pytest.raises(BundleError, match="older version"):
        fit(resumed(config(tiny_data, out)))


def test_a_moved_run_keeps_its_best_epoch(
    tiny_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = config(tiny_data, tmp_path / "run")
    monkeypatch.setattr("train.module.evaluate", judged([0.9, 0.8]))
    with killed_at(15):
        fit(wanted)
    moved = wanted.model_copy(update={"out": tmp_path / "elsewhere" / "moved"})
    moved.out.parent.mkdir()
    shutil.move(wanted.out, moved.out)
    fit(resumed(moved))
    assert checkpoint(moved.out, BEST)["epoch"] == 0
    assert bundle.read_history(moved.out)["val_auroc"].round(3).tolist() == [0.9, 0.8]
    assert not wanted.out.exists()


def test_a_run_that_ended_between_history_and_checkpoint_may_be_started_again(
    tiny_data: Path, tmp_path: Path, straight: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = config(tiny_data, tmp_path / "run", checkpoint_steps=0)
    with monkeypatch.context() as patch:
        patch.setattr("train.checkpoint.write_file", lambda *_: kill())
        with pytest.raises(Killed):
            fit(wanted)
    assert (wanted.out / "history.csv").is_file()
    fit(wanted)
    assert_same_run(wanted.out, straight)


def test_folds_killed_in_the_second_end_as_if_they_had_not_been(tiny_data: Path, tmp_path: Path) -> None:
    options = {"folds": 2, "epochs": 1}
    whole = fit(config(tiny_data, tmp_path / "whole", **options))
    wanted = config(tiny_data, tmp_path / "run", **options)
    begun: list[Path] = []

    def killed_in_the_second(*arguments: Any, **named: Any) -> Any:
        begun.append(arguments[0].out)
        with killed_at(5) if len(begun) == 2 else nullcontext():
            return train_network(*arguments, **named)
        raise Killed

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("train.fit.train_network", killed_in_the_second)
        with pytest.raises(Killed):
            fit(wanted)
    assert epochs_and_steps(wanted.out / "fold-02") == (0, 3)
    fit(resumed(wanted))
    weights = [bundle.read_manifest(path).weights_sha256 for path in (wanted.out, whole)]
    assert weights[0] == weights[1]
    pd.testing.assert_frame_equal(
        bundle.read_history(wanted.out)[CURVES], bundle.read_history(whole)[CURVES], check_exact=True
    )
