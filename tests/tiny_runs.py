"""Runs that were judged on the same films as another one, for tests of what is compared."""

import json
import shutil
from pathlib import Path

import numpy as np

from chexmodel import bundle
from chexmodel.labels import OBSERVATIONS


def sibling(of: Path, name: str, *, worse: float = 1.0, seed: int = 0, **config: object) -> Path:
    """Copy a bundle under another name, with other options and with noise of `worse` added to its logits."""
    path = Path(shutil.copytree(of, of.parent / name))
    manifest = json.loads((path / "bundle.json").read_text())
    manifest["config"] |= config
    (path / "bundle.json").write_text(json.dumps(manifest | {"name": name}))
    predictions = bundle.load(path).predictions()
    columns = [f"logit {observation}" for observation in OBSERVATIONS]
    noise = np.random.default_rng(seed).normal(scale=worse, size=predictions[columns].shape)
    predictions[columns] += noise
    predictions.to_parquet(path / "predictions.parquet", index=False)
    return path
