"""A bundle: one directory that holds everything a model needs to be used and judged.

Required: `bundle.json`, `model.safetensors`, `calibration.json`, `thresholds.json`. Written by `fit` and
`evaluate` besides: `metrics.json`, `predictions.parquet`, `reliability.json`, `subgroups.json`,
`history.csv`, `curves.png`, `card.md`, and, where radiologists marked films, `localisation.json` and, a
row per film and method, `localisation_films.parquet`; `reference_protocol.json` on request. The check of
the input is `gate.safetensors`, and how well it works `gate.json`. Nothing in it is ever unpickled. An
ensemble has the weights of its further members in `members/NN.safetensors`. `model.onnx` and its record
`onnx.json` are made from the weights, for speed (`onnx_file`).
"""

import hashlib
import io
import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pandas as pd
from pydantic import TypeAdapter

from chexmodel.bundle_files import MANIFEST, damaged, parse, read_bytes, save, to_json
from chexmodel.calibration import Calibration
from chexmodel.errors import BundleError
from chexmodel.former_localisation import Pointing, from_former
from chexmodel.gate import Gate, load_gate
from chexmodel.gate_rates import GateRates
from chexmodel.labels import OBSERVATIONS
from chexmodel.language import tr
from chexmodel.localisation import FILM_COLUMNS, Localisation
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
from chexmodel.weights import WEIGHTS, load_members, load_network, weight_files, weights_bytes

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
    "read_gate_rates",
    "read_history",
    "read_manifest",
    "save",
    "to_json",
    "weight_files",
    "weights_bytes",
]


@dataclass(frozen=True)
class Bundle:
    """A bundle that has been read and checked; the larger optional files are read when asked for."""

    path: Path
    manifest: Manifest
    network: Network
    calibrations: list[Calibration]
    thresholds: list[Threshold]
    gate: Gate | None = None

    @cached_property
    def checksum(self) -> str:
        """SHA-256 over all that makes a reading: manifest and weights, calibration, thresholds, gate."""
        parts = [
            to_json(self.manifest, Manifest),
            to_json(self.calibrations, list[Calibration]),
            to_json(self.thresholds, list[Threshold]),
            b"" if self.gate is None else self.gate.to_bytes(),
        ]
        return hashlib.sha256(b"".join(hashlib.sha256(part).digest() for part in parts)).hexdigest()

    @property
    def trained(self) -> list[bool]:
        """For each of the 14 observations, whether the model was trained on it."""
        return [name not in self.manifest.not_trained for name in OBSERVATIONS]

    def metrics(self) -> Metrics:
        """Read `metrics.json`."""
        return parse(self.path, "metrics.json", TypeAdapter(Metrics))

    def predictions(self) -> pd.DataFrame:
        """Read `predictions.parquet`: split, id, patient, `target NAME` and `logit NAME` per observation.

        Of an ensemble also `fold`: the number, from 1, of the member that a validation film's logits are of.
        """
        try:
            return pd.read_parquet(io.BytesIO(read_bytes(self.path, "predictions.parquet")))
        except (ValueError, OSError) as error:
            raise damaged(self.path, "predictions.parquet", error) from error

    def localisation(self) -> Localisation:
        """Read `localisation.json`: how well maps point; without scores where nothing was measured.

        A former version's file, a list of hit rates of the exact Grad-CAM, is read as scores without an IoU.
        """
        if not (self.path / "localisation.json").is_file():
            return Localisation()
        either: TypeAdapter[Localisation | list[Pointing]] = TypeAdapter(Localisation | list[Pointing])
        found = parse(self.path, "localisation.json", either)
        return found if isinstance(found, Localisation) else from_former(found)

    def localised_films(self) -> pd.DataFrame:
        """Read `localisation_films.parquet`, in `localisation.FILM_COLUMNS`; no rows where there is none."""
        if not (self.path / "localisation_films.parquet").is_file():
            return pd.DataFrame(columns=list(FILM_COLUMNS))
        try:
            table = pd.read_parquet(io.BytesIO(read_bytes(self.path, "localisation_films.parquet")))
            return table[list(FILM_COLUMNS)]
        except (ValueError, OSError, KeyError) as error:
            raise damaged(self.path, "localisation_films.parquet", error) from error

    def subgroups(self) -> dict[str, Subgroups]:
        """Read `subgroups.json`: split → scores per group; empty where nothing was measured."""
        if not (self.path / "subgroups.json").is_file():
            return {}
        return parse(self.path, "subgroups.json", TypeAdapter(dict[str, Subgroups]))

    def reference_protocol(self) -> ReferenceProtocol | None:
        """Read `reference_protocol.json`; None where `evaluate --protocol reference` was not run."""
        if not (self.path / "reference_protocol.json").is_file():
            return None
        return parse(self.path, "reference_protocol.json", TypeAdapter(ReferenceProtocol))

    def reliability(self) -> list[Reliability]:
        """Read `reliability.json`: probabilities before and after calibration; empty without the file."""
        if not (self.path / "reliability.json").is_file():
            return []
        return parse(self.path, "reliability.json", TypeAdapter(list[Reliability]))

    def gate_rates(self) -> GateRates | None:
        """Read `gate.json`: how often the check of the input is right; None where there is none."""
        return read_gate_rates(self.path, self.manifest)

    def card(self) -> str:
        """Read `card.md`."""
        return read_bytes(self.path, "card.md").decode("utf-8", errors="replace")


def load(path: str | Path, *, gate: bool = True) -> Bundle:
    """Read and check a bundle.

    Args:
        path: the directory.
        gate: False leaves the check of the input aside, for who is about to replace it.

    Raises:
        BundleError: it is missing, incomplete, damaged, of another format, or its weights are not those
            that the manifest names.
    """
    path = Path(path)
    manifest = read_manifest(path)
    calibrations = parse(path, "calibration.json", TypeAdapter(list[Calibration]))
    thresholds = parse(path, "thresholds.json", TypeAdapter(list[Threshold]))
    for name, rows in (("calibration.json", calibrations), ("thresholds.json", thresholds)):
        if tuple(row.observation for row in rows) != OBSERVATIONS:
            raise damaged(path, name, ValueError("it does not list the 14 observations in their order"))
    network = load_network(path, manifest)
    check = load_gate(path, manifest, network.head.in_features) if gate else None
    return Bundle(path, manifest, network, calibrations, thresholds, check)


def read_manifest(path: Path) -> Manifest:
    """Read `bundle.json` alone, which is quick."""
    if not path.is_dir():
        raise BundleError(
            tr(
                "there is no bundle at {path}: check the path, or train one with `python -m train fit`",
                path=path,
            )
        )
    text = read_bytes(path, MANIFEST)
    try:
        found = json.loads(text).get("format_version")
    except (ValueError, AttributeError, RecursionError) as error:
        raise damaged(path, MANIFEST, error) from error
    if found not in READ_VERSIONS:
        raise BundleError(
            tr(
                "bundle {path} has format version {found}, this program reads {first} to {last}: use "
                "the version of the program that wrote it, or train it again",
                path=path,
                found=found,
                first=READ_VERSIONS[0],
                last=READ_VERSIONS[-1],
            )
        )
    manifest = parse(path, MANIFEST, TypeAdapter(Manifest))
    if manifest.observations != OBSERVATIONS:
        raise BundleError(
            tr(
                "bundle {path} has other observations than CheXpert's 14: {observations}. Use a bundle that "
                "this program wrote",
                path=path,
                observations=manifest.observations,
            )
        )
    return manifest


def read_gate_rates(path: Path, manifest: Manifest) -> GateRates | None:
    """Read `gate.json`; None where there is none, or one of other weights.

    Raises:
        BundleError: it is damaged.
    """
    if not (path / "gate.json").is_file():
        return None
    rates = parse(path, "gate.json", TypeAdapter(GateRates))
    return rates if rates.weights_sha256 == manifest.weights_sha256 else None


def read_history(path: Path) -> pd.DataFrame:
    """Read `history.csv` of a run directory, finished or not."""
    try:
        return pd.read_csv(io.BytesIO(read_bytes(path, "history.csv")))
    except (ValueError, pd.errors.ParserError) as error:
        raise damaged(path, "history.csv", error) from error
