"""Tables of a page: headings, words and numbers in the language in use; files in English."""

import json
from typing import Any

import pandas as pd
import pytest
from pandas.io.formats.style import Styler
from pseudo import Pseudo, wide

from chexmodel import language
from chexmodel.language import using
from chexmodel.ui import components, grid

FRAME = pd.DataFrame(
    {"films": [12345, 7], "share": [0.5, float("nan")], "kind": ["error", "a file"], "drawn": [2.0, 1234.5]},
    index=pd.Index(["Edema", "Fracture"], name="observation"),
)


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, dict[str, Any]]]:
    """What Streamlit is told to draw."""
    calls: list[tuple[Any, dict[str, Any]]] = []
    monkeypatch.setattr(grid.st, "dataframe", lambda shown, **options: calls.append((shown, options)))
    pseudo, plain = Pseudo(), language._catalogue("en")
    monkeypatch.setattr(language, "_catalogue", lambda name: pseudo if name == "fr" else plain)
    return calls


def cells(styled: Styler) -> list[list[str]]:
    """The text of a styled table's cells, row by row."""
    body = styled._translate(False, False)["body"]
    return [[str(cell["display_value"]) for cell in row if cell["type"] == "td"] for row in body]


def test_english_leaves_numbers_to_streamlit(drawn: list[tuple[Any, dict[str, Any]]]) -> None:
    grid.grid(FRAME, words=["observation", "kind"], formats={"drawn": ",.0f"})
    shown, options = drawn[0]
    pd.testing.assert_frame_equal(shown, FRAME)
    config = options["column_config"]
    assert [config[name]["label"] for name in FRAME] == list(FRAME)
    formats = [config[name]["type_config"]["format"] for name in ("films", "share", "drawn")]
    assert formats == ["localized", "%.3f", "localized"]
    assert config["drawn"]["type_config"]["step"] == 1


def test_french_writes_numbers_headings_and_words(drawn: list[tuple[Any, dict[str, Any]]]) -> None:
    with using("fr"):
        grid.grid(FRAME, words=["observation", "kind"], formats={"drawn": ","})
        styled, options = drawn[0]
        assert cells(styled) == [
            ["12\u202f345", "0,500", wide("error"), "2"],
            ["7", "—", "a file", "1\u202f234,5"],
        ]
    assert list(styled.data.index) == [wide("Edema"), wide("Fracture")]
    assert styled.data["films"].tolist() == FRAME["films"].tolist()  # it sorts by numbers
    config = options["column_config"]
    assert config["films"]["label"] == wide("films")
    assert config["observation"]["label"] == wide("observation")
    assert "format" not in json.dumps(config["films"])


def test_a_file_is_english_in_every_language(
    drawn: list[tuple[Any, dict[str, Any]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    files: list[bytes] = []
    monkeypatch.setattr(components.st, "download_button", lambda _, data, **__: files.append(data()))
    for name in ("en", "fr"):
        with using(name):
            components.table(FRAME, "films", words=["observation"])
    assert files[0] == files[1] == FRAME.to_csv().encode()
