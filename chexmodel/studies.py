"""What a study of training strategies found: one table with its conditions, in one JSON file."""

from pathlib import Path
from typing import Any, Final

import pandas as pd
from pydantic import BaseModel, ConfigDict, ValidationError

from chexmodel.comparison import excludes_zero
from chexmodel.errors import BundleError
from chexmodel.language import mark, number, tr
from chexmodel.scores import Average, interval

MIN_POSITIVES: Final = 20
"""Observations with fewer positives are left out of a study's mean: their AUROC would drown the others."""


class Row(BaseModel):
    """One configuration: what it changes of the base, and how it does.

    `auroc` is the mean AUROC of the study's observations, averaged over the seeds; `by_seed` has each
    seed's own. `difference` is to the base, on the same resamples of patients; None for the base itself.
    `seconds` is the mean time of a training.
    """

    model_config = ConfigDict(frozen=True, ser_json_inf_nan="null")

    name: str
    changes: dict[str, Any]
    auroc: Average
    difference: Average | None
    by_seed: list[float]
    by_observation: dict[str, float]
    seconds: float


class Study(BaseModel):
    """A finished study and the conditions under which it holds."""

    model_config = ConfigDict(frozen=True, ser_json_inf_nan="null")

    command: str
    films: int
    patients: int
    folds: int
    seeds: int
    epochs: int
    image_size: int
    bootstrap: int
    observations: list[list[str]]
    rows: list[Row]

    def frame(self) -> pd.DataFrame:
        """One row a configuration, in words."""
        return pd.DataFrame(
            {
                mark("configuration"): [tr(row.name) for row in self.rows],
                mark("changes"): [
                    ", ".join(f"{name} {value}" for name, value in row.changes.items()) or "—"
                    for row in self.rows
                ],
                mark("mean AUROC"): [interval(row.auroc, digits=3) for row in self.rows],
                mark("by seed"): [
                    ", ".join(number(value, ".3f") for value in row.by_seed) for row in self.rows
                ],
                mark("difference to the base"): [
                    "—" if row.difference is None else interval(row.difference, signed=True)
                    for row in self.rows
                ],
                mark("excludes zero"): [
                    "—"
                    if row.difference is None
                    else tr("yes")
                    if excludes_zero(row.difference)
                    else tr("no")
                    for row in self.rows
                ],
                mark("seconds a training"): [number(row.seconds, ".0f") for row in self.rows],
            }
        )

    def conditions(self) -> str:
        """What the figures were measured on, in one paragraph."""
        return tr(
            "{films:,} films of {patients:,} patients, {folds} patient-wise folds × {seeds} seeds, {epochs} "
            "epochs at {side} px; every film is scored by the network that did not learn from its patient, "
            "and the folds' scores are pooled. Mean AUROC over the {n} observations with at least {least} "
            "positives (equivalent labels as one): {observations}. 95 % intervals: bootstrap over patients, "
            "{bootstrap:,} resamples, the same for all rows; they do not cover what another seed would "
            "change, for which see the seeds.",
            films=self.films,
            patients=self.patients,
            folds=self.folds,
            seeds=self.seeds,
            epochs=self.epochs,
            side=self.image_size,
            n=len(self.observations),
            least=MIN_POSITIVES,
            observations="; ".join(" = ".join(map(tr, group)) for group in self.observations),
            bootstrap=self.bootstrap,
        )


def read_study(file: Path) -> Study:
    """Read the JSON of a finished study.

    Raises:
        BundleError: it is missing or damaged.
    """
    try:
        return Study.model_validate_json(file.read_bytes())
    except (OSError, ValidationError) as error:
        raise BundleError(
            tr(
                "study {file} can't be read ({error}): run `python -m train study` again",
                file=file,
                error=error,
            )
        ) from error
