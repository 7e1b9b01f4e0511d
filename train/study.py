"""Which of the strategies matter on a small data set: a plan of trainings, run one after another.

Each configuration changes one thing of the base and is trained on the same patient-wise folds with the same
seeds; every film is scored by a network that did not learn from its patient. One JSON a training is kept,
so that a study that was stopped goes on with the next.
"""

import json
import shutil
import sys
import time
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
from lightning.pytorch.utilities import rank_zero_only

from chexmodel.atomic import write_file
from chexmodel.language import mark
from train.commands import StudyConfig
from train.config import FitConfig
from train.dataset import Pair, load_splits
from train.predict import predict
from train.run import train_network
from train.study_summary import read_results, summarise

BASE: Final[dict[str, Any]] = {
    "pos_weight_cap": 20.0,
    "batch_size": 16,
    "rotation": 10.0,
    "shift": 0.08,
    "zoom": 0.15,
    "contrast": 0.25,
}
"""What all configurations share besides the defaults: the recipe of the first demonstration model."""

CHANGES: Final[dict[str, dict[str, Any]]] = {
    mark("base"): {},
    mark("cross-entropy"): {"loss": "bce"},
    mark("asymmetric loss"): {"loss": "asl"},
    mark("shuffled"): {"sampler": "shuffle"},
    mark("no class weights"): {"pos_weight": "off"},
    mark("uncertain as positive"): {"uncertain": "ones"},
    mark("moving average"): {"ema": 0.98},
    mark("second backbone"): {},
}
"""The configurations: what each changes of the base, which is focal loss, class weights up to 20, weighted
sampler, uncertain labels masked, no moving average. The second backbone comes from the command line."""


SUMMARY: Final = "summary.json"
GO_ON: Final = "the trainings that are done are kept: the same command goes on with the others"


class Run(NamedTuple):
    """One training of the plan."""

    configuration: str
    seed: int
    fold: int

    @property
    def file(self) -> str:
        """Name of its JSON."""
        return f"{self.configuration.replace(' ', '-')}.seed-{self.seed}.fold-{self.fold}.json"


def study(config: StudyConfig) -> Path:
    """Train what is left of the plan.

    Returns:
        `config.out`, which then holds one JSON a training and their `summary.json`.

    Raises:
        ChexError: the data, a backbone or the output do not fit.
    """
    config.out.mkdir(parents=True, exist_ok=True)
    runs = plan(config)
    left = [run for run in runs if not (config.out / run.file).is_file()]
    _say(f"{len(runs)} trainings, {len(runs) - len(left)} done")
    for number, run in enumerate(left, start=1):
        _say(f"{number} of {len(left)}: {run.configuration}, seed {run.seed}, fold {run.fold + 1}")
        result = train(config, run)
        write_file(config.out / run.file, json.dumps(result, indent=1).encode() + b"\n")
    found = summarise(
        read_results(config.out, _files(config)), bootstrap=config.bootstrap, command=_command(config)
    )
    write_file(config.out / SUMMARY, found.model_dump_json(indent=2).encode() + b"\n")
    print(found.frame().to_string(index=False))
    print(found.conditions())
    return config.out


def _files(config: StudyConfig) -> dict[str, list[list[str]]]:
    """Names of the JSON files by configuration, seed and fold."""
    return {
        name: [[Run(name, seed, fold).file for fold in range(config.folds)] for seed in range(config.seeds)]
        for name in CHANGES
    }


def _command(config: StudyConfig) -> str:
    hidden = {"data", "out", "weights", "second_weights", "workers", "accelerator"}
    chosen = json.loads(config.model_dump_json(exclude_defaults=True, exclude=hidden))
    options = "".join(f" --{name.replace('_', '-')} {value}" for name, value in chosen.items())
    return f"python -m train study --data DIR --out runs/study{options}"


def plan(config: StudyConfig) -> list[Run]:
    """All trainings: seeds first, so that a study that is stopped early has whole configurations."""
    return [
        Run(name, seed, fold)
        for seed in range(config.seeds)
        for name in CHANGES
        for fold in range(config.folds)
    ]


def fit_config(config: StudyConfig, run: Run) -> FitConfig:
    """Options of one training of the plan."""
    second = {"backbone": config.second_backbone, "weights": config.second_weights}
    return FitConfig(
        data=config.data,
        out=config.out / "now",
        folds=config.folds,
        seed=run.seed,
        epochs=config.epochs,
        image_size=config.image_size,
        workers=config.workers,
        accelerator=config.accelerator,
        devices="1",  # each process would run the whole plan
        **BASE,
        **(
            second
            if run.configuration == "second backbone"
            else {"backbone": config.backbone, "weights": config.weights}
        ),
        **CHANGES[run.configuration],
    )


def train(config: StudyConfig, run: Run) -> dict[str, Any]:
    """Train one network and score the films of its fold.

    Returns:
        What its JSON holds: the options, the validation history, seconds, and id, patient, targets (masked:
        null) and raw logits of each held-out film.
    """
    options = fit_config(config, run)
    pair = load_splits(options).pairs[run.fold]
    shutil.rmtree(options.out, ignore_errors=True)  # what an interrupted training left
    started = time.monotonic()
    network, preprocessing = train_network(options, pair, kept="last", advice=GO_ON)
    seconds = time.monotonic() - started
    logits = predict(network.eval(), pair.validation, preprocessing, options, name="held out")
    history = (options.out / "history.csv").read_text()
    shutil.rmtree(options.out)
    return {
        **run._asdict(),
        "options": json.loads(options.model_dump_json(exclude={"out", "data", "description"})),
        "seconds": round(seconds, 1),
        "history": history,
        **_held_out(pair, logits),
    }


def _held_out(pair: Pair, logits: np.ndarray[Any, np.dtype[np.float64]]) -> dict[str, Any]:
    held = pair.validation
    return {
        "id": held.ids,
        "patient": held.patients,
        "targets": [[None if np.isnan(v) else int(v) for v in row] for row in held.truth],
        "logits": np.round(logits, 5).tolist(),
    }


@rank_zero_only
def _say(text: str) -> None:
    print(f"study: {text}", file=sys.stderr)
