"""Subgroups of a bundle's films, from the columns of the tables that lie beside them."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from chexmodel.errors import DatasetError
from chexmodel.grouping import IDENTITIES, Grouping, group_by
from chexmodel.layout import csv_files
from chexmodel.subgroup_scores import Subgroups
from chexmodel.subgroups import score_groups
from chexmodel.table import read_table
from train.dataset import Split


class Groups:
    """The groups of every film of a data directory or pack, by columns of its tables.

    Raises:
        DatasetError: a table lacks a column, or the column has too many distinct words. It is made before
            anything is computed, so that a misspelt column costs no time.
    """

    def __init__(self, data: Path, columns: Sequence[str]) -> None:
        tables = [read_table(csv) for csv in csv_files(data) if csv is not None]
        for column in columns:
            _require(data, tables, column)
        # Both tables at once: a group means the same in every split.
        whole = pd.concat(tables, ignore_index=True)
        self._row = dict(zip(whole["Path"], range(len(whole)), strict=True))
        self._groupings = [group_by(whole, column) for column in columns]

    def of(self, films: Sequence[str]) -> list[Grouping]:
        """Group films by each column.

        Args:
            films: N ids, the tables' `Path`.
        """
        rows = np.array([self._row[film] for film in films], dtype=np.int64)
        return [grouping.take(rows) for grouping in self._groupings]


def judge_groups(
    groups: Groups,
    films: Mapping[str, Split],
    probs: Mapping[str, NDArray[np.float64]],
    *,
    thresholds: Sequence[float],
    bootstrap: int,
    seed: int,
) -> dict[str, Subgroups]:
    """Score the groups of every split.

    Args:
        groups: of the data that the splits are of.
        films: name → split.
        probs: name → (N, 14) calibrated, in [0, 1] or NaN.
        thresholds: 14, of the model.
        bootstrap: resamples of patients.
        seed: of the resampling.
    """
    return {
        name: score_groups(
            split.truth,
            probs[name],
            thresholds=thresholds,
            patients=split.patients,
            groupings=groups.of(split.ids),
            bootstrap=bootstrap,
            seed=seed,
        )
        for name, split in films.items()
    }


def _require(data: Path, tables: Sequence[pd.DataFrame], column: str) -> None:
    shared = [name for name in tables[0].columns if all(name in table.columns for table in tables)]
    if column not in shared and any(column in table.columns for table in tables):
        raise DatasetError(
            f"not every table of {data} has the column “{column}” to group films by: leave it out of --by, "
            f"or choose among {', '.join(name for name in shared if name not in IDENTITIES)}"
        )
