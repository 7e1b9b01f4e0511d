"""No string of the Analyse page, its viewer and its exports is left untranslated."""

import re
from pathlib import Path
from typing import Any

import pytest
from analysing import header, press, upload
from pseudo import Pseudo, plain, wide
from streamlit.testing.v1 import AppTest
from test_pseudo_language import opened, words

from chexmodel import dicom_header, images, language, phantom
from chexmodel.decoding import Decoders
from chexmodel.dicom_header import Peek
from chexmodel.film import Film
from chexmodel.ui.bundles import MODELS

DATA = words("PNG DICOM PDF JSON CSV GB film png Grad CAM LayerCAM HiResCAM EigenCAM MONOCHROME")
"""Formats, methods, and the names of the films."""


@pytest.fixture(autouse=True)
def wide_letters(monkeypatch: pytest.MonkeyPatch) -> None:
    catalogue = Pseudo()
    monkeypatch.setattr(language, "_catalogue", lambda _: catalogue)
    # The workers are other processes, which know the real languages alone.
    monkeypatch.setattr(Decoders, "_asked", here)


def here(_: Decoders, source: bytes, *, frame: int = 0, peek: bool = False) -> Film | Peek:
    return dicom_header.peek(source) if peek else images.read(source, frame=frame)


def left(at: AppTest) -> dict[str, str]:
    return {word: text for word, text in plain(at).items() if word not in DATA}


def viewer_words(told: Any) -> set[str]:
    """Words in plain letters among the texts that the viewer shows."""
    if isinstance(told, str):
        return set(re.findall(r"[A-Za-z]{2,}", re.sub(r"\{\w+\}", " ", told)))
    if isinstance(told, dict):
        hidden = ("observation", "state", "digest", "key")
        return set().union(*(viewer_words(value) for name, value in told.items() if name not in hidden))
    if isinstance(told, list):
        return set().union(*map(viewer_words, told))
    return set()


def test_without_a_film() -> None:
    assert not left(opened("analyse", MODELS / "demo"))


def test_a_film_and_its_reading() -> None:
    at = upload(opened("analyse", MODELS / "demo"), ("film.png", phantom.png(size=256)))
    assert not left(at)
    if any(button.label == wide("Read it all the same") for button in at.button):
        press(at, wide("Read it all the same"))
    else:
        press(at, wide("Show the model's reading"))
    upload(at, ("film.png", phantom.png(size=96, seed=3)), key="prior-upload")
    assert not left(at)
    about = header(at)
    assert len(about["panes"]) == 2
    assert about["panes"][0]["findings"]
    shown = [about["words"]] + [
        {name: value for name, value in pane.items() if name != "maps"} for pane in about["panes"]
    ]
    assert not viewer_words(shown) - DATA


def test_a_file_that_is_none() -> None:
    at = upload(opened("analyse", MODELS / "demo"), ("film", b"Dear colleague"))
    assert at.error
    assert not left(at).keys() - words("Dear")


def test_many_films(tiny: Path) -> None:
    films = [(f"film{seed}.png", phantom.png(size=96, seed=seed)) for seed in range(2)]
    at = upload(opened("analyse", tiny), *films)
    assert not left(at)
    press(at, wide("Read"))
    assert not left(at)
