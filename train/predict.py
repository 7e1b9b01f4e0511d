"""Raw logits of a split."""

import sys

import numpy as np
import torch
from numpy.typing import NDArray
from tqdm import tqdm

from chexmodel.network import Network
from chexmodel.preprocessing import Preprocessing
from train.config import FitConfig
from train.dataset import Split
from train.films import Films, loader


def predict(
    network: Network, split: Split, preprocessing: Preprocessing, config: FitConfig, *, name: str
) -> NDArray[np.float64]:
    """Score the films of a split, as training and app read them.

    Args:
        network: in evaluation mode.
        split: N films.
        preprocessing: of the network.
        config: for batch size and loading processes.
        name: of the split, for the progress bar.

    Returns:
        (N, 14) raw logits.
    """
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    network = network.to(device)
    batches = loader(Films(split, split.truth, preprocessing), config)
    parts = []
    with torch.inference_mode():
        for images, _ in tqdm(batches, desc=name, unit="batch", file=sys.stderr):
            parts.append(network(images.to(device))[0].float().cpu().numpy())
    return np.concatenate(parts).astype(np.float64)
