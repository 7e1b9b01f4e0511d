"""English sentences that a file keeps, told in the language in use: files are the same for every reader."""

import re
import string
from collections.abc import Iterable
from functools import cache
from typing import Final

from chexmodel.language import localised, tr

_NUMBER: Final = re.compile(r"[+-]?\d[\d,]*(\.\d+)?")


def retold(said: str, templates: Iterable[str]) -> str:
    """Translate a sentence that was made from one of these messages, with its values.

    A value that is a message itself, such as the name of an observation, is translated too; so are those of a
    list with commas.

    Args:
        said: English, as `template.format(…)` made it.
        templates: messages with named fields. A sentence that is a message itself is translated as it is.
    """
    if (exactly := tr(said)) != said:
        return exactly
    for template in templates:
        fields, pattern = _parsed(template)
        found = pattern.fullmatch(said)
        if found is not None:
            return tr(template, **{name: _value(found[name], spec) for name, spec in fields.items()})
    return said


def _value(text: str, spec: str) -> float | str:
    if spec:
        return float(text.replace(",", "")) if "." in text else int(text.replace(",", ""))
    return localised(text) if _NUMBER.fullmatch(text) else ", ".join(map(tr, text.split(", ")))


@cache
def _parsed(template: str) -> tuple[dict[str, str], re.Pattern[str]]:
    """Fields of a message with their format specifications, and what it can read."""
    fields, pattern = {}, ""
    for literal, name, spec, _ in string.Formatter().parse(template):
        pattern += re.escape(literal)
        if name is not None:
            fields[name] = spec or ""
            pattern += f"(?P<{name}>{_NUMBER.pattern if spec else '.+?'})"
    return fields, re.compile(pattern, re.DOTALL)
