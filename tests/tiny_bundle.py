"""A small complete bundle with random weights and made-up predictions, for tests of the pages."""

import hashlib
import io
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from chexmodel import bundle, metrics, network
from chexmodel.bundle import Fingerprint, Manifest, Metrics, Policies
from chexmodel.calibration import Calibration, fit_calibrations, probabilities
from chexmodel.labels import OBSERVATIONS
from chexmodel.preprocessing import Preprocessing
from chexmodel.reliability import Reliability, reliability
from chexmodel.thresholds import Threshold, fit_thresholds
from train.card import write_card
from train.config import MACHINE, FitConfig

BACKBONE = "test_resnet"
UNTRAINED = "Pleural Other"
RARE = "Fracture"
"""Too few positives in validation for a threshold, and not one in the test split."""

HISTORY = pd.DataFrame(
    {
        "epoch": [1, 2, 3],
        "train_loss": [0.30, 0.20, 0.10],
        "val_loss": [0.31, 0.25, 0.28],
        "val_accuracy": [0.50, 0.60, 0.70],
        "val_precision": [0.20, 0.30, 0.25],
        "val_recall": [0.40, 0.50, 0.45],
        "val_f1": [0.26, 0.37, 0.32],
        "val_auroc": [0.55, 0.75, 0.65],
        "learning_rate": [1e-4, 3e-4, 1e-5],
        "seconds": [3.0, 2.0, 2.5],
    }
)


def write_tiny_bundle(
    path: Path,
    *,
    seed: int = 0,
    epochs: int = 3,
    members: int = 1,
    backbone: str = BACKBONE,
    size: int = 64,
) -> Path:
    """Write every file that `fit` and `evaluate` write, but the pictures; with more members, of folds."""
    rng = np.random.default_rng(seed)
    torch.manual_seed(seed)
    weights = {
        name: bundle.weights_bytes(network.build(backbone), "float16")
        for name in bundle.weight_files(members)
    }
    films = {"validation": _films(rng, 120, rare=4), "test": _films(rng, 80, rare=0)}
    truth, logits = films["validation"]
    known = np.where(np.isnan(logits), np.nan, truth)
    patients = {split: [f"p{i // 2}" for i in range(len(pair[0]))] for split, pair in films.items()}
    config = tiny_config(path, seed=seed, epochs=epochs)
    config = config.model_copy(update={"backbone": backbone, "image_size": size})
    if members > 1:
        config = config.model_copy(update={"folds": members})
    manifest = _manifest(config, b"".join(weights.values()), patients)
    calibrations = fit_calibrations(known, logits, method="platt")
    thresholds = fit_thresholds(
        known,
        probabilities(logits, calibrations),
        patients=patients["validation"],
        bootstrap=50,
        weights_sha256=manifest.weights_sha256,
    )
    judgement = [
        row
        for split, (labels, scores) in films.items()
        for row in reliability(
            labels, scores, calibrations, split=split, patients=patients[split], bootstrap=50, seed=0
        )
    ]
    judged = Metrics(
        command=f"python -m train evaluate runs/{path.name} --data DIR",
        weights_sha256=manifest.weights_sha256,
        splits={
            split: metrics.evaluate(
                labels,
                probabilities(scores, calibrations),
                thresholds=[point.value for point in thresholds],
                patients=patients[split],
                bootstrap=50,
            )
            for split, (labels, scores) in films.items()
        },
    )
    files = {
        "bundle.json": bundle.to_json(manifest, Manifest),
        **weights,
        "calibration.json": bundle.to_json(calibrations, list[Calibration]),
        "thresholds.json": bundle.to_json(thresholds, list[Threshold]),
        "reliability.json": bundle.to_json(judgement, list[Reliability]),
        "metrics.json": bundle.to_json(judged, Metrics),
        "predictions.parquet": _parquet(films, patients),
        "history.csv": HISTORY.head(epochs).to_csv(index=False).encode(),
        "card.md": write_card(manifest, judged, thresholds).encode(),
    }
    bundle.save(path, files)
    return path


def tiny_config(path: Path, *, seed: int = 0, epochs: int = 3) -> FitConfig:
    """The options of such a run."""
    return FitConfig(
        data=Path("DIR"),
        out=path,
        backbone=BACKBONE,
        weights="none",
        image_size=64,
        epochs=epochs,
        seed=seed,
        description="Random weights.",
    )


def _films(rng: np.random.Generator, count: int, *, rare: int) -> tuple[np.ndarray, np.ndarray]:
    """Targets (N, 14), some masked, and logits (N, 14) that rank them a little."""
    truth = (rng.random((count, len(OBSERVATIONS))) < 0.35).astype(float)
    k = OBSERVATIONS.index(RARE)
    truth[:, k] = 0
    truth[:rare, k] = 1
    logits = rng.normal(size=truth.shape) + 1.2 * truth - 1
    logits[:, OBSERVATIONS.index(UNTRAINED)] = np.nan
    truth[rng.random(truth.shape) < 0.05] = np.nan
    return truth, logits


def _manifest(config: FitConfig, weights: bytes, patients: dict[str, list[str]]) -> Manifest:
    # In folds all films but those of the test split are counted as "train".
    counted = {"train" if config.folds and split != "test" else split: ids for split, ids in patients.items()}
    return Manifest(
        name=config.out.name,
        created="2026-01-01T00:00:00+00:00",
        code_version="0.1.0",
        backbone=config.backbone,
        members=config.folds or 1,
        not_trained={UNTRAINED: "0 positives and 0 negatives in training"},
        preprocessing=Preprocessing(size=config.image_size, mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5)),
        policies=Policies(uncertain="ignore", blank="negative", views="frontal"),
        config=config.model_dump(mode="json", exclude=set(MACHINE)),
        seed=config.seed,
        data=Fingerprint(
            files={"train.csv": "0" * 64},
            films={split: len(ids) for split, ids in counted.items()},
            patients={split: len(set(ids)) for split, ids in counted.items()},
        ),
        weights_dtype="float16",
        weights_sha256=hashlib.sha256(weights).hexdigest(),
    )


def _parquet(films: dict[str, tuple[np.ndarray, np.ndarray]], patients: dict[str, list[str]]) -> bytes:
    frames = []
    for split, (truth, logits) in films.items():
        columns: dict[str, object] = {"split": split, "id": range(len(truth)), "patient": patients[split]}
        for k, name in enumerate(OBSERVATIONS):
            columns |= {f"target {name}": truth[:, k], f"logit {name}": logits[:, k]}
        frames.append(pd.DataFrame(columns))
    buffer = io.BytesIO()
    pd.concat(frames, ignore_index=True).to_parquet(buffer, index=False)
    return buffer.getvalue()
