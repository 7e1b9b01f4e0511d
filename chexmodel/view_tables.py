"""A table of labels in CheXpert's columns → the views of its films."""

import csv
import io
from pathlib import PurePosixPath
from typing import Final

from chexmodel.errors import ImageError
from chexmodel.film import View
from chexmodel.language import tr

_VIEWS: Final[dict[str, View]] = {"AP": "AP", "PA": "PA"}


def views_in(table: bytes) -> dict[str, View]:
    """Read the views that a table states: `place` of a film → view; films of no stated view are left out.

    Raises:
        ImageError: it has not the columns Path and Frontal/Lateral, or is no CSV.
    """
    rows = csv.DictReader(io.StringIO(table.decode("utf-8-sig", errors="replace")))
    views = dict[str, View]()
    try:
        if not {"Path", "Frontal/Lateral"} <= set(rows.fieldnames or ()):
            raise ImageError(
                tr("This table has no columns Path and Frontal/Lateral: it says nothing of films.")
            )
        for row in rows:
            stated = "LATERAL" if row["Frontal/Lateral"] == "Lateral" else _VIEWS.get(row.get("AP/PA") or "")
            if stated is not None:
                views[place(row["Path"] or "")] = stated
    except csv.Error as error:  # a quote that is never closed makes one cell of the rest of the file
        raise ImageError(tr("This table can't be read: save it anew as CSV, in UTF-8.")) from error
    return views


def place(path: str) -> str:
    """Return the end of a path by which a film is found wherever its folder lies: patient, study and file."""
    return "/".join(PurePosixPath(path).parts[-3:])
