"""Reading films in other processes, within limits of memory and time: a bad file costs itself alone.

A decoder is code in C that meets the bytes of a stranger. `Decoders.read` does what `images.read` does, in a
process that may crash, hang or be killed. They talk through pipes (`decoding_worker`): nothing is pickled.
"""

import os
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Final, Self, cast

import numpy as np
from pydantic import ValidationError

from chexmodel import images, machine
from chexmodel.decoding_worker import Reply, Request, fill, receive, send
from chexmodel.dicom_header import Peek
from chexmodel.errors import ImageError
from chexmodel.film import Film, check_bytes, check_size
from chexmodel.images import Source
from chexmodel.language import current, tr

TIME_LIMIT: Final = 10.0
"""Seconds that reading one file may take."""
PEEK_LIMIT: Final = 3.0
"""Seconds that a look at one header may take: of a usual one it takes some milliseconds."""
MAX_FILES: Final = 500
"""Files after which a worker is replaced: what a decoder leaks ends with it."""

_START_S: Final = 60.0
_STARTS: Final = 3  # that may fail before a file is given up
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


class Decoders:
    """Processes that read films; safe to use from many threads, each of which waits for its turn.

    As many read at once as there are cores, as many look at headers, and one more stands ready, so that
    nobody waits for a process to start after one was lost. They end with this object, with `close`, or with
    the process that made it.
    """

    def __init__(self, workers: int | None = None, *, seconds: float = TIME_LIMIT) -> None:
        self._seconds = seconds
        self._turn = threading.Semaphore(workers or machine.cores())
        # Looks at headers have turns of their own: they take milliseconds and must not wait for slow films.
        self._glance = threading.Semaphore(workers or machine.cores())
        self._lock = threading.Lock()
        self._idle = deque[_Worker]()  # the next one at the right, those that are starting at the left
        self._busy = set[_Worker]()
        self._ready_another()

    def read(self, source: Source, *, frame: int = 0) -> Film:
        """Read one film, as `images.read` does.

        Raises:
            ImageError: as `images.read`; or the file took too long, too much memory, or its process along.
        """
        if not isinstance(source, (bytes, Path)):
            return images.read(source, frame=frame)  # an array: there is nothing to decode
        return cast(Film, self._asked(source, frame=frame))

    def peek(self, data: bytes) -> Peek:
        """Look at the header of a DICOM, or of its beginning, as `dicom_header.peek` does.

        Raises:
            ImageError: as `read`.
        """
        return cast(Peek, self._asked(data, peek=True))

    def _asked(self, source: bytes | Path, *, frame: int = 0, peek: bool = False) -> Film | Peek:
        is_path = isinstance(source, Path)
        body = os.fsencode(source) if isinstance(source, Path) else source
        check_bytes(len(body))  # before it is sent
        seconds = min(self._seconds, PEEK_LIMIT) if peek else self._seconds
        request = Request(
            size=len(body),
            is_path=is_path,
            peek=peek,
            frame=frame,
            language=current(),
            seconds=2 * seconds,  # longer than here: it is for when this process has ended
        )
        try:
            with self._glance if peek else self._turn, self._worker() as worker:
                return worker.ask(request, body, seconds)
        except _LostError as lost:
            reason = tr(
                "Reading this file ended the program that decodes it: it is damaged or of a rare variant. "
                "Export it anew as PNG or JPEG."
            )
            if lost.late:
                reason = tr(
                    "Reading this file took more than {seconds:g} s and was stopped: it is damaged or made "
                    "to be slow. Reduce it, or export it anew as PNG or JPEG.",
                    seconds=seconds,
                )
            if is_path:
                reason = tr("{source}: {error}", source=source, error=reason)
            raise ImageError(reason) from lost

    @property
    def pids(self) -> tuple[int, ...]:
        """Process ids of the workers, those at work first."""
        with self._lock:
            return tuple(worker.process.pid for worker in (*self._busy, *self._idle))

    def close(self) -> None:
        """End the workers; files in work are lost, and reading another one starts anew."""
        with self._lock:
            ending = [*self._busy, *self._idle]
            self._idle.clear()
        for worker in ending:
            worker.end()

    def __enter__(self) -> Self:  # noqa: D105
        return self

    def __exit__(self, *_: object) -> None:  # noqa: D105
        self.close()

    @contextmanager
    def _worker(self) -> Iterator["_Worker"]:
        worker = self._taken()
        try:
            yield worker
        finally:
            with self._lock:
                self._busy.discard(worker)
                reusable = worker.idle and worker.files < MAX_FILES
                if reusable:
                    self._idle.append(worker)
            if not reusable:
                worker.end()

    def _taken(self) -> "_Worker":
        """Take a worker that is ready, and see to it that another one will be."""
        for _ in range(_STARTS):
            with self._lock:
                while self._idle and self._idle[-1].process.poll() is not None:
                    self._idle.pop().end()  # lost between two files: it costs none
                if not self._idle:
                    self._ready_another()
                if not self._idle:
                    break
                worker = self._idle.pop()
                self._busy.add(worker)
                if not self._idle:
                    self._ready_another()
            if worker.started():
                return worker
            with self._lock:
                self._busy.discard(worker)
            worker.end()
        raise ImageError(
            tr("The program that decodes films can't be started: ask who runs this server to see its log.")
        )

    def _ready_another(self) -> None:
        """Start a worker; where the system has no room for a process, that is told when one is needed."""
        with suppress(OSError):
            self._idle.append(_Worker())


class _LostError(Exception):
    """A worker ended, or was ended for being late, before it had replied."""

    def __init__(self, *, late: bool) -> None:
        super().__init__("late" if late else "ended")
        self.late = late


class _Worker:
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
            with suppress(_LostError), self._within(_START_S):
                receive(self._from)
                self.idle = True
        return self.idle

    def ask(self, request: Request, body: bytes, seconds: float) -> Film | Peek:
        """Have one film read, or peeked at.

        Raises:
            ImageError: as `images.read` does.
            _LostError: the worker is lost.
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
        """Kill it after so many seconds, which sets the event; tell a talk that fails as `_LostError`."""
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
            raise _LostError(late=late.is_set()) from error
        finally:
            timer.cancel()
            timer.join()  # it must not strike once another file is in work


def _widen(pipe: int) -> None:
    with suppress(ImportError, AttributeError, OSError):  # Linux only, and there up to a user's share
        import fcntl

        fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, _PIPE)
