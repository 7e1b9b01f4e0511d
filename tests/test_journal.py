"""The log and the metrics: what happened, and nothing of a patient."""

import json
import logging
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from analysing import press, upload
from apps import ran
from dicom_files import RAMP, dicom
from PIL import Image
from streamlit.runtime.scriptrunner_utils.exceptions import RerunException
from streamlit.runtime.scriptrunner_utils.script_requests import RerunData
from streamlit.runtime.state.safe_session_state import SafeSessionState
from streamlit.testing.v1 import AppTest
from test_private import SECRETS, SOURCES

from chexmodel import phantom
from chexmodel.predictor import Predictor
from chexmodel.ui import journal
from chexmodel.ui.bundles import MODEL_KEY

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def sparing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Errors are shown as the server shows them, not as tests want to see them."""
    monkeypatch.setattr(journal, "in_full", lambda: False)


def opened(chosen: Path) -> AppTest:
    at = AppTest.from_file(str(ROOT / "app.py"), default_timeout=60)
    at.session_state[MODEL_KEY] = str(chosen)
    return ran(at)


def test_a_reading_is_written_with_what_an_operator_needs(tiny: Path, events) -> None:
    at = upload(opened(tiny), ("Jane Doe.dcm", dicom()))
    (reading,) = events("reading")
    assert reading["outcome"] in ("read", "withheld")
    assert (reading["format"], reading["megapixels"]) == ("DICOM", 2.0**-8)
    assert reading["seconds"]["total"] > 0
    (loaded,) = events("model")
    assert loaded["model"] == reading["model"]
    assert len(reading["request"]) == 8
    assert {event["session"] for event in events()} == {reading["session"]} != {""}
    upload(at, ("other.png", phantom.png()))
    assert [event["format"] for event in events("reading")] == ["DICOM", "PNG"]
    assert len({event["request"] for event in events("reading")}) == 2
    upload(opened(tiny), ("other.png", phantom.png()))
    assert len({event["session"] for event in events("reading")}) == 2


@pytest.mark.usefixtures("sparing")
@pytest.mark.parametrize("kind", SOURCES)
def test_nothing_of_a_patient_is_in_the_log_of_the_app(
    kind: str, tiny: Path, events, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, logger="chexmodel")
    data = SOURCES[kind]()
    at = upload(opened(tiny), ("Jane Doe 4711.dcm", data))
    good = [(f"Secret {k}.dcm", dicom(RAMP[: 40 + k])) for k in range(2)]
    upload(at, ("Jane Doe 4711.dcm", data), *good)  # the table of many films
    press(at, "Read")
    upload(at, ("Jane Doe 4711.dcm", data))
    if any("Show the" in button.label for button in at.button):  # then the exports, with the identity
        press(at, "Show the")
        next(box for box in at.checkbox if "file's name" in box.label).check()
        ran(at)
    out, err = capfd.readouterr()
    written = json.dumps(events())
    if kind == "an unknown character set":
        assert any("pydicom" in place for event in events("warning") for place in event["frames"])
    assert events("batch")[0]["films"] >= len(good)
    for text in (out, err, caplog.text, written):
        assert not any(secret in text for secret in SECRETS), text


@pytest.mark.usefixtures("sparing")
def test_a_defect_is_a_sentence_with_a_number_under_which_the_log_has_its_place(
    tiny: Path, events, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise ValueError("Jane Doe, 4711")

    monkeypatch.setattr(Predictor, "predict", broken)
    at = upload(opened(tiny), ("Jane Doe.png", phantom.png()))
    (failed,) = events("error")
    assert [failed["request"] in error.value for error in at.error] == [True]
    assert failed["exception"] == "ValueError"
    assert any(place.startswith("chexmodel/ui/screen.py:") for place in failed["frames"])
    assert failed["frames"][-1].endswith(" broken")
    assert events("reading")[0]["outcome"] == "failed"
    assert not any(
        "Jane" in text or str(ROOT) in text for text in (json.dumps(events()), *capfd.readouterr())
    )


@pytest.mark.usefixtures("sparing")
def test_a_defect_in_a_callback_is_written_without_its_text(
    tiny: Path, events, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def broken() -> bytes:
        raise ValueError("Jane Doe, 4711")

    at = opened(tiny)
    monkeypatch.setattr(phantom, "png", broken)
    next(found for found in at.button if "phantom" in found.label).click()
    at.run()
    (failed,) = events("error")
    assert failed["exception"] == "ValueError"
    assert any(place.startswith("chexmodel/ui/opening.py:") for place in failed["frames"])
    assert not any("Jane" in text for text in (json.dumps(events()), *capfd.readouterr()))


def test_refusals_and_exports_are_written(tiny: Path, events) -> None:
    at = upload(opened(tiny), ("Jane Doe.png", phantom.png()[:-9000]))
    (reading,) = events("reading")
    assert (reading["outcome"], reading["exception"], reading["format"]) == ("refused", "ImageError", "PNG")
    assert at.error
    made = journal.exported("pdf", lambda: b"%PDF")
    assert made() == b"%PDF"
    with pytest.raises(ZeroDivisionError):
        journal.exported("csv", lambda: bytes(1 // 0))()

    def clicked() -> bytes:
        raise RerunException(RerunData())

    with pytest.raises(RerunException):
        journal.exported("overlays", clicked)()
    kinds = [(event["kind"], event["outcome"]) for event in events("export")]
    assert kinds == [("pdf", "made"), ("csv", "failed"), ("overlays", "interrupted")]


def test_a_model_that_can_not_be_opened_is_written(tiny: Path, events) -> None:
    (tiny / "thresholds.json").write_bytes(b"{")
    upload(opened(tiny), ("film.png", phantom.png()))
    (event,) = events("model")
    assert (event["outcome"], event["exception"]) == ("refused", "BundleError")


def test_a_click_while_films_are_read_loses_none_of_them(
    tiny: Path, events, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Streamlit ends a script wherever it is asked for the session; what is read by then is to be kept."""
    predict, asked = Predictor.predict, SafeSessionState.__getitem__
    reading, clicks = list[object](), list[object]()

    def read(self: Predictor, image: bytes, **how: object) -> object:
        reading.append(image)
        return predict(self, image, **how)

    def ask(self: SafeSessionState, key: str) -> object:
        if len(reading) == 2 and not clicks:  # the second film is in work, or has just been read
            clicks.append(key)
            raise RerunException(RerunData())
        return asked(self, key)

    at = opened(tiny)
    monkeypatch.setattr(Predictor, "predict", read)
    upload(at, *((f"{k}.png", phantom.png(seed=k, size=64)) for k in range(3)))
    monkeypatch.setattr(SafeSessionState, "__getitem__", ask)
    press(at, "Read all")
    assert len(clicks) == 1
    assert len(reading) == 3  # none of them twice
    assert len(events("reading")) == 3


def test_it_can_be_silenced(tiny: Path, events, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHEXMODEL_LOG", "off")
    upload(opened(tiny), ("film.png", phantom.png()))
    assert events() == []


SERVED = """
import json, sys, urllib.request
from chexmodel.ui import metrics
told = [metrics.begin(), metrics.begin()]
kept = metrics.Session("1")
metrics.count("read", "ONNX Runtime 1", {"read": 0.2, "total": 0.3})
metrics.count("refused", "", {})
with metrics.in_progress():
    address = sys.argv[1]
    page = urllib.request.urlopen(f"http://{address}/metrics", timeout=10).read().decode()
print(json.dumps([told, page]))
"""


def served(address: str, code: str = SERVED) -> list[object]:
    """In a process of its own: what is registered stays so."""
    done = subprocess.run(
        [sys.executable, "-c", code, address],
        cwd=ROOT,
        env={"CHEXMODEL_METRICS": address, "PATH": ""},
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    found: list[object] = json.loads(done.stdout)
    return found


def free() -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{probe.getsockname()[1]}"


def test_metrics_are_served_where_they_are_asked_for() -> None:
    pytest.importorskip("prometheus_client", reason="prometheus-client is not installed")
    address = free()
    (first, second), page = served(address)
    assert first == ["served", f"Metrics are served at {address}."]
    assert second is None
    lines = str(page).splitlines()
    assert 'chexmodel_readings_total{engine="ONNX Runtime 1",outcome="read"} 1.0' in lines
    assert 'chexmodel_readings_total{engine="",outcome="refused"} 1.0' in lines
    assert 'chexmodel_seconds_bucket{le="0.2",stage="read"} 1.0' in lines
    assert 'chexmodel_seconds_bucket{le="0.2",stage="total"} 0.0' in lines
    assert "chexmodel_sessions 1.0" in lines
    assert "chexmodel_readings_in_progress 1.0" in lines
    assert "chexmodel_readings_waiting 0.0" in lines
    assert any(line.startswith("process_resident_memory_bytes ") for line in lines)


@pytest.mark.parametrize(
    ("address", "without", "sentence"),
    [
        ("9464", False, "is no ADDRESS:PORT"),
        ("127.0.0.1:99999", False, "can't be had"),
        ("taken", False, "can't be had (OSError)"),
        ("127.0.0.1:1", True, "pip install -r requirements-service.txt"),
    ],
)
def test_metrics_that_can_not_be_had_stop_nothing(address: str, without: bool, sentence: str) -> None:
    code = "import json, sys\n"
    code += "sys.modules['prometheus_client'] = None\n" if without else ""
    code += "from chexmodel.ui import metrics\ntold = metrics.begin()\n"
    code += "metrics.count('read', 'x', {'total': 1.0})\nwith metrics.in_progress(): print(json.dumps(told))"
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        if address == "taken":
            address = f"127.0.0.1:{taken.getsockname()[1]}"
        outcome, message = served(address, code)
    assert outcome == "off"
    assert sentence in str(message)


def test_no_metrics_without_being_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CHEXMODEL_METRICS", raising=False)
    monkeypatch.setattr("chexmodel.ui.metrics._serve", lambda _: pytest.fail("served"))
    assert journal.metrics.begin() is None
    assert journal.metrics._figures is None


def test_a_size_is_told_to_the_power_of_two(tiny: Path, events, tmp_path: Path) -> None:
    reader = journal.Noted(Predictor.from_bundle(tiny))
    for side in (1000, 1100, 1500):
        file = tmp_path / "film.png"
        Image.new("L", (side, side), 90).save(file)
        reader.predict(file.read_bytes())
    assert [event["megapixels"] for event in events("reading")] == [1.0, 2.0, 4.0]
