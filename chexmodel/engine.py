"""What computes a film's scores and maps: PyTorch, or ONNX Runtime with the same network in one file."""

from collections.abc import Sequence
from dataclasses import dataclass
from threading import Lock
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict
from torch import nn

from chexmodel.explain import class_activation_maps
from chexmodel.network import Network

if TYPE_CHECKING:
    import onnxruntime

INPUT: Final = "images"
OUTPUTS: Final = ("logits", "maps", "features")
"""The tensors of `model.onnx`, by name."""
LIMIT: Final = 1e-4
"""Largest difference of two engines that is rounding; see `Distance.tolerable`."""
TRIAL: Final = 3
"""Films on which an engine that was compared on drawn films alone is compared in use."""


class Pass(NamedTuple):
    """One forward pass of one film.

    logits: (K,) raw. maps: (K, h, w) in log-odds, signed; the mean of each plus its bias is the logit.
    features: (C, h, w), of the last layer before the pooling. All float32.
    """

    logits: NDArray[np.float32]
    maps: NDArray[np.float32]
    features: NDArray[np.float32]


class Distance(BaseModel):
    """How far two passes of one film lie apart.

    logits, cells: the largest difference of a logit and of a map's cell, in log-odds. maps: `cells` as a
        share of the largest cell. features: the norm of the difference, as a share of the features'.
    """

    model_config = ConfigDict(frozen=True)

    logits: float
    cells: float
    maps: float
    features: float

    @property
    def tolerable(self) -> bool:
        """Whether it is rounding: logits as they are, maps and features by their size, all within `LIMIT`."""
        return all(value <= LIMIT for value in (self.logits, self.maps, self.features))  # NaN is none


def distance(sure: Pass, other: Pass) -> Distance:
    """Tell how far a pass lies from another of the same film; infinitely where their shapes differ."""
    if any(a.shape != b.shape for a, b in zip(sure, other, strict=True)):
        return Distance(**dict.fromkeys(Distance.model_fields, float("inf")))
    cells = float(np.abs(sure.maps - other.maps).max())
    difference = float(np.linalg.norm(sure.features - other.features))
    return Distance(
        logits=float(np.abs(sure.logits - other.logits).max()),
        cells=cells,
        maps=cells / max(1.0, float(np.abs(sure.maps).max())),
        features=difference / max(1.0, float(np.linalg.norm(sure.features))),
    )


def farthest(distances: Sequence[Distance]) -> Distance:
    """Return the largest of each kind; NaN where there is one."""
    kinds = Distance.model_fields
    return Distance(**{kind: float(np.max([getattr(d, kind) for d in distances])) for kind in kinds})


class Engine(Protocol):
    """Runs a network; may be called from many threads at once."""

    @property
    def name(self) -> str:
        """The library and its version, e.g. "PyTorch 2.14.1"."""

    def run(self, image: torch.Tensor) -> Pass:
        """Run one normalised image, (C, S, S) float32."""


class ReadingNetwork(nn.Module):
    """A network that also gives the maps of all observations: (logits, maps, features), by batches."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Return logits (B, K), maps (B, K, h, w) and features (B, C, h, w) of (B, 1 or 3, S, S) images."""
        logits, features = self.network(images)
        return logits, class_activation_maps(features, self.network.head.weight), features


class TorchEngine:
    """PyTorch, with as many threads as `torch.set_num_threads` allows."""

    def __init__(self, network: Network) -> None:
        self._network = ReadingNetwork(network)
        self.name = f"PyTorch {torch.__version__}"

    def run(self, image: torch.Tensor) -> Pass:
        """Run one normalised image, (C, S, S) float32."""
        with torch.inference_mode():
            return Pass(*(values[0].numpy() for values in self._network(image.unsqueeze(0))))


@dataclass(frozen=True, eq=False)
class OnnxEngine:
    """ONNX Runtime on the processor."""

    session: "onnxruntime.InferenceSession"
    name: str

    @classmethod
    def of(cls, model: bytes, *, threads: int) -> "OnnxEngine":
        """Load `model.onnx`.

        Args:
            model: its bytes, whose checksum the caller has compared.
            threads: of each run.

        Raises:
            ImportError: ONNX Runtime is not installed. What it raises on a file that is no such model passes.
        """
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        # Idle threads that spin for work take the cores from decoding and from other readings.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        return cls(session, f"ONNX Runtime {onnxruntime.__version__}")

    def run(self, image: torch.Tensor) -> Pass:
        """Run one normalised image, (C, S, S) float32."""
        return Pass(*(values[0] for values in self.session.run(OUTPUTS, {INPUT: image.unsqueeze(0).numpy()})))


class Trial:
    """A fast engine on trial: until `films` have passed, a second one runs too, and takes over if it differs.

    Whoever reads says by `passed` that what was compared was a film, not another picture. For a file that was
    compared on the program's own phantoms, where no X-ray was at hand.
    """

    def __init__(self, fast: Engine, sure: Engine, films: int = TRIAL) -> None:
        self._fast, self._sure, self._left, self._lock = fast, sure, films, Lock()
        self._used = fast

    @property
    def name(self) -> str:
        """Of the engine in use; of the second one, that the first differed."""
        if self._used is self._sure:
            return f"{self._sure.name} ({self._fast.name} differed)"
        return self._fast.name

    def run(self, image: torch.Tensor) -> Pass:
        """Run one normalised image, (C, S, S) float32."""
        used = self._used
        if self._left <= 0 or used is self._sure:
            return used.run(image)
        result, sure = used.run(image), self._sure.run(image)
        if distance(sure, result).tolerable:
            return result
        self._used = self._sure
        return sure

    def passed(self) -> None:
        """Count a film whose passes were the same."""
        with self._lock:
            self._left -= 1
