"""A column of the label table as groups of films: sex, age bands, views, whatever the table tells."""

from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from chexmodel.errors import DatasetError
from chexmodel.language import mark, tr

DEFAULT_COLUMNS: Final = (mark("Sex"), mark("Age"), mark("AP/PA"))

AGE_BANDS: Final[dict[str, float]] = {
    mark("< 40 years"): 40,
    mark("40–59 years"): 60,
    mark("60–79 years"): 80,
    mark("≥ 80 years"): np.inf,
}
"""Name of each age band → the age in years below which it ends."""

NOT_STATED: Final = mark("not stated")
"""The group of the films whose cell is blank."""

MAX_GROUPS: Final = 12
"""A column of words may have so many distinct ones; numbers of more distinct values are cut into quarters."""

IDENTITIES: Final = frozenset({"Path", "patient", "study"})
"""Columns of `read_table` that name a film, not a kind of films."""


@dataclass(frozen=True, eq=False)
class Grouping:
    """Which group each film is in.

    column: of the table. cut: how its cells became groups, in words. names: G groups in their order.
    codes: (N,) index into `names`, a film each.
    """

    column: str
    cut: str
    names: tuple[str, ...]
    codes: NDArray[np.int64]

    def take(self, rows: NDArray[np.int64]) -> "Grouping":
        """The films at these positions, with the same groups."""
        return Grouping(self.column, self.cut, self.names, self.codes[rows])


def group_by(table: pd.DataFrame, column: str) -> Grouping:
    """Cut a column of a table into groups.

    `Age` is cut into `AGE_BANDS`; other numbers of more than `MAX_GROUPS` distinct values into quarters of
    the films that have one (fewer where many films tie); anything else stays as it is written, surrounding
    space aside. Blank cells are the group `NOT_STATED`, the last one.

    Args:
        table: N rows of `read_table`, the whole of it: quarters of a part would not be those of another.
        column: one of its columns.

    Raises:
        DatasetError: the table has no such column, or it has too many distinct words. The message names
            the columns there are.
    """
    choices = [name for name in table.columns if name not in IDENTITIES]
    if column not in choices:
        raise DatasetError(
            tr(
                "the table has no column “{column}” to group films by: choose among {choices}",
                column=column,
                choices=", ".join(choices),
            )
        )
    words = table[column].astype(object).where(table[column].notna(), "").astype(str).str.strip()
    blank = (words == "").to_numpy()
    numbers = pd.to_numeric(words.where(~blank, None), errors="coerce").to_numpy(np.float64)
    if not blank.all() and np.isfinite(numbers[~blank]).all():
        names, codes, cut = _numeric(column, numbers[~blank])
    else:
        names, codes, cut = _written(column, words[~blank], choices)
    every = np.full(len(table), len(names), dtype=np.int64)
    every[~blank] = codes
    return Grouping(column, cut, (*names, NOT_STATED) if blank.any() else names, every)


_Cut = tuple[tuple[str, ...], NDArray[np.int64], str]


def _written(column: str, words: "pd.Series[Any]", choices: list[str]) -> _Cut:
    names, codes = np.unique(words.to_numpy(dtype=str), return_inverse=True)
    if len(names) > MAX_GROUPS:
        raise DatasetError(
            tr(
                "column “{column}” has {values:,} distinct values, at most {most} make groups: choose "
                "another of {choices}",
                column=column,
                values=len(names),
                most=MAX_GROUPS,
                choices=", ".join(choices),
            )
        )
    return tuple(map(str, names)), codes.astype(np.int64), mark("as written in the table")


def _numeric(column: str, numbers: NDArray[np.float64]) -> _Cut:
    if column == "Age":
        codes = np.searchsorted(list(AGE_BANDS.values()), numbers, side="right")
        return tuple(AGE_BANDS), codes.astype(np.int64), mark("bands of years")
    distinct, codes = np.unique(numbers, return_inverse=True)
    if len(distinct) <= MAX_GROUPS:
        names = tuple(np.format_float_positional(value, trim="-") for value in distinct)
        return names, codes.astype(np.int64), mark("as written in the table")
    edges = np.unique(np.quantile(numbers, (0.25, 0.5, 0.75)))
    edges = edges[edges > distinct[0]]  # a tie at the least value would make an empty first quarter
    codes = np.searchsorted(edges, numbers, side="right")
    shown = _rounded(edges)
    inner = [f"{low} to < {high}" for low, high in pairwise(shown)]
    names = (f"< {shown[0]}", *inner, f"≥ {shown[-1]}") if shown else ("all",)
    return names, codes.astype(np.int64), mark("quarters of the films that state it")


def _rounded(numbers: NDArray[np.float64]) -> list[str]:
    """Round ascending, different numbers so far that they stay different: a group is known by its name."""
    whole = len(str(int(np.abs(numbers).max(initial=0))))
    for digits in range(max(4, whole), 17):
        shown = [f"{number:.{digits}g}" for number in numbers]
        if len(set(shown)) == len(shown):
            return shown
    return [repr(float(number)) for number in numbers]
