"""A process or a visitor is lost, the server is killed: it goes on, and says what happened."""

import gc
import os
import signal
import threading
import weakref
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from analysing import press, upload
from browsing import served, started
from faults import (
    FILM,
    FILMS,
    READ_ALL,
    Events,
    assert_no_turn_is_held,
    click,
    leave,
    scores,
    statuses,
    whole,
)
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from test_decoding import eventually, handles
from test_journal import opened

from chexmodel import phantom
from chexmodel.predictor import Predictor
from chexmodel.ui import bundles, service
from chexmodel.ui.decoder import decoders

RESTARTS = int(os.environ.get("CHEXMODEL_RESTARTS", "1"))
"""How often the server is killed and started; `CHEXMODEL_RESTARTS=100` for the whole."""

pytestmark = pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="it looks into /proc")


def test_a_killed_worker_costs_one_film_of_the_page(tiny: Path, during: Any, events: Events) -> None:
    at = upload(opened(tiny), *FILMS)

    def strike() -> None:
        worker = decoders().pids[-1]
        os.kill(worker, signal.SIGSTOP)  # it will hold the film, and not answer
        threading.Thread(target=kill_at_work, args=(worker,)).start()

    def kill_at_work(worker: int) -> None:
        eventually(lambda: decoders().pids[0] == worker)
        os.kill(worker, signal.SIGKILL)

    during(2, strike)
    press(at, READ_ALL)
    table = at.dataframe[0].value
    assert table["status"].tolist() == ["read", "not read", "read", "read", "read"]
    assert "ended the program that decodes it" in table["remarks"][1]
    outcomes = [event["outcome"] for event in events("reading")]
    assert outcomes == ["read", "refused", "read", "read", "read"]
    assert any("chexmodel/decoding.py" in place for place in events("reading")[1]["frames"])
    upload(at, FILMS[1])  # the same film, and a worker that lives
    assert scores(at) == pytest.approx(whole(tiny, FILMS[1][1]))


def test_who_leaves_in_the_middle_of_many_films_has_no_more_of_them_read(tiny: Path, during: Any) -> None:
    at = upload(opened(tiny), *FILMS)
    given = during(2, leave)
    press(at, READ_ALL)
    assert len(given) == 2
    assert_no_turn_is_held()
    other = upload(opened(tiny), FILM)
    assert scores(other)


def test_a_click_in_the_middle_reads_each_film_once(tiny: Path, during: Any) -> None:
    at = upload(opened(tiny), *FILMS)
    given = during(2, click)
    press(at, READ_ALL)
    assert sorted(given) == sorted(data for _, data in FILMS)
    assert statuses(at) == ["read"] * len(FILMS)
    assert_no_turn_is_held()


def test_who_leaves_the_line_is_not_waited_for(
    tiny: Path, monkeypatch: pytest.MonkeyPatch, during: Any
) -> None:
    at = upload(opened(tiny), *FILMS)
    told, place = [0], service.Place.__call__

    def leaving(self: service.Place, before: int) -> None:
        told.append(before)
        leave()
        place(self, before)

    monkeypatch.setattr(service.Place, "__call__", leaving)
    given = during(1, lambda: None)
    with ExitStack() as held:
        for _ in range(service.share().readings):
            held.enter_context(service.turns().turn())
        press(at, READ_ALL)
        assert (given, told) == ([], [0, 0])
        assert service.turns().waiting == 0
    assert_no_turn_is_held()


# ------------------------------------------------------------------------------------- restarts


def _resident() -> int:
    """Bytes that this process holds in memory."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def test_a_hundred_loads_answer_alike_and_leave_nothing_behind(tiny_bundle: Path) -> None:
    film = phantom.draw(size=96, seed=1)
    first = Predictor.from_bundle(tiny_bundle).predict(film)
    before: tuple[int, ...] = ()
    for k in range(100):
        found = Predictor.from_bundle(tiny_bundle).predict(film)
        np.testing.assert_array_equal(found.logits, first.logits)
        np.testing.assert_array_equal(found.heatmaps, first.heatmaps)
        if k == 9:  # what is loaded and kept at first is loaded
            gc.collect()
            before = handles(), threading.active_count(), _resident()
    gc.collect()
    assert (handles(), threading.active_count()) == before[:2]
    assert _resident() - before[2] < 50 * 2**20


def test_a_model_replaced_over_and_over_leaves_the_last_few_in_memory(tiny: Path) -> None:
    networks = list[weakref.ref[Any]]()
    for k in range(12):
        os.utime(tiny / "card.md", (k, k))
        networks.append(weakref.ref(bundles._as_it_is(str(tiny)).bundle.network))
    gc.collect()
    assert networks[-1]() is not None
    assert sum(network() is not None for network in networks) == 4  # as many as are kept by design


@contextmanager
def visit(url: str) -> Iterator[Callable[[], bool]]:
    """Ask for the first page; to be called to wait for it, and told whether it is whole."""
    sync = pytest.importorskip("websockets.sync.client", reason="websockets is not installed")
    with sync.connect(f"{url.replace('http', 'ws')}/_stcore/stream", max_size=None) as stream:
        ask = BackMsg()
        ask.rerun_script.query_string = ""
        stream.send(ask.SerializeToString())

        def answered() -> bool:
            while True:
                told = ForwardMsg.FromString(stream.recv(timeout=60))
                if told.delta.new_element.HasField("exception"):
                    return False
                if told.WhichOneof("type") == "script_finished":
                    return bool(told.script_finished == ForwardMsg.FINISHED_SUCCESSFULLY)

        yield answered


def test_a_server_that_is_killed_in_the_middle_of_a_visit_starts_again(tmp_path: Path) -> None:
    for _ in range(RESTARTS):
        with served(tmp_path / "runs") as (url, server), visit(url):
            server.kill()
            server.wait(20)
    with started(tmp_path / "runs") as url, visit(url) as answered:
        assert answered()
