"""The viewer without a browser: its page runs, its words and its script agree, undefined numbers are null."""

import json
import math
import re
from pathlib import Path

import numpy as np
import pytest
from apps import ran
from streamlit.testing.v1 import AppTest
from viewer_app import maps, rows

from chexmodel.explain import palette, signed_palette
from chexmodel.payload import unpack
from chexmodel.ui import viewer as viewers
from chexmodel.ui.viewer import Pane
from chexmodel.ui.viewer_words import words

UI = Path(viewers.__file__).parent
SCRIPT = "\n".join(file.read_text(encoding="utf-8") for file in sorted(UI.glob("*.js")))


def sent(panes: list[Pane], monkeypatch: pytest.MonkeyPatch) -> dict[str, object]:
    """The header that a viewer of these panes sends."""
    data = []
    monkeypatch.setattr(viewers, "_component", lambda **given: data.append(given["data"]))
    viewers.viewer(panes, key="reading", unit="raw log-odds")
    return unpack(data[0])[0]


def test_the_page_runs() -> None:
    at = AppTest.from_file(str(Path(__file__).with_name("viewer_app.py")), default_timeout=60)
    assert ran(at).title[0].value == "Viewer"


def test_every_word_of_the_script_is_translated_and_used() -> None:
    known = set(words("raw log-odds"))
    used = set(re.findall(r"\bwords\.(\w+)", SCRIPT)) | {"heat", "contour", "signed"}
    assert used == known
    fields = {name: set(re.findall(r"\{(\w+)\}", str(word))) for name, word in words("unit").items()}
    assert fields["mapLabel"] == {"title", "name"}
    assert {name for name, found in fields.items() if found} <= set(
        re.findall(r"fill\((?:this\.)?words\.(\w+)", SCRIPT)
    )


def test_data_enters_the_page_as_text_only() -> None:
    assert not re.search(r"innerHTML|outerHTML|insertAdjacent|document\.write|\beval\b|fetch\(", SCRIPT)


def test_undefined_numbers_are_null(monkeypatch: pytest.MonkeyPatch) -> None:
    pane = Pane("Film", np.zeros((4, 4), np.uint8), maps(0), 1.5, rows(), insisted=True)
    found = sent([pane], monkeypatch)["panes"][0]
    assert json.dumps(found, allow_nan=False)
    untrained = found["findings"][-1]
    assert (untrained["score"], untrained["threshold"], untrained["band"]) == (None, None, [None, None])
    assert found["findings"][0]["score"] == pytest.approx(0.95)
    assert found["insisted"] is True
    assert found["scale"] == 1.5


def test_the_signed_scale_is_symmetric_and_absent_where_nothing_speaks_against(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    film = np.zeros((4, 4), np.uint8)
    grids = {"A": np.array([[-3.0, 1.0]], np.float32), "B": np.array([[2.0, 0.5]], np.float32)}
    both = sent(
        [Pane("Film", film, grids, 2.0), Pane("Prior", film, {"A": abs(grids["A"])}, 3.0)], monkeypatch
    )
    first, second = both["panes"]
    assert first["extent"] == 3.0  # of all findings, and of what speaks against them too
    assert first["ticks"]["signed"] == ["−3", "−1.5", "0", "+1.5", "+3"]
    assert first["ticks"]["heat"] == ["0", "1", "2"]
    assert first["ticks"]["contour"] == ["0.5 (25 %)", "1 (50 %)", "1.5 (75 %)"]
    assert second["extent"] == 3.0  # shown with a sign beside the other, though nothing speaks against
    assert viewers._tick(123.4) == "123"
    assert viewers._tick(-0.0000123) == "−0.000012"
    assert second["digest"] == first["digest"]
    grids = {"A": np.zeros((2, 2), np.float32), "B": np.ones((2, 2), np.float32)}
    assert sent([Pane("Film", film, grids, 2.0)], monkeypatch)["panes"][0]["extent"] == 0.0
    flat = Pane("Prior", film, {"A": grids["A"]}, 1.0)
    beside = sent([Pane("Film", film, {"A": -grids["B"]}, 2.0), flat], monkeypatch)["panes"]
    assert beside[1]["extent"] == 1.0  # never a scale of no length


def test_a_map_that_is_not_finite_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    grids = {"A": np.full((2, 2), np.nan, np.float32), "B": np.ones((2, 2), np.float32)}
    (pane,) = sent([Pane("Film", np.zeros((4, 4), np.uint8), grids)], monkeypatch)["panes"]
    assert list(pane["maps"]) == ["B"]


def test_palettes_are_sent_as_they_are_painted(monkeypatch: pytest.MonkeyPatch) -> None:
    colours = sent([Pane("Film", np.zeros((4, 4), np.uint8))], monkeypatch)["colours"]
    for name, made in (("heat", palette()), ("signed", signed_palette())):
        np.testing.assert_allclose(np.reshape(colours[name], (256, 3)) / 255, made, atol=0.5 / 255 + 1e-6)
    lightness = signed_palette() @ np.array([0.2126, 0.7152, 0.0722])
    assert lightness.argmin() in range(110, 146)  # dark in the middle, where a map is transparent
    assert math.isclose(lightness[0], lightness[-1], abs_tol=0.1)  # neither side looks the stronger
