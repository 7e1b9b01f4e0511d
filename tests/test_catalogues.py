"""Every message of the program has a translation, whose fields are the message's."""

import ast
from pathlib import Path

import pytest
from babel.messages.catalog import Catalog
from catalogues import FOLDERS, ROOT, TRANSLATED, compiled, extracted, place, problems, read, said

from chexmodel.labels import OBSERVATIONS
from chexmodel.language import tr

SOURCES = [ROOT / "app.py", *(file for folder in FOLDERS for file in (ROOT / folder).rglob("*.py"))]
MANY = ("{n:,} film", "{n:,} films")


@pytest.fixture(scope="module")
def messages() -> Catalog:
    return extracted()


def some() -> Catalog:
    """Three messages, as `extracted` gives them."""
    found = Catalog()
    for message in ("Films", "See `train` of {name!r}: {share:.2f}", MANY):
        found.add(message)
    return found


def french(**changed: object) -> Catalog:
    """A catalogue of `some`, complete but for what is changed."""
    texts = {
        "Films": "Clichés",
        "See": "De {name!r}, {share:.2f} : voir `train`",
        "many": ("{n:,} cliché", "{n:,} clichés"),
    } | changed
    found = Catalog(locale="fr")
    found.add("Films", texts["Films"])
    found.add("See `train` of {name!r}: {share:.2f}", texts["See"])
    found.add(MANY, texts["many"])
    return found


# ------------------------------------------------------------------------------------------ the catalogues


@pytest.mark.parametrize("language", TRANSLATED)
def test_a_catalogue_has_every_message(language: str, messages: Catalog) -> None:
    assert list(problems(messages, read(language))) == []


@pytest.mark.parametrize("language", TRANSLATED)
def test_the_compiled_catalogue_is_that_of_the_text(language: str) -> None:
    assert compiled(place(language, ".mo")) == said(read(language))


# --------------------------------------------------------------------------------------------- the messages


def test_what_is_shown_is_among_the_messages(messages: Catalog) -> None:
    known = {message.id for message in messages}
    assert {*OBSERVATIONS, "Analyse", "test", "image centre", "base"} <= known
    assert tuple(
        one for one, _ in (ids for ids in known if isinstance(ids, tuple)) if "share {share" in one
    ) == ("{n:,} film, share {share:.3f} ({low:.3f}–{high:.3f})",)


@pytest.mark.parametrize("file", SOURCES, ids=lambda file: str(file.relative_to(ROOT)))
def test_a_message_is_one_literal_that_can_be_found(file: Path) -> None:
    nodes = list(ast.walk(ast.parse(file.read_text())))
    # What stands in an f-string is not looked into.
    hidden = {id(part) for node in nodes if isinstance(node, ast.JoinedStr) for part in ast.walk(node)}
    for node in nodes:
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name):
            continue
        given = node.args[: {"tr": 1, "mark": 1, "trn": 2}.get(node.func.id, 0)]
        for message in given:
            literal = isinstance(message, ast.Constant) and isinstance(message.value, str)
            # Extraction would take a string within an expression, such as a key, for the message.
            within = any(
                isinstance(part, ast.JoinedStr | ast.Constant) and isinstance(getattr(part, "value", ""), str)
                for part in ast.walk(message)
            )
            if node.func.id == "trn" or within:
                assert literal, f"{file.name}:{node.lineno}"
            assert not (literal and id(node) in hidden), f"{file.name}:{node.lineno}"


def test_a_message_keeps_its_words_in_english(messages: Catalog) -> None:
    assert all(tr(message.id) == message.id for message in messages if isinstance(message.id, str))


# ------------------------------------------------------------------------------------------ what is refused


def test_a_complete_catalogue_has_no_problem() -> None:
    assert list(problems(some(), french())) == []


@pytest.mark.parametrize(
    ("changed", "problem"),
    [
        ({"Films": ""}, "untranslated: 'Films'"),
        ({"See": "De {nom!r}, {share:.2f} : voir `train`"}, "other fields"),
        ({"See": "De {name}, {share:.2f} : voir `train`"}, "other fields"),
        ({"See": "De {name!r}, {share:.1f} : voir `train`"}, "other fields"),
        ({"See": "De {name!r}, {share:.2f : voir `train`"}, "other fields"),
        ({"See": "De {name!r}, {share:.2f} : voir `entraîner`"}, "other code"),
        ({"many": ("{n:,} cliché", "")}, "untranslated"),
        ({"many": ("{n:,} cliché",)}, "plural forms"),
        ({"many": ("{n:,} cliché", "{m:,} clichés")}, "other fields"),
    ],
)
def test_a_translation_that_does_not_fit_is_named(changed: dict[str, object], problem: str) -> None:
    (said,) = problems(some(), french(**changed))
    assert said.startswith(problem)


def test_missing_fuzzy_and_obsolete_messages_are_named() -> None:
    one_more = some()
    one_more.add("Patients")
    assert list(problems(one_more, french())) == ["missing: 'Patients'"]
    fewer = Catalog()
    fewer.add("Films")
    assert len(list(problems(fewer, french()))) == 2
    unsure = french()
    unsure.get("Films").flags.add("fuzzy")
    assert list(problems(some(), unsure)) == ["fuzzy: 'Films'"]
    no_plural = some()
    no_plural.delete("{n:,} film")
    no_plural.add("{n:,} film")
    assert "missing: '{n:,} film'" in list(problems(no_plural, french()))
