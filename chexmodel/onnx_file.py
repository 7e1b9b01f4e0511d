"""`model.onnx`: made from a bundle's network, held against it, kept beside a record, and found again.

It lies in the bundle itself (`python -m chexmodel export BUNDLE`) or, as the app makes it on first use, in
the user's cache directory. A file that is not the one of its record, or of other weights, is never run.
"""

import hashlib
import os
import tempfile
import warnings
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, TypeAdapter

from chexmodel import bundle as bundles
from chexmodel import images, phantom
from chexmodel.bundle import Bundle
from chexmodel.bundle_files import parse, read_bytes
from chexmodel.engine import (
    INPUT,
    OUTPUTS,
    Distance,
    Engine,
    OnnxEngine,
    ReadingNetwork,
    TorchEngine,
    Trial,
    distance,
    farthest,
)
from chexmodel.errors import BundleError, ImageError
from chexmodel.film import Grey
from chexmodel.language import tr

MODEL: Final = "model.onnx"
RECORD: Final = "onnx.json"
CACHE: Final = "CHEXMODEL_CACHE"
"""Environment variable that names the cache directory; without it the platform's own is used."""
OPSET: Final = 20


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


def make(loaded: Bundle, films: Iterable[Grey], *, source: str, real: bool) -> tuple[bytes, Record]:
    """Make `model.onnx` of a bundle and compare it, film by film, with PyTorch.

    Args:
        loaded: the bundle.
        films: (H, W) each, uint8 or float32 in [0, 1]; at least one.
        source: what they are, for the record.
        real: whether they are X-rays.

    Returns:
        The file, whose inputs and outputs are batches of any length, and its record.

    Raises:
        BundleError: ONNX or ONNX Runtime is not installed, the network can't be written, there is no film, or
            the two differ by more than rounding.
    """
    try:
        model = to_onnx(loaded)
        fast = OnnxEngine.of(model, threads=1)
    except ImportError as error:
        raise _absent(error) from error
    slow = TorchEngine(loaded.network)
    differences = []
    for grey in films:
        image = loaded.manifest.preprocessing.tensor(grey)
        differences.append(distance(slow.run(image), fast.run(image)))
    if not differences:
        raise BundleError(tr("there is no film to compare the two engines on: give --films"))
    worst = farthest(differences)
    if not worst.tolerable:
        raise BundleError(
            tr(
                "model.onnx of bundle {path} differs from PyTorch by more than rounding (by {logits:.1e} in "
                "a logit, {maps:.1e} of the largest in a map): nothing was written, PyTorch goes on reading",
                path=loaded.path,
                logits=worst.logits,
                maps=worst.maps,
            )
        )
    parity = Parity(films=len(differences), source=source, real=real, distance=worst)
    return model, Record(
        sha256=hashlib.sha256(model).hexdigest(),
        weights_sha256=loaded.manifest.weights_sha256,
        opset=OPSET,
        torch=torch.__version__,
        onnxruntime=fast.name,
        parity=parity,
    )


def to_onnx(loaded: Bundle) -> bytes:
    """Write a bundle's network as one ONNX file: `images` (B, C, S, S) → `logits`, `maps`, `features`.

    Raises:
        ImportError: onnx or onnxscript is not installed.
        BundleError: the network has a layer that can't be written.
    """
    import onnxscript  # noqa: F401 – torch finds it missing only after some seconds

    preprocessing = loaded.manifest.preprocessing
    images = torch.rand(2, len(preprocessing.mean), preprocessing.size, preprocessing.size)
    try:
        with tempfile.TemporaryDirectory() as place, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of the exporter's own parts
            file = Path(place) / MODEL
            torch.onnx.export(
                ReadingNetwork(loaded.network).eval(),
                (images,),
                file,
                input_names=[INPUT],
                output_names=list(OUTPUTS),
                dynamic_shapes=({0: torch.export.Dim("batch")},),
                opset_version=OPSET,
                dynamo=True,
                external_data=False,
                verbose=False,
            )
            return file.read_bytes()
    except OSError as error:
        raise BundleError(
            tr(
                "the network of bundle {path} can't be written as ONNX ({error}): make room where temporary "
                "files are written; PyTorch goes on reading",
                path=loaded.path,
                error=error.strerror or type(error).__name__,
            )
        ) from error
    except (RuntimeError, ValueError, TypeError, torch.onnx.errors.OnnxExporterError) as error:
        raise BundleError(
            tr(
                "the network of bundle {path} can't be written as ONNX ({error}): PyTorch goes on reading",
                path=loaded.path,
                error=type(error).__name__,
            )
        ) from error


def phantoms(count: int = 20) -> Iterator[Grey]:
    """Draw films to compare on where there are no X-rays, one at a time."""
    for seed in range(count):
        yield np.divide(phantom.draw(size=512, seed=seed, opacity=bool(seed % 2)), 65535, dtype=np.float32)


def xrays(places: Iterable[Path]) -> Iterator[Grey]:
    """Read the films of some files and directories, with what lies below them, one at a time.

    Raises:
        ImageError: a file that was named can't be read; those of a directory that are no films are passed by.
    """
    for place in places:
        if not place.is_dir():
            yield images.read(place).grey
            continue
        for file in sorted(path for path in place.rglob("*") if path.is_file()):
            with suppress(ImageError):
                yield images.read(file).grey


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
    found, problem = None, None
    for place in (loaded.path, cache_directory(weights)):
        try:
            found = found or read(place, weights)
        except BundleError as error:
            problem = problem or error
    if found is None:
        if problem is not None:
            raise problem
        return None
    model, record = found
    try:
        fast = OnnxEngine.of(model, threads=threads)
    except ImportError as error:
        raise _absent(error) from error
    except Exception as error:  # ONNX Runtime's own, of a file that another version wrote
        raise BundleError(
            tr("ONNX Runtime does not take model.onnx ({error}): write it anew", error=type(error).__name__)
        ) from error
    return fast if record.parity.real else Trial(fast, TorchEngine(loaded.network))


def _absent(error: ImportError) -> BundleError:
    return BundleError(
        tr(
            "{package} is not installed, which model.onnx needs: run `pip install -r requirements.txt`",
            package=error.name or "onnx",
        )
    )
