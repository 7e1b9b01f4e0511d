"""What stops a training, in a sentence that says how to go on."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from chexmodel.errors import ChexError, DatasetError

_FULL: Final = (errno.ENOSPC, errno.EDQUOT)
_WORKER: Final = ("DataLoader worker (pid", "shared memory", "unable to write to file </torch_")
_NO_MEMORY: Final = ("can't allocate memory", "not enough memory", "out of memory", "Cannot allocate memory")


@contextmanager
def resumable(last: Path, advice: str | None = None) -> Iterator[None]:
    """Say how to go on with a run that was stopped: by someone, a film, the disk or the memory.

    Args:
        last: the checkpoint that a resumed run takes.
        advice: how to go on, where that is not by resuming from it.

    Raises:
        ChexError: instead of what was raised, unless that is a fault of the program.
    """
    try:
        yield
    except DatasetError as error:
        raise DatasetError(f"{str(error).strip()}; put that right, then: {advice or _next(last)}") from error
    except (SystemExit, OSError, MemoryError, RuntimeError) as error:
        reason = _reason(error)
        if reason is None:
            raise
        raise ChexError(f"{reason}; {advice or _next(last)}") from error


def _next(last: Path) -> str:
    if last.is_file():
        return "the last checkpoint is kept: add --resume to the same command to go on"
    return "no checkpoint was written yet: start again"


def _reason(error: BaseException) -> str | None:
    text = str(error).strip()
    short = text.splitlines()[-1] if text else type(error).__name__
    if isinstance(error, SystemExit):  # Lightning ends the program on Ctrl-C and SIGTERM
        return "stopped"
    if isinstance(error, MemoryError) or any(sign in text for sign in _NO_MEMORY):
        return (
            f"the memory is not enough ({short}): free some of it, or take a larger machine, or start again "
            "in another --out with a smaller --batch-size"
        )
    if isinstance(error, OSError):
        what = "the disk is full" if error.errno in _FULL else "a file can't be read or written"
        return f"{what} ({short}): see to that"
    if any(sign in text for sign in _WORKER):
        return f"a process that loads films was ended ({short}): take fewer --workers"
    return None
