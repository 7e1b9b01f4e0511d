"""The weights of a bundle: safetensors files, their checksum, and the network that they make."""

import hashlib
from pathlib import Path
from typing import Final

import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors

from chexmodel import network as networks
from chexmodel.bundle_files import MANIFEST, damaged, read_bytes
from chexmodel.errors import BundleError
from chexmodel.language import tr
from chexmodel.manifest import Dtype, Manifest
from chexmodel.network import Network

WEIGHTS: Final = "model.safetensors"


def weight_files(members: int) -> list[str]:
    """Names of the weight files of a model with so many members, in their order."""
    return [WEIGHTS, *(f"members/{number:02d}.safetensors" for number in range(1, members))]


def load_network(path: Path, manifest: Manifest) -> Network:
    """Build the network and load its weights as fp32, in evaluation mode, without gradients.

    Of several members it is their ensemble, whose logits and maps are the means of theirs.
    """
    return networks.ensemble(load_members(path, manifest))


def load_members(path: Path, manifest: Manifest) -> list[Network]:
    """Load the networks of which a model is the mean, each as `load_network` gives them.

    Raises:
        BundleError: weights are missing, damaged, or not those that the manifest names.
    """
    files = weight_files(manifest.members)
    data = [read_bytes(path, name) for name in files]
    digest = hashlib.sha256()
    for content in data:
        digest.update(content)
    if digest.hexdigest() != manifest.weights_sha256:
        raise BundleError(
            tr(
                "the weights of bundle {path} are not those that its {manifest} names (SHA-256 "
                "differs): a file is damaged or was replaced; copy the bundle again",
                path=path,
                manifest=MANIFEST,
            )
        )
    return [_network(path, name, content, manifest) for name, content in zip(files, data, strict=True)]


def _network(path: Path, name: str, data: bytes, manifest: Manifest) -> Network:
    network = networks.build(manifest.backbone, channels=len(manifest.preprocessing.mean))
    try:
        tensors = load_tensors(data)
        for tensor, value in tensors.items():
            if not torch.isfinite(value).all():
                raise ValueError(f"{tensor} is not finite")
        network.load_state_dict(tensors, strict=True)
    except (SafetensorError, RuntimeError, ValueError) as error:
        raise damaged(path, name, error) from error
    return network.float().eval().requires_grad_(False)


def weights_bytes(network: Network, dtype: Dtype) -> bytes:
    """Write the weights as safetensors: matrices and filters in `dtype`, vectors (batch norm, biases) fp32.

    Raises:
        BundleError: a weight is not finite, or does not fit into float16.
    """
    tensors = {}
    for name, value in network.state_dict().items():
        small = value.is_floating_point() and value.ndim > 1
        tensors[name] = value.to(getattr(torch, dtype) if small else value.dtype).contiguous().clone().cpu()
        if not torch.isfinite(tensors[name]).all():
            raise BundleError(
                tr(
                    "weight {name} is not finite as {dtype}: the training diverged, or use float32",
                    name=name,
                    dtype=dtype,
                )
            )
    return save_tensors(tensors)
