"""Folders of films, the command that reads them, and what it gave the predictor."""

from pathlib import Path
from typing import Any

import pytest
from many_films import FILMS, JUNK, STUDY, zipped

from chexmodel import phantom
from chexmodel.__main__ import main
from chexmodel.predictor import Prediction, Predictor


@pytest.fixture
def films(tmp_path: Path) -> Path:
    root = tmp_path / "films"
    for name, data in (FILMS | JUNK | {"study.zip": zipped(STUDY)}).items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(data)
    return root


@pytest.fixture
def drawn(tmp_path: Path) -> Path:
    """Twelve films that can be read."""
    root = tmp_path / "drawn"
    root.mkdir()
    for seed in range(12):
        (root / f"{seed:02d}.png").write_bytes(phantom.png(size=64, seed=seed))
    return root


@pytest.fixture
def read(tiny_bundle: Path, tmp_path: Path) -> Any:
    """Run the command into `out`: its exit status."""

    def run(*arguments: object, out: str = "out", model: Path = tiny_bundle) -> int:
        return main(["read", *map(str, arguments), "--out", str(tmp_path / out), "--model", str(model)])

    return run


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """What the predictor was given."""
    given: list[bytes] = []
    predict = Predictor.predict

    def noting(self: Predictor, image: bytes, **options: Any) -> Prediction:
        given.append(image)
        return predict(self, image, **options)

    monkeypatch.setattr(Predictor, "predict", noting)
    return given
