"""Read a film with a bundle: scores, decisions, and a map for each score."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from PIL import Image

from chexmodel import bundle, explain, images
from chexmodel.bundle import Bundle
from chexmodel.calibration import probabilities
from chexmodel.errors import ChexError
from chexmodel.explain import EXACT, Method, class_activation_maps, paint, relative_map, strength
from chexmodel.geometry import to_film, to_square8
from chexmodel.images import InputAudit, Source
from chexmodel.labels import OBSERVATIONS
from chexmodel.network import Network

NO_GATE = (
    "This model has no check of what it is shown: any picture gets scores. "
    "Make sure that it is an upright frontal chest film."
)


@dataclass(frozen=True, eq=False)
class Prediction:
    """The reading of one film. Sequences of length 14 are in the order of `observations`.

    logits: (14,) raw, in the network's log-odds; NaN where the observation was not trained.
    probabilities: (14,) calibrated, in [0, 1]; NaN where not trained. The thresholds apply to these.
    thresholds: (14,) in [0, 1].
    bands: (14, 2) the interval of the threshold itself, in [0, 1]; NaN where it is a default.
    decisions: True at or above the threshold, False below, None where not trained; also within the band.
    heatmaps: (14, h, w) raw log-odds; mean + bias is the logit. Losses that weigh positives, and the
        calibration, mean that a map does not add up to the displayed probability.
    not_trained: observation → reason.
    audit: what the reader did to the file. gate: None, as this bundle has no check of the input.
    warnings: what to know before trusting the reading.
    film: (H, W) in [0, 1].
    """

    logits: NDArray[np.float64]
    probabilities: NDArray[np.float64]
    thresholds: NDArray[np.float64]
    bands: NDArray[np.float64]
    decisions: tuple[bool | None, ...]
    heatmaps: NDArray[np.float32]
    not_trained: dict[str, str]
    audit: InputAudit
    film: NDArray[np.float32]
    warnings: tuple[str, ...]
    _network: Network = field(repr=False)
    _input: torch.Tensor = field(repr=False)
    _square: torch.Tensor = field(repr=False)
    gate: None = None
    observations: tuple[str, ...] = OBSERVATIONS

    @property
    def indeterminate(self) -> tuple[bool, ...]:
        """Whether a probability lies in its threshold's band: other films would have decided otherwise."""
        low, high = self.bands.T
        # Comparisons with NaN are false: no band, or not trained.
        return tuple(((low <= self.probabilities) & (self.probabilities <= high)).tolist())

    def heat(self, observation: str, *, method: Method = EXACT) -> NDArray[np.float32]:
        """Map of one observation on the film's own pixels.

        Args:
            observation: one of the trained 14.
            method: the exact one-pass "Grad-CAM", or one of `explain.METHODS`.

        Returns:
            (H, W): raw log-odds for "Grad-CAM"; for the others 0 to 1, each stretched to its own maximum.

        Raises:
            ChexError: unknown or untrained observation, unknown method.
        """
        grid = torch.from_numpy(self.grid(observation, method=method))
        heat: NDArray[np.float32] = to_film(grid, self.film.shape).numpy()
        return heat

    def grid(self, observation: str, *, method: Method = EXACT) -> NDArray[np.float32]:
        """Map of one observation over the padded square, as `heat` brings it to the film.

        Returns:
            (h, w): the network's own cells for "Grad-CAM", the input's pixels for the others; units as `heat`.

        Raises:
            ChexError: as `heat`.
        """
        index = self._index(observation)
        if method not in explain.METHODS:
            raise ChexError(f"there is no method {method!r}: choose one of {', '.join(explain.METHODS)}")
        if method == EXACT:
            exact: NDArray[np.float32] = self.heatmaps[index]
            return exact
        grid: NDArray[np.float32] = relative_map(self._network, self._input, index, method=method).numpy()
        return grid

    def network_input(self) -> NDArray[np.uint8]:
        """The picture that the network was given, (S, S): the film in its square, at 8 bits."""
        return self._square.numpy().copy()

    def overlay(self, observation: str, alpha: float = 0.5, *, method: Method = EXACT) -> Image.Image:
        """Paint a map over the film at the film's own size.

        For the exact method all findings of a film share one scale (`explain.strength`): weak evidence
        looks weak. Where there is no positive evidence the film's own grey values stay.

        Args:
            observation: one of the trained 14.
            alpha: opacity of the strongest evidence, in [0, 1].
            method: see `heat`.

        Returns:
            An RGB image of (W, H) px.

        Raises:
            ChexError: as `heat`, or alpha out of range.
        """
        if not 0.0 <= alpha <= 1.0:
            raise ChexError(f"alpha is {alpha}: it must lie between 0 and 1")
        scale = strength(self.heatmaps) if method == EXACT else 1.0
        return Image.fromarray(paint(self.film, self.heat(observation, method=method) / scale, alpha=alpha))

    def frame(self) -> pd.DataFrame:
        """One row per observation: probability, threshold and its band, decision in words, raw logit.

        An observation that was not trained has neither score nor threshold: NaN.
        """
        return pd.DataFrame(
            {
                "observation": self.observations,
                "probability": self.probabilities,
                "threshold": np.where(np.isnan(self.probabilities), np.nan, self.thresholds),
                "band_low": self.bands[:, 0],
                "band_high": self.bands[:, 1],
                "decision": [
                    _words(called, unsure)
                    for called, unsure in zip(self.decisions, self.indeterminate, strict=True)
                ],
                "raw_logit": self.logits,
            }
        )

    def _index(self, observation: str) -> int:
        if observation in self.not_trained:
            reason = self.not_trained[observation]
            raise ChexError(f"{observation} was not trained in this model ({reason}): it has no map")
        if observation not in self.observations:
            raise ChexError(
                f"there is no observation {observation!r}: choose one of {', '.join(self.observations)}"
            )
        return self.observations.index(observation)


def _words(called: bool | None, indeterminate: bool) -> str:
    if called is None:
        return "not trained in this model"
    if indeterminate:
        return "indeterminate"
    return "at or above threshold" if called else "below threshold"


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

    def predict(self, image: Source, *, frame: int = 0) -> Prediction:
        """Read one film in one forward pass.

        Args:
            image: bytes or path of a PNG, JPEG, TIFF or DICOM file, or an array (H, W): uint8, uint16, or
                float in [0, 1], brighter = denser.
            frame: which picture of a multi-frame DICOM, from 0.

        Raises:
            ImageError: the film can't be read.
        """
        film = images.read(image, frame=frame)
        network = self.bundle.network
        preprocessing = self.bundle.manifest.preprocessing
        square = to_square8(film.pixels, preprocessing.size)
        tensor = preprocessing.normalise(square)
        with torch.inference_mode():
            scores, features = network(tensor.unsqueeze(0))
            maps = class_activation_maps(features, network.head.weight)[0]
        logits = np.where(self._trained, scores[0].double().numpy(), np.nan)
        heatmaps = np.where(self._trained[:, None, None], maps.numpy(), np.float32(np.nan))
        probs = probabilities(logits, self.bundle.calibrations)
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
            warnings=(*film.audit.warnings, *self.stale(), NO_GATE),
            _network=network,
            _input=tensor,
            _square=square,
        )

    def stale(self) -> tuple[str, ...]:
        """Say so where the thresholds are of other weights than these; former versions kept no note of it."""
        fitted_to = {point.weights_sha256 for point in self.bundle.thresholds} - {""}
        if fitted_to <= {self.bundle.manifest.weights_sha256}:
            return ()
        return (
            "The thresholds and the calibration were fitted to other weights, the model was trained again "
            f"since: run `python -m train evaluate {self.bundle.path} --data DIR`.",
        )
