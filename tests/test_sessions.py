"""Two visitors at once: what one opens and reads is not there for the other."""

from pathlib import Path

from analysing import header, press, upload
from apps import ran
from streamlit.testing.v1 import AppTest

from chexmodel import phantom
from chexmodel.ui.bundles import MODEL_KEY

ROOT = Path(__file__).resolve().parents[1]


def opened(chosen: Path) -> AppTest:
    at = AppTest.from_file(str(ROOT / "app.py"), default_timeout=60)
    at.session_state[MODEL_KEY] = str(chosen)
    return ran(at)


def test_a_film_stays_with_who_opened_it(tiny: Path) -> None:
    one, other = opened(tiny), opened(tiny)
    upload(one, ("one.png", phantom.png(seed=1)))
    assert header(one)
    ran(other)
    assert not header(other)
    assert "Nothing to read yet" in other.info[0].value
    upload(other, ("other.png", phantom.png(seed=2)))
    read = [[pane["findings"] for pane in header(press(at, "Show the"))["panes"]] for at in (one, other)]
    assert read[0] != read[1]
    again = [[pane["findings"] for pane in header(ran(at))["panes"]] for at in (one, other)]
    assert again == read
