"""How many cores this process may use: what the scheduler and the container allow, not what the board has."""

import os
from pathlib import Path
from typing import Final, NamedTuple

_QUOTA: Final = Path("/sys/fs/cgroup/cpu.max")
_MOST_AT_ONCE: Final = 4


class Share(NamedTuple):
    """How a server divides its cores: readings at once, and threads of each."""

    readings: int
    threads: int


def cores(quota: Path = _QUOTA) -> int:
    """Count the cores that this process may keep busy, at least 1.

    Args:
        quota: of the control group, as cgroup v2 writes it: "max 100000" or "150000 100000" (µs of
            processor time, of each period); a part of a core counts as one.
    """
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        most, period = quota.read_text(encoding="ascii").split()
        allowed = min(allowed, -(-int(most) // int(period)))
    except (OSError, ValueError):  # no such system, or no limit
        pass
    return max(1, allowed)


def share(available: int) -> Share:
    """Divide cores: a few readings at once, which share them.

    More readings than cores, or each with the threads of all, take turns on the cores and all end late.
    """
    readings = min(available, _MOST_AT_ONCE)
    return Share(readings, available // readings)
