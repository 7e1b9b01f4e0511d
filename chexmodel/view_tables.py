"""A table of labels in CheXpert's columns → the views of its films."""

import csv
import io
from typing import Final

from chexmodel.errors import ImageError
from chexmodel.film import View
from chexmodel.language import tr

MAX_ROWS: Final = 300_000
"""Most rows of a table beside films; CheXpert's has 223,414. A small archive can hold millions."""

_VIEWS: Final[dict[str, View]] = {"AP": "AP", "PA": "PA"}


def views_in(table: bytes) -> dict[str, View]:
    """Read the views that a table states: `place` of a film → view; films of no stated view are left out.

    Raises:
        ImageError: it has not the columns Path and Frontal/Lateral, more than `MAX_ROWS`, or is no CSV.
    """
    rows = csv.DictReader(io.StringIO(table.decode("utf-8-sig", errors="replace")))
    views = dict[str, View]()
    try:
        if not {"Path", "Frontal/Lateral"} <= set(rows.fieldnames or ()):
            raise ImageError(
                tr("This table has no columns Path and Frontal/Lateral: it says nothing of films.")
            )
        for number, row in enumerate(rows):
            if number == MAX_ROWS:
                raise ImageError(
                    tr(
                        "This table has more than {most:,} rows: give one of these films alone.",
                        most=MAX_ROWS,
                    )
                )
            stated = "LATERAL" if row["Frontal/Lateral"] == "Lateral" else _VIEWS.get(row.get("AP/PA") or "")
            if stated is not None:
                views[place(row["Path"] or "")] = stated
    except csv.Error as error:  # a quote that is never closed makes one cell of the rest of the file
        raise ImageError(tr("This table can't be read: save it anew as CSV, in UTF-8.")) from error
    return views


def place(path: str) -> str:
    """Return the end of a path by which a film is found wherever its folder lies: patient, study and file."""
    return "/".join([part for part in path.split("/") if part not in ("", ".")][-3:])
