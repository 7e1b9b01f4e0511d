"""Is this an upright frontal chest film? A distance and linear probes on the network's own features.

Fitted to training films alone (`train.gate`). The distance is the cosine distance of the pooled features to
their mean over training films. The probes are ridge regressions: one tells the four quarter turns and the
two polarities apart, on a coarse grid, and rejects what is none of them; one tells a film from its mirror
image, on a fine grid. k nearest neighbours and Mahalanobis with shrinkage on the pooled features were
measured beside the cosine, and let most other pictures through; no distance noticed inverted films.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

import torch
from pydantic import BaseModel, ConfigDict, ValidationError
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch.nn import functional as F

from chexmodel.bundle_files import damaged, read_bytes
from chexmodel.correction import CORRECTIONS, UPRIGHT, Correction
from chexmodel.errors import BundleError
from chexmodel.language import tr
from chexmodel.manifest import Manifest

__all__ = [
    "CORRECTIONS",
    "GATE",
    "PLACINGS",
    "UPRIGHT",
    "Correction",
    "Gate",
    "GateFit",
    "GateResult",
    "Look",
    "cells",
    "judge",
    "load_gate",
]

GATE: Final = "gate.safetensors"
PLACINGS: Final = tuple(one for one in CORRECTIONS if not one.mirror)
"""The eight that the first probe tells apart, the identity first; mirroring is the second probe's."""
_MIRROR: Final = Correction(mirror=True)


@dataclass(frozen=True)
class GateResult:
    """What the check says of a film; a resemblance, never a certainty.

    accepted: it resembles a frontal chest film, upright, bone white. reason: a sentence, "" if accepted.
    correction: one click that would make it acceptable; None if there is none.
    """

    accepted: bool
    reason: str = ""
    correction: Correction | None = None


class Look(NamedTuple):
    """What the gate measures in the features of one film.

    distance: 0 to 2, 0 for the mean of the training films. upright: about 1 for an upright film, about 0
    for another. placing: what most likely brings it upright, but for a mirroring. facing: about 1 for a film,
    about −1 for its mirror image; means something of an upright film only.
    """

    distance: float
    upright: float
    placing: Correction
    facing: float


class GateFit(BaseModel):
    """How a gate was fitted, and its limits; kept in the file's metadata.

    films, patients: that it was fitted to. farthest: largest distance accepted. least_upright: smallest
    `Look.upright` accepted. clearly_faced: `Look.facing` from which a film is not
    compared with its mirror image. least_faced: smallest difference to the mirror image accepted.
    """

    model_config = ConfigDict(frozen=True, allow_inf_nan=False)

    weights_sha256: str
    films: int
    patients: int
    farthest: float
    least_upright: float
    clearly_faced: float
    least_faced: float


@dataclass(frozen=True, eq=False)
class Gate:
    """A fitted gate.

    centre: (C,) mean features of training films. placed: (8, C, g, g) and facing: (C, G, G), the probes'
    weights for features on grids; biases: (9,), of the eight and of `facing`.
    """

    fit: GateFit
    centre: torch.Tensor
    placed: torch.Tensor
    facing: torch.Tensor
    biases: torch.Tensor

    def look(self, features: torch.Tensor) -> Look:
        """Measure the features (C, h, w) of one film."""
        coarse = cells(features[None], self.placed.shape[-1])[0]
        scores = torch.einsum("kchw,chw->k", self.placed, coarse) + self.biases[:-1]
        fine = cells(features[None], self.facing.shape[-1])[0]
        return Look(
            distance=1 - F.cosine_similarity(features.mean(dim=(1, 2)), self.centre, dim=0).item(),
            upright=scores[0].item(),
            placing=PLACINGS[int(scores.argmax())],
            facing=((self.facing * fine).sum() + self.biases[-1]).item(),
        )

    def fits(self, look: Look) -> bool:
        """Whether it may be an upright film, mirrored or not."""
        return look.distance <= self.fit.farthest and look.upright >= self.fit.least_upright

    def to_bytes(self) -> bytes:
        """Write it as safetensors, the probes' weights as float16 beside their scales."""
        tensors = {"centre": self.centre.float(), "biases": self.biases.float()}
        for name, weights in (("placed", self.placed), ("facing", self.facing[None])):
            scales = weights.abs().amax(dim=(1, 2, 3)).clamp_min(torch.finfo(torch.float32).tiny)
            tensors[f"{name}_scale"] = scales
            tensors[name] = (weights / scales[:, None, None, None]).half()
        metadata = {"fit": self.fit.model_dump_json()}
        return save_tensors({name: value.contiguous() for name, value in tensors.items()}, metadata)

    @classmethod
    def from_bytes(cls, data: bytes) -> "Gate":
        """Read what `to_bytes` wrote.

        Raises:
            ValueError, SafetensorError: it is damaged.
        """
        tensors = {name: value.float() for name, value in load_tensors(data).items()}
        header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
        try:
            placed, facing = (
                tensors[name] * tensors[f"{name}_scale"][:, None, None, None] for name in ("placed", "facing")
            )
            gate = cls(
                GateFit.model_validate_json(header["__metadata__"]["fit"]),
                tensors["centre"],
                placed,
                facing[0],
                tensors["biases"],
            )
        except (KeyError, IndexError, TypeError, RuntimeError) as error:
            raise ValueError(f"{type(error).__name__}: {error}") from error
        channels = len(gate.centre)
        if gate.placed.shape[:2] != (len(PLACINGS), channels) or gate.facing.shape[:1] != (channels,):
            raise ValueError("its parts do not fit each other")
        if gate.biases.shape != (len(PLACINGS) + 1,):
            raise ValueError("its biases do not fit its probes")
        if not all(torch.isfinite(value).all() for value in tensors.values()):
            raise ValueError("it is not finite")
        return gate


def cells(features: torch.Tensor, grid: int) -> torch.Tensor:
    """Average features (B, C, h, w) to a grid (B, C, grid, grid)."""
    if features.shape[-2:] == (grid, grid):
        return features  # the same, and torch would take a millisecond for it
    return F.adaptive_avg_pool2d(features, grid)


def judge(gate: Gate, see: Callable[[Correction], Look]) -> GateResult:
    """Say whether a film is accepted, and what would make it so.

    Args:
        gate: fitted to the network that sees.
        see: looks at the film after a correction. A clear film is looked at once; one that might be
            mirrored, or that is rejected, once or twice more.
    """
    look = first = see(UPRIGHT)
    placed = UPRIGHT if gate.fits(look) else look.placing
    if placed != UPRIGHT:
        look = see(placed)
    if not gate.fits(look):
        return GateResult(False, _unlike(gate, first))
    if look.facing < gate.fit.clearly_faced:
        mirrored = _MIRROR.after(placed)
        other = see(mirrored)
        if look.facing - other.facing < gate.fit.least_faced:
            # Without a click where the mirror image would be rejected in its turn.
            return GateResult(False, mirrored.complaint(), mirrored if gate.fits(other) else None)
    if placed == UPRIGHT:
        return GateResult(True)
    return GateResult(False, placed.complaint(), placed)


def _unlike(gate: Gate, look: Look) -> str:
    if look.distance > gate.fit.farthest:
        return tr(
            "This does not look like a frontal chest film: what the network sees in it is unlike the films "
            "that it learned from."
        )
    return tr(
        "This does not look like an upright frontal chest film: neither as it is nor turned or inverted does "
        "it resemble the films that the network learned from enough."
    )


def load_gate(path: Path, manifest: Manifest, channels: int) -> Gate | None:
    """Read the gate of a bundle; None where it has none.

    Args:
        path: of the bundle.
        manifest: of the bundle.
        channels: of its network's features.

    Raises:
        BundleError: it is damaged, or fitted to other weights.
    """
    if not (path / GATE).is_file():
        return None
    try:
        gate = Gate.from_bytes(read_bytes(path, GATE))
    except (SafetensorError, ValidationError, ValueError) as error:
        raise damaged(path, GATE, error) from error
    if gate.fit.weights_sha256 != manifest.weights_sha256 or len(gate.centre) != channels:
        raise BundleError(
            tr(
                "{file} of bundle {path} was fitted to other weights: run `python -m train gate {path} "
                "--data DIR` to fit it anew, or copy the bundle again",
                file=GATE,
                path=path,
            )
        )
    return gate
