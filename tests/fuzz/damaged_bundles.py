"""Model directories with one to three files damaged, gone or replaced; loaded and read as the pages do."""

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import numpy as np
from mutators import EXTREMES, PLAIN

from chexmodel import bundle, phantom
from chexmodel.errors import BundleError
from chexmodel.predictor import Predictor

FILM: Final = phantom.draw(size=64)
VALUES: Final = (
    *(None, True, "", "x", "../..", "\0", [], {}, [[]] * 50, "9" * 5000),
    *(-1, 0.5, 1e308, -1e308, 10**30, *EXTREMES),
)
"""What a value of a JSON may become."""


def damaged(whole: Path, place: Path, number: int) -> Path:
    """Copy a whole bundle to `place`, and damage the copy."""
    rng = np.random.default_rng([2, number])
    shutil.rmtree(place, ignore_errors=True)
    shutil.copytree(whole, place)
    names = sorted(file.relative_to(place).as_posix() for file in place.rglob("*") if file.is_file())
    # Half of the cases damage what has to be there.
    vital = ("bundle.json", "model.safetensors", "calibration.json", "thresholds.json")
    for _ in range(int(rng.integers(1, 4))):
        file = place / str(rng.choice(vital if rng.integers(2) else names))
        if file.is_file() and not file.is_symlink():
            _damage(file, rng)
    if rng.integers(2):
        _sign(place)
    return place


def read(place: Path) -> None:
    """Load one, read a film, and read every file that the pages read.

    Raises:
        BundleError: of the first thing that can't be read, after all the others were tried.
    """
    loaded = bundle.load(place)
    refused = list[BundleError]()

    def tried(read: Callable[[], object]) -> None:
        try:
            read()
        except BundleError as error:
            refused.append(error)

    prediction = Predictor(loaded).predict(FILM)
    known = prediction.probabilities[~np.isnan(prediction.probabilities)]
    assert ((known >= 0) & (known <= 1)).all()
    readers: tuple[Callable[[], object], ...] = (
        *(loaded.metrics, loaded.predictions, loaded.localisation, loaded.localised_films, loaded.subgroups),
        *(loaded.reference_protocol, loaded.reliability, loaded.gate_rates, loaded.card),
        lambda: bundle.read_history(place),
    )
    for reader in readers:
        tried(reader)
    if refused:
        raise refused[0]


def _damage(file: Path, rng: np.random.Generator) -> None:
    data, what = file.read_bytes(), int(rng.integers(10))
    if what == 0:
        file.unlink()
    elif what == 1:
        file.unlink()
        file.symlink_to(str(rng.choice([file.name, "/dev/null", "..", "/nowhere"])))
    elif what == 2:
        file.unlink()
        file.mkdir()
    elif what < 7 and file.suffix == ".json":
        file.write_bytes(_json(data, rng))
    elif what < 7 and file.suffix == ".safetensors":
        file.write_bytes(_tensors(data, rng))
    else:
        file.write_bytes(PLAIN[int(rng.integers(len(PLAIN)))](data, rng) if data else b"\0")


def _json(data: bytes, rng: np.random.Generator) -> bytes:
    """Put odd values at some places, or leave them out; as the JSON was, else."""
    try:
        value = json.loads(data)
    except (ValueError, RecursionError):  # damaged once already
        return data + b"}"
    if rng.integers(20) == 0:
        return b"[" * 100_000
    for _ in range(int(rng.integers(1, 4))):
        inner: Any = value
        while True:
            keys = list(inner) if isinstance(inner, dict) else list(range(len(inner)))
            if not keys:
                break
            key = keys[int(rng.integers(len(keys)))]
            if isinstance(inner[key], (dict, list)) and inner[key] and rng.integers(4):
                inner = inner[key]
                continue
            if rng.integers(3):
                inner[key] = VALUES[int(rng.integers(len(VALUES)))]
            else:
                del inner[key]
            break
    return json.dumps(value).encode()


def _tensors(data: bytes, rng: np.random.Generator) -> bytes:
    """Change the header of a safetensors file; its length is right."""
    length = int.from_bytes(data[:8], "little")
    if rng.integers(4) == 0:
        return int(rng.choice(EXTREMES)).to_bytes(8, "little") + data[8:]
    if rng.integers(4) == 0:  # numbers that are none
        values = bytearray(data)
        values[8 + length : 8 + length + 4096] = b"\xff" * 4096
        return bytes(values[: len(data)])
    header = _json(data[8 : 8 + length], rng)
    return len(header).to_bytes(8, "little") + header + data[8 + length :]


def _sign(place: Path) -> None:
    """Name the checksum of the weights as they are now, so that what is behind the checksum is met."""
    try:
        manifest = json.loads((place / "bundle.json").read_bytes())
        weights = (place / "model.safetensors").read_bytes()
        manifest["weights_sha256"] = hashlib.sha256(weights).hexdigest()
        (place / "bundle.json").write_text(json.dumps(manifest), encoding="utf-8")
    except (OSError, ValueError, TypeError, RecursionError):
        return
