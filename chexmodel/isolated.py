"""GDCM in a process of its own: on damaged JPEG-LS or JPEG Lossless data it does not raise, it aborts.

In the app that would end the server and every session with it. This file is both sides: `decode` starts it
as a script, which imports no more than pydicom, and must therefore import nothing of this project. A process
that serves one file at a time and may be lost says so by `expendable`, and decodes by itself.
"""

import subprocess
import sys
from importlib import import_module
from io import BytesIO
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

TIMEOUT_S: Final = 60
MEMORY: Final = 2**30
"""Bytes that decoding one file may take on top of what the process holds."""

_may_be_lost = False


def decode(data: bytes, frame: int = 0) -> NDArray[Any]:
    """Return the stored values, (H, W) or (H, W, 3) integers, of one frame of a DICOM file's bytes.

    Takes about half a second more than decoding here. Raises `RuntimeError`, or `subprocess.TimeoutExpired`
    after `TIMEOUT_S`, where the other process failed; what it printed may quote the file and is dropped.
    """
    if _may_be_lost:
        return _stored(data, frame)
    # -P: this folder's module names must not shadow the standard library's
    command = [sys.executable, "-P", __file__, str(frame)]
    done = subprocess.run(command, input=data, capture_output=True, timeout=TIMEOUT_S, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"the decoder ended with status {done.returncode}")
    values: NDArray[Any] = np.load(BytesIO(done.stdout), allow_pickle=False)
    return values


def expendable() -> None:
    """Say that this process may be lost: GDCM then runs in it."""
    global _may_be_lost
    _may_be_lost = True


def limit_memory(extra: int = MEMORY) -> None:
    """Let this process take so many bytes of address space more than it has; no limit off Linux."""
    try:
        import resource

        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
    except (ImportError, OSError):
        return
    limit = pages * resource.getpagesize() + extra
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


def _stored(data: bytes, frame: int) -> NDArray[Any]:
    from pydicom import dcmread
    from pydicom.pixels.utils import pixel_array

    header = dcmread(BytesIO(data), force=True)
    return np.asarray(pixel_array(header, index=frame, decoding_plugin="gdcm"))


def _serve() -> None:
    """Read a DICOM from standard input, write its stored values as .npy to standard output."""
    import_module("gdcm")  # before the limit: it is not the file's memory
    import_module("pydicom.pixels.utils")

    limit_memory()
    np.save(sys.stdout.buffer, _stored(sys.stdin.buffer.read(), int(sys.argv[1])), allow_pickle=False)


if __name__ == "__main__":
    _serve()
