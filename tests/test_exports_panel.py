"""The export panel: what it offers for which film, and that the file of every button can be made."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import streamlit as st
from apps import ran
from reports import FILE, film_dicom
from streamlit.testing.v1 import AppTest
from tiny_bundle import UNTRAINED

from chexmodel import phantom
from chexmodel.language import number
from chexmodel.ui.exports import _now

ALL = ["Report (PDF)", "Data (JSON)", "Table (CSV)", "Heatmap (PNG)"]
FILED = ["Structured report (DICOM SR)", "Heatmap (Secondary Capture)"]


def script(bundle: str, film: bytes, dicom: bool, rejected: bool, insisted: bool, language: str) -> None:
    from reports import FILE, WORD
    from reports import rejected as by_gate

    from chexmodel.language import using
    from chexmodel.predictor import Predictor
    from chexmodel.ui.exports import exports

    predictor = Predictor.from_bundle(bundle)
    prediction = predictor.predict(film)
    with using(language):
        exports(
            by_gate(prediction) if rejected else prediction,
            predictor.bundle,
            WORD,
            insisted=insisted,
            name=FILE,
            source=film if dicom else None,
        )


Panel = Callable[..., AppTest]


@pytest.fixture
def buttons(monkeypatch: pytest.MonkeyPatch) -> dict[str, dict[str, Any]]:
    """The download buttons of the last run, by label: AppTest does not tell what they carry."""
    drawn: dict[str, dict[str, Any]] = {}

    def button(label: str, data: Callable[[], bytes], **options: Any) -> bool:
        drawn[label] = options | {"data": data}
        return False

    monkeypatch.setattr(st, "download_button", button)
    return drawn


@pytest.fixture
def panel(tiny_bundle: Path) -> Panel:
    def opened(
        film: bytes, *, dicom: bool, rejected: bool = False, insisted: bool = False, language: str = "en"
    ) -> AppTest:
        values = (str(tiny_bundle), film, dicom, rejected, insisted, language)
        return ran(AppTest.from_function(script, args=values, default_timeout=60))

    return opened


def test_a_picture_has_no_dicom_outputs(panel: Panel, buttons: dict[str, dict[str, Any]]) -> None:
    at = panel(phantom.png(size=96), dicom=False)
    assert sorted(buttons) == sorted(ALL)
    assert "this film is a PNG file" in at.caption[0].value
    assert buttons["Report (PDF)"]["type"] == "primary"
    assert all(options["on_click"] == "ignore" for options in buttons.values())
    assert buttons["Report (PDF)"]["data"]().startswith(b"%PDF")
    assert buttons["Data (JSON)"]["data"]().startswith(b"{")
    assert buttons["Heatmap (PNG)"]["data"]().startswith(b"\x89PNG")
    assert UNTRAINED not in at.multiselect[0].options


def test_a_dicom_s_outputs_wait_for_the_tick(panel: Panel, buttons: dict[str, dict[str, Any]]) -> None:
    at = panel(film_dicom(), dicom=True)
    assert sorted(buttons) == sorted([*ALL, *FILED])
    assert all(buttons[label]["disabled"] for label in FILED)
    assert "include the identity first" in at.caption[0].value
    assert FILE.encode() not in buttons["Data (JSON)"]["data"]()
    at.checkbox[0].check()
    ran(at)
    assert not any(buttons[label]["disabled"] for label in FILED)
    assert "give them only to those" in at.caption[0].value
    assert FILE.encode() in buttons["Data (JSON)"]["data"]()
    for label in FILED:
        assert buttons[label]["data"]()[128:132] == b"DICM"
    for options in buttons.values():
        assert options["file_name"].startswith("chest-reading-")
        assert "4711" not in options["file_name"]


def test_a_film_without_a_study_says_so(panel: Panel, buttons: dict[str, dict[str, Any]]) -> None:
    at = panel(film_dicom(StudyInstanceUID=None), dicom=True)
    at.checkbox[0].check()
    ran(at)
    assert all(buttons[label]["disabled"] for label in FILED)
    assert "lacks StudyInstanceUID" in at.caption[0].value
    assert not buttons["Report (PDF)"]["disabled"]


def test_a_withheld_reading_is_offered_on_insistence_alone(
    panel: Panel, buttons: dict[str, dict[str, Any]]
) -> None:
    at = panel(phantom.png(size=96), dicom=False, rejected=True)
    assert buttons == {}
    assert "withheld" in at.error[0].value
    panel(phantom.png(size=96), dicom=False, rejected=True, insisted=True)
    assert b'"insisted": true' in buttons["Data (JSON)"]["data"]()


def test_files_are_made_in_the_language_of_the_page(panel: Panel, buttons: dict[str, dict[str, Any]]) -> None:
    panel(phantom.png(size=96), dicom=False, language="fr")
    made = list(buttons.values())[1]["data"]()  # clicked later, in a thread without the page's language
    assert b'"language": "fr"' in made
    assert number(0.5) == "0.50"


@pytest.mark.parametrize("zone", [None, "", "Etc/Unknown", "../Paris", "Europe/Paris"])
def test_the_time_is_that_of_the_browser_or_the_server(monkeypatch: pytest.MonkeyPatch, zone: str) -> None:
    monkeypatch.setattr(st, "context", SimpleNamespace(timezone=zone))
    made = _now()
    assert abs(made - datetime.now(UTC)) < timedelta(minutes=1)
    assert made.utcoffset() is not None
    assert (str(made.tzinfo) == "Europe/Paris") == (zone == "Europe/Paris")


def test_a_tick_of_one_film_is_none_of_the_next(panel: Panel, buttons: dict[str, dict[str, Any]]) -> None:
    keys = {panel(phantom.png(size=96, seed=seed), dicom=False).checkbox[0].key for seed in (0, 1)}
    keys |= {panel(film_dicom(), dicom=True).checkbox[0].key}
    assert len(keys) == 3
