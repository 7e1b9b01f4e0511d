"""Reading films in other processes, within limits of memory and time: a bad file costs itself alone.

A decoder is code in C that meets the bytes of a stranger. `Decoders.read` does what `images.read` does, in a
process that may crash, hang or be killed. They talk through pipes (`decoding_worker`): nothing is pickled.
"""

import os
import threading
import weakref
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from itertools import chain
from pathlib import Path
from typing import Final, Self, cast

from chexmodel import images, machine
from chexmodel.decoding_process import LostError, Worker
from chexmodel.decoding_worker import Request
from chexmodel.dicom_header import Peek
from chexmodel.errors import ImageError
from chexmodel.film import Film, check_bytes
from chexmodel.images import Source
from chexmodel.language import current, tr

TIME_LIMIT: Final = 10.0
"""Seconds that reading one file may take."""
PEEK_LIMIT: Final = 3.0
"""Seconds that a look at one header may take: of a usual one it takes some milliseconds."""
MAX_FILES: Final = 500
"""Files after which a worker is replaced: what a decoder leaks ends with it."""

_STARTS: Final = 3  # that may fail before a file is given up


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
        self._idle = deque[Worker]()  # the next one at the right, those that are starting at the left
        self._busy = set[Worker]()
        weakref.finalize(self, _end, self._busy, self._idle)
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
        except LostError as lost:
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
        _end(ending)

    def __enter__(self) -> Self:  # noqa: D105
        return self

    def __exit__(self, *_: object) -> None:  # noqa: D105
        self.close()

    @contextmanager
    def _worker(self) -> Iterator[Worker]:
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

    def _taken(self) -> Worker:
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
            self._idle.append(Worker())


def _end(*workers: Iterable[Worker]) -> None:
    for worker in chain(*workers):
        worker.end()
