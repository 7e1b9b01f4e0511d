"""GDCM in a process of its own: on damaged JPEG-LS or JPEG Lossless data it does not raise, it aborts.

In the app that would end the server and every session with it. This file is both sides: `decode` starts it
as a script, which imports no more than pydicom, and must therefore import nothing of this project.
"""

import subprocess
import sys
from io import BytesIO
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

TIMEOUT_S: Final = 60
_MEMORY_BYTES: Final = 4 * 2**30


def decode(data: bytes, frame: int = 0) -> NDArray[Any]:
    """Return the stored values, (H, W) or (H, W, 3) integers, of one frame of a DICOM file's bytes.

    Takes about half a second more than decoding here. Raises `RuntimeError`, or `subprocess.TimeoutExpired`
    after `TIMEOUT_S`, where the other process failed; what it printed may quote the file and is dropped.
    """
    # -P: this folder's module names must not shadow the standard library's
    command = [sys.executable, "-P", __file__, str(frame)]
    done = subprocess.run(command, input=data, capture_output=True, timeout=TIMEOUT_S, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"the decoder ended with status {done.returncode}")
    values: NDArray[Any] = np.load(BytesIO(done.stdout), allow_pickle=False)
    return values


def _serve() -> None:
    """Read a DICOM from standard input, write its stored values as .npy to standard output."""
    from pydicom import dcmread
    from pydicom.pixels.utils import pixel_array

    try:
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (_MEMORY_BYTES, _MEMORY_BYTES))
    except ImportError:  # not on Windows
        pass
    header = dcmread(BytesIO(sys.stdin.buffer.read()), force=True)
    values = pixel_array(header, index=int(sys.argv[1]), decoding_plugin="gdcm")
    np.save(sys.stdout.buffer, values, allow_pickle=False)


if __name__ == "__main__":
    _serve()
