"""Published weights as a bundle of ours: the DenseNet-121 classifiers of torchxrayvision.

Cohen J. P. et al., *TorchXRayVision: A library of chest X-ray datasets and models*, MIDL 2022,
arXiv:2111.00595. Their network ends like ours (ReLU, average pooling, one linear layer), so their logits
are kept as they are and their maps add up to them.
"""

import sys
from contextlib import redirect_stdout
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from typing import Final

import torch

from chexmodel import bundle, network
from chexmodel.bundle import Fingerprint, Manifest, Origin, Policies
from chexmodel.errors import BundleError
from chexmodel.labels import ALIASES, OBSERVATIONS
from chexmodel.network import Network
from chexmodel.preprocessing import Preprocessing
from chexmodel.reasons import NO_OUTPUT
from train.card import write_card
from train.commands import ImportConfig
from train.provenance import code_version

BACKBONE: Final = "densenet121"

# Grey from 0 to 1 becomes −1024 to 1024, as `torchxrayvision.datasets.normalize` has it.
INPUT: Final = Preprocessing(size=224, mean=(0.5,), std=(1 / 2048,))

PUBLISHED: Final = {
    "densenet121-res224-all": "NIH ChestX-ray14, PadChest, CheXpert, MIMIC-CXR, Open-I, and the readings of "
    "NIH films by Google and the RSNA Pneumonia Challenge",
    "densenet121-res224-chex": "CheXpert",
    "densenet121-res224-mimic_ch": "MIMIC-CXR with CheXpert's labeler",
    "densenet121-res224-mimic_nb": "MIMIC-CXR with the labeler NegBio",
    "densenet121-res224-nih": "NIH ChestX-ray14",
    "densenet121-res224-pc": "PadChest",
    "densenet121-res224-rsna": "the RSNA Pneumonia Challenge, whose films are of NIH ChestX-ray14",
}
"""Weights that can be imported by name, and the films that their authors trained them on."""

_LICENCE = (
    "torchxrayvision is under the Apache License 2.0. The weights are under the terms of their authors, who "
    "publish them with it; the data sets that they were trained on have their own, some for research alone: "
    "read both before any other use."
)
_CITATION = (
    "Cohen J. P., Viviano J. D., Bertin P. et al., *TorchXRayVision: A library of chest X-ray datasets and "
    "models*, MIDL 2022, arXiv:2111.00595; Cohen J. P., Hashir M., Brooks R., Bertrand H., *On the limits of "
    "cross-domain generalization in automated X-ray prediction*, MIDL 2020, arXiv:2002.02497"
)
_SAVE = 'torch.save({"state_dict": model.state_dict(), "pathologies": list(model.pathologies)}, FILE)'


@dataclass(frozen=True)
class Weights:
    """Weights of another program: tensors by name, what each output is called, and where they are from."""

    tensors: dict[str, torch.Tensor]
    pathologies: list[str]
    source: str
    trained_on: str


def import_torchxrayvision(config: ImportConfig) -> Path:
    """Write published weights as a bundle; `evaluate` then adds calibration and thresholds.

    Raises:
        BundleError: the weights can't be had, are of another network, or `config.out` is not empty.
    """
    if config.out.is_dir() and any(config.out.iterdir()):
        raise BundleError(f"{config.out} is not empty: choose another --out")
    file = Path(config.weights)
    named = file.suffix in (".pt", ".pth") or file.is_file()
    label = file.name if named else config.weights
    weights = saved(file) if named else published(label)
    net, outputs = convert(weights)
    # Single precision: inputs reach 1024, and their logits shall be the library's.
    data = bundle.weights_bytes(net, "float32")
    manifest = Manifest(
        name=config.out.resolve().name,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        code_version=code_version(),
        backbone=BACKBONE,
        not_trained={name: NO_OUTPUT.format(model=label) for name in OBSERVATIONS if name not in outputs},
        preprocessing=INPUT,
        policies=Policies(uncertain="ignore", blank="negative", views="frontal"),
        config={},
        seed=0,
        data=Fingerprint(files={}, films={}, patients={}),
        weights_dtype="float32",
        weights_sha256=sha256(data).hexdigest(),
        origin=Origin(
            source=weights.source,
            trained_on=weights.trained_on,
            outputs=outputs,
            licence=_LICENCE,
            citation=_CITATION,
            command="python -m train import torchxrayvision "
            f"--weights {label} --out runs/{config.out.resolve().name}",
        ),
    )
    files = {
        bundle.WEIGHTS: data,
        bundle.MANIFEST: bundle.to_json(manifest, Manifest),
        "card.md": write_card(manifest).encode(),
    }
    bundle.save(config.out, files)
    print(
        f"{config.out}: {weights.source}, {len(outputs)} of {len(OBSERVATIONS)} observations\n"
        f"next: python -m train evaluate {config.out} --data DIR",
        file=sys.stderr,
    )
    return config.out


def published(name: str) -> Weights:
    """Have the user's own torchxrayvision download weights, or take them from its cache.

    Its files are pickles, which can run any code: that is between the user and that package.

    Raises:
        BundleError: unknown name, no package, no network, or a damaged file in its cache.
    """
    if name not in PUBLISHED:
        raise BundleError(
            f"there are no weights {name!r} to import: choose one of {', '.join(PUBLISHED)}, or a file that "
            f"`{_SAVE}` wrote"
        )
    try:
        from torchxrayvision import models
        from torchxrayvision.utils import get_cache_dir
    except ImportError as error:
        raise BundleError(
            f"torchxrayvision can't be imported ({error}): pip install torchxrayvision"
        ) from error
    address = models.model_urls[name]["weights_url"]
    file = Path(get_cache_dir()) / Path(address).name
    try:
        with redirect_stdout(sys.stderr):  # its progress
            model = models.DenseNet(weights=name)
    except Exception as error:  # whatever a connection, or a cut or foreign pickle, raises
        if file.is_file():
            raise BundleError(
                f"torchxrayvision can't read {file} ({type(error).__name__}: {error}): delete it, and run "
                "again"
            ) from error
        raise BundleError(
            f"the weights {name} can't be downloaded ({type(error).__name__}): connect to the network, or "
            f"fetch {address} elsewhere and put it at {file}"
        ) from error
    source = f"torchxrayvision {version('torchxrayvision')}, {name}"
    return Weights(model.state_dict(), list(model.pathologies), source, PUBLISHED[name])


def saved(file: Path) -> Weights:
    """Read `{"state_dict": …, "pathologies": […]}` of a torchxrayvision DenseNet; nothing in it is run.

    Raises:
        BundleError: the file is missing, unreadable or holds something else.
    """
    if not file.is_file():
        raise BundleError(f"weights file {file} does not exist: check --weights")
    try:
        content = torch.load(file, map_location="cpu", weights_only=True)
        tensors, pathologies = dict(content["state_dict"]), list(content["pathologies"])
    except Exception as error:
        raise BundleError(
            f"weights file {file} does not hold a state dict and its pathologies ({type(error).__name__}): "
            f"load the model with torchxrayvision and write them with `{_SAVE}`"
        ) from error
    return Weights(tensors, pathologies, f"torchxrayvision, {file.name}", "films that the file does not name")


def convert(weights: Weights) -> tuple[Network, dict[str, str]]:
    """Put a torchxrayvision DenseNet-121 into our network.

    Returns:
        The network in evaluation mode, and observation → name of the output that it was. The rows of the
        others are 0.

    Raises:
        BundleError: the weights are of another network, or none of the outputs is an observation of ours.
    """
    rows = {ALIASES.get(name, name): row for row, name in enumerate(weights.pathologies)}
    outputs = {name: weights.pathologies[rows[name]] for name in OBSERVATIONS if name in rows}
    if not outputs:
        raise BundleError(f"none of the outputs of {weights.source} is an observation of CheXpert")
    net = network.build(BACKBONE, channels=1)
    head = {"weight": torch.zeros_like(net.head.weight), "bias": torch.zeros_like(net.head.bias)}
    try:
        net.backbone.load_state_dict({name: weights.tensors[name] for name in net.backbone.state_dict()})
        for name, value in head.items():
            given = weights.tensors[f"classifier.{name}"]
            if len(given) != len(weights.pathologies):
                raise ValueError(f"{len(given)} outputs, {len(weights.pathologies)} pathologies")
            for observation in outputs:
                value[OBSERVATIONS.index(observation)] = given[rows[observation]]
    except (KeyError, RuntimeError, TypeError, ValueError) as error:
        reason = str(error).splitlines()[-1].strip()
        raise BundleError(
            f"{weights.source} is not a DenseNet-121 of torchxrayvision with one input channel ({reason})"
        ) from error
    net.head.load_state_dict(head)
    return net.eval().requires_grad_(False), outputs
