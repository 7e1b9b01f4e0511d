"""One run over many damaged files: what became of each, how long it took, and how much memory."""

import re
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, TypeVar

import numpy as np

from chexmodel.decoding import Decoders
from chexmodel.errors import ChexError
from chexmodel.film import Film, check_size

Made = TypeVar("Made")
LONGEST: Final = 10.0
"""Seconds that a file may take."""
MOST: Final = 1e9
"""Bytes of memory that it may take."""
_ADVICE: Final = re.compile(
    r"\b(export|copy|choose|reduce|use|save|give|correct|unpack|pack|check|run|split|upload|write|divide|make)\b",
    re.IGNORECASE,
)
_NO_SENTENCE: Final = re.compile(r"Traceback|\w+(Error|Exception)\(|<\w+ object|Secret|4711")


@dataclass
class Tally:
    """Counts of one kind of file; `bad` are outcomes that are not allowed, by the number of the file."""

    kind: str
    files: int = 0
    read: int = 0
    refused: int = 0
    killed: list[int] = field(default_factory=list)
    longest: float = 0.0
    peak: float = 0.0
    bad: dict[int, str] = field(default_factory=dict)

    def __str__(self) -> str:
        return (
            f"{self.kind:<10} {self.files:>6} {self.read:>6} {self.refused:>8} {len(self.killed):>7} "
            f"{self.longest:>9.1f} {self.peak / 1e6:>8.0f}"
        )


HEADING: Final = "kind        files   read  refused  killed longest s  peak MB"


def judged(
    kind: str,
    numbers: Iterable[int],
    make: Callable[[int], Made],
    read: Callable[[Made], None],
    memory: Callable[[], "Memory"],
    *,
    clock: Callable[[], float] = time.process_time,
) -> Tally:
    """Read files one after another.

    Args:
        kind: what they are called.
        numbers: of the files; each stands for one, in every run.
        make: makes the file of a number.
        read: reads one, and asserts that what it got is right; may raise `ChexError`.
        memory: starts to watch the memory of the process that reads.
        clock: that of this process's work, which other programs don't change; where another process reads,
            the wall clock.
    """
    tally = Tally(kind)
    for number in numbers:
        made = make(number)
        tally.files += 1
        watch, started = memory(), clock()
        try:
            read(made)
            tally.read += 1
        except ChexError as error:
            tally.refused += 1
            _hold_to_account(tally, number, str(error))
        except Exception as error:
            tally.bad[number] = f"{type(error).__name__}: {error}"[:300]
        seconds, grown = clock() - started, watch.grown()
        tally.longest, tally.peak = max(tally.longest, seconds), max(tally.peak, grown)
        if seconds > LONGEST + 1 or grown > MOST:  # a second for the killing
            tally.bad[number] = f"{seconds:.1f} s, {grown / 1e6:.0f} MB"
    return tally


def _hold_to_account(tally: Tally, number: int, sentence: str) -> None:
    if "ended the program" in sentence or "and was stopped" in sentence:
        tally.killed.append(number)
    if not _ADVICE.search(sentence) or _NO_SENTENCE.search(sentence) or len(sentence) > 2500:
        tally.bad[number] = f"no advice: {sentence[:300]!r}"


def assert_right(film: Film) -> None:
    """Assert what holds of every film that is handed over."""
    height, width = film.pixels.shape
    check_size(width, height)
    assert (film.audit.height, film.audit.width) == (height, width)
    assert film.pixels.dtype == np.float32
    assert 0 <= film.pixels.min() <= film.pixels.max() <= 1  # false of NaN


class Memory:
    """Peak of a process's memory since this was made, by /proc."""

    def __init__(self, pid: int | str = "self") -> None:
        self._status = Path(f"/proc/{pid}/status")
        try:
            Path(f"/proc/{pid}/clear_refs").write_text("5", encoding="ascii")  # the peak begins anew
            self._before = self._now("VmRSS")
        except OSError:  # the worker was lost, and is about to be replaced
            self._before = 0

    def grown(self) -> int:
        """Bytes that the peak lies above what it held then; 0 of a process that has ended."""
        try:
            return max(self._now("VmHWM") - self._before, 0) if self._before else 0
        except OSError:
            return 0

    def _now(self, name: str) -> int:
        found = re.search(rf"{name}:\s+(\d+)", self._status.read_text(encoding="ascii"))
        if found is None:  # a zombie has none
            raise OSError
        return 1024 * int(found[1])


def of_worker(decoders: Decoders) -> Memory:
    """Watch the worker that will read the next file."""
    return Memory(decoders.pids[-1])
