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
        ImageError: it has not the columns Path and Frontal/Lateral.
    """
    rows = csv.DictReader(io.StringIO(table.decode("utf-8-sig", errors="replace")))
    if not {"Path", "Frontal/Lateral"} <= set(rows.fieldnames or ()):
        raise ImageError(tr("This table has no columns Path and Frontal/Lateral: it says nothing of films."))
    views = dict[str, View]()
    for row in rows:
        stated = "LATERAL" if row["Frontal/Lateral"] == "Lateral" else _VIEWS.get(row.get("AP/PA") or "")
        if stated is not None:
            views[place(row["Path"] or "")] = stated
    return views


def place(path: str) -> str:
    """Return the end of a path by which a film is found wherever its folder lies: patient, study and file."""
    return "/".join(PurePosixPath(path).parts[-3:])
