"""What the service does, one JSON line an event on stderr: for its operator, without anything of a patient.

A line never has a file's name, a path of an upload, a tag, a pixel, or the text of an exception, which may
quote any of these: of an exception its type and the places in the code. CHEXMODEL_LOG=off writes nothing.
"""

import json
import logging
import math
import os
import secrets
import sys
import time
import traceback
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, TextIO

import streamlit as st
from streamlit.runtime.scriptrunner import get_script_run_ctx

from chexmodel.correction import Correction
from chexmodel.errors import ChexError, ImageError
from chexmodel.filetype import file_type
from chexmodel.predictor import Prediction, Predictor
from chexmodel.ui import metrics

LOGGER: Final = logging.getLogger("chexmodel.service")
_ROOT: Final = Path(__file__).resolve().parents[2]
_OURS: Final = (str(_ROOT / "chexmodel"), str(_ROOT / "app.py"))
_SESSION: Final = "journal-session"
_MODEL: Final = "journal-model"


def begin() -> None:
    """Get ready to write, of libraries' warnings too; serve metrics where asked. Once is enough."""
    warnings.showwarning = _warned
    if not LOGGER.handlers:
        LOGGER.addHandler(logging.StreamHandler())
        LOGGER.setLevel(logging.INFO)
        for name in list(logging.root.manager.loggerDict):
            if name.startswith("streamlit."):
                logging.getLogger(name).addFilter(_retold)
    if (begun := metrics.begin()) is not None:
        note("metrics", outcome=begun[0], message=begun[1])


def note(event: str, **facts: object) -> None:
    """Write an event, with the time and the session; `facts` are of the program alone, never of a file."""
    if os.environ.get("CHEXMODEL_LOG") == "off":
        return
    made = {"time": datetime.now(UTC).isoformat(timespec="milliseconds"), "event": event}
    who = {} if "session" in facts else {"session": session()}
    LOGGER.info(json.dumps(made | who | facts, allow_nan=False))


def session() -> str:
    """A number, drawn by lot, that stands for the visitor's session; "" in a thread that serves none."""
    if get_script_run_ctx(suppress_warning=True) is None:
        return ""
    if _SESSION not in st.session_state:
        st.session_state[_SESSION] = metrics.Session(secrets.token_hex(4))
    number: str = st.session_state[_SESSION].number
    return number


def failure(error: BaseException) -> dict[str, object]:
    """Tell of an exception its type and where it was raised: "file:line function", ours and the innermost."""
    frames = traceback.extract_tb(error.__traceback__)
    places = [
        f"{_place(frame.filename)}:{frame.lineno} {frame.name}"
        for frame in frames
        if frame.filename.startswith(_OURS) or frame is frames[-1]
    ]
    return {"exception": type(error).__name__, "frames": places}


def _place(file: str) -> str:
    """A file as the checkout or a library calls it: where this machine keeps them is no matter of a log's."""
    roots = sorted((str(_ROOT), *filter(None, sys.path)), key=len, reverse=True)
    return next((file[len(root) + 1 :] for root in roots if file.startswith(f"{root}/")), Path(file).name)


def in_full() -> bool:
    """Whether who runs the server asked for all of an exception, as for work on the pages."""
    return bool(st.get_option("client.showErrorDetails") == "full")


def unexpected(error: BaseException) -> str:
    """Write a defect of ours that surfaced; return the number under which it is found."""
    request = secrets.token_hex(4)
    note("error", request=request, **failure(error))
    return request


@contextmanager
def opening() -> Iterator[None]:
    """Write it where a model can't be opened inside the block."""
    try:
        yield
    except Exception as error:
        note("model", **_outcome(error))
        raise


def model(predictor: Predictor) -> None:
    """Write which model a session reads with, when it begins to."""
    manifest = predictor.bundle.manifest
    if st.session_state.get(_MODEL) != manifest.weights_sha256:
        st.session_state[_MODEL] = manifest.weights_sha256
        note("model", outcome="loaded", model=manifest.weights_sha256[:12])


def exported(kind: str, make: Callable[[], bytes]) -> Callable[[], bytes]:
    """Write when an export is made: in a thread that knows no session, hence its number is asked for now."""
    number = session()

    def made() -> bytes:
        started = time.perf_counter()
        facts: dict[str, object] = {"outcome": "interrupted"}  # by a click, which is no Exception
        try:
            data = make()
            facts = {"outcome": "made"}
            return data
        except Exception as error:
            facts = _outcome(error)
            raise
        finally:
            note("export", kind=kind, session=number, seconds=_seconds(started), **facts)

    return made


class Noted:
    """A predictor whose readings are written here and counted; made in the session that asks for them."""

    def __init__(self, predictor: Predictor) -> None:
        self._predictor = predictor
        # Where Streamlit is asked for it, a click may end the script: not once a film is read.
        self._session = session()

    def predict(self, image: bytes, *, correction: Correction | None = None, frame: int = 0) -> Prediction:
        """Read a film as `Predictor.predict` does, with its errors."""
        started = time.perf_counter()
        facts: dict[str, object] = {
            "session": self._session,
            "request": secrets.token_hex(4),
            "model": self._predictor.bundle.manifest.weights_sha256[:12],
            "format": _format(image),
        }
        try:
            with metrics.in_progress():
                prediction = self._predictor.predict(image, correction=correction, frame=frame)
        except Exception as error:
            told = _outcome(error)
            note("reading", **facts, **told, seconds={"total": _seconds(started)})
            metrics.count(str(told["outcome"]), "", {})
            raise
        outcome = "withheld" if prediction.withheld else "read"
        seconds = {stage: round(spent, 4) for stage, spent in prediction.seconds.items()}
        seconds["total"] = _seconds(started)
        note(
            "reading",
            **facts,
            outcome=outcome,
            engine=prediction.engine,
            megapixels=_megapixels(prediction),
            seconds=seconds,
        )
        metrics.count(outcome, prediction.engine, seconds)
        return prediction


def _outcome(error: Exception) -> dict[str, object]:
    return {"outcome": "refused" if isinstance(error, ChexError) else "failed", **failure(error)}


def _seconds(started: float) -> float:
    return round(time.perf_counter() - started, 4)


def _format(image: bytes) -> str:
    try:
        return file_type(image)
    except ImageError:
        return "other"


def _megapixels(prediction: Prediction) -> float:
    """The film's millions of pixels, up to the next power of two: exact sizes might tell a machine."""
    return float(2.0 ** math.ceil(math.log2(prediction.grey.size / 1e6)))


def _warned(
    message: Warning | str,  # noqa: ARG001 – the arguments are Python's
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,  # noqa: ARG001
    line: str | None = None,  # noqa: ARG001
) -> None:
    """Write of a library's warning its kind and place: pydicom's quote the header.

    Without the session: to ask for it may end the script, here in the middle of anything.
    """
    note("warning", session="", exception=category.__name__, frames=[f"{_place(filename)}:{lineno}"])


def _retold(record: logging.LogRecord) -> bool:
    """Hold back Streamlit's own line on an exception, as in a callback, with its text; write ours instead."""
    error = record.exc_info[1] if record.exc_info else None
    if error is None or in_full():
        return True
    unexpected(error)
    return False
