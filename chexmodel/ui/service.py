"""What all sessions of this server share: its cores, the line before them, and the fast engine of a model."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from pathlib import Path
from threading import Lock, Thread
from typing import Final, TypeVar

import streamlit as st
import torch

from chexmodel import machine
from chexmodel.language import current, tr, trn, using
from chexmodel.predictor import Predictor
from chexmodel.turns import Turns
from chexmodel.ui import journal
from chexmodel.ui.decoder import decoders

ENGINE: Final = "CHEXMODEL_ENGINE"
"""Environment variable: "auto" (default) or "torch", which neither makes nor runs model.onnx."""
_ROOT: Final = Path(__file__).resolve().parents[2]
_PATIENCE_S: Final = 900
_LOW: Final = 10  # niceness: whoever reads meanwhile goes first

Step = TypeVar("Step")

_making: Final = Lock()
_wanted: Final = list[str]()
"""Weights of which model.onnx is being made, once for each who waits for it."""


@cache
def _desk() -> tuple[Turns, machine.Share]:
    share = machine.share(machine.cores())
    torch.set_num_threads(share.threads)
    return Turns(share.readings), share


def turns() -> Turns:
    """The line before the cores."""
    return _desk()[0]


def share() -> machine.Share:
    """How this server's cores are divided."""
    return _desk()[1]


def load(path: str) -> Predictor:
    """Load a bundle for all sessions; where it has no model.onnx, one is made beside the readings, once.

    Raises:
        BundleError: it is missing, incomplete or damaged.
    """
    if os.environ.get(ENGINE) == "torch":
        return Predictor.from_bundle(path, engine="torch", read=decoders().read)
    predictor = Predictor.from_bundle(path, threads=share().threads, read=decoders().read)
    if predictor.engine_note:
        Thread(target=make_fast, args=(predictor,), name="model.onnx", daemon=True).start()
    return predictor


def being_made(predictor: Predictor) -> bool:
    """Whether model.onnx of this predictor's weights is being made, or waits for its turn."""
    return predictor.bundle.manifest.weights_sha256 in _wanted


def make_fast(predictor: Predictor) -> None:
    """Make model.onnx in the user's cache, and have the predictor take it up; one at a time.

    Until then, and where it fails, PyTorch reads; why it failed is in the log.
    """
    weights = predictor.bundle.manifest.weights_sha256
    _wanted.append(weights)
    try:
        with _making:
            if predictor.find_onnx():  # made for another predictor, or by another server
                return
            reason = _export(predictor.bundle.path)
        if predictor.find_onnx():
            journal.note("engine", outcome="made", model=weights[:12])
        else:
            why = reason or predictor.engine_note
            journal.note("engine", outcome="failed", model=weights[:12], message=why)
    finally:
        _wanted.remove(weights)


def _export(bundle: Path) -> str:
    """Have model.onnx made by a process that may be lost; return why it failed, "" where it did not."""
    command = [sys.executable, "-m", "chexmodel", "export", str(bundle.resolve()), "--cache"]
    try:
        made = subprocess.Popen(
            command, cwd=_ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
        )
    except OSError as error:  # no memory or no handle is left
        return str(error)
    with suppress(OSError, AttributeError):  # not on every system
        os.setpriority(os.PRIO_PROCESS, made.pid, _LOW)
    try:
        _, said = made.communicate(timeout=_PATIENCE_S)
    except subprocess.TimeoutExpired:
        made.kill()
        _, said = made.communicate()
    if made.returncode == 0:
        return ""
    return said.decode(errors="replace").strip().rpartition("\n")[2] or "the program that makes it was ended"


class Place:
    """Says on the page how many readings go before; for `Turns.turn`. Gone when the turn comes."""

    def __init__(self) -> None:
        self._place = st.empty()

    def __call__(self, before: int) -> None:
        """Say it; drawing ends the wait of who has left the page."""
        text = trn("{n} reading is before yours …", "{n} readings are before yours …", before)
        self._place.caption(text if before else tr("Yours is the next reading …"))

    def clear(self) -> None:
        """Take the words off the page."""
        self._place.empty()


def in_turn(work: Iterator[Step], place: Place) -> Iterator[Step]:
    """Take each step of some work when its turn comes, so that one with many films lets others between.

    A step is not interrupted: Streamlit does so where it is asked for the session, hence for its language.
    """
    language = current()
    while True:
        with turns().turn(place):
            place.clear()
            with using(language):
                step = next(work, None)
        if step is None:
            return
        yield step
