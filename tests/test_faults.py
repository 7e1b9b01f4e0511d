"""Disk, film, number, memory: what stops a training is a sentence, and the run goes on from there."""

import errno
import math
import os
import shutil
import signal
from pathlib import Path
from typing import Any

import pytest
import torch
from stopped_runs import (
    Killed,
    assert_same,
    assert_same_run,
    checkpoint,
    config,
    epochs_and_steps,
    judged,
    kill,
    resumed,
    stop_at,
)
from torch.utils.data import get_worker_info

from chexmodel import bundle
from chexmodel.errors import ChexError, DatasetError
from train.checkpoint import BEST, LAST
from train.dataset import load_splits
from train.faults import resumable
from train.films import Films
from train.fit import fit
from train.module import Classifier
from train.run import CHECKPOINTS, epoch_weights
from train.sampling import EpochSampler

pytestmark = pytest.mark.usefixtures("dropping")


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
