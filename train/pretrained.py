"""Weights in a local file that a training starts from; nothing that serves reads such a file."""

from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import nn

from chexmodel.errors import BundleError


def load_backbone_weights(backbone: nn.Module, file: Path) -> None:
    """Load a local state dict (.safetensors, .pth, .pt) into a headless backbone.

    Names are matched where they agree; a .pth or .pt of the same network under other names is matched in
    order, tensor by tensor, and every shape has to agree. The classifier of the file is left out.

    Raises:
        BundleError: the file is missing, unreadable or of another network.
    """
    if not file.is_file():
        raise BundleError(f"weights file {file} does not exist: check --weights")
    given = _tensors(file)
    wanted = backbone.state_dict()
    if wanted.keys() <= given.keys():
        chosen = {name: given[name] for name in wanted}
    elif file.suffix == ".safetensors":
        raise BundleError(
            f"weights file {file} names its tensors otherwise than the backbone, and safetensors keeps no "
            "order to match them by: give the .pth file instead"
        )
    else:
        # Counters of batches are not written by every tool and say nothing about the weights.
        names = [name for name in wanted if not name.endswith("num_batches_tracked")]
        tensors = [value for name, value in given.items() if not name.endswith("num_batches_tracked")]
        chosen = {**wanted, **dict(zip(names, tensors, strict=False))}
        if len(tensors) < len(names):
            raise BundleError(
                f"weights file {file} has {len(tensors)} tensors, the backbone needs {len(names)}"
            )
    for name, value in chosen.items():
        if value.shape != wanted[name].shape:
            raise BundleError(
                f"weights file {file} does not fit: {name} is {tuple(value.shape)}, the backbone needs "
                f"{tuple(wanted[name].shape)}"
            )
    backbone.load_state_dict(chosen, strict=True)


def _tensors(file: Path) -> dict[str, torch.Tensor]:
    """Read a state dict; code in it is not run."""
    try:
        if file.suffix == ".safetensors":
            return load_file(file)
        given = torch.load(file, map_location="cpu", weights_only=True)
        if not isinstance(given, dict) or not all(
            isinstance(value, torch.Tensor) for value in given.values()
        ):
            raise TypeError("it does not map names to tensors")
    except Exception as error:
        raise BundleError(
            f"weights file {file} can't be read as a state dict ({type(error).__name__}: {error}); save it "
            "with torch.save(model.state_dict(), FILE) or as safetensors"
        ) from error
    return given
