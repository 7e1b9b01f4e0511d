"""`evaluate --protocol reference`: a judged bundle scored the reference project's way, beside ours."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import expit

from chexmodel import bundle
from chexmodel.bundle import Bundle
from chexmodel.errors import BundleError, DatasetError
from chexmodel.labels import OBSERVATIONS
from chexmodel.layout import csv_files
from chexmodel.protocol import CUT, FRACTION, image_split, labels_of, prevalence, table_protocols
from chexmodel.protocol_scores import Judgement, ReferenceProtocol, judge
from chexmodel.protocol_tables import printed
from chexmodel.runs import judge as predicted
from chexmodel.statistics import provenance_of
from chexmodel.table import read_table
from train.commands import EvaluateConfig
from train.pack import checksums

FILE = "reference_protocol.json"
_FITTING = "validation"


def reference_protocol(config: EvaluateConfig) -> ReferenceProtocol:
    """Score a bundle's predictions both ways, print that, and write it into the bundle.

    The films are not read: `predictions.parquet` holds what each was scored by a network that did not learn
    from its patient.

    Returns:
        What was written to `reference_protocol.json`.

    Raises:
        ChexError: the bundle is not evaluated, or not on these data; it is then as it was.
    """
    loaded = bundle.load(config.bundle)
    _require_evaluated(config, loaded)
    csv, _ = csv_files(config.data)
    table = read_table(csv)
    command = f"python -m train evaluate runs/{config.bundle.resolve().name} --data DIR --protocol reference"
    options = {"bootstrap": config.bootstrap, "seed": config.seed}
    own = table_protocols(table, provenance=provenance_of(csv, command=command), **options)
    other = None
    if config.table is not None:
        command += f" --table {config.table.name}"
        further = csv_files(config.table)[0]
        other = table_protocols(
            read_table(further), provenance=provenance_of(further, command=command), **options
        )
    result = ReferenceProtocol(
        command=command + "".join(f" --{name} {value}" for name, value in _changed(config).items()),
        weights_sha256=loaded.manifest.weights_sha256,
        reference=_reference(config, loaded, table),
        ours=_ours(config, loaded),
        own=own,
        other=other,
    )
    bundle.save(config.bundle, {FILE: bundle.to_json(result, ReferenceProtocol)})
    print(printed(result))
    return result


def _changed(config: EvaluateConfig) -> dict[str, int]:
    return config.model_dump(include={"bootstrap", "seed"}, exclude_defaults=True)


def _require_evaluated(config: EvaluateConfig, loaded: Bundle) -> None:
    again = f"run `python -m train evaluate {config.bundle} --data DIR` first"
    if loaded.metrics().weights_sha256 != loaded.manifest.weights_sha256:
        raise BundleError(f"bundle {config.bundle} was trained again since it was evaluated: {again}")
    if checksums(config.data) != loaded.manifest.data.files:
        raise DatasetError(
            f"{config.data} is not the data that {config.bundle} was evaluated on (the SHA-256 of its tables "
            f"differs): give the directory that `evaluate` was given, or {again}"
        )


def _reference(config: EvaluateConfig, loaded: Bundle, table: pd.DataFrame) -> Judgement:
    """Score the held-out films among the random images; a score is the plain sigmoid, as theirs."""
    scored = image_split(table, fraction=FRACTION, seed=config.seed)
    labels = labels_of(table, "reference")
    rows = loaded.predictions()
    held_out = rows[rows["split"] == _FITTING]
    place = pd.Series(np.arange(len(table)), index=table["Path"]).reindex(held_out["id"])
    if place.isna().any():
        raise DatasetError(
            f"{int(place.isna().sum())} films that {config.bundle} was validated on are not in the train.csv "
            f"of {config.data}: give the directory that `evaluate` was given"
        )
    positions: NDArray[np.int64] = place.to_numpy(np.int64)
    chosen = scored[positions]
    if not chosen.any():
        raise DatasetError(
            f"none of the {len(held_out)} films that {config.bundle} was validated on is among the "
            f"{FRACTION:.0%} random images of seed {config.seed}: give another --seed"
        )
    logits = held_out[[f"logit {name}" for name in OBSERVATIONS]].to_numpy(np.float64)[chosen]
    return judge(
        labels[positions[chosen]],
        # An observation that the model was not trained on has no logit: it is called on no film.
        expit(np.where(np.isnan(logits), -np.inf, logits)) >= CUT,
        way="reference",
        base=prevalence(labels[~scored]),
        patients=held_out["patient"].to_numpy(dtype=object)[chosen],
        bootstrap=config.bootstrap,
        seed=config.seed,
    )


def _ours(config: EvaluateConfig, loaded: Bundle) -> Judgement:
    """Score the test split at the bundle's thresholds; what the model was not trained on is masked."""
    rows = loaded.predictions()
    fitting, test = (predicted(loaded, rows, split, name="") for split in (_FITTING, "test"))
    untrained = np.isnan(test.probs).all(axis=0)
    return judge(
        np.where(untrained, np.nan, test.targets),
        test.probs >= test.thresholds,
        way="ours",
        base=prevalence(fitting.targets),
        patients=test.patients,
        bootstrap=config.bootstrap,
        seed=config.seed,
    )
