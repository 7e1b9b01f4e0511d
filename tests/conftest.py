"""What several test files need: the shared X-rays where they are, and a tiny data set drawn here."""

import json
import logging
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest
import timm
import torch
from browsing import CHROMIUM, started
from hypothesis import settings
from packs import packed
from PIL import Image
from stopped_runs import DROPPING, config
from tiny_bundle import write_tiny_bundle

from chexmodel import phantom
from chexmodel.labels import OBSERVATIONS
from chexmodel.predictor import Prediction, Predictor
from chexmodel.table import image_paths, read_table
from train.fit import fit

# A busy machine is no failure.
settings.register_profile("here", deadline=None)
settings.load_profile("here")

if TYPE_CHECKING:
    from playwright.sync_api import Browser

# What the tests of the pages look for is a traceback where there is one, which the server's settings hide.
os.environ["STREAMLIT_CLIENT_SHOW_ERROR_DETAILS"] = "full"

# Small networks are several times slower on two busy cores than on one.
torch.set_num_threads(1)
# Apps that tests start neither look into the user's cache nor make model.onnx beside the tests.
os.environ["CHEXMODEL_ENGINE"] = "torch"

SHARED = Path(__file__).resolve().parents[1].parent / "shared" / "data"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip, with the reason, what needs the shared X-rays where they are not."""
    if SHARED.is_dir():
        return
    skip = pytest.mark.skip(reason=f"the shared X-rays are not at {SHARED}")
    for item in items:
        if "shared" in item.keywords:
            item.add_marker(skip)


@pytest.fixture(scope="session")
def shared() -> Path:
    """Directory of the shared X-rays; for tests marked `shared`."""
    return SHARED


@pytest.fixture(scope="session")
def tiny_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Draw 36 phantoms of 24 patients in CheXpert's layout: `train.csv` (20 patients) and `valid.csv`.

    Lung Opacity is where the phantom has one; Edema is a label that blanks and −1 interrupt; Fracture is
    never labelled; the others are negative throughout.
    """
    # One level down: other tests' directories must not lie beside a CheXpert copy.
    root = tmp_path_factory.mktemp("tiny-data") / "CheXpert-v1.0-small"
    root.mkdir()
    rng = np.random.default_rng(0)
    rows: dict[str, list[dict[str, object]]] = {"train": [], "valid": []}
    for patient in range(24):
        split = "train" if patient < 20 else "valid"
        for study in range(1 + patient % 2):
            opaque = bool((patient + study) % 2)
            name = f"{split}/patient{patient:05d}/study{study + 1}/view1_frontal.jpg"
            file = root / name
            file.parent.mkdir(parents=True)
            drawn = phantom.draw(size=96, seed=1000 + 2 * patient + study, opacity=opaque)
            Image.fromarray((drawn >> 8).astype(np.uint8)).save(file, quality=92)
            labels: dict[str, float | None] = dict.fromkeys(OBSERVATIONS, 0.0)
            labels |= {"Lung Opacity": float(opaque), "No Finding": float(not opaque), "Fracture": None}
            labels["Edema"] = [1.0, 0.0, -1.0, None][int(rng.integers(4))]
            rows[split].append(
                {
                    "Path": f"CheXpert-v1.0-small/{name}",
                    "Sex": "Female" if patient % 2 else "Male",
                    "Age": 30 + patient,
                    "Frontal/Lateral": "Frontal",
                    "AP/PA": "PA",
                    **labels,
                }
            )
    for split, films in rows.items():
        pd.DataFrame(films).to_csv(root / f"{split}.csv", index=False)
    return root


@pytest.fixture
def dropping(monkeypatch: pytest.MonkeyPatch) -> None:
    """Networks whose weights depend on torch's random state; for runs of `stopped_runs`."""
    monkeypatch.setattr(timm, "create_model", DROPPING)
    monkeypatch.setattr("train.fit.history_png", lambda _: b"")  # a third of the time of such a run


@pytest.fixture(scope="session")
def straight(tiny_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of `stopped_runs` that was never stopped."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(timm, "create_model", DROPPING)
        return fit(config(tiny_data, tmp_path_factory.mktemp("runs") / "straight"))


@pytest.fixture(scope="session")
def tiny_pack(tiny_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`tiny_data` as a pack of 64 px."""
    return packed(tiny_data, tmp_path_factory.mktemp("packs") / "tiny", workers=2)


@pytest.fixture
def copied_data(tiny_data: Path, tmp_path: Path) -> Path:
    """A copy of the tiny data whose tables and films a test may spoil."""
    root = tmp_path / "data"
    for csv in (tiny_data / "train.csv", tiny_data / "valid.csv"):
        for path in image_paths(read_table(csv), csv):
            file = root / path.relative_to(tiny_data)
            file.parent.mkdir(parents=True)
            shutil.copyfile(path, file)
        (root / csv.name).write_bytes(csv.read_bytes())
    return root


@pytest.fixture(scope="session")
def tiny_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle with every file that is not a picture, of random weights: not to be changed."""
    return write_tiny_bundle(tmp_path_factory.mktemp("made") / "tiny")


@pytest.fixture
def tiny(tiny_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of it to spoil, the only run that the pages find."""
    monkeypatch.setenv("CHEXMODEL_RUNS", str(tmp_path / "runs"))
    return Path(shutil.copytree(tiny_bundle, tmp_path / "runs" / "tiny"))


@pytest.fixture
def events() -> Iterator[Callable[..., list[dict[str, object]]]]:
    """What the journal wrote so far, of one kind of event or of all."""
    from chexmodel.ui import journal  # streamlit is for the tests of the pages alone

    lines: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: lines.append(record.getMessage())  # type: ignore[method-assign]
    journal.begin()
    journal.LOGGER.addHandler(handler)
    yield lambda kind=None: [event for event in map(json.loads, lines) if kind in (None, event["event"])]
    journal.LOGGER.removeHandler(handler)


@pytest.fixture
def during(monkeypatch: pytest.MonkeyPatch) -> Callable[[int, Callable[[], None]], list[bytes]]:
    """Do something in the k-th reading from now, counted from 1; gives what is read, film by film."""

    def arrange(reading: int, act: Callable[[], None]) -> list[bytes]:
        given: list[bytes] = []

        def predict(self: Predictor, image: bytes, **options: Any) -> Prediction:
            given.append(image)
            if len(given) == reading:
                act()
            return plain(self, image, **options)

        monkeypatch.setattr(Predictor, "predict", predict)
        return given

    plain = Predictor.predict
    return arrange


@pytest.fixture(scope="session")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Start the app, with the shipped models alone; for tests marked `browser`."""
    with started(tmp_path_factory.mktemp("runs")) as url:
        yield url


@pytest.fixture(scope="session")
def browser() -> Iterator["Browser"]:
    """Start headless Chromium; for tests marked `browser`."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with sync_api.sync_playwright() as driver:
        running = driver.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-dev-shm-usage"]
        )
        yield running
        running.close()


@pytest.fixture(scope="session")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Directory for the pictures of the browser tests: what CHEXMODEL_SCREENSHOTS names."""
    place = os.environ.get("CHEXMODEL_SCREENSHOTS")
    if place is None:
        return tmp_path_factory.mktemp("screenshots")
    Path(place).mkdir(parents=True, exist_ok=True)
    return Path(place)
