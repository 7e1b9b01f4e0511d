"""A language in which every message is written in letters that English has not, and what a page says in ours.

Whatever is left in plain letters is data, or a string that was forgotten.
"""

import gettext
import html
import json
import re
from collections.abc import Iterator
from typing import Any, Final

import pandas as pd
from catalogues import extracted
from streamlit.testing.v1 import AppTest
from streamlit.testing.v1.element_tree import Block

_WIDE: Final = {
    code: code + 0xFEE0 for code in map(ord, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz")
}
_KEPT: Final = re.compile(r"\{\{?[^{}]*\}\}?|`[^`]*`|<[^<>]*>")
"""Of a message: fields, commands, tags."""
_NO_TEXT: Final = re.compile(
    r"data:image/\S+|`[^`]*`|<style>.*?</style>|<[^<>]*>|%\{[^}]*\}|:material/\w+:|&\w+;", re.DOTALL
)
_ATTRIBUTES: Final = re.compile(r'(?:alt|aria-label|title)="([^"]*)"')
_WORD: Final = re.compile(r"[A-Za-z]{2,}")


class Pseudo(gettext.NullTranslations):
    """Every message that extraction finds in full-width letters; fields, commands and tags stay."""

    def __init__(self) -> None:
        super().__init__()
        self._known = {message.id for message in extracted()}

    def gettext(self, message: str) -> str:
        return wide(message) if message in self._known else message

    def ngettext(self, msgid1: str, msgid2: str, n: int) -> str:
        said = msgid1 if n == 1 else msgid2
        return wide(said) if (msgid1, msgid2) in self._known else said


def wide(message: str) -> str:
    """Write a message in full-width letters."""
    parts, kept = _KEPT.split(message), _KEPT.findall(message)
    return "".join(part.translate(_WIDE) + whole for part, whole in zip(parts, [*kept, ""], strict=True))


def plain(at: AppTest, *, data: str = "") -> dict[str, str]:
    """Words in plain letters that a page shows, each with a text that it is in.

    Args:
        at: the page, in the language `Pseudo`.
        data: what may be shown as it is, such as a model's card.
    """
    found: dict[str, str] = {}
    for text in texts(at):
        if text.strip() and text.strip() in data:
            continue
        shown = html.unescape(" ".join([_NO_TEXT.sub(" ", text), *_ATTRIBUTES.findall(text)]))
        for word in _WORD.findall(shown):
            found.setdefault(word, " ".join(shown.split())[:160])
    return found


def texts(at: AppTest) -> Iterator[str]:
    """Every text of a page: of elements, of the labels of blocks and widgets, of tables and of figures."""
    for root in (at.main, at.sidebar):
        yield from _block(root)


def _block(block: Block) -> Iterator[str]:
    yield from _messages(block.proto)
    for child in block.children.values():
        if isinstance(child, Block):
            yield from _block(child)
        elif child.type == "plotly_chart":
            yield from _figure(json.loads(child.proto.spec))
        elif child.type == "dataframe":
            yield from _table(child)
        else:
            yield from _messages(child.proto)


_SHOWN: Final = (
    "label",
    "help",
    "placeholder",
    "options",
    "body",
    "value",
    "text",
    "content",
    "title",
    "markdown",
)


def _messages(proto: Any) -> Iterator[str]:
    """What a protocol buffer says in fields that are shown."""
    if proto is None or not hasattr(proto, "ListFields"):
        return
    for field, value in proto.ListFields():
        if field.message_type is not None:
            parts = value if _repeated(value) else [value]
            for part in parts:
                yield from _messages(part)
        elif field.name in _SHOWN:
            parts = value if _repeated(value) and not isinstance(value, str) else [value]
            yield from (part for part in parts if isinstance(part, str))


def _repeated(value: Any) -> bool:
    return hasattr(value, "__len__") and not hasattr(value, "ListFields")


def _table(element: Any) -> Iterator[str]:
    config = json.loads(element.proto.columns or "{}")
    frame: pd.DataFrame = element.value
    for name in (frame.index.name, *frame.columns):
        if name is not None:
            yield (config.get(name) or {}).get("label") or str(name)
    for column in frame.columns:
        if not pd.api.types.is_numeric_dtype(frame[column]):
            yield from frame[column].dropna().astype(str)
    if frame.index.name is not None:
        yield from map(str, frame.index)


def _figure(spec: dict[str, Any]) -> Iterator[str]:
    for trace in spec["data"]:
        for part in ("name", "text", "hovertemplate", "customdata", "x", "y"):
            yield from _strings(trace.get(part))
        yield from _strings((trace.get("colorbar") or {}).get("title"))
    for name, axis in spec["layout"].items():
        if name.startswith(("xaxis", "yaxis")):
            yield from _strings(axis.get("title"))
            yield from _strings(axis.get("ticktext"))
    yield from _strings([note.get("text") for note in spec["layout"].get("annotations", [])])


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for part in value:
            yield from _strings(part)
    elif isinstance(value, dict):
        yield from _strings(value.get("text"))
