"""Clock and print-out of the benchmarks."""

import time
from collections.abc import Callable
from typing import TypeVar

Result = TypeVar("Result")


def measured(work: Callable[[], Result], *, rounds: int) -> tuple[float, Result]:
    """Best time of some rounds, in seconds, and the last result."""
    times = []
    result = work()  # warm
    for _ in range(rounds):
        started = time.perf_counter()
        result = work()
        times.append(time.perf_counter() - started)
    return min(times), result


def report(what: str, mine: float, peer: str, theirs: float) -> None:
    """Print both times, in seconds, and their ratio."""
    print(f"\n{what}: {mine * 1e3:.0f} ms here, {theirs * 1e3:.0f} ms {peer}: {theirs / mine:.1f}×")
