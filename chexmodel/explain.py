"""Where a score comes from: class activation maps, and how they are painted.

For a network that ends in average pooling and a linear layer, the class activation map (Zhou B. et al.,
CVPR 2016, arXiv:1512.04150) equals Grad-CAM (Selvaraju R. et al., ICCV 2017, arXiv:1610.02391) up to the
positive factor h·w and the final ReLU, and its mean plus the bias is the logit: the map splits the
log-odds over the image. It is kept signed and unnormalised; normalising is a matter of painting.
"""

from functools import cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from chexmodel.methods import EXACT, METHODS, Method
from chexmodel.network import Network

__all__ = [
    "EXACT",
    "METHODS",
    "Method",
    "class_activation_maps",
    "method_map",
    "paint",
    "palette",
    "relative_map",
    "signed_palette",
    "strength",
]

_ROWS = 32  # painted at a time: a film of 3000 px fits the cache by strips, and not as a whole


def class_activation_maps(features: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """Grad-CAM of every observation as one matrix product: `cam[k] = Σ_c w[k,c]·F[c]`.

    Args:
        features: (B, C, h, w), the last feature map.
        weight: (K, C), of the linear layer.

    Returns:
        (B, K, h, w) in log-odds, signed, unnormalised: `cam.mean((2, 3)) + bias` is the logit.
    """
    return torch.einsum("kc,bchw->bkhw", weight, features)


class _Listening(nn.Module):
    """The network as the grad-cam package expects it: one tensor out, and a module to listen at.

    The package's hooks hang on `last`, which belongs to one call alone, so that readings in other threads
    neither see them nor are seen, whatever the backbone calls its last layer.
    """

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network
        self.last = nn.Identity()

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        features = self.last(self.network.backbone.forward_features(images))  # type: ignore[operator]
        return self.network.classify(features)


def relative_map(network: Network, image: torch.Tensor, observation: int, *, method: Method) -> torch.Tensor:
    """Map of one observation by the grad-cam package.

    Grad-CAM++ (arXiv:1710.11063), LayerCAM (Jiang P.-T. et al., TIP 2021), HiResCAM (arXiv:2011.08891)
    and EigenCAM (arXiv:2008.00299; the first principal component of the features, the same for every
    observation).

    Args:
        network: in evaluation mode, its parameters without gradients.
        image: (3, H, W), normalised.
        observation: index of the logit.
        method: any but the one-pass "Grad-CAM", which `class_activation_maps` computes exactly.

    Returns:
        (H, W) in [0, 1], stretched by the package to its own maximum: shape, not strength.
    """
    from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

    listening = _Listening(network)
    with torch.enable_grad(), _packaged()[method](listening, [listening.last]) as cam:
        batch = image.detach().clone().unsqueeze(0).requires_grad_(True)
        grey = cam(input_tensor=batch, targets=[ClassifierOutputTarget(observation)])
    return torch.from_numpy(np.array(grey[0], dtype=np.float32))


@cache
def _packaged() -> dict[str, Any]:
    """The package's classes, by method."""
    from pytorch_grad_cam import EigenCAM, GradCAMPlusPlus, HiResCAM, LayerCAM

    class ThinEigenCAM(EigenCAM):  # type: ignore[misc]
        """EigenCAM by a thin decomposition.

        The package's is full: it makes a matrix of C × C, of which the first row is used, and takes seconds.
        """

        def get_cam_image(self, *args: Any) -> NDArray[np.float32]:
            *_, activations, _, _ = args
            maps = []
            for features in activations:
                cells = features.reshape(len(features), -1).T
                cells = cells - cells.mean(axis=0)
                _, _, components = np.linalg.svd(cells, full_matrices=False)
                maps.append((cells @ components[0]).reshape(features.shape[1:]))
            return np.stack(maps).astype(np.float32)

    return {
        "Grad-CAM++": GradCAMPlusPlus,
        "LayerCAM": LayerCAM,
        "HiResCAM": HiResCAM,
        "EigenCAM": ThinEigenCAM,
    }


def method_map(network: Network, image: torch.Tensor, observation: int, *, method: Method) -> torch.Tensor:
    """Map of one observation by any of `METHODS`, over the network's square.

    Args:
        network: as for `relative_map`.
        image: (3, H, W), normalised; moved to where the network is.
        observation: index of the logit.
        method: "Grad-CAM" is computed exactly, in one pass.

    Returns:
        (h, w) in raw log-odds for the exact method, (H, W) in [0, 1] for the others; on the CPU.
    """
    image = image.to(network.head.weight.device)
    if method != EXACT:
        return relative_map(network, image, observation, method=method)
    with torch.inference_mode():
        _, features = network(image.unsqueeze(0))
        return class_activation_maps(features, network.head.weight)[0, observation].float().cpu()


def strength(maps: NDArray[np.floating]) -> float:
    """Scale on which the maps of one film are painted: the largest positive value of any observation.

    One scale for all findings of a film: a map stretched to its own maximum makes weak evidence look strong.

    Args:
        maps: (K, h, w) in log-odds; NaN rows (not trained) are passed over.

    Returns:
        Log-odds, > 0; 1 where no map is positive anywhere.
    """
    peak = float(np.nanmax(maps)) if np.isfinite(maps).any() else 0.0
    return peak if peak > 0 else 1.0


def paint(film: NDArray[np.float32], heat: NDArray[np.floating], *, alpha: float) -> NDArray[np.uint8]:
    """Lay a heat map over a film; where there is no heat, the film's grey values stay as they are.

    The colour map is inferno (perceptually uniform); opacity grows with the heat up to `alpha`, so that a
    cold region is the film itself and not the film under a blue veil.

    Args:
        film: (H, W) in [0, 1].
        heat: (H, W); at or below 0 is nothing, 1 and above is full colour.
        alpha: opacity of full heat, in [0, 1].

    Returns:
        (H, W, 3) uint8 RGB.
    """
    painted = np.empty((*film.shape, 3), dtype=np.uint8)
    for top in range(0, len(film), _ROWS):
        rows = slice(top, top + _ROWS)
        level = np.clip(heat[rows], 0.0, 1.0).astype(np.float32)
        colour = palette()[np.round(level * 255.0).astype(np.uint8)]
        grey = film[rows, :, None]
        painted[rows] = np.round((grey + (colour - grey) * (alpha * level)[..., None]) * 255.0)
    return painted


@cache
def palette() -> NDArray[np.float32]:
    """Colours of heat from 0 to full, (256, 3) in [0, 1]: the upper part of inferno."""
    from matplotlib import colormaps

    # The darkest third of inferno is black on a dark film: start where it shows.
    colours: NDArray[np.float32] = colormaps["inferno"](np.linspace(0.3, 1.0, 256))[:, :3].astype(np.float32)
    return colours


@cache
def signed_palette() -> NDArray[np.float32]:
    """Colours from full evidence against (0) to full evidence for (255), (256, 3) in [0, 1].

    Berlin (Crameri F. et al., Nature Communications 2020), perceptually uniform on both sides of a dark
    middle, where a map is transparent anyway.
    """
    from matplotlib import colormaps

    colours: NDArray[np.float32] = colormaps["berlin"](np.linspace(0.0, 1.0, 256))[:, :3].astype(np.float32)
    return colours
