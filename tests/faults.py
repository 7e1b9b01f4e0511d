"""For the tests of faults in service: to do something in the middle, and what a page then shows."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from analysing import header, press
from streamlit.runtime.scriptrunner import RerunData, get_script_run_ctx
from streamlit.testing.v1 import AppTest

from chexmodel import phantom
from chexmodel.predictor import Predictor
from chexmodel.ui import service

FILM = ("film.png", phantom.png(size=96, seed=1))
FILMS = [(f"{k}.png", phantom.png(size=64 + k, seed=k)) for k in range(5)]
READ_ALL = f"Read all {len(FILMS)} films"
Events = Callable[..., list[dict[str, Any]]]


@contextmanager
def full_disk(room: int = 0) -> Iterator[None]:
    """No file of this process can grow beyond so many bytes: the kernel refuses to write them."""
    resource = pytest.importorskip("resource")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def leave() -> None:
    """End the session that runs, as the server does when its browser has gone."""
    get_script_run_ctx().script_requests.request_stop()


def click(at: AppTest | None = None) -> None:
    """Have the script that runs start anew, with the widgets of a page as they were set since."""
    states = None if at is None else at._tree.get_widget_states()
    get_script_run_ctx().script_requests.request_rerun(RerunData(widget_states=states))


def assert_no_turn_is_held() -> None:
    assert service.turns().waiting == 0
    with ExitStack() as held:
        for _ in range(service.share().readings):
            held.enter_context(service.turns().turn(lambda _: pytest.fail("a turn was not given back")))


def scores(at: AppTest) -> list[float]:
    """The scores on the page of one film, lowest first, asked for where they are not shown."""
    if not header(at)["panes"][0]["findings"]:
        press(at, "Show the model's reading")
    return numbers(at, "score")


def numbers(at: AppTest, kind: str) -> list[float]:
    found = [finding[kind] for finding in header(at)["panes"][0]["findings"]]
    return sorted(number for number in found if number is not None)


def statuses(at: AppTest) -> list[str]:
    return at.dataframe[0].value["status"].tolist()


def whole(path: Path, film: bytes = FILM[1]) -> list[float]:
    """What a bundle, as it lies there now, says of a film, lowest first."""
    found = Predictor.from_bundle(path).predict(film).probabilities
    return sorted(found[np.isfinite(found)].tolist())
