"""Words in the reader's language: gettext catalogues under `assets/locale`, English being the source.

A message is written in English where it is used, as `tr("Score for {name}", name=…)`; Babel finds it there.
The values go in by `str.format`, and numbers come out as the language writes them.
"""

import gettext
import string
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from pathlib import Path
from typing import Any, Final, Literal, TypeVar, get_args

Language = Literal["en", "fr"]
Message = TypeVar("Message", bound=str)
LANGUAGES: Final[tuple[Language, ...]] = get_args(Language)
NAMES: Final[dict[Language, str]] = {"en": "English", "fr": "Français"}
"""What each language calls itself."""

CATALOGUES: Final = Path(__file__).resolve().parents[1] / "assets" / "locale"
DOMAIN: Final = "chexmodel"

_NUMERIC: Final = "bcdeEfFgGn%"
_chosen: ContextVar[Language | None] = ContextVar("language", default=None)


def _from_context() -> Language:
    return _chosen.get() or "en"


_current: Callable[[], Language] = _from_context


def current() -> Language:
    """Tell the language in use: the context's, or what `ask` was told to ask."""
    return _current()


def ask(source: Callable[[], Language | None]) -> None:
    """Take the language from `source` from now on, but inside of `using`; English where it knows none.

    For a shell that serves people of several languages in one process, in threads that it does not start.
    """
    global _current
    _current = lambda: _chosen.get() or source() or "en"  # noqa: E731


@contextmanager
def using(language: Language) -> Iterator[None]:
    """Speak a language inside the block, whatever `ask` was told: for what is saved, command lines, tests."""
    token = _chosen.set(language)
    try:
        yield
    finally:
        _chosen.reset(token)


def nearest(wanted: str | None) -> Language:
    """Choose the language for a locale such as "fr-CA"; English where none fits."""
    primary = (wanted or "").replace("_", "-").split("-")[0].lower()
    return next((language for language in LANGUAGES if language == primary), "en")


def mark(message: Message) -> Message:
    """Mark a constant for translation; `tr` translates it where it is shown."""
    return message


def tr(message: str, /, **values: object) -> str:
    """Translate a message and fill in its values.

    Args:
        message: English, with `str.format` fields; braces are literal where no value is given.
        values: by the fields' names; numbers are written the language's way.
    """
    translated = _catalogue(current()).gettext(message) if message else ""
    return _FORMATTER.vformat(translated, (), values) if values else translated


def trn(one: str, many: str, n: int, /, **values: object) -> str:
    """Translate a message that has a singular and a plural; the field `{n}` is the number."""
    translated = _catalogue(current()).ngettext(one, many, n)
    return _FORMATTER.vformat(translated, (), {"n": n, **values})


def number(value: float, spec: str = ".2f") -> str:
    """Write a number the language's way, "—" for NaN: format specifications are Python's."""
    return "—" if value != value else localised(format(value, spec))


def localised(figures: str) -> str:
    """Turn figures as Python writes them into the language's: "1,234.5 %" is "1 234,5 %" in French."""
    if current() == "en":
        return figures
    spaced = figures.replace("%", "\u202f%") if not figures.endswith((" %", "\u202f%")) else figures
    return spaced.translate({ord(","): "\u202f", ord("."): ","})


class _Localising(string.Formatter):
    """`str.format` that writes numbers the language's way."""

    def format_field(self, value: Any, format_spec: str) -> str:
        written: str = super().format_field(value, format_spec)
        numeric = isinstance(value, (int, float)) and format_spec[-1:] and format_spec[-1] in _NUMERIC + ","
        return localised(written) if numeric or isinstance(value, float) else written


_FORMATTER: Final = _Localising()


@cache
def _catalogue(language: Language) -> gettext.NullTranslations:
    if language == "en":
        return gettext.NullTranslations()
    return gettext.translation(DOMAIN, CATALOGUES, languages=[language], fallback=True)
