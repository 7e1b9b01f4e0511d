"""From a film to what the network sees; one rule, stored in the bundle and used by training and app alike."""

from functools import lru_cache
from typing import Literal, Self

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, model_validator

from chexmodel.geometry import to_square8

_Channels = tuple[float] | tuple[float, float, float]


class Preprocessing(BaseModel):
    """How a film becomes a network input.

    `geometry` names the one rule of `chexmodel.geometry`: whole film, aspect kept, padded to a square,
    resized once to `size` px. `mean` and `std` are on the 0–1 scale, one value per channel of the network:
    three for RGB, one for grey.
    """

    model_config = ConfigDict(frozen=True)

    size: int = Field(default=224, ge=32, le=2048)
    geometry: Literal["pad-square"] = "pad-square"
    mean: _Channels
    std: _Channels

    @model_validator(mode="after")
    def _one_pair_per_channel(self) -> Self:
        if len(self.mean) != len(self.std):
            raise ValueError(f"{len(self.mean)} means but {len(self.std)} standard deviations")
        if min(self.std) <= 0:
            raise ValueError(f"standard deviations must be positive, not {self.std}")
        return self

    def normalise(self, square: torch.Tensor) -> torch.Tensor:
        """Turn a grey square (S, S), uint8 or float in [0, 1], into a normalised (C, S, S) float32."""
        scale, shift = _affine(self.mean, self.std, 255 if square.dtype == torch.uint8 else 1)
        return (square.unsqueeze(0) * scale).add_(shift)

    def tensor(self, pixels: NDArray[np.float32] | NDArray[np.uint8]) -> torch.Tensor:
        """Turn a film (H, W), float32 in [0, 1] or uint8, into the network's (C, size, size) input.

        It goes through 8 bits, although the film may have more: so the folder, the app and a pack of this
        size give the network identical values, and its exact input can be shown and stored as a picture.
        """
        return self.normalise(to_square8(pixels, self.size))


@lru_cache(maxsize=16)  # made anew for every film, they would take as long as the rest
@torch.inference_mode(False)  # whoever asks first, those who need gradients may use them too
def _affine(mean: _Channels, std: _Channels, white: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return scale and shift, (C, 1, 1), that take grey values of [0, white] to normalised ones."""
    spread = torch.tensor(std).view(-1, 1, 1)
    return 1 / (white * spread), -torch.tensor(mean).view(-1, 1, 1) / spread
