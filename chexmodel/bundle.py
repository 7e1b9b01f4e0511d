"""A bundle: one directory that holds everything a model needs to be used and judged.

Required: `bundle.json`, `model.safetensors`, `calibration.json`, `thresholds.json`. Written by `fit` and
`evaluate` besides: `metrics.json`, `predictions.parquet`, `history.csv`, `curves.png`, `card.md`;
optional: `localisation.json`, `subgroups.json`, `reference_protocol.json`. Nothing in it is ever unpickled.
An ensemble has the weights of its further members in `members/NN.safetensors`.
"""

import hashlib
import io
import json
import textwrap
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar

import pandas as pd
import torch
from pydantic import TypeAdapter, ValidationError
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors

from chexmodel import network as networks
from chexmodel.atomic import replace_directory
from chexmodel.calibration import Calibration
from chexmodel.errors import BundleError
from chexmodel.labels import OBSERVATIONS
from chexmodel.localisation import Pointing
from chexmodel.manifest import (
    FORMAT_VERSION,
    READ_VERSIONS,
    Dtype,
    Fingerprint,
    Manifest,
    Metrics,
    Origin,
    Policies,
)
from chexmodel.network import Network
from chexmodel.protocol_scores import ReferenceProtocol
from chexmodel.reliability import Reliability
from chexmodel.subgroup_scores import Subgroups
from chexmodel.thresholds import Threshold

__all__ = [
    "FORMAT_VERSION",
    "MANIFEST",
    "WEIGHTS",
    "Bundle",
    "Dtype",
    "Fingerprint",
    "Manifest",
    "Metrics",
    "Origin",
    "Policies",
    "load",
    "load_members",
    "load_network",
    "read_history",
    "read_manifest",
    "save",
    "to_json",
    "weight_files",
    "weights_bytes",
]

MANIFEST: Final = "bundle.json"
WEIGHTS: Final = "model.safetensors"
_Model = TypeVar("_Model")


@dataclass(frozen=True)
class Bundle:
    """A bundle that has been read and checked; the larger optional files are read when asked for."""

    path: Path
    manifest: Manifest
    network: Network
    calibrations: list[Calibration]
    thresholds: list[Threshold]

    @property
    def trained(self) -> list[bool]:
        """For each of the 14 observations, whether the model was trained on it."""
        return [name not in self.manifest.not_trained for name in OBSERVATIONS]

    def metrics(self) -> Metrics:
        """Read `metrics.json`."""
        return _parse(self.path, "metrics.json", TypeAdapter(Metrics))

    def predictions(self) -> pd.DataFrame:
        """Read `predictions.parquet`: split, id, patient, `target NAME` and `logit NAME` per observation.

        Of an ensemble also `fold`: the number, from 1, of the member that a validation film's logits are of.
        """
        try:
            return pd.read_parquet(io.BytesIO(_bytes(self.path, "predictions.parquet")))
        except (ValueError, OSError) as error:
            raise _damaged(self.path, "predictions.parquet", error) from error

    def localisation(self) -> list[Pointing]:
        """Read `localisation.json`: how well maps point; empty where nothing was measured."""
        if not (self.path / "localisation.json").is_file():
            return []
        return _parse(self.path, "localisation.json", TypeAdapter(list[Pointing]))

    def subgroups(self) -> dict[str, Subgroups]:
        """Read `subgroups.json`: split → scores per group; empty where nothing was measured."""
        if not (self.path / "subgroups.json").is_file():
            return {}
        return _parse(self.path, "subgroups.json", TypeAdapter(dict[str, Subgroups]))

    def reference_protocol(self) -> ReferenceProtocol | None:
        """Read `reference_protocol.json`; None where `evaluate --protocol reference` was not run."""
        if not (self.path / "reference_protocol.json").is_file():
            return None
        return _parse(self.path, "reference_protocol.json", TypeAdapter(ReferenceProtocol))

    def reliability(self) -> list[Reliability]:
        """Read `reliability.json`: probabilities before and after calibration; empty without the file."""
        if not (self.path / "reliability.json").is_file():
            return []
        return _parse(self.path, "reliability.json", TypeAdapter(list[Reliability]))

    def card(self) -> str:
        """Read `card.md`."""
        return _bytes(self.path, "card.md").decode("utf-8", errors="replace")


def load(path: str | Path) -> Bundle:
    """Read and check a bundle.

    Args:
        path: the directory.

    Raises:
        BundleError: it is missing, incomplete, damaged, of another format, or its weights are not those
            that the manifest names.
    """
    path = Path(path)
    manifest = read_manifest(path)
    calibrations = _parse(path, "calibration.json", TypeAdapter(list[Calibration]))
    thresholds = _parse(path, "thresholds.json", TypeAdapter(list[Threshold]))
    for name, rows in (("calibration.json", calibrations), ("thresholds.json", thresholds)):
        if tuple(row.observation for row in rows) != OBSERVATIONS:
            raise _damaged(path, name, ValueError("it does not list the 14 observations in their order"))
    return Bundle(path, manifest, load_network(path, manifest), calibrations, thresholds)


def read_manifest(path: Path) -> Manifest:
    """Read `bundle.json` alone, which is quick."""
    if not path.is_dir():
        raise BundleError(
            f"there is no bundle at {path}: check the path, or train one with `python -m train fit`"
        )
    text = _bytes(path, MANIFEST)
    try:
        found = json.loads(text).get("format_version")
    except (ValueError, AttributeError, RecursionError) as error:
        raise _damaged(path, MANIFEST, error) from error
    if found not in READ_VERSIONS:
        raise BundleError(
            f"bundle {path} has format version {found}, this program reads {READ_VERSIONS[0]} to "
            f"{READ_VERSIONS[-1]}: use the version of the program that wrote it, or train it again"
        )
    manifest = _parse(path, MANIFEST, TypeAdapter(Manifest))
    if manifest.observations != OBSERVATIONS:
        raise BundleError(f"bundle {path} has other observations than CheXpert's 14: {manifest.observations}")
    return manifest


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
    data = [_bytes(path, name) for name in files]
    digest = hashlib.sha256()
    for content in data:
        digest.update(content)
    if digest.hexdigest() != manifest.weights_sha256:
        raise BundleError(
            f"the weights of bundle {path} are not those that its {MANIFEST} names (SHA-256 differs): "
            "a file is damaged or was replaced; copy the bundle again"
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
        raise _damaged(path, name, error) from error
    return network.float().eval().requires_grad_(False)


def read_history(path: Path) -> pd.DataFrame:
    """Read `history.csv` of a run directory, finished or not."""
    try:
        return pd.read_csv(io.BytesIO(_bytes(path, "history.csv")))
    except (ValueError, pd.errors.ParserError) as error:
        raise _damaged(path, "history.csv", error) from error


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
                f"weight {name} is not finite as {dtype}: the training diverged, or use float32"
            )
    return save_tensors(tensors)


def save(path: str | Path, files: Mapping[str, bytes]) -> None:
    """Write files into a bundle, all or none; the other files that it has stay.

    Raises:
        BundleError: the disk is full or not writable.
    """
    try:
        replace_directory(Path(path), files)
    except OSError as error:
        raise BundleError(f"bundle {path} can't be written: {error}. Nothing in it was changed") from error


def to_json(value: Any, kind: Any) -> bytes:
    """Serialise a pydantic model or list of them, indented, NaN as null."""
    return TypeAdapter(kind).dump_json(value, indent=2) + b"\n"


def _bytes(path: Path, name: str) -> bytes:
    try:
        return (path / name).read_bytes()
    except OSError as error:
        maker = f"run `python -m train fit … --out {path}`"
        if not name.endswith(".safetensors") and name not in (MANIFEST, "history.csv", "curves.png"):
            maker = f"run `python -m train evaluate {path} --data DIR`"
        raise BundleError(f"bundle {path} lacks {name}: {maker}, or copy the bundle again") from error


def _parse(path: Path, name: str, kind: TypeAdapter[_Model]) -> _Model:
    try:
        return kind.validate_json(_bytes(path, name))
    except ValidationError as error:
        raise _damaged(path, name, error) from error


def _damaged(path: Path, name: str, error: Exception) -> BundleError:
    reason = textwrap.shorten(str(error) or type(error).__name__, 300, placeholder=" …")
    return BundleError(
        f"{name} of bundle {path} is damaged ({reason}): copy the bundle again, or write it anew"
    )
