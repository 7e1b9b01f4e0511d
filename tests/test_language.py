"""Words in the reader's language: which is chosen, and how numbers are written in it."""

import gettext

import pytest

from chexmodel import language
from chexmodel.language import ask, current, mark, nearest, number, tr, trn, using


class Catalogue(gettext.NullTranslations):
    """A translation that shows itself."""

    def gettext(self, message: str) -> str:
        return f"⟦{message}⟧"

    def ngettext(self, msgid1: str, msgid2: str, n: int) -> str:
        return f"⟦{msgid1 if n == 1 else msgid2}⟧"


@pytest.mark.parametrize(
    ("wanted", "chosen"),
    [("fr", "fr"), ("fr-CA", "fr"), ("fr_FR", "fr"), ("FR", "fr"), ("de", "en"), ("", "en"), (None, "en")],
)
def test_the_nearest_language_is_chosen(wanted: str | None, chosen: str) -> None:
    assert nearest(wanted) == chosen


def test_a_language_holds_inside_its_block() -> None:
    assert current() == "en"
    with using("fr"):
        assert current() == "fr"
    assert current() == "en"


def test_a_shell_can_be_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(language, "_current", language._from_context)
    ask(lambda: "fr")
    assert current() == "fr"
    ask(lambda: None)
    assert current() == "en"


def test_messages_are_translated_and_filled(monkeypatch: pytest.MonkeyPatch) -> None:
    assert tr("{} stays as it is") == "{} stays as it is"
    assert tr(mark("Score for {name}: {p:.2f}"), name="Edema", p=0.5) == "Score for Edema: 0.50"
    assert trn("{n} film", "{n} films", 1) == "1 film"
    assert trn("{n} film of {m}", "{n} films of {m}", 2, m=3) == "2 films of 3"
    monkeypatch.setattr(language, "_catalogue", lambda _: Catalogue())
    assert tr("Score for {name}", name="Edema") == "⟦Score for Edema⟧"
    assert trn("{n} film", "{n} films", 2) == "⟦2 films⟧"
    assert tr("") == ""


def test_numbers_are_written_the_languages_way() -> None:
    assert number(0.5) == "0.50"
    assert number(float("nan")) == "—"
    with using("fr"):
        assert number(0.5) == "0,50"
        assert number(0.75, ".0%") == "75\u202f%"
        assert tr(
            "{n:,} films, {share:.1%}, {sign:+.2f}, {text}", n=12345, share=0.5, sign=0.25, text="1.5"
        ) == ("12\u202f345 films, 50,0\u202f%, +0,25, 1.5")
        assert trn("{n:,} film", "{n:,} films", 2500) == "2\u202f500 films"
