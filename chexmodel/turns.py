"""A few at once, the others in line: they wait in the order in which they came, and know their place."""

from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Condition
from typing import Final

from chexmodel.errors import ChexError
from chexmodel.language import tr

_GLANCE_S: Final = 0.5
"""How often a waiting one is told its place, though it has not changed: who has left is noticed then."""


def _silent(_: int) -> None:
    """Tell nobody."""


class Turns:
    """Lets `at_once` callers work; safe to use from many threads."""

    def __init__(self, at_once: int, *, most: int = 200) -> None:
        """Open with an empty line.

        Args:
            at_once: how many work at the same time.
            most: how many may wait; who comes then is sent away.
        """
        self._free, self._most = at_once, most
        self._line = deque[object]()
        self._changed = Condition()

    @property
    def waiting(self) -> int:
        """How many wait."""
        return len(self._line)

    @contextmanager
    def turn(self, tell: Callable[[int], None] = _silent) -> Iterator[None]:
        """Wait for one's turn, and hold it inside the block.

        Args:
            tell: is given the number of those who wait before, from 0, at once and then every half second;
                not called where there is nothing to wait for. What it raises leaves the line and passes.

        Raises:
            ChexError: the line is full.
        """
        self._wait(tell)
        try:
            yield
        finally:
            with self._changed:
                self._free += 1
                self._changed.notify_all()

    def _wait(self, tell: Callable[[int], None]) -> None:
        me = object()
        with self._changed:
            if self._free and not self._line:
                self._free -= 1
                return
            if len(self._line) >= self._most:
                raise ChexError(
                    tr("{n} readings wait already: try again in some minutes.", n=len(self._line))
                )
            self._line.append(me)
        try:
            while True:
                with self._changed:
                    place = self._line.index(me)
                    if self._free and place == 0:
                        self._free -= 1
                        return
                tell(place)  # not under the lock: it may draw, and take its time
                with self._changed:
                    if not (self._free and self._line[0] is me):
                        self._changed.wait(_GLANCE_S)
        finally:
            with self._changed:
                self._line.remove(me)
                self._changed.notify_all()
