"""What is kept for a while: bounded in number and in time, safe from many threads."""

from collections.abc import Callable, Hashable
from threading import Lock, Thread
from time import sleep
from typing import Final, Generic, TypeVar
from weakref import WeakSet

from cachetools import TTLCache

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")

_EVERY_S: Final = 30


class Kept(Generic[Key, Value]):
    """The last few values that were asked for; what nobody asked for in a while is dropped, asked or not."""

    def __init__(self, most: int, *, seconds: float) -> None:
        """Keep at most `most` values, each for `seconds` after it was put in or asked for."""
        self._values: TTLCache[Key, Value] = TTLCache(most, seconds)
        self._lock = Lock()
        _sweep(self)

    def __len__(self) -> int:
        """Count what is kept and not yet due."""
        with self._lock:
            return len(self._values)

    def get(self, key: Key, make: Callable[[], Value]) -> Value:
        """Return the value of a key; made, outside of the lock, where there is none."""
        with self._lock:
            found = [self._values.pop(key)] if key in self._values else []
        value = found[0] if found else make()
        with self._lock:
            self._values[key] = value  # anew: the last one asked for is the last to go
        return value

    def expire(self) -> None:
        """Drop what is due."""
        with self._lock:
            self._values.expire()


_all: Final[WeakSet[Kept[object, object]]] = WeakSet()
_listing: Final = Lock()
"""Held while `_all` changes or is gone through: a set that grows meanwhile would end the sweeping thread."""
_sweeping: Final = Lock()
"""Held by the one thread that goes through all caches: an idle session asks for nothing."""


def _sweep(kept: "Kept[Key, Value]") -> None:
    with _listing:
        _all.add(kept)  # type: ignore[arg-type]
    if not _sweeping.locked():
        Thread(target=_sweep_all, name="keeping", daemon=True).start()


def _sweep_all() -> None:
    if not _sweeping.acquire(blocking=False):
        return
    while True:
        sleep(_EVERY_S)
        expire_all()


def expire_all() -> None:
    """Drop what is due in all caches."""
    with _listing:
        known = list(_all)
    for kept in known:
        kept.expire()
