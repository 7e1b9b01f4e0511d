"""A run that was stopped, wherever and by whatever, ends as the one that never was."""

import errno
import functools
import math
import multiprocessing
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from multiprocessing.process import BaseProcess
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest
import timm
import torch
from torch.utils.data import get_worker_info

from chexmodel import bundle
from chexmodel.errors import BundleError, ChexError, DatasetError
from train.checkpoint import BEST, LAST, require_whole
from train.config import FitConfig
from train.dataset import load_splits
from train.faults import resumable
from train.films import Films
from train.fit import fit
from train.module import Classifier
from train.run import CHECKPOINTS, epoch_weights, train_network
from train.sampling import EpochSampler

ROOT = Path(__file__).resolve().parents[1]
# 20 films to learn from: epochs of 10 steps. A path through the backbone is dropped at random, so that the
# weights depend on torch's random state besides the draws and their augmentation.
OPTIONS = {
    "backbone": "test_resnet",
    "weights": "none",
    "image_size": 64,
    "batch_size": 2,
    "validation": 0.4,
    "epochs": 2,
    "ema": 0.9,
    "checkpoint_steps": 3,
    "seed": 3,
    "workers": 0,
    "accelerator": "cpu",
}
DROPPING = functools.partial(timm.create_model, drop_path_rate=0.3)
CURVES = ["epoch", "train_loss", "val_loss", "val_accuracy", "val_auroc", "learning_rate"]


class Killed(BaseException):
    """Nothing catches it and nothing is written after it, as after SIGKILL."""


@pytest.fixture(autouse=True)
def _dropping(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timm, "create_model", DROPPING)
    monkeypatch.setattr("train.fit.history_png", lambda _: b"")  # a third of the time of such a run


def config(data: Path, out: Path, **options: Any) -> FitConfig:
    return FitConfig(data=data, out=out, **(OPTIONS | options))


def resumed(wanted: FitConfig) -> FitConfig:
    return wanted.model_copy(update={"resume": True})


@pytest.fixture(scope="module")
def straight(tiny_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that was never stopped."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(timm, "create_model", DROPPING)
        return fit(config(tiny_data, tmp_path_factory.mktemp("runs") / "straight"))


def checkpoint(out: Path, name: str = LAST) -> dict[str, Any]:
    return dict(torch.load(out / CHECKPOINTS / name, weights_only=True))


def epochs_and_steps(out: Path) -> tuple[int, int]:
    place = checkpoint(out)["place"]
    return place["epochs"], place["steps"]


def assert_same(one: object, other: object) -> None:
    if isinstance(one, torch.Tensor):
        assert isinstance(other, torch.Tensor)
        assert torch.equal(one, other)
    elif isinstance(one, dict):
        assert isinstance(other, dict)
        assert one.keys() == other.keys()
        for key in one:
            assert_same(one[key], other[key])
    elif isinstance(one, list):
        assert isinstance(other, list)
        for mine, theirs in zip(one, other, strict=True):
            assert_same(mine, theirs)
    else:
        assert one == other


def assert_same_run(out: Path, straight: Path) -> None:
    """Everything is equal to the bit, the state to go on from too."""
    weights = [bundle.read_manifest(path).weights_sha256 for path in (out, straight)]
    assert weights[0] == weights[1]
    pd.testing.assert_frame_equal(
        bundle.read_history(out)[CURVES], bundle.read_history(straight)[CURVES], check_exact=True
    )
    for name in (LAST, BEST):
        mine, theirs = checkpoint(out, name), checkpoint(straight, name)
        for part in ("epoch", "state_dict", "current_model_state", "averaging_state", "place"):
            assert_same(mine[part], theirs[part])
        for part in ("optimizer_states", "lr_schedulers"):
            assert_same(mine[part], theirs[part])
    assert not list(out.rglob(".*"))


def stop_at(step: int, how: Callable[[], float], patch: pytest.MonkeyPatch) -> None:
    """In a step, counted over the whole run from 0, raise something or change the loss by a factor."""
    plain = Classifier.training_step

    def training_step(self: Classifier, batch: Any, index: int) -> torch.Tensor:
        loss = plain(self, batch, index)
        return loss * how() if self.trainer.global_step == step else loss

    patch.setattr(Classifier, "training_step", training_step)


def kill() -> float:
    raise Killed


@contextmanager
def killed_at(step: int) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        stop_at(step, kill, patch)
        with pytest.raises(Killed):
            yield


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


@pytest.mark.parametrize(("call", "kept"), [(2, False), (6, True)])
def test_a_full_disk_keeps_the_last_checkpoint(
    tiny_data: Path, tmp_path: Path, straight: Path, monkeypatch: pytest.MonkeyPatch, call: int, kept: bool
) -> None:
    sync, calls = os.fsync, iter(range(1, 10**6))

    def full(handle: int) -> None:
        if next(calls) >= call:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        sync(handle)

    wanted = config(tiny_data, tmp_path / "run")
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(ChexError, match="disk is full.*" + ("--resume" if kept else "start again")):
        fit(wanted)
    monkeypatch.setattr(os, "fsync", sync)
    assert (wanted.out / CHECKPOINTS / LAST).is_file() == kept
    fit(resumed(wanted) if kept else wanted)
    assert_same_run(wanted.out, straight)


def films_of(data: Path, out: Path) -> Path:
    """Copy the data set, so that a film of it can be spoilt."""
    return Path(shutil.copytree(data, out / data.name))


def test_a_film_that_spoils_in_an_epoch_is_named_and_can_be_repaired(
    tiny_data: Path, tmp_path: Path, straight: Path
) -> None:
    data = films_of(tiny_data, tmp_path)
    wanted = config(data, tmp_path / "run", workers=2)
    train = load_splits(wanted).pairs[0].train
    sampler = EpochSampler(epoch_weights(train, wanted), seed=wanted.seed, batch_size=wanted.batch_size)
    order = [draw.position for draw in sampler]
    late = next(p for p in order[10:] if p not in order[:10])  # not before the sixth step
    film = train.sources[late]
    assert isinstance(film, Path)
    whole = film.read_bytes()
    film.write_bytes(whole[:100])
    with pytest.raises(DatasetError, match=f"film {film} .*can't be read(?s:.*)--resume"):
        fit(wanted)
    assert epochs_and_steps(wanted.out) == (0, 3)
    film.write_bytes(whole)
    fit(resumed(wanted))
    assert_same_run(wanted.out, straight)


def test_a_loss_that_is_no_number_stops_the_run(tiny_data: Path, tmp_path: Path, straight: Path) -> None:
    wanted = config(tiny_data, tmp_path / "run")
    with pytest.MonkeyPatch.context() as patch:
        stop_at(14, lambda: math.nan, patch)
        with pytest.raises(ChexError, match=r"NaN or infinite in epoch 2, by step 5 of 10.*--learning-rate"):
            fit(wanted)
    assert epochs_and_steps(wanted.out) == (1, 3)
    fit(resumed(wanted))
    assert_same_run(wanted.out, straight)


@pytest.mark.parametrize("step", [12, 19])  # before a checkpoint, and before the validation of an epoch
def test_weights_that_are_no_numbers_are_not_kept(tiny_data: Path, tmp_path: Path, step: int) -> None:
    wanted = config(tiny_data, tmp_path / "run")
    plain = Classifier.training_step

    def training_step(self: Classifier, batch: Any, index: int) -> torch.Tensor:
        loss = plain(self, batch, index)
        if self.trainer.global_step == step:
            with torch.no_grad():
                self.network.head.bias.fill_(torch.nan)
        return loss

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Classifier, "training_step", training_step)
        with pytest.raises(ChexError, match="NaN or infinite in epoch 2"):
            fit(wanted)
    kept = checkpoint(wanted.out)
    assert kept["global_step"] <= step
    assert bundle.read_history(wanted.out)["epoch"].tolist() == [1]
    assert all(bool(value.isfinite().all()) for value in kept["current_model_state"].values())


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"), "memory.*--batch-size"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried"), "memory.*--batch-size"),
        (OSError(errno.ENOMEM, os.strerror(errno.ENOMEM)), "memory.*--batch-size"),
        (MemoryError(), "memory"),
        (RuntimeError("DataLoader worker (pid 7) is killed by signal: Bus error."), "fewer --workers"),
        (OSError(errno.EACCES, "Permission denied", "runs/a"), "Permission denied.*runs/a"),
        (SystemExit(1), "stopped"),
    ],
)
def test_faults_of_the_machine_are_sentences(tmp_path: Path, error: BaseException, said: str) -> None:
    last = tmp_path / LAST
    with pytest.raises(ChexError, match=said + ".*start again"), resumable(last):
        raise error
    last.touch()
    with pytest.raises(ChexError, match=said + ".*--resume"), resumable(last):
        raise error


@pytest.mark.parametrize(
    "error", [RuntimeError("Caught RuntimeError in DataLoader worker process 0."), KeyError()]
)
def test_faults_of_the_program_stay_what_they_are(tmp_path: Path, error: Exception) -> None:
    with pytest.raises(type(error)) as raised, resumable(tmp_path / LAST):
        raise error
    assert raised.value is error


def test_a_worker_that_the_system_ends_is_a_sentence(
    tiny_data: Path, tmp_path: Path, straight: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain, wanted = Films.__getitem__, config(tiny_data, tmp_path / "run", workers=1)

    def ended(self: Films, draw: Any) -> Any:
        if get_worker_info() is not None and (wanted.out / CHECKPOINTS / BEST).is_file():
            os.kill(os.getpid(), signal.SIGKILL)
        return plain(self, draw)

    with monkeypatch.context() as patch:
        patch.setattr(Films, "__getitem__", ended)
        with pytest.raises(ChexError, match=r"--workers.*--resume"):
            fit(wanted)
    fit(resumed(wanted))
    assert_same_run(wanted.out, straight)


def judged(scores: list[float]) -> Callable[..., SimpleNamespace]:
    """Give the epochs these scores, whatever the network says."""
    given = iter(scores)

    def evaluation(*_: Any, **__: Any) -> SimpleNamespace:
        value = SimpleNamespace(value=next(given))
        return SimpleNamespace(macro=dict.fromkeys(("precision", "recall", "f1", "auroc"), value))

    return evaluation


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


def test_a_run_that_had_stopped_early_does_not_go_on(
    tiny_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = config(tiny_data, tmp_path / "run", patience=1, epochs=4)
    monkeypatch.setattr("train.module.evaluate", judged([0.8, 0.7]))
    with monkeypatch.context() as patch:
        patch.setattr("train.fit._write_bundle", lambda *_: kill())
        with pytest.raises(Killed):
            fit(wanted)
    before = checkpoint(wanted.out)
    with monkeypatch.context() as patch:
        patch.setattr(Classifier, "training_step", lambda *_: kill())
        fit(resumed(wanted))
    assert_same(checkpoint(wanted.out)["state_dict"], before["state_dict"])
    assert bundle.read_history(wanted.out)["epoch"].tolist() == [1, 2]


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
