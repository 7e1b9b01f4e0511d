"""Films as the check of the input sees them: their features; and as another hospital might give them."""

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from chexmodel.network import Network
from chexmodel.preprocessing import Preprocessing

_BATCH: Final = 16


def features_of(
    network: Network, preprocessing: Preprocessing, films: Iterable[NDArray[np.uint8] | NDArray[np.float32]]
) -> Iterator[torch.Tensor]:
    """Give the features (B, C, h, w) of films (H, W), uint8 or float in [0, 1], by batches on the CPU."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    network = network.to(device)
    waiting = iter(films)
    while batch := list(islice(waiting, _BATCH)):
        images = torch.stack([preprocessing.tensor(film) for film in batch]).to(device)
        with torch.inference_mode():
            features = network(images)[1].float().cpu()
        yield features


def varied(film: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    """Change a film as another hospital might: a little turned, cropped to other proportions, other tones.

    Args:
        film: (H, W).
        rng: of the change.

    Returns:
        A film of at least three quarters of either side.
    """
    turned = Image.fromarray(film).rotate(float(rng.uniform(-6, 6)), Image.Resampling.BILINEAR)
    height, width = (int(side * rng.uniform(0.75, 1)) for side in film.shape)
    top, left = (
        int(rng.integers(have - kept + 1)) for have, kept in zip(film.shape, (height, width), strict=True)
    )
    window = np.asarray(turned)[top : top + height, left : left + width] / 255
    black, white = rng.uniform(0, 0.1), rng.uniform(0.9, 1)
    toned = np.clip((window - black) / (white - black), 0, 1) ** np.exp(rng.uniform(-0.4, 0.4))
    changed: NDArray[np.uint8] = np.rint(255 * toned).astype(np.uint8)
    return changed
