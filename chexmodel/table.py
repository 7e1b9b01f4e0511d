"""CheXpert's label table: turn labels into targets, split it by patient.

A table is what `reading.read_table` gives: a DataFrame in CheXpert's own columns plus `patient`
("patient00001") and `study` ("patient00001/study1"); an observation is 1 (positive), 0 (negative), −1
(uncertain) or NaN (blank: not mentioned). Source: Irvin J. et al., AAAI 2019, arXiv:1901.07031.
"""

import math
from collections.abc import Mapping
from hashlib import blake2b
from typing import Literal, get_args

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from chexmodel.errors import DatasetError
from chexmodel.labels import MIXED_UNCERTAIN, OBSERVATIONS, SMOOTH_INTERVAL, BlankPolicy, UncertainPolicy
from chexmodel.language import tr
from chexmodel.layout import csv_files, image_paths, missing_images, require_images
from chexmodel.reading import read_table

# Files are found in `layout` and read in `reading`; callers need not know that these are other modules.
__all__ = [
    "Views",
    "csv_files",
    "image_paths",
    "missing_images",
    "read_table",
    "require_images",
    "select_views",
    "split_by_patient",
    "targets",
]

Views = Literal["frontal", "all"]


def targets(
    table: pd.DataFrame,
    *,
    uncertain: UncertainPolicy = "ignore",
    blank: BlankPolicy = "negative",
    seed: int = 0,
) -> NDArray[np.float32]:
    """Turn labels into training targets.

    A column without one explicit label (1, 0 or −1) in the table says nothing, and stays NaN under every
    policy. Hence call this on a whole file's table, and take rows of the result for a split.

    Args:
        table: N rows of `read_table`.
        uncertain: what −1 becomes: NaN ("ignore"), 1 ("ones"), 0 ("zeros"), a draw from
            `labels.SMOOTH_INTERVAL` ("smooth"), or what `labels.MIXED_UNCERTAIN` says ("mixed").
        blank: what a blank becomes: 0 ("negative"; the labeler's authors treat it so) or NaN ("ignore").
        seed: for "smooth" alone. A draw depends on it, on the film's `Path` and on the observation, not
            on the order or number of the rows.

    Returns:
        (N, 14) in [0, 1] or NaN; in {0, 1, NaN} unless "smooth". NaN means no information: masked.

    Raises:
        DatasetError: an unknown policy.
    """
    _choose("uncertain", uncertain, get_args(UncertainPolicy))
    _choose("blank", blank, get_args(BlankPolicy))
    labels = table[list(OBSERVATIONS)].to_numpy(np.float32)
    blanks = np.isnan(labels)
    result = labels.copy()
    if blank == "negative":
        result[blanks & ~blanks.all(axis=0)] = 0
    unsure = labels == -1
    if uncertain == "smooth":
        result[unsure] = _draws(table["Path"], unsure.any(axis=1), seed)[unsure]
    else:
        meaning = {"ignore": np.nan, "ones": 1.0, "zeros": 0.0}
        policies = MIXED_UNCERTAIN if uncertain == "mixed" else dict.fromkeys(OBSERVATIONS, uncertain)
        values = np.array([meaning[policies.get(name, "ignore")] for name in OBSERVATIONS], np.float32)
        result = np.where(unsure, values, result)
    return result


def _draws(paths: "pd.Series[str]", wanted: NDArray[np.bool_], seed: int) -> NDArray[np.float32]:
    """Draw (N, 14) values of `SMOOTH_INTERVAL`; rows that are not wanted are NaN."""
    low, high = SMOOTH_INTERVAL
    width = len(OBSERVATIONS)
    draws = np.full((len(paths), width), np.nan, np.float32)
    # One digest of 14 × 4 bytes is a film's row of draws: no generator, hence no order.
    digests = b"".join(
        blake2b(f"{seed}:{path}".encode(), digest_size=4 * width).digest() for path in paths[wanted]
    )
    units = np.frombuffer(digests, "<u4").reshape(-1, width) / 2**32
    draws[wanted] = low + (high - low) * units
    return draws


def split_by_patient(
    table: pd.DataFrame, *, fractions: Mapping[str, float], seed: int
) -> dict[str, pd.DataFrame]:
    """Split a table so that no patient is in two parts.

    A patient's part depends on the seed, the fractions and the patient's id alone: neither the order of
    the rows nor other patients change it. The parts' sizes therefore meet the fractions only on average,
    and a part of a small table can be empty.

    Args:
        table: N rows of `read_table`.
        fractions: name → share of the patients, each above 0, together 1.
        seed: another seed gives another split.

    Returns:
        The parts, in the order of `fractions`; each keeps the table's index and its order.

    Raises:
        DatasetError: the fractions do not fit.
    """
    shares = list(fractions.values())
    if not all(share > 0 for share in shares) or not math.isclose(sum(shares), 1, rel_tol=0, abs_tol=1e-9):
        raise DatasetError(
            tr(
                "the fractions {fractions} don't fit: each must be above 0, and their sum 1",
                fractions=dict(fractions),
            )
        )
    edges = np.cumsum(shares)[:-1]  # without the last: rounding must not leave a patient over
    positions = {patient: _position(seed, patient) for patient in table["patient"].unique()}
    parts = np.searchsorted(edges, table["patient"].map(positions).to_numpy(np.float64), side="right")
    return {name: table[parts == part] for part, name in enumerate(fractions)}


def _position(seed: int, patient: str) -> float:
    """Give a patient's place in [0, 1)."""
    digest = blake2b(f"{seed}:{patient}".encode(), digest_size=8).digest()
    return (int.from_bytes(digest) >> 11) / 2**53  # 53 bits, all that a double holds: never rounds up to 1


def select_views(table: pd.DataFrame, views: Views) -> pd.DataFrame:
    """Keep the frontal films ("frontal") or every film ("all"), with their index.

    Raises:
        DatasetError: unknown views.
    """
    _choose("views", views, get_args(Views))
    return table[table["Frontal/Lateral"] == "Frontal"] if views == "frontal" else table


def _choose(option: str, value: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise DatasetError(
            tr(
                "{option} “{value}” is unknown: choose one of {choices}",
                option=option,
                value=value,
                choices=", ".join(choices),
            )
        )
