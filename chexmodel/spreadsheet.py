"""Text for the cells of a CSV that a person opens in a spreadsheet."""

from typing import Final

_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")


def inert(text: str) -> str:
    """Put an apostrophe before a text that a spreadsheet would take for a formula, and run (CWE-1236).

    For what anybody may have written: names of files, comments. Numbers are no text and need none.
    """
    return f"'{text}" if text.startswith(_FORMULA) else text
