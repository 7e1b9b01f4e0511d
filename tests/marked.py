"""Rows of `localisation_films.parquet`, made up, for tests."""

from collections.abc import Mapping, Sequence

import pandas as pd

from chexmodel.localisation import FILM_COLUMNS


def rows(
    method: str,
    hits: Sequence[bool],
    ious: Sequence[float],
    *,
    patients: Sequence[str] | None = None,
    split: str = "test",
    observation: str = "Edema",
    **others: object,
) -> pd.DataFrame:
    """One row a film; the films are named by their number."""
    columns: Mapping[str, object] = {
        "film": [f"{split}/{i:03d}.jpg" for i in range(len(hits))],
        "patient": patients if patients is not None else [f"{split}{i}" for i in range(len(hits))],
        "observation": observation,
        "split": split,
        "fold": pd.array([None] * len(hits), dtype="Int64"),
        "method": method,
        "hit": hits,
        "positive": True,
        "cutoff": 0.25,
        "iou": ious,
    }
    return pd.DataFrame(dict(columns) | others)[list(FILM_COLUMNS)]
