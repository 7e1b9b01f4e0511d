"""`model.onnx`, a bundle's network for ONNX Runtime: kept beside a record, found again, and loaded.

It lies in the bundle itself (`python -m chexmodel export BUNDLE`) or, as the app makes it on first use, in
the user's cache directory. A file that is not the one of its record, or of other weights, is never run.
"""

import hashlib
import os
from pathlib import Path
from typing import Final

from pydantic import BaseModel, ConfigDict, TypeAdapter

from chexmodel import bundle as bundles
from chexmodel.bundle import Bundle
from chexmodel.bundle_files import parse, read_bytes
from chexmodel.engine import Distance, Engine, OnnxEngine, TorchEngine, Trial
from chexmodel.errors import BundleError
from chexmodel.language import tr

MODEL: Final = "model.onnx"
RECORD: Final = "onnx.json"
CACHE: Final = "CHEXMODEL_CACHE"
"""Environment variable that names the cache directory; without it the platform's own is used."""


class Parity(BaseModel):
    """How far the two engines lie apart on `films` films of `source`: the largest of each of `Distance`.

    real: whether the films are X-rays, not the program's own phantoms.
    """

    model_config = ConfigDict(frozen=True)

    films: int
    source: str
    real: bool
    distance: Distance


class Record(BaseModel):
    """`onnx.json`: which file of which weights was compared with what."""

    model_config = ConfigDict(frozen=True)

    sha256: str
    weights_sha256: str
    opset: int
    torch: str
    onnxruntime: str
    parity: Parity


def cache_directory(weights_sha256: str) -> Path:
    """Where the file of these weights is kept outside of its bundle."""
    import platformdirs

    named = os.environ.get(CACHE)
    place = Path(named) if named else platformdirs.user_cache_path("chexmodel", appauthor=False)
    return place / weights_sha256[:32]


def write(directory: Path, model: bytes, record: Record) -> None:
    """Write both files into a directory, all or none; the others in it stay.

    Raises:
        BundleError: the disk is full or not writable.
    """
    bundles.save(directory, {MODEL: model, RECORD: bundles.to_json(record, Record)})


def read(directory: Path, weights_sha256: str) -> tuple[bytes, Record] | None:
    """Read both files of a directory; None where it has none.

    Raises:
        BundleError: one is damaged, or of other weights, or not the one that was compared.
    """
    try:
        if not (directory / RECORD).is_file():
            return None
    except OSError as error:
        raise BundleError(
            tr(
                "model.onnx can't be looked for in {path} ({error}): check the rights on it, or name another "
                "directory by {variable}",
                path=directory,
                error=error.strerror or type(error).__name__,
                variable=CACHE,
            )
        ) from error
    record = parse(directory, RECORD, TypeAdapter(Record))
    if record.weights_sha256 != weights_sha256:
        raise BundleError(
            tr("model.onnx is of other weights: run `python -m chexmodel export {path}`", path=directory)
        )
    model = read_bytes(directory, MODEL)
    if hashlib.sha256(model).hexdigest() != record.sha256:
        raise BundleError(
            tr(
                "model.onnx is not the file that was compared with PyTorch: run `python -m chexmodel export "
                "{path}`",
                path=directory,
            )
        )
    return model, record


def engine_of(loaded: Bundle, *, threads: int) -> Engine | None:
    """Load ONNX Runtime with the file of a bundle, or else of the cache; None where there is none.

    A file that was compared on phantoms alone is on trial for its first films.

    Raises:
        BundleError: as `read`, ONNX Runtime is not installed, or does not take the file.
    """
    weights = loaded.manifest.weights_sha256
    problem = None
    for place in (loaded.path, cache_directory(weights)):
        try:
            if (found := read(place, weights)) is not None:
                fast = _loaded(found[0], threads)
                return fast if found[1].parity.real else Trial(fast, TorchEngine(loaded.network))
        except BundleError as error:
            problem = problem or error
    if problem is not None:
        raise problem
    return None


def _loaded(model: bytes, threads: int) -> OnnxEngine:
    try:
        return OnnxEngine.of(model, threads=threads)
    except ImportError as error:
        raise absent(error) from error
    except Exception as error:  # ONNX Runtime's own, of a file that another version wrote
        raise BundleError(
            tr("ONNX Runtime does not take model.onnx ({error}): write it anew", error=type(error).__name__)
        ) from error


def absent(error: ImportError) -> BundleError:
    """Make the error about a package that is not installed."""
    return BundleError(
        tr(
            "{package} is not installed, which model.onnx needs: run `pip install -r requirements.txt`",
            package=error.name or "onnx",
        )
    )
