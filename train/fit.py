"""A training run: data → one network, or one a fold → bundle."""

import json
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path

import numpy as np
import pandas as pd
from lightning.pytorch.utilities import rank_zero_only

from chexmodel import bundle
from chexmodel.errors import BundleError, DatasetError
from chexmodel.labels import OBSERVATIONS
from chexmodel.network import Network
from chexmodel.preprocessing import Preprocessing
from train.config import MACHINE, FitConfig
from train.curves import history_png
from train.dataset import Pair, Splits, load_splits, untrained
from train.provenance import code_version
from train.run import LAST, check, train_network


def fit(config: FitConfig) -> Path:
    """Train, and write the bundle: of the best epoch by validation mean AUROC, or an ensemble of folds.

    With folds, each member keeps the weights of its last epoch: nothing is chosen on the films that it did
    not learn from, so that its predictions for them can serve calibration, thresholds and scores.
    The bundle lacks calibration, thresholds and metrics until `evaluate` adds them.

    Args:
        config: what to do.

    Returns:
        `config.out`.

    Raises:
        ChexError: data, backbone or output do not fit; the message says what to do.
    """
    version = code_version()  # of the code that starts now, whatever is edited meanwhile
    members = members_of(config)
    for member in members:
        check(member)
    splits = load_splits(config)
    for pair in splits.pairs:
        _require_validation(pair, config)
    _say(splits)
    networks = []
    for number, (member, pair) in enumerate(zip(members, splits.pairs, strict=True), start=1):
        _say_member(number, pair, len(members))
        net, preprocessing = train_network(member, pair, kept="last" if config.folds else "best")
        networks.append(net)
    _write_bundle(config, members, splits, preprocessing, networks, version)
    return config.out


def members_of(config: FitConfig) -> list[FitConfig]:
    """What each network of a run is asked to do; a fold that has finished an epoch goes on from there."""
    if not config.folds:
        return [config]
    places = [config.out / f"fold-{number:02d}" for number in range(1, config.folds + 1)]
    begun = [(place / LAST).is_file() for place in places]
    if config.resume and not any(begun):
        raise BundleError(f"{config.out} has no checkpoint of a fold to resume from: start without --resume")
    others = {path.name for path in config.out.glob("[!.]*")} - {place.name for place in places}
    if others and not config.resume:
        raise DatasetError(f"{config.out} is not empty: choose another --out, or go on with --resume")
    return [
        config.model_copy(update={"out": place, "resume": config.resume and there})
        for place, there in zip(places, begun, strict=True)
    ]


def _require_validation(pair: Pair, config: FitConfig) -> None:
    truth = pair.validation.truth
    if not (np.any(truth == 1, axis=0) & np.any(truth == 0, axis=0)).any():
        larger = "choose fewer --folds" if config.folds else "raise --validation"
        raise DatasetError(
            f"none of the observations has a positive and a negative among the {len(pair.validation)} "
            f"validation films, so mean AUROC is undefined: {larger}, or take another --seed"
        )


@rank_zero_only
def _say(splits: Splits) -> None:
    for name, films in splits.fingerprint.films.items():
        print(f"{name}: {films:,} films of {splits.fingerprint.patients[name]:,} patients", file=sys.stderr)
    if splits.fingerprint.missing_images:
        left_out = f"{splits.fingerprint.missing_images:,} films that are missing or unreadable"
        print(f"left out: {left_out}", file=sys.stderr)
    for name, reason in untrained(splits.pairs, OBSERVATIONS).items():
        print(f"{name} is not trained: {reason}", file=sys.stderr)


@rank_zero_only
def _say_member(number: int, pair: Pair, members: int) -> None:
    if members > 1:
        print(
            f"fold {number} of {members}: {len(pair.train):,} films to learn from, "
            f"{len(pair.validation):,} held out",
            file=sys.stderr,
        )


@rank_zero_only
def _write_bundle(
    config: FitConfig,
    members: Sequence[FitConfig],
    splits: Splits,
    preprocessing: Preprocessing,
    networks: Sequence[Network],
    version: str,
) -> None:
    weights = {
        name: bundle.weights_bytes(net, config.weights_dtype)
        for name, net in zip(bundle.weight_files(len(networks)), networks, strict=True)
    }
    manifest = bundle.Manifest(
        name=config.out.name,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        code_version=version,
        backbone=config.backbone,
        members=len(networks),
        not_trained=untrained(splits.pairs, OBSERVATIONS),
        preprocessing=preprocessing,
        policies=bundle.Policies(uncertain=config.uncertain, blank=config.blank, views=config.views),
        config=json.loads(config.model_dump_json(exclude=set(MACHINE))),
        seed=config.seed,
        data=splits.fingerprint,
        weights_dtype=config.weights_dtype,
        weights_sha256=sha256(b"".join(weights.values())).hexdigest(),
    )
    rows = _mean_history([bundle.read_history(member.out) for member in members])
    files = {
        **weights,
        bundle.MANIFEST: bundle.to_json(manifest, bundle.Manifest),
        "history.csv": rows.to_csv(index=False).encode(),
        "curves.png": history_png(rows),
    }
    try:
        bundle.save(config.out, files)
    except BundleError as error:
        raise BundleError(f"{error}; put that right, then add --resume to the same command") from error
    print(
        f"{config.out}: {_outcome(config, rows)}\n"
        f"next: python -m train evaluate {config.out} --data {config.data}",
        file=sys.stderr,
    )


def _mean_history(histories: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Mean of the members' histories, epoch by epoch; of one member its own."""
    if len(histories) == 1:
        return histories[0]
    return pd.concat(histories).groupby("epoch", as_index=False).mean()


def _outcome(config: FitConfig, rows: pd.DataFrame) -> str:
    if config.folds:
        return (
            f"{config.folds} members of {len(rows)} epochs, validation mean AUROC of the last epoch "
            f"{rows['val_auroc'].iloc[-1]:.3f} on average"
        )
    top = rows.sort_values("val_auroc", ascending=False, kind="stable").iloc[0]
    return (
        f"epoch {top['epoch']:.0f} of {len(rows)} is the best, validation mean AUROC {top['val_auroc']:.3f}"
    )
