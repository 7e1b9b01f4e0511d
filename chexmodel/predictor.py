"""Read a film with a bundle: scores, decisions, and a map for each score."""

import time
from pathlib import Path
from typing import Literal, Protocol, Self

import numpy as np
import torch
from numpy.typing import NDArray

from chexmodel import bundle, images, machine, onnx_file
from chexmodel.bundle import Bundle
from chexmodel.calibration import probabilities
from chexmodel.correction import UPRIGHT, Correction
from chexmodel.engine import Engine, TorchEngine, Trial
from chexmodel.errors import BundleError
from chexmodel.film import Film, Grey
from chexmodel.gate import Gate, GateResult, Look, judge
from chexmodel.geometry import to_square8
from chexmodel.images import Source
from chexmodel.language import mark, tr
from chexmodel.prediction import Prediction

__all__ = ["NO_GATE", "Prediction", "Predictor"]

NO_GATE = mark(
    "This model has no check of what it is shown: any picture gets scores. "
    "Make sure that it is an upright frontal chest film."
)


EngineChoice = Literal["auto", "onnx", "torch"]


class Reader(Protocol):
    """Turns a file into a film: `images.read`, or something like it in another process."""

    def __call__(self, source: Source, *, frame: int = 0) -> Film:
        """Read one film; raise `ImageError` where that can't be done."""


class Predictor:
    """A bundle ready to read films; safe to call from many threads: a reading changes nothing in it.

    Attributes:
        bundle: the model.
        engine_note: why it is not read with ONNX Runtime; "" where it is, or PyTorch was asked for.
    """

    def __init__(
        self,
        loaded: Bundle,
        *,
        engine: EngineChoice = "auto",
        threads: int | None = None,
        read: Reader = images.read,
    ) -> None:
        """Take a bundle that has been loaded; the options are those of `from_bundle`."""
        self.bundle = loaded
        self._read = read
        self._thresholds = np.array([point.value for point in loaded.thresholds])
        self._bands = np.array([(point.low, point.high) for point in loaded.thresholds])
        self._trained = np.array(loaded.trained)
        self._threads = threads
        self.engine_note = ""
        self._engine: Engine = TorchEngine(loaded.network)
        if engine != "torch":
            self.find_onnx(required=engine == "onnx")

    @classmethod
    def from_bundle(
        cls,
        path: str | Path,
        *,
        engine: EngineChoice = "auto",
        threads: int | None = None,
        read: Reader = images.read,
    ) -> Self:
        """Load a bundle.

        Args:
            path: the directory.
            engine: "auto" runs `model.onnx` with ONNX Runtime where the file is there and is the one that
                was compared with PyTorch, and else PyTorch; "onnx" and "torch" insist.
            threads: of ONNX Runtime, for one reading; by default one per core. PyTorch's are set for the
                process, with `torch.set_num_threads`; beside ONNX Runtime one is best, as idle ones take
                its cores for some milliseconds of each reading.
            read: what turns files into films.

        Raises:
            BundleError: it is missing, incomplete or damaged; or "onnx" was asked for and can't be had.
        """
        return cls(bundle.load(path), engine=engine, threads=threads, read=read)

    @property
    def engine(self) -> str:
        """The library that computes, and its version."""
        return self._engine.name

    def find_onnx(self, *, required: bool = False) -> bool:
        """Look for `model.onnx` and take it up; readings under way end with what they began with.

        Returns:
            Whether it was there.

        Raises:
            BundleError: it is required and can't be had.
        """
        try:
            found = onnx_file.engine_of(self.bundle, threads=self._threads or machine.cores())
        except BundleError as error:
            if required:
                raise
            self.engine_note = str(error)
            return False
        if found is None:
            self.engine_note = tr(
                "there is no model.onnx: run `python -m chexmodel export {path}`", path=self.bundle.path
            )
            if required:
                raise BundleError(self.engine_note)
            return False
        self._engine, self.engine_note = found, ""
        return True

    def predict(self, image: Source, *, correction: Correction | None = None, frame: int = 0) -> Prediction:
        """Read one film in one forward pass; one or two more where the check of the input is in doubt.

        Args:
            image: bytes or path of a PNG, JPEG, TIFF or DICOM file, or an array (H, W): uint8, uint16, or
                float in [0, 1], brighter = denser.
            correction: what to do to the film before anything else; `GateResult.correction` proposes one.
            frame: which picture of a multi-frame DICOM, from 0.

        Raises:
            ImageError: the film can't be read.
        """
        engine, clock = self._engine, _Clock()
        correction = None if correction == UPRIGHT else correction
        film = _corrected(self._read(image, frame=frame), correction)
        square, tensor = self._seen(film.grey)
        clock.end("read")
        out = engine.run(tensor)
        clock.end("network")
        gate = None if self.bundle.gate is None else self._gated(self.bundle.gate, engine, film, out.features)
        clock.end("check")
        logits = np.where(self._trained, out.logits.astype(np.float64), np.nan)
        probs = probabilities(logits, self.bundle.calibrations)
        if isinstance(engine, Trial) and (gate is None or gate.accepted):
            engine.passed()
        rejected = () if gate is None or gate.accepted else (gate.reason,)
        return Prediction(
            logits=logits,
            probabilities=probs,
            thresholds=self._thresholds.copy(),
            bands=np.where(self._trained[:, None], self._bands, np.nan),
            decisions=tuple(
                bool(p >= t) if trained else None
                for p, t, trained in zip(probs, self._thresholds, self._trained, strict=True)
            ),
            heatmaps=np.where(self._trained[:, None, None], out.maps, np.float32(np.nan)),
            not_trained=dict(self.bundle.manifest.not_trained),
            audit=film.audit,
            grey=film.grey,
            warnings=(*film.audit.warnings, *self.remarks(), *rejected),
            _network=self.bundle.network,
            _input=tensor,
            _square=square,
            gate=gate,
            correction=correction,
            engine=engine.name,
            seconds=clock.seconds,
        )

    def _gated(self, gate: Gate, engine: Engine, film: Film, features: NDArray[np.float32]) -> GateResult:
        def see(made: Correction) -> Look:
            if made == UPRIGHT:
                return gate.look(torch.from_numpy(features))
            _, tensor = self._seen(made.apply(film.grey))
            return gate.look(torch.from_numpy(engine.run(tensor).features))

        return judge(gate, see)

    def _seen(self, grey: Grey) -> tuple[torch.Tensor, torch.Tensor]:
        """The square that stands for a film, (S, S) uint8, and the network's input (C, S, S)."""
        preprocessing = self.bundle.manifest.preprocessing
        square = to_square8(grey, preprocessing.size)
        return square, preprocessing.normalise(square)

    def remarks(self) -> tuple[str, ...]:
        """Say of the model what is to be known before trusting any of its readings."""
        return (*self._stale(), *(tr(NO_GATE),) * (self.bundle.gate is None))

    def _stale(self) -> tuple[str, ...]:
        # Former versions kept no note of the weights: then nothing is said.
        fitted_to = {point.weights_sha256 for point in self.bundle.thresholds} - {""}
        if fitted_to <= {self.bundle.manifest.weights_sha256}:
            return ()
        return (
            tr(
                "The thresholds and the calibration were fitted to other weights, the model was trained "
                "again since: run `python -m train evaluate {path} --data DIR`.",
                path=self.bundle.path,
            ),
        )


class _Clock:
    """Wall time of the stages of a reading, in seconds."""

    def __init__(self) -> None:
        self.seconds = dict[str, float]()
        self._last = time.perf_counter()

    def end(self, stage: str) -> None:
        now = time.perf_counter()
        self.seconds[stage], self._last = now - self._last, now


def _corrected(film: Film, correction: Correction | None) -> Film:
    """Apply a correction to a film, and tell it in its audit."""
    if correction is None:
        return film
    grey = correction.apply(film.grey)
    told = tr("corrected on request: {what}", what=correction.words())
    audit = film.audit.model_copy(
        update={
            "actions": (*film.audit.actions, told),
            "height": grey.shape[0],
            "width": grey.shape[1],
        }
    )
    return Film(grey, audit)
