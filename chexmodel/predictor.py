"""Read a film with a bundle: scores, decisions, and a map for each score."""

from pathlib import Path
from typing import Self

import numpy as np
import torch

from chexmodel import bundle, images
from chexmodel.bundle import Bundle
from chexmodel.calibration import probabilities
from chexmodel.correction import UPRIGHT, Correction
from chexmodel.explain import class_activation_maps
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


class Predictor:
    """A bundle ready to read films; safe to call from many threads: a reading changes nothing in it."""

    def __init__(self, loaded: Bundle) -> None:
        self.bundle = loaded
        self._thresholds = np.array([point.value for point in loaded.thresholds])
        self._bands = np.array([(point.low, point.high) for point in loaded.thresholds])
        self._trained = np.array(loaded.trained)

    @classmethod
    def from_bundle(cls, path: str | Path) -> Self:
        """Load a bundle.

        Raises:
            BundleError: it is missing, incomplete or damaged.
        """
        return cls(bundle.load(path))

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
        correction = None if correction == UPRIGHT else correction
        film = _corrected(images.read(image, frame=frame), correction)
        network = self.bundle.network
        square, tensor = self._seen(film.grey)
        with torch.inference_mode():
            scores, features = network(tensor.unsqueeze(0))
            maps = class_activation_maps(features, network.head.weight)[0]
        logits = np.where(self._trained, scores[0].double().numpy(), np.nan)
        heatmaps = np.where(self._trained[:, None, None], maps.numpy(), np.float32(np.nan))
        probs = probabilities(logits, self.bundle.calibrations)
        gate = None if self.bundle.gate is None else self._gated(self.bundle.gate, film, features[0])
        remarks = (tr(NO_GATE),) if gate is None else (gate.reason,) * (not gate.accepted)
        return Prediction(
            logits=logits,
            probabilities=probs,
            thresholds=self._thresholds.copy(),
            bands=np.where(self._trained[:, None], self._bands, np.nan),
            decisions=tuple(
                bool(p >= t) if trained else None
                for p, t, trained in zip(probs, self._thresholds, self._trained, strict=True)
            ),
            heatmaps=heatmaps,
            not_trained=dict(self.bundle.manifest.not_trained),
            audit=film.audit,
            film=film.pixels,
            warnings=(*film.audit.warnings, *self.stale(), *remarks),
            _network=network,
            _input=tensor,
            _square=square,
            gate=gate,
            correction=correction,
        )

    def _gated(self, gate: Gate, film: Film, features: torch.Tensor) -> GateResult:
        def see(made: Correction) -> Look:
            if made == UPRIGHT:
                return gate.look(features)
            _, tensor = self._seen(made.apply(film.grey))
            with torch.inference_mode():
                return gate.look(self.bundle.network(tensor.unsqueeze(0))[1][0])

        return judge(gate, see)

    def _seen(self, grey: Grey) -> tuple[torch.Tensor, torch.Tensor]:
        """The square that stands for a film, (S, S) uint8, and the network's input (C, S, S)."""
        preprocessing = self.bundle.manifest.preprocessing
        square = to_square8(grey, preprocessing.size)
        return square, preprocessing.normalise(square)

    def stale(self) -> tuple[str, ...]:
        """Say so where the thresholds are of other weights than these; former versions kept no note of it."""
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
