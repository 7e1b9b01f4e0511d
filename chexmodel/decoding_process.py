"""One worker process of `decoding`, as the server sees it: started, asked, ended."""

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Final, cast

import numpy as np
from pydantic import ValidationError

from chexmodel.decoding_worker import Reply, Request, fill, receive, send
from chexmodel.dicom_header import Peek
from chexmodel.errors import ImageError
from chexmodel.film import Film, check_size

_START_S: Final = 60.0
_PIPE: Final = 2**20  # bytes; the most that Linux gives everybody, fewer turns for a large film
_ROOT: Final = Path(__file__).resolve().parents[1]
_COMMAND: Final = (sys.executable, "-P", "-m", "chexmodel.decoding_worker")
_ENVIRONMENT: Final = {
    "OMP_NUM_THREADS": "1",
    "CUDA_VISIBLE_DEVICES": "",
    # Memory of one film serves for the next: to ask the kernel for it anew doubles the time of a JPEG.
    "MALLOC_MMAP_THRESHOLD_": str(32 * 2**20),
    "MALLOC_TRIM_THRESHOLD_": str(64 * 2**20),
}


class LostError(Exception):
    """A worker ended, or was ended for being late, before it had replied."""

    def __init__(self, *, late: bool) -> None:
        super().__init__("late" if late else "ended")
        self.late = late


class Worker:
    """One process. `idle`: it waits for a file; `files`: how many it was given."""

    def __init__(self) -> None:
        paths = os.pathsep.join(filter(None, (str(_ROOT), os.environ.get("PYTHONPATH"))))
        self.process = subprocess.Popen(
            _COMMAND,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,
            env={**os.environ, **_ENVIRONMENT, "PYTHONPATH": paths},
        )
        self._to, self._from = cast(IO[bytes], self.process.stdin), cast(IO[bytes], self.process.stdout)
        for pipe in (self._to, self._from):
            _widen(pipe.fileno())
        self.files = 0
        self.idle = False

    def started(self) -> bool:
        """Wait for its imports; False if they failed or took too long."""
        if not self.idle and self.files == 0:
            with suppress(LostError), self._within(_START_S):
                receive(self._from)
                self.idle = True
        return self.idle

    def ask(self, request: Request, body: bytes, seconds: float) -> Film | Peek:
        """Have one film read, or peeked at.

        Raises:
            ImageError: as `images.read` does.
            LostError: the worker is lost.
        """
        self.idle = False
        self.files += 1
        with self._within(seconds) as late:
            send(self._to, request, body)
            reply = Reply.model_validate_json(receive(self._from))
            if reply.audit is not None:
                check_size(reply.audit.width, reply.audit.height)
                grey = np.empty((reply.audit.height, reply.audit.width), reply.dtype)
                fill(self._from, grey)
        self.idle = not late.is_set() and self.process.poll() is None  # struck as it replied: it is ending
        if reply.refused:
            raise ImageError(reply.refused)
        if reply.audit is not None:
            return Film(grey, reply.audit)
        if reply.peek is not None:
            return reply.peek
        raise RuntimeError(f"reading a film failed: {reply.defect}")

    def end(self) -> None:
        """Kill it, and leave nothing of it behind."""
        self.idle = False
        self.process.kill()
        self.process.wait()
        self._to.close()
        self._from.close()

    @contextmanager
    def _within(self, seconds: float) -> Iterator[threading.Event]:
        """Kill it after so many seconds, which sets the event; tell a talk that fails as `LostError`."""
        late = threading.Event()

        def stop() -> None:
            late.set()
            self.process.kill()

        timer = threading.Timer(seconds, stop)
        timer.daemon = True
        timer.start()
        try:
            yield late
        except (OSError, EOFError, ValidationError) as error:
            raise LostError(late=late.is_set()) from error
        finally:
            timer.cancel()
            timer.join()  # it must not strike once another file is in work


def _widen(pipe: int) -> None:
    with suppress(ImportError, AttributeError, OSError):  # Linux only, and there up to a user's share
        import fcntl

        fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, _PIPE)
