"""From a study's JSON files to its table."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from chexmodel.draws import averages, draw
from chexmodel.errors import DatasetError
from chexmodel.labels import OBSERVATIONS
from chexmodel.metrics import equivalent_groups, partition
from chexmodel.scores import Average
from chexmodel.studies import MIN_POSITIVES, Row, Study

Draws = list[dict[str, NDArray[np.float64]]]


def summarise(results: dict[str, list[list[dict[str, Any]]]], *, bootstrap: int, command: str) -> Study:
    """Score every configuration on the same resamples of patients, and its difference to the first.

    Args:
        results: configuration → seeds → folds → what `train.study.train` returned; the first is the base.
        bootstrap: number of resamples.
        command: that made the study.

    Returns:
        The study; the AUROC of a configuration is the mean over its seeds, resample by resample.

    Raises:
        DatasetError: the files do not score the same films.
    """
    truth, patients = _films(results)
    drawn = {
        name: [_draws(truth, patients, folds, bootstrap) for folds in seeds]
        for name, seeds in results.items()
    }
    groups = _observations(truth)
    base = _mean(next(iter(drawn.values())))
    rows: list[Row] = []
    for name, by_seed in drawn.items():
        mean = _mean(by_seed)
        gain = [{"auroc": a["auroc"] - b["auroc"]} for a, b in zip(mean, base, strict=True)]
        runs = [run for folds in results[name] for run in folds]
        rows.append(
            Row(
                name=name,
                changes=_changes(runs[0], next(iter(results.values()))[0][0]),
                auroc=_average(mean, groups),
                difference=_average(gain, groups) if rows else None,
                by_seed=[_average(seed, groups).value for seed in by_seed],
                by_observation={
                    OBSERVATIONS[k]: float(mean[k]["auroc"][0]) for group in groups for k in group
                },
                seconds=float(np.mean([run["seconds"] for run in runs])),
            )
        )
    options = runs[0]["options"]
    return Study(
        command=command,
        films=len(truth),
        patients=len(set(patients)),
        folds=options["folds"],
        seeds=len(by_seed),
        epochs=options["epochs"],
        image_size=options["image_size"],
        bootstrap=bootstrap,
        observations=[[OBSERVATIONS[k] for k in group] for group in groups],
        rows=rows,
    )


def read_results(directory: Path, files: dict[str, list[list[str]]]) -> dict[str, list[list[dict[str, Any]]]]:
    """Read the JSON files of a study, in the nesting of their names.

    Raises:
        DatasetError: one is damaged.
    """
    found: dict[str, list[list[dict[str, Any]]]] = {}
    for name, seeds in files.items():
        found[name] = [[_read(directory / file) for file in folds] for folds in seeds]
    return found


def _read(file: Path) -> dict[str, Any]:
    try:
        return dict(json.loads(file.read_bytes()))
    except (OSError, ValueError, TypeError) as error:
        raise DatasetError(f"{file} is damaged ({error}): delete it, and run the study again") from error


def _films(
    results: dict[str, list[list[dict[str, Any]]]],
) -> tuple[NDArray[np.float64], list[str]]:
    """Targets (N, 14) and patients of the films, in the order of their ids."""
    films = {}
    for run in next(iter(results.values()))[0]:
        for name, patient, row in zip(run["id"], run["patient"], run["targets"], strict=True):
            films[name] = (patient, [np.nan if value is None else value for value in row])
    ordered = [films[name] for name in sorted(films)]
    return np.array([row for _, row in ordered], dtype=np.float64), [patient for patient, _ in ordered]


def _draws(
    truth: NDArray[np.float64], patients: list[str], folds: list[dict[str, Any]], bootstrap: int
) -> Draws:
    scored = {name: row for run in folds for name, row in zip(run["id"], run["logits"], strict=True)}
    if len(scored) != len(truth) or sum(len(run["id"]) for run in folds) != len(truth):
        raise DatasetError(
            "the trainings of this study score different films: start it anew in another --out"
        )
    probs = expit(np.array([scored[name] for name in sorted(scored)], dtype=np.float64))
    return draw(truth, probs, thresholds=0.5, patients=patients, bootstrap=bootstrap, seed=0).metrics


def _mean(by_seed: list[Draws]) -> Draws:
    return [
        {"auroc": np.mean([seed[k]["auroc"] for seed in by_seed], axis=0)} for k in range(len(OBSERVATIONS))
    ]


def _observations(truth: NDArray[np.float64]) -> list[list[int]]:
    """Groups of equivalent observations with enough positives and negatives."""
    enough = ((truth == 1).sum(axis=0) >= MIN_POSITIVES) & ((truth == 0).sum(axis=0) >= MIN_POSITIVES)
    groups = [[k for k in group if enough[k]] for group in partition(equivalent_groups(truth))]
    return sorted(group for group in groups if group)


def _average(draws: Draws, groups: list[list[int]]) -> Average:
    return averages([{"auroc": column["auroc"]} for column in draws], groups)["auroc"]


def _changes(run: dict[str, Any], base: dict[str, Any]) -> dict[str, Any]:
    """Options that differ from the base; a path to weights says nothing that the backbone does not."""
    return {
        name: value
        for name, value in run["options"].items()
        if name not in ("seed", "weights") and value != base["options"][name]
    }
