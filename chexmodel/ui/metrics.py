"""Figures for Prometheus, served where CHEXMODEL_METRICS says, e.g. 127.0.0.1:9464; without it, none."""

import os
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final, NamedTuple
from weakref import WeakSet

if TYPE_CHECKING:
    from prometheus_client import Counter, Gauge, Histogram

_BUCKETS: Final = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0)  # s


class Session:
    """A visitor's session by its number; it is counted as long as Streamlit keeps it."""

    def __init__(self, number: str) -> None:
        self.number = number
        _sessions.add(self)


class _Figures(NamedTuple):
    readings: "Counter"
    seconds: "Histogram"
    going: "Gauge"


_sessions: Final[WeakSet[Session]] = WeakSet()
_lock: Final = threading.Lock()
_asked = False
_figures: _Figures | None = None


def begin() -> tuple[str, str] | None:
    """Serve the figures where they are asked for.

    Returns:
        At the first call, whether they are "served" or "off", and a sentence: the service goes on without
        them. None at further calls, and where nobody asked.
    """
    global _asked
    address = os.environ.get("CHEXMODEL_METRICS")
    with _lock:
        if address is None or _asked:
            return None
        _asked = True
        return _serve(address)


def _serve(address: str) -> tuple[str, str]:
    global _figures
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal():
        return "off", "CHEXMODEL_METRICS is no ADDRESS:PORT such as 127.0.0.1:9464: correct it."
    try:
        from prometheus_client import start_http_server

        start_http_server(int(port), host.strip("[]"))
    except ImportError:
        return "off", "prometheus-client is missing: pip install -r requirements-service.txt"
    except (OSError, OverflowError) as error:
        kind = type(error).__name__
        return "off", f"The address of CHEXMODEL_METRICS can't be had ({kind}): choose another one."
    _figures = _registered()
    return "served", f"Metrics are served at {address}."


def _registered() -> _Figures:
    from prometheus_client import Counter, Gauge, Histogram

    from chexmodel.ui import service  # here: it writes to the log, which counts here

    Gauge("chexmodel_sessions", "Sessions that Streamlit keeps").set_function(lambda: len(_sessions))
    waiting = Gauge("chexmodel_readings_waiting", "Readings in the line before the cores")
    waiting.set_function(lambda: service.turns().waiting)
    return _Figures(
        Counter("chexmodel_readings", "Films by what became of them", ("outcome", "engine")),
        Histogram("chexmodel_seconds", "Time of a reading by stage", ("stage",), buckets=_BUCKETS),
        Gauge("chexmodel_readings_in_progress", "Films being read, or whose turn has come"),
    )


@contextmanager
def in_progress() -> Iterator[None]:
    """Count a reading as under way inside the block."""
    if _figures is None:
        yield
        return
    with _figures.going.track_inprogress():
        yield


def count(outcome: str, engine: str, seconds: Mapping[str, float]) -> None:
    """Count a reading that has ended.

    Args:
        outcome: "read", "withheld", "refused" or "failed".
        engine: what computed it; "" where nothing did.
        seconds: by stage.
    """
    if _figures is None:
        return
    _figures.readings.labels(outcome, engine).inc()
    for stage, spent in seconds.items():
        _figures.seconds.labels(stage).observe(spent)
