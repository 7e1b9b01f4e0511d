"""The reading of one film: scores, decisions, a map for each score, and how they are shown."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from PIL import Image

from chexmodel import explain
from chexmodel.correction import Correction
from chexmodel.errors import ChexError
from chexmodel.explain import EXACT, Method, paint, relative_map, strength
from chexmodel.film import Film, Grey
from chexmodel.gate import GateResult
from chexmodel.geometry import to_film
from chexmodel.images import InputAudit
from chexmodel.labels import OBSERVATIONS
from chexmodel.language import tr
from chexmodel.network import Network


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
    audit: what the reader did to the file. gate: what the check of the input says; None without one.
    correction: what the film was turned, mirrored or inverted by on request, before all else.
    warnings: what to know before trusting the reading.
    grey: (H, W) as it was read: corrected. `film` gives it as float32 in [0, 1].
    engine: the library that computed it, and its version. seconds: wall time of "read" (and to the network's
        input), "network" and "check".
    """

    logits: NDArray[np.float64]
    probabilities: NDArray[np.float64]
    thresholds: NDArray[np.float64]
    bands: NDArray[np.float64]
    decisions: tuple[bool | None, ...]
    heatmaps: NDArray[np.float32]
    not_trained: dict[str, str]
    audit: InputAudit
    grey: Grey
    warnings: tuple[str, ...]
    _network: Network = field(repr=False)
    _input: torch.Tensor = field(repr=False)
    _square: torch.Tensor = field(repr=False)
    gate: GateResult | None = None
    correction: Correction | None = None
    observations: tuple[str, ...] = OBSERVATIONS
    engine: str = ""
    seconds: Mapping[str, float] = field(default_factory=dict)

    @property
    def film(self) -> NDArray[np.float32]:
        """The film, (H, W) in [0, 1]; made anew at each access: what is kept of an 8-bit film stays small."""
        return Film(self.grey, self.audit).pixels

    @property
    def shape(self) -> tuple[int, int]:
        """(H, W) of the film, px."""
        height, width = self.grey.shape
        return height, width

    @property
    def withheld(self) -> bool:
        """Whether the check rejected the film: scores are for who insists on them, and marked then."""
        return self.gate is not None and not self.gate.accepted

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
        heat: NDArray[np.float32] = to_film(grid, self.shape).numpy()
        return heat

    def grid(self, observation: str, *, method: Method = EXACT) -> NDArray[np.float32]:
        """Map of one observation over the padded square, as `heat` brings it to the film.

        Returns:
            (h, w): the network's own cells for "Grad-CAM", the input's pixels for the others; units as
            `heat`.

        Raises:
            ChexError: as `heat`.
        """
        index = self._index(observation)
        if method not in explain.METHODS:
            raise ChexError(
                tr(
                    "there is no method {method!r}: choose one of {methods}",
                    method=method,
                    methods=", ".join(explain.METHODS),
                )
            )
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
            raise ChexError(tr("alpha is {alpha}: it must lie between 0 and 1", alpha=alpha))
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
            raise ChexError(
                tr(
                    "{observation} was not trained in this model ({reason}): it has no map",
                    observation=tr(observation),
                    reason=reason,
                )
            )
        if observation not in self.observations:
            raise ChexError(
                tr(
                    "there is no observation {observation!r}: choose one of {names}",
                    observation=observation,
                    names=", ".join(self.observations),
                )
            )
        return self.observations.index(observation)


def _words(called: bool | None, indeterminate: bool) -> str:
    if called is None:
        return "not trained in this model"
    if indeterminate:
        return "indeterminate"
    return "at or above threshold" if called else "below threshold"
