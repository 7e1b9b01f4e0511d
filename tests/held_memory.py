"""Memory of a process and all that it started, as Linux tells it."""

from pathlib import Path


def with_children(pid: int) -> list[int]:
    """A process and what it started, and so on."""
    try:
        listed = [file.read_text(encoding="ascii") for file in Path(f"/proc/{pid}/task").glob("*/children")]
    except OSError:  # it has just ended
        return []
    children = [int(child) for line in listed for child in line.split()]
    return [pid, *(below for child in children for below in with_children(child))]


def megabytes(pid: int) -> float:
    """Megabytes that a process and its children hold; pages that they share are counted once."""
    total = 0
    for each in with_children(pid):
        try:
            rollup = Path(f"/proc/{each}/smaps_rollup").read_text(encoding="ascii")
        except OSError:
            continue
        total += next((int(line.split()[1]) for line in rollup.splitlines() if line.startswith("Pss:")), 0)
    return total / 1024
