"""Judge a trained bundle: calibration and thresholds on validation, then the test split, once."""

import io
import json
import sys
from typing import Final

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from pydantic import ValidationError
from tqdm import tqdm

from chexmodel import bundle, metrics
from chexmodel.bundle import Manifest, Metrics
from chexmodel.calibration import Calibration, fit_calibrations, probabilities
from chexmodel.errors import BundleError, DatasetError
from chexmodel.labels import OBSERVATIONS
from chexmodel.metrics import Evaluation
from chexmodel.network import Network
from chexmodel.thresholds import Threshold, fit_thresholds
from train.card import write_card
from train.config import EvaluateConfig, FitConfig
from train.curves import operating_png
from train.dataset import Films, Split, Splits, load_splits, loader

FITTING: Final = "validation"
TEST: Final = "test"


def evaluate(config: EvaluateConfig) -> Metrics:
    """Fit calibration and thresholds on validation, score validation and test, and complete the bundle.

    Everything is computed from the weights as they are written in the bundle.

    Returns:
        What was written to `metrics.json`.

    Raises:
        ChexError: the bundle or the data do not fit; the bundle is then as it was.
    """
    manifest = bundle.read_manifest(config.bundle)
    network = bundle.load_network(config.bundle, manifest)
    fitted = _fit_config(config, manifest)
    splits = load_splits(fitted)
    _require_same_data(config, manifest, splits)
    films = {FITTING: splits.validation, TEST: splits.test}
    logits = {name: predict(network, split, manifest, fitted, name=name) for name, split in films.items()}
    untrained = [OBSERVATIONS.index(name) for name in manifest.not_trained]
    for values in logits.values():
        values[:, untrained] = np.nan
    calibrations, thresholds = _fit_operating_points(config, splits.validation, logits[FITTING])
    probs = {name: probabilities(values, calibrations) for name, values in logits.items()}
    scores = {
        name: metrics.evaluate(
            split.truth,
            probs[name],
            thresholds=[threshold.value for threshold in thresholds],
            patients=split.patients,
            bootstrap=config.bootstrap,
            seed=config.seed,
        )
        for name, split in films.items()
    }
    judged = Metrics(command=_command(config), weights_sha256=manifest.weights_sha256, splits=scores)
    files = {
        "calibration.json": bundle.to_json(calibrations, list[Calibration]),
        "thresholds.json": bundle.to_json(thresholds, list[Threshold]),
        "metrics.json": bundle.to_json(judged, Metrics),
        "predictions.parquet": _predictions(films, logits),
        "card.md": write_card(manifest, judged, thresholds, fitted).encode(),
    }
    for name, split in films.items():
        title = f"{manifest.name}: {name} split, {len(split)} films"
        files[f"operating_{name}.png"] = operating_png(split.truth, probs[name], scores[name], title=title)
    bundle.save(config.bundle, files)
    print(_summary(scores[TEST]))
    return judged


def predict(
    network: Network, split: Split, manifest: Manifest, config: FitConfig, *, name: str
) -> NDArray[np.float64]:
    """Raw logits (N, 14) of a split, from the films as training and app read them."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    network = network.to(device)
    batches = loader(Films(split, split.truth, manifest.preprocessing), config)
    parts = []
    with torch.inference_mode():
        for images, _ in tqdm(batches, desc=name, unit="batch", file=sys.stderr):
            parts.append(network(images.to(device))[0].float().cpu().numpy())
    return np.concatenate(parts).astype(np.float64)


def _fit_config(config: EvaluateConfig, manifest: Manifest) -> FitConfig:
    """Rebuild the run's own configuration: same seed and shares, hence the same split."""
    machine = {"data": config.data, "out": config.bundle, "workers": config.workers}
    try:
        return FitConfig.model_validate(manifest.config | machine | {"batch_size": config.batch_size})
    except ValidationError as error:
        wrong = ", ".join(str(part["loc"][0]) for part in error.errors() if part["loc"])
        raise BundleError(
            f"the configuration in bundle {config.bundle} does not fit this program ({wrong}): evaluate it "
            "with the version that wrote it, or train it again"
        ) from error


def _require_same_data(config: EvaluateConfig, manifest: Manifest, splits: Splits) -> None:
    if splits.fingerprint.files == manifest.data.files:
        return
    raise DatasetError(
        f"{config.data} is not the data that {config.bundle} was trained on: the SHA-256 of "
        f"{', '.join(manifest.data.files)} differs, so patients of the training could be among those to "
        "score. Give the directory that `fit` was given"
    )


def _fit_operating_points(
    config: EvaluateConfig, split: Split, logits: NDArray[np.float64]
) -> tuple[list[Calibration], list[Threshold]]:
    # An untrained column has no logits: its films are as good as masked.
    truth = np.where(np.isnan(logits), np.nan, split.truth)
    calibrations = fit_calibrations(truth, logits, method=config.calibration, split=FITTING)
    thresholds = fit_thresholds(
        truth,
        probabilities(logits, calibrations),
        rule=config.rule,
        sensitivity=config.sensitivity,
        split=FITTING,
    )
    return calibrations, thresholds


def _predictions(films: dict[str, Split], logits: dict[str, NDArray[np.float64]]) -> bytes:
    frames = []
    for name, split in films.items():
        frame = pd.DataFrame({"split": name, "id": split.ids, "patient": split.patients})
        for k, observation in enumerate(OBSERVATIONS):
            frame[f"target {observation}"] = split.truth[:, k]
            frame[f"logit {observation}"] = logits[name][:, k].astype(np.float32)
        frames.append(frame)
    buffer = io.BytesIO()
    pd.concat(frames, ignore_index=True).to_parquet(buffer, index=False)
    return buffer.getvalue()


def _command(config: EvaluateConfig) -> str:
    chosen = json.loads(config.model_dump_json(exclude_defaults=True, exclude={"bundle", "data", "workers"}))
    options = "".join(f" --{name.replace('_', '-')} {value}" for name, value in chosen.items())
    return f"python -m train evaluate runs/{config.bundle.resolve().name} --data DIR{options}"


def _summary(evaluation: Evaluation) -> str:
    shown = evaluation.frame()[
        [
            *("observation", "positives", "negatives", "masked", "auroc", "auroc_low", "auroc_high"),
            *("average_precision", "precision", "recall", "f1", "f1_constant_yes", "threshold"),
        ]
    ]
    macro = evaluation.macro["auroc"]
    distinct = evaluation.macro_distinct["auroc"]
    table = shown.to_string(index=False, float_format=lambda value: f"{value:.3f}", na_rep="—")
    return (
        f"test split: {evaluation.films} films of {evaluation.patients} patients\n{table}\n"
        f"mean AUROC {macro.value:.3f} ({macro.low:.3f}–{macro.high:.3f}) over {macro.observations} "
        f"observations; with equivalent labels as one {distinct.value:.3f} over {distinct.observations}"
    )
