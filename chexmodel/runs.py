"""What the directory of a run holds, finished or not: options, history, and what its model says of films."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd

from chexmodel import bundle
from chexmodel.bundle import Bundle
from chexmodel.calibration import probabilities
from chexmodel.comparison import Judged
from chexmodel.errors import BundleError
from chexmodel.labels import OBSERVATIONS
from chexmodel.language import tr
from chexmodel.run_charts import PANELS
from chexmodel.scores import Evaluation

_JUDGED_BY: Final = ("calibration.json", "thresholds.json", "metrics.json", "predictions.parquet")


@dataclass(frozen=True, eq=False)
class Finished:
    """A run that has been judged on a split: its own scores, and what it says of each film."""

    evaluation: Evaluation
    judged: Judged


def read_options(path: Path) -> dict[str, Any]:
    """Read a run's options: of the bundle, or of the run that has not become one yet; {} if it has none.

    Raises:
        BundleError: the bundle's manifest is damaged.
    """
    if (path / bundle.MANIFEST).is_file():
        return bundle.read_manifest(path).config
    try:
        options = json.loads((path / "config.json").read_bytes())
    except (OSError, ValueError):
        return {}
    return options if isinstance(options, dict) else {}


def read_history(path: Path) -> pd.DataFrame:
    """Read `history.csv`: one row per epoch.

    Raises:
        BundleError: it is missing or damaged, or has nothing to draw.
    """
    history = bundle.read_history(path)
    columns = [column for panel in PANELS for column in panel.lines if column in history]
    numeric = all(
        pd.api.types.is_numeric_dtype(history[name]) for name in ("epoch", *columns) if name in history
    )
    if "epoch" not in history or history.empty or not columns or not numeric:
        raise BundleError(
            tr(
                "history.csv of {path} has no epochs or other columns than a run writes: copy it "
                "again, or run `python -m train fit … --out {path}`",
                path=path,
            )
        )
    return history


def read_finished(path: Path, split: str, *, name: str) -> Finished:
    """Read a run that has been evaluated.

    Args:
        path: the bundle.
        split: "test" or "validation".
        name: what the run is called in messages.

    Raises:
        BundleError: it is no whole bundle, is not evaluated (on this split), or was trained again since.
    """
    loaded = bundle.load(path)
    metrics = loaded.metrics()
    again = tr("run `python -m train evaluate {path} --data DIR`", path=path)
    if split not in metrics.splits:
        raise BundleError(
            tr(
                "metrics.json of bundle {path} has no scores of the {split} split: {again}",
                path=path,
                split=tr(split),
                again=again,
            )
        )
    if metrics.weights_sha256 != loaded.manifest.weights_sha256:
        raise BundleError(
            tr(
                "metrics.json of bundle {path} is of other weights, it was trained again: {again}",
                path=path,
                again=again,
            )
        )
    return Finished(metrics.splits[split], judge(loaded, loaded.predictions(), split, name=name))


def judge(loaded: Bundle, predictions: pd.DataFrame, split: str, *, name: str) -> Judged:
    """Calibrate the predictions of one split.

    Args:
        loaded: for calibrations and thresholds.
        predictions: its `predictions()`.
        split: which of its splits.
        name: what the model is called in messages.

    Raises:
        BundleError: columns or films are missing, or a film is there twice.
    """
    columns = [f"{kind} {observation}" for kind in ("target", "logit") for observation in OBSERVATIONS]
    lacking = [column for column in ("split", "id", "patient", *columns) if column not in predictions]
    rows = pd.DataFrame() if lacking else predictions[predictions["split"] == split]
    reason = None
    if lacking:
        reason = tr("lacks column {column!r}", column=lacking[0])
    elif rows.empty:
        reason = tr("lacks films of the {split} split", split=tr(split))
    elif rows["id"].duplicated().any():
        reason = tr("has a film of the {split} split twice", split=tr(split))
    if reason:
        raise BundleError(
            tr(
                "predictions.parquet of bundle {path} {reason}: write it anew with `python -m train "
                "evaluate {path} --data DIR`",
                path=loaded.path,
                reason=reason,
            )
        )
    targets, logits = np.hsplit(rows[columns].to_numpy(np.float64), 2)
    return Judged(
        name=name,
        ids=rows["id"].astype(str).to_numpy(object),
        patients=rows["patient"].astype(str).to_numpy(object),
        targets=np.where(np.isin(targets, (0, 1)), targets, np.nan),
        probs=probabilities(logits, loaded.calibrations),
        thresholds=np.array([threshold.value for threshold in loaded.thresholds]),
    )


def fingerprint(path: Path) -> str:
    """SHA-256 over the weights' checksum and all that `evaluate` found: another one, other figures.

    Raises:
        BundleError: the manifest is missing or damaged.
    """
    digest = hashlib.sha256(bundle.read_manifest(path).weights_sha256.encode())
    for name in _JUDGED_BY:
        file = path / name
        digest.update(file.read_bytes() if file.is_file() else b"")
    return digest.hexdigest()
