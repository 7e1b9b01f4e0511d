"""The reference project's way of scoring beside ours, and what answers that look at no film get by either.

The reference project (the course project T-DEV-810) scores a random 15 % of the images of `train.csv`, masks
uncertain and blank labels, calls a film positive from 0.5 on, and takes macro averages over the 14
observations in which what is undefined is 0, as scikit-learn's `zero_division=0` gives it. Here a patient is
in one part alone, a blank is a negative, and what is undefined is no number and in no average.
"""

from hashlib import blake2b
from math import ceil
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import ValidationError

from chexmodel.bootstrap import ratio
from chexmodel.errors import DatasetError
from chexmodel.language import tr
from chexmodel.protocol_scores import Floats, Judgement, Leak, TableProtocols, Way, judge
from chexmodel.statistics import Provenance
from chexmodel.table import split_by_patient, targets

FRACTION: Final = 0.15
"""Share of the images that the reference project scores."""

REPORTED_F1: Final = 0.820
"""Macro F1 that the reference project reports for its model on CheXpert."""

CUT: Final = 0.5
"""From this score on the reference project calls a film positive."""


def image_split(table: pd.DataFrame, *, fraction: float = FRACTION, seed: int = 0) -> NDArray[np.bool_]:
    """Choose films at random, whoever's they are: the reference project's split, which shares patients.

    A film's lot depends on the seed and its `Path`, not on the order of the rows.

    Args:
        table: N rows of `read_table`.
        fraction: share of the films, in (0, 1); rounded up to a whole film.
        seed: another seed gives another split.

    Returns:
        (N,), true for the films to score.

    Raises:
        DatasetError: nothing is left to train on.
    """
    count = ceil(fraction * len(table))
    if not 0 < fraction < 1 or count >= len(table):
        raise DatasetError(
            tr(
                "a share of {fraction} of {films} films leaves no two parts: give more films",
                fraction=fraction,
                films=len(table),
            )
        )
    lots = [blake2b(f"{seed}:{path}".encode(), digest_size=8).digest() for path in table["Path"]]
    chosen = np.zeros(len(table), dtype=bool)
    chosen[np.argsort(np.array(lots, dtype="S8"), kind="stable")[:count]] = True
    return chosen


def leak(table: pd.DataFrame, scored: NDArray[np.bool_]) -> Leak:
    """Count the patients on both sides of a split of a table's N films; `scored` (N,) is one side."""
    patients = table["patient"].to_numpy(dtype=object)
    both = set(patients[scored]) & set(patients[~scored])
    return Leak(
        training_films=int((~scored).sum()),
        scored_films=int(scored.sum()),
        scored_patients=len(set(patients[scored])),
        shared_patients=len(both),
        shared_films=int(np.isin(patients[scored].astype(str), sorted(both)).sum()) if both else 0,
    )


def labels_of(table: pd.DataFrame, way: Way) -> NDArray[np.float32]:
    """Labels (N, 14) to score against, uncertain ones masked; blanks masked as well, or negative (ours)."""
    return targets(table, uncertain="ignore", blank="ignore" if way == "reference" else "negative")


def prevalence(labels: NDArray[np.floating]) -> Floats:
    """Share of positives of each observation among the known labels (N, 14); NaN where none is known."""
    return ratio((labels == 1).sum(axis=0).astype(np.float64), np.isin(labels, (0, 1)).sum(axis=0))


def table_protocols(
    table: pd.DataFrame,
    *,
    provenance: Provenance,
    fraction: float = FRACTION,
    bootstrap: int = 1000,
    seed: int = 0,
) -> TableProtocols:
    """Score the constant answers on a label table both ways: a split of images, and one of patients.

    Args:
        table: N rows of `read_table`, every view.
        provenance: of the table.
        fraction: share of the images, or of the patients, to score.
        bootstrap: resamples of patients.
        seed: of both splits and of the resampling.

    Raises:
        DatasetError: a part has no film.
    """
    scored = image_split(table, fraction=fraction, seed=seed)
    parts = split_by_patient(table, fractions={"train": 1 - fraction, "test": fraction}, seed=seed)
    if not all(map(len, parts.values())):
        raise DatasetError(
            tr(
                "{films} films of too few patients leave a part without any: give more films",
                films=len(table),
            )
        )
    tested = table.index.isin(parts["test"].index)
    patients = table["patient"].to_numpy(dtype=object)

    def constants(way: Way, chosen: NDArray[np.bool_]) -> Judgement:
        labels = labels_of(table, way)
        return judge(
            labels[chosen],
            way=way,
            base=prevalence(labels[~chosen]),
            patients=patients[chosen],
            bootstrap=bootstrap,
            seed=seed,
        )

    return TableProtocols(
        provenance=provenance,
        fraction=fraction,
        leak=leak(table, scored),
        reference=constants("reference", scored),
        ours=constants("ours", tested),
    )


def load_table_protocols(path: str | Path) -> TableProtocols:
    """Read what `python -m chexmodel protocol … --out PATH` wrote.

    Raises:
        DatasetError: the file is missing, or is not such a file.
    """
    again = tr("write it with `python -m chexmodel protocol CSV_OR_DIR --out FILE.json`")
    try:
        return TableProtocols.model_validate_json(Path(path).read_bytes())
    except OSError as error:
        raise DatasetError(
            tr("{path} can't be read ({error}): {again}", path=path, error=error.strerror, again=again)
        ) from None
    except ValidationError as error:
        first = error.errors()[0]
        raise DatasetError(
            tr(
                "{path} holds no scores of a label table ({reason}): {again}",
                path=path,
                reason=first["msg"],
                again=again,
            )
        ) from None
