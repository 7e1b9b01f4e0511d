"""Small CheXpert tables for the tests."""

import importlib.util
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from chexmodel.labels import OBSERVATIONS

SHARED = Path(__file__).resolve().parents[1].parent / "shared" / "data"
HEADER = ["Path", "Sex", "Age", "Frontal/Lateral", "AP/PA", *OBSERVATIONS]


def film(patient: int, study: int = 1, view: str = "frontal", prefix: str = "CheXpert-v1.0-small/") -> str:
    return f"{prefix}train/patient{patient:05d}/study{study}/view1_{view}.jpg"


def row(path: str, **cells: str) -> dict[str, str]:
    """A valid line; observations are given with underscores for blanks."""
    plain = {"Path": path, "Sex": "Female", "Age": "68", "Frontal/Lateral": "Frontal", "AP/PA": "AP"}
    return plain | {name.replace("_", " "): cell for name, cell in cells.items()}


def write(path: Path, rows: list[dict[str, str]], header: list[str] = HEADER) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [",".join(header), *(",".join(cells.get(name, "") for name in header) for cells in rows)]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def labelled(labels: np.ndarray, patients: list[int] | None = None) -> pd.DataFrame:
    """A table as `read_table` gives it, with these labels (N, 14)."""
    table = pd.DataFrame(labels.astype(np.float32), columns=list(OBSERVATIONS))
    ids = patients if patients is not None else list(range(len(table)))
    table["Path"] = [film(patient, study) for study, patient in enumerate(ids)]
    table["Frontal/Lateral"] = "Frontal"
    table["patient"] = [f"patient{patient:05d}" for patient in ids]
    return table


def real_table() -> Path:
    """CheXpert's own label table, which the package torchxrayvision carries."""
    package = importlib.util.find_spec("torchxrayvision")  # importing it would take seconds
    if package is None or package.origin is None:
        pytest.skip("torchxrayvision, which carries CheXpert's label table, is not installed")
    return Path(package.origin).parent / "data" / "chexpert_train.csv.gz"
