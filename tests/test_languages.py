"""The language of a session: the browser's, a link's, the switch's; it holds on every page."""

from pathlib import Path

import pytest
from apps import ran
from pseudo import Pseudo, wide
from streamlit.testing.v1 import AppTest

from chexmodel import language
from chexmodel.language import current, using
from chexmodel.ui.languages import LANGUAGE_KEY, PARAMETER, SWITCH_KEY

APP = str(Path(__file__).resolve().parents[1] / "app.py")


@pytest.fixture(autouse=True)
def wide_french(monkeypatch: pytest.MonkeyPatch) -> None:
    pseudo, plain = Pseudo(), language._catalogue("en")
    monkeypatch.setattr(language, "_catalogue", lambda name: pseudo if name == "fr" else plain)


def opened(*, page: str = "dataset", **query: str) -> AppTest:
    at = AppTest.from_file(APP, default_timeout=120)
    for name, value in query.items():
        at.query_params[name] = value
    at.switch_page(f"chexmodel/ui/{page}.py")
    return ran(at)


def switched(at: AppTest, to: str) -> AppTest:
    next(element for element in at.get("button_group") if element.key == SWITCH_KEY).set_value(to)
    return ran(at)


def test_english_is_what_a_browser_without_a_language_gets() -> None:
    at = opened()
    assert at.title[0].value == "Dataset"
    assert at.session_state[LANGUAGE_KEY] == "en"
    assert PARAMETER not in at.query_params


@pytest.mark.parametrize(("asked", "title"), [("fr", wide("Dataset")), ("en", "Dataset"), ("xx", "Dataset")])
def test_a_link_chooses(asked: str, title: str) -> None:
    assert opened(lang=asked).title[0].value == title


def test_the_switch_holds_on_the_next_page_and_in_the_address() -> None:
    at = switched(opened(), "fr")
    assert at.title[0].value == wide("Dataset")
    assert at.query_params[PARAMETER] in ("fr", ["fr"])
    with using("fr"):  # AppTest writes the options of widgets itself, outside of the session
        at.switch_page("chexmodel/ui/model.py")
        assert ran(at).title[0].value == wide("Model")
        assert switched(at, "en").title[0].value == "Model"


def test_the_document_says_its_language() -> None:
    bodies = [element.proto.body for element in opened(lang="fr").get("html")]
    assert any("document.documentElement.lang = 'fr'" in body for body in bodies)


def test_a_thread_of_no_session_speaks_english() -> None:
    opened(lang="fr")
    assert current() == "en"
