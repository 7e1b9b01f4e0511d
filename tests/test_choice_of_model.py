"""Which models can be opened: the shipped ones and the runs, whatever path lies in a session."""

import shutil
from pathlib import Path

import pytest
from apps import ran
from streamlit.testing.v1 import AppTest
from tiny_bundle import write_tiny_bundle

from chexmodel.ui.bundles import MODEL_KEY

ROOT = Path(__file__).resolve().parents[1]
GONE = "The chosen model is not there any more: choose another one at the left."


def app(chosen: Path | str | None = None, page: str = "app.py") -> AppTest:
    at = AppTest.from_file(str(ROOT / page), default_timeout=60)
    if chosen is not None:
        at.session_state[MODEL_KEY] = str(chosen)
    return at


def switcher(at: AppTest):
    return next(box for box in at.sidebar.selectbox if box.label == "Model")


@pytest.mark.parametrize("page", ["model", "evaluation"])
def test_a_path_that_is_no_choice_is_never_opened(
    page: str, tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A whole bundle elsewhere on the disk, given in the ways in which a path can be written."""
    outside = Path(shutil.copytree(tiny, tmp_path / "elsewhere" / "tiny"))
    opened: list[object] = []
    monkeypatch.setattr("chexmodel.bundle.load", lambda path, **_: opened.append(path))
    forged = [outside, tiny / ".." / ".." / "elsewhere" / "tiny", tiny / "..", "/etc", "", "no\0path"]
    for path in forged:
        at = ran(app(path, f"chexmodel/ui/{page}.py"))
        assert [error.value for error in at.error] == [GONE]
    assert opened == []


def test_a_link_that_the_operator_made_is_followed(tiny: Path, tmp_path: Path) -> None:
    kept = Path(shutil.copytree(tiny, tmp_path / "disk" / "tiny"))
    link = tiny.parent / "linked"
    link.symlink_to(kept)
    assert not ran(app(link, "chexmodel/ui/model.py")).error


def test_a_model_that_is_deleted_is_said_to_be_gone_and_another_can_be_chosen(tiny: Path) -> None:
    other = write_tiny_bundle(tiny.parent / "other")
    at = ran(app(other))
    at.switch_page("chexmodel/ui/model.py")
    assert not ran(at).error
    kept = other.rename(other.parents[1] / "away")
    assert [error.value for error in ran(at).error] == [GONE]
    assert switcher(at).value is None
    assert at.session_state[MODEL_KEY] == str(other)
    kept.rename(other)
    assert not ran(at).error  # back: as before
    assert switcher(at).value == str(other)
    shutil.rmtree(other)
    assert ran(at).error
    switcher(at).set_value(str(tiny))
    assert not ran(at).error
    assert at.session_state[MODEL_KEY] == str(tiny)
