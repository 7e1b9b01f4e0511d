"""From a film to what the network sees; one rule, stored in the bundle and used by training and app alike."""

from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from chexmodel.geometry import to_square


class Preprocessing(BaseModel):
    """How a film becomes a network input.

    `geometry` names the one rule of `chexmodel.geometry`: whole film, aspect kept, padded to a square,
    resized once to `size` px. `mean` and `std` are per RGB channel on the 0–1 scale.
    """

    model_config = ConfigDict(frozen=True)

    size: int = Field(default=224, ge=32, le=2048)
    geometry: Literal["pad-square"] = "pad-square"
    mean: tuple[float, float, float]
    std: tuple[float, float, float]

    def normalise(self, square: torch.Tensor) -> torch.Tensor:
        """Turn a grey square (size, size) in [0, 1] into a normalised (3, size, size) input."""
        mean = torch.tensor(self.mean).view(3, 1, 1)
        std = torch.tensor(self.std).view(3, 1, 1)
        return (square.unsqueeze(0) - mean) / std

    def tensor(self, pixels: NDArray[np.float32]) -> torch.Tensor:
        """Turn a film (H, W) in [0, 1] into the network's (3, size, size) input."""
        return self.normalise(to_square(pixels, self.size))
