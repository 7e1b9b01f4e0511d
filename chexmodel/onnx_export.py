"""Making `model.onnx` of a bundle's network: writing it, and holding it against PyTorch film by film."""

import hashlib
import tempfile
import warnings
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

import numpy as np
import torch

from chexmodel import images, phantom
from chexmodel.bundle import Bundle
from chexmodel.engine import (
    INPUT,
    OUTPUTS,
    OnnxEngine,
    ReadingNetwork,
    TorchEngine,
    distance,
    farthest,
)
from chexmodel.errors import BundleError, ImageError
from chexmodel.film import Grey
from chexmodel.language import tr
from chexmodel.onnx_file import MODEL, Parity, Record, absent

OPSET: Final = 20


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
        raise absent(error) from error
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
