"""Boxes that radiologists drew around findings: `*_boxes.csv` beside a CheXpert table.

One row a box: `Path` (as in the table), `finding` (one of the 14 observations), `x, y, width, height` in px
of the film, origin top left.
"""

import textwrap
from pathlib import Path
from typing import NamedTuple

import pandas as pd
import pandera.pandas as pa

from chexmodel.errors import DatasetError
from chexmodel.labels import OBSERVATIONS
from chexmodel.language import tr

_FORMAT = pa.DataFrameSchema(
    {
        "Path": pa.Column(str),
        "finding": pa.Column(str, pa.Check.isin(OBSERVATIONS)),
        "x": pa.Column(float, pa.Check.ge(0)),
        "y": pa.Column(float, pa.Check.ge(0)),
        "width": pa.Column(float, pa.Check.gt(0)),
        "height": pa.Column(float, pa.Check.gt(0)),
    },
    coerce=True,
)


class Box(NamedTuple):
    """A box around a finding: left, top, right and bottom in px of the film."""

    finding: str
    left: float
    top: float
    right: float
    bottom: float


def read_boxes(csv: Path) -> dict[str, list[Box]]:
    """Read the boxes that lie beside a table: of `train.csv` those in `train_boxes.csv`.

    Args:
        csv: the table.

    Returns:
        The table's `Path` → the film's boxes; empty where there is no such file.

    Raises:
        DatasetError: the file is not of this format.
    """
    file = csv.with_name(f"{csv.stem}_boxes.csv")
    if not file.is_file():
        return {}
    try:
        table = _FORMAT.validate(pd.read_csv(file))
    except (pa.errors.SchemaError, pa.errors.SchemaErrors, ValueError, OSError) as error:
        raise DatasetError(
            tr(
                "{file} holds no boxes in the columns {columns} ({reason}): correct it, or move it away",
                file=file,
                columns=", ".join(_FORMAT.columns),
                reason=textwrap.shorten(str(error), 200),
            )
        ) from error
    boxes: dict[str, list[Box]] = {}
    for path, finding, x, y, width, height in table[list(_FORMAT.columns)].itertuples(index=False):
        boxes.setdefault(path, []).append(Box(finding, x, y, x + width, y + height))
    return boxes
