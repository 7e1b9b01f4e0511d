"""The rules of a CheXpert table, and sentences for the cells that break them."""

from typing import Any, Final

import numpy as np
import pandas as pd
import pandera.pandas as pa

from chexmodel.labels import OBSERVATIONS
from chexmodel.language import mark, tr, trn

STUDY: Final = r"patient\d+/study\d+"
"""The part of a `Path` that names the study; the part of that before the slash names the patient."""

VIEWS: Final = (mark("Frontal"), mark("Lateral"))
"""What the column Frontal/Lateral says."""

SEXES: Final = (mark("Female"), mark("Male"))
"""What the column Sex says, where it says it."""

REPORTED: Final = 5
"""How many problems one message names."""

_LONGEST_CELL: Final = 80  # characters of a cell that a message quotes

FIRST_ROW: Final = 2
"""The row of position 0 as a spreadsheet counts: the header is row 1."""


def numbers(cells: "pd.Series[Any]") -> "pd.Series[float]":
    """Read a categorical column as float32; a blank, and what is no number, becomes NaN."""
    distinct = pd.Series(cells.cat.categories).astype(str)  # as text, lest "True" pass for 1
    values = pd.to_numeric(distinct, errors="coerce").to_numpy(np.float32)
    # The code of a blank is −1: it picks the appended NaN.
    return pd.Series(np.append(values, np.float32(np.nan))[cells.cat.codes], index=cells.index)


def _unless(complaint: str, passes: Any) -> pa.Check:
    # One more than is reported, to know that there are more.
    return pa.Check(passes, error=complaint, n_failure_cases=REPORTED + 1)


_LABEL: Final = _unless(
    mark("“{cell}” is none of 1, 0, −1 and blank"), lambda cells: numbers(cells).isin([1, 0, -1])
)
_AGE: Final = _unless(
    mark("“{cell}” is not a number from 0 to 120"), lambda cells: numbers(cells).between(0, 120)
)
_VIEW: Final = _unless(mark("“{cell}” is neither Frontal nor Lateral"), lambda cells: cells.isin(VIEWS))
_NAMED: Final = _unless(
    mark("“{cell}” has no patient<number>/study<number>"), lambda cells: cells.str.contains(STUDY)
)
_UNIQUE: Final = _unless(
    mark("“{cell}” is the path of an earlier row too"), lambda cells: ~cells.duplicated()
)

SCHEMA: Final = pa.DataFrameSchema(
    {
        "Path": pa.Column(checks=[_NAMED, _UNIQUE]),
        "Sex": pa.Column(nullable=True),
        "Age": pa.Column(checks=_AGE),
        "Frontal/Lateral": pa.Column(checks=_VIEW),
        "AP/PA": pa.Column(nullable=True),
        **{name: pa.Column(checks=_LABEL, nullable=True) for name in OBSERVATIONS},
    }
)
"""Rules for a table of text columns, `Age` and the observations being categories; others may follow."""


def _short(cell: object) -> str:
    text = str(cell)
    return text if len(text) <= _LONGEST_CELL else f"{text[:_LONGEST_CELL]}…"


def explain(csv: str, failures: pd.DataFrame) -> str:
    """Say which cells of a file break which rule.

    Args:
        csv: what the file is called.
        failures: the `failure_cases` of pandera's `SchemaErrors`; the index counts rows from 0.

    Returns:
        One sentence that names the first five problems and what to do.
    """
    missing = failures.loc[failures["check"] == "column_in_dataframe", "failure_case"].tolist()
    if missing:
        names = ", ".join(missing[:REPORTED])
        if len(missing) > REPORTED:
            names = tr("{some} and {n} more", some=names, n=len(missing) - REPORTED)
        return trn(
            "{csv}: row 1 (the header) lacks the column {names}: give a comma-separated table in CheXpert's "
            "layout",
            "{csv}: row 1 (the header) lacks the columns {names}: give a comma-separated table in CheXpert's "
            "layout",
            len(missing),
            csv=csv,
            names=names,
        )
    cells = failures.sort_values("index", kind="stable")
    named = "; ".join(
        tr(
            "row {row}, column {column}: {complaint}",
            row=int(row) + FIRST_ROW,
            column=column,
            complaint=tr("is blank") if rule == "not_nullable" else tr(str(rule), cell=_short(case)),
        )
        for row, column, case, rule in zip(
            *(cells[name].head(REPORTED) for name in ("index", "column", "failure_case", "check")),
            strict=True,
        )
    )
    if len(cells) > REPORTED:
        named = tr("{cells} (the first {n} problems)", cells=named, n=REPORTED)
    return tr("{csv}: {cells}: correct or remove these rows", csv=csv, cells=named)
