"""A few at once, the others in line; and what is kept only for a while."""

import sys
import threading
import time

import pytest

from chexmodel import keeping
from chexmodel.errors import ChexError
from chexmodel.keeping import Kept
from chexmodel.turns import Turns


def test_no_more_at_once_than_allowed_and_in_order() -> None:
    turns, lock = Turns(2), threading.Lock()
    busy, most, order = 0, 0, list[int]()
    gate = threading.Event()

    def work(k: int) -> None:
        nonlocal busy, most
        with turns.turn():
            with lock:
                busy += 1
                most = max(most, busy)
                order.append(k)
            gate.wait(10)
            with lock:
                busy -= 1

    threads = []
    for k in range(12):
        threads.append(threading.Thread(target=work, args=(k,)))
        threads[-1].start()
        _until(lambda k=k: len(order) + turns.waiting == k + 1)
    assert (len(order), turns.waiting) == (2, 10)
    gate.set()
    for thread in threads:
        thread.join(10)
    assert most == 2
    assert order[2:] == sorted(order[2:])
    assert turns.waiting == 0


def test_who_waits_is_told_the_place() -> None:
    turns, told = Turns(1), list[int]()
    holding, enough = threading.Event(), threading.Event()

    def hold() -> None:
        with turns.turn():
            holding.set()
            enough.wait(10)

    first = threading.Thread(target=hold)
    first.start()
    holding.wait(10)
    others = [threading.Thread(target=hold) for _ in range(2)]
    for k, thread in enumerate(others):
        thread.start()
        _until(lambda k=k: turns.waiting == k + 1)

    def tell(before: int) -> None:
        told.append(before)
        enough.set()

    with turns.turn(tell):
        pass
    for thread in (first, *others):
        thread.join(10)
    assert told[0] == 2
    assert told == sorted(told, reverse=True)


def test_who_leaves_makes_room_and_a_full_line_says_so() -> None:
    turns = Turns(1, most=1)

    def gone(_: int) -> None:
        raise RuntimeError("the page is closed")

    with turns.turn():
        with pytest.raises(RuntimeError, match="closed"), turns.turn(gone):
            pass
        assert turns.waiting == 0
        waiting = threading.Thread(target=lambda: turns.turn().__enter__())
        waiting.start()
        _until(lambda: turns.waiting == 1)
        with pytest.raises(ChexError, match="try again"), turns.turn():
            pass
    waiting.join(10)
    assert turns.waiting == 0


def test_a_failing_reading_gives_its_turn_back() -> None:
    turns = Turns(1)
    for _ in range(3):
        with pytest.raises(ValueError, match="bad"), turns.turn():
            raise ValueError("bad")
    with turns.turn(lambda _: pytest.fail("nobody is before")):
        pass


def test_kept_is_bounded_in_number_and_time(monkeypatch: pytest.MonkeyPatch) -> None:
    kept, made = Kept[str, object](2, seconds=60), list[str]()

    def make(key: str) -> object:
        return kept.get(key, lambda: made.append(key) or object())

    one = make("a")
    make("b")
    assert make("a") is one  # and is the last to go now
    make("c")
    assert len(kept) == 2
    make("a")
    assert made == ["a", "b", "c"]
    make("b")
    assert made == ["a", "b", "c", "b"]


def test_what_is_due_goes_without_being_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    kept = Kept[str, object](5, seconds=0.05)
    kept.get("a", _Held)
    time.sleep(0.06)
    assert _Held.alive == 1  # nobody asked, nothing is dropped yet
    keeping.expire_all()
    assert _Held.alive == 0


def test_caches_that_are_made_meanwhile_do_not_stop_the_sweeping() -> None:
    held, done = [Kept[int, int](1, seconds=60) for _ in range(2000)], threading.Event()

    def come_and_go() -> None:
        while not done.is_set():
            held.append(Kept(1, seconds=60))
            held.pop(0)

    often = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    others = [threading.Thread(target=come_and_go) for _ in range(2)]
    try:
        for thread in others:
            thread.start()
        for _ in range(50):
            keeping.expire_all()  # raised within some of these before
    finally:
        done.set()
        sys.setswitchinterval(often)
        for thread in others:
            thread.join(10)


def test_nothing_is_a_value_like_any_other() -> None:
    kept, made = Kept[str, None](2, seconds=60), list[int]()
    for _ in range(3):
        assert kept.get("a", lambda: made.append(1)) is None
    assert made == [1]


def test_a_failure_is_not_kept() -> None:
    kept = Kept[str, int](2, seconds=60)
    with pytest.raises(ZeroDivisionError):
        kept.get("a", lambda: 1 // 0)
    assert kept.get("a", lambda: 3) == 3


class _Held:
    alive = 0

    def __init__(self) -> None:
        _Held.alive += 1

    def __del__(self) -> None:
        _Held.alive -= 1


def _until(reached) -> None:
    for _ in range(1000):
        if reached():
            return
        time.sleep(0.01)
    pytest.fail("it did not come to pass within 10 s")
