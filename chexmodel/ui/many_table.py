"""The table of many films: results → rows as the page shows them; pure."""

import base64
from collections.abc import Mapping, Sequence
from typing import Final

import pandas as pd

from chexmodel.batch import CALLED, Result, Status
from chexmodel.containers import Entry, Refusal
from chexmodel.labels import OBSERVATIONS
from chexmodel.language import mark, number, tr

_STATUS: Final[dict[Status, str]] = {
    "read": mark("read"),
    "withheld": mark("withheld: not an upright frontal chest film"),
    "not read": mark("not read"),
}


def table(
    entries: Sequence[Entry], results: Mapping[str, Result], refused: Sequence[Refusal], *, finding: str
) -> pd.DataFrame:
    """Return a row per film, then one per file that is none.

    Args:
        entries: the films, in the table's order.
        results: by the films' keys; a film without one is waiting.
        refused: the other files.
        finding: whose score stands in the column "score".

    Returns:
        Columns picture (data URI of the thumbnail, None without), name, status, score (NaN if undefined),
        called, indeterminate (both as text: names with scores), remarks.
    """
    rows = [_row(entry, results.get(entry.key), finding) for entry in entries]
    refusal: Status = "not read"
    rows += [_cells("", name, tr(_STATUS[refusal]), remarks=reason) for name, reason in refused]
    return pd.DataFrame(rows, columns=list(_cells("", "", "")))


def _row(entry: Entry, result: Result | None, finding: str) -> dict[str, object]:
    if result is None:
        return _cells("", entry.name, tr("waiting"))
    picture = base64.b64encode(result.thumbnail).decode()
    return _cells(
        f"data:image/png;base64,{picture}" if picture else "",
        entry.name,
        tr(_STATUS[result.status]),
        score=float(result.probabilities[OBSERVATIONS.index(finding)]),
        called=_listed(result, CALLED),
        indeterminate=_listed(result, "indeterminate"),
        remarks=" · ".join(filter(None, (result.reason, *result.warnings))),
    )


def _cells(
    picture: str,
    name: str,
    status: str,
    *,
    score: float = float("nan"),
    called: str = "",
    indeterminate: str = "",
    remarks: str = "",
) -> dict[str, object]:
    return {
        "picture": picture or None,
        "name": name,
        "status": status,
        "score": score,
        "called": called,
        "indeterminate": indeterminate,
        "remarks": remarks,
    }


def _listed(result: Result, decision: str) -> str:
    return ", ".join(
        f"{tr(name)} {number(result.probabilities[OBSERVATIONS.index(name)])}"
        for name in result.with_decision(decision)
    )
