"""The messages of the program, and what a catalogue lacks of them.

`python tests/catalogues.py` brings `assets/locale` up to date after messages changed: what is new in a `.po`
is then translated by hand, and a second run compiles it.
"""

import re
import string
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from babel.messages.catalog import Catalog, Message
from babel.messages.extract import extract_from_dir, extract_from_file
from babel.messages.mofile import read_mo, write_mo
from babel.messages.pofile import read_po, write_po

ROOT: Final = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from chexmodel.language import CATALOGUES, DOMAIN, LANGUAGES  # noqa: E402

TRANSLATED: Final = tuple(language for language in LANGUAGES if language != "en")
FOLDERS: Final = ("chexmodel", "train")
_KEYWORDS: Final[dict[str, Any]] = {"tr": None, "trn": (1, 2), "mark": None}
_CODE: Final = re.compile(r"`[^`]*`")


def place(language: str, suffix: str = ".po") -> Path:
    """Where a language's catalogue lies."""
    return CATALOGUES / language / "LC_MESSAGES" / f"{DOMAIN}{suffix}"


def extracted() -> Catalog:
    """All messages, by the file that uses them; those of `train` are the ones that pages show."""
    found = Catalog(project=DOMAIN, charset="utf-8")
    rows = [
        (f"{folder}/{file}", message)
        for folder in FOLDERS
        for file, _, message, _, _ in extract_from_dir(
            ROOT / folder, method_map=[("**.py", "python")], keywords=_KEYWORDS
        )
    ]
    rows += [("app.py", row[1]) for row in extract_from_file("python", ROOT / "app.py", keywords=_KEYWORDS)]
    for file, message in rows:
        found.add(message, locations=[(file, None)])
    return found


def read(language: str) -> Catalog:
    """Read a language's `.po`, its obsolete messages too."""
    with place(language).open("rb") as stream:
        return read_po(stream, locale=language)


def compiled(file: Path) -> dict[str, tuple[str, ...]]:
    """What a `.mo` says: message → its translations, one a plural form."""
    with file.open("rb") as stream:
        return {_first(message): _strings(message) for message in read_mo(stream) if message.id}


def said(catalogue: Catalog) -> dict[str, tuple[str, ...]]:
    """What a catalogue says, as `compiled` gives it."""
    return {_first(message): _strings(message) for message in catalogue if message.id}


def problems(messages: Catalog, catalogue: Catalog) -> Iterator[str]:
    """Say what is wrong with a catalogue of these messages, a sentence each."""
    known = {message.id for message in messages if message.id}
    for message in catalogue:
        if message.id and message.id not in known:
            yield f"obsolete: {message.id!r}"
    for message in catalogue.obsolete.values():
        yield f"obsolete: {message.id!r}"
    for message in messages:
        if not message.id:
            continue
        found = catalogue.get(_first(message))
        if found is None or found.id != message.id:
            yield f"missing: {message.id!r}"
        elif found.fuzzy:
            yield f"fuzzy: {message.id!r}"
        elif len(_strings(found)) != (catalogue.num_plurals if message.pluralizable else 1):
            yield f"plural forms: {message.id!r}"
        elif not all(_strings(found)):
            yield f"untranslated: {message.id!r}"
        else:
            yield from _different(message, _strings(found))


def _different(message: Message, translations: tuple[str, ...]) -> Iterator[str]:
    originals = message.id if message.pluralizable else (message.id,)
    for text in translations:
        if not any(_fields(text) == _fields(original) for original in originals):
            yield f"other fields: {text!r}"
        if not any(_CODE.findall(text) == _CODE.findall(original) for original in originals):
            yield f"other code: {text!r}"


def _fields(text: str) -> set[tuple[str, str, str]] | None:
    """Fields with format and conversion; None where the braces don't pair."""
    try:
        parts = list(string.Formatter().parse(text))
    except ValueError:
        return None
    return {(name, spec or "", conversion or "") for _, name, spec, conversion in parts if name is not None}


def _first(message: Message) -> str:
    return message.id[0] if message.pluralizable else message.id


def _strings(message: Message) -> tuple[str, ...]:
    return tuple(message.string) if message.pluralizable else (message.string or "",)


def update() -> None:
    """Write every catalogue anew: the messages as they are now, and the translations there were."""
    messages = extracted()
    for language in TRANSLATED:
        catalogue = read(language) if place(language).is_file() else Catalog(locale=language)
        catalogue.update(messages, no_fuzzy_matching=True)
        catalogue.obsolete.clear()
        for message in catalogue:
            message.flags.discard("python-format")  # "95 % intervals" is none
        place(language).parent.mkdir(parents=True, exist_ok=True)
        with place(language).open("wb") as stream:
            write_po(stream, catalogue, width=110, sort_by_file=True, include_lineno=False)
        with place(language, ".mo").open("wb") as stream:
            write_mo(stream, catalogue)
        left = list(problems(messages, catalogue))
        print(f"{language}: {len(catalogue)} messages, {len(left)} to do", *left, sep="\n")


if __name__ == "__main__":
    update()
