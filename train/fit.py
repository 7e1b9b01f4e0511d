"""One training run: data → network → Lightning → bundle."""

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning import Trainer, seed_everything
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch.callbacks import EarlyStopping, ModelCheckpoint
from lightning.pytorch.utilities import rank_zero_only

from chexmodel import bundle, network
from chexmodel.atomic import write_file
from chexmodel.errors import BundleError, ChexError, DatasetError
from chexmodel.labels import OBSERVATIONS
from chexmodel.preprocessing import Preprocessing
from chexmodel.weighting import pos_weight
from train.callbacks import History, Progress, SamplerEpoch
from train.config import MACHINE, FitConfig
from train.curves import history_png
from train.dataset import Films, Splits, augmentation, load_splits, loader, untrained
from train.module import Classifier
from train.provenance import code_version
from train.sampling import EpochSampler, sample_weights, sampling_factors

CONFIG = "config.json"
CHECKPOINTS = "checkpoints"
BEST, LAST = "best", "last"


def fit(config: FitConfig) -> Path:
    """Train, and write the bundle of the epoch with the best validation mean AUROC.

    The bundle lacks calibration, thresholds and metrics until `evaluate` adds them.

    Args:
        config: what to do.

    Returns:
        `config.out`.

    Raises:
        ChexError: data, backbone or output do not fit; the message says what to do.
    """
    version = code_version()  # of the code that starts now, whatever is edited meanwhile
    checkpoint = _checkpoint(config)
    seed_everything(config.seed, workers=True, verbose=False)
    splits = load_splits(config)
    _require_validation(splits)
    _say(splits)
    net = network.build(config.backbone, pretrained=_pretrained(config))
    mean, std = network.input_normalisation(net)
    preprocessing = Preprocessing(size=config.image_size, mean=mean, std=std)
    sampler = EpochSampler(epoch_weights(splits, config), seed=config.seed)
    train = Films(splits.train, splits.train.targets, preprocessing, augmentation(config))
    validation = Films(splits.validation, splits.validation.truth, preprocessing)
    alpha = None
    if config.pos_weight:
        alpha = torch.from_numpy(pos_weight(splits.train.targets, cap=config.pos_weight_cap)).float()
    classifier = Classifier(net.to(memory_format=torch.channels_last), config, alpha=alpha)
    trainer = _trainer(config, SamplerEpoch(sampler))
    _start(config, trainer)
    with _resumable(config):
        trainer.fit(
            classifier,
            loader(train, config, sampler=sampler),
            loader(validation, config),
            ckpt_path=checkpoint,
            weights_only=True,
        )
    if trainer.is_global_zero:
        _write_bundle(config, splits, preprocessing, net, version)
    return config.out


def _trainer(config: FitConfig, sampler: SamplerEpoch) -> Trainer:
    kept: dict[str, Any] = {
        "dirpath": config.out / CHECKPOINTS,
        "save_on_train_epoch_end": True,
        "enable_version_counter": False,
    }
    best = ModelCheckpoint(filename=BEST, monitor="val_auroc", mode="max", **kept)
    # A callback of its own, after the best: `save_last` passes over the epochs that are no better.
    last = ModelCheckpoint(filename=LAST, **kept)
    stop = EarlyStopping(monitor="val_auroc", mode="max", patience=config.patience)
    history = History(config.out / "history.csv")
    try:
        return Trainer(
            max_epochs=config.epochs,
            accelerator=config.accelerator,
            devices=_devices(config.devices),
            num_nodes=config.num_nodes,
            precision=_precision(config),
            gradient_clip_val=config.gradient_clip or None,
            callbacks=[sampler, history, stop, Progress(config.batch_size), best, last],
            logger=False,
            enable_model_summary=False,
            num_sanity_val_steps=0,
            default_root_dir=config.out,
        )
    except (MisconfigurationException, ValueError, TypeError, RuntimeError) as error:
        raise ChexError(
            f"Lightning can't run with accelerator {config.accelerator!r}, devices {config.devices!r} and "
            f"precision {config.precision!r} here: {error}"
        ) from error


def epoch_weights(splits: Splits, config: FitConfig) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Sampling weight of every training film, (N,): equal when the epoch is only shuffled."""
    if config.sampler == "shuffle":
        return np.ones(len(splits.train))
    factors = sampling_factors(splits.train.targets, rare=config.rare, cap=config.factor_cap)
    for name, factor in config.factors.items():
        factors[OBSERVATIONS.index(name)] = factor
    return sample_weights(splits.train.targets, factors=factors)


def _checkpoint(config: FitConfig) -> Path | None:
    """Check the output directory; with `resume`, return the checkpoint to go on from."""
    file, last = config.out / CONFIG, config.out / CHECKPOINTS / f"{LAST}.ckpt"
    if not config.resume:
        # What a run leaves that finished no epoch does not count: it may be started again.
        kept = {path.name for path in config.out.glob("*")} - {CONFIG, CHECKPOINTS}
        if kept or last.exists():
            raise DatasetError(f"{config.out} is not empty: choose another --out, or go on with --resume")
        return None
    if not file.is_file() or not last.is_file():
        raise BundleError(f"{config.out} has no finished epoch to resume from: start without --resume")
    try:
        former = dict(json.loads(file.read_bytes()))
    except (ValueError, TypeError) as error:
        raise BundleError(f"{file} is damaged ({error}): restore it, or choose another --out") from error
    changed = [
        f"{name} {former.get(name)!r} → {value!r}"
        for name, value in json.loads(config.model_dump_json()).items()
        if name not in MACHINE and former.get(name) != value
    ]
    if changed:
        raise BundleError(
            f"{config.out} was started with another configuration ({'; '.join(changed)}): "
            "resume with the same options, or choose another --out"
        )
    return last


@rank_zero_only
def _start(config: FitConfig, trainer: Trainer) -> None:
    """Make the run's directory, once nothing is left that could be refused."""
    print(f"on {trainer.strategy.root_device}, precision {trainer.precision}", file=sys.stderr)
    try:
        (config.out / CHECKPOINTS).mkdir(parents=True, exist_ok=True)
        write_file(config.out / CONFIG, config.model_dump_json(indent=2).encode() + b"\n")
    except OSError as error:
        raise BundleError(
            f"{config.out} can't be written ({error.strerror}): choose another --out"
        ) from error


def _require_validation(splits: Splits) -> None:
    truth = splits.validation.truth
    if not (np.any(truth == 1, axis=0) & np.any(truth == 0, axis=0)).any():
        raise DatasetError(
            f"none of the observations has a positive and a negative among the {len(splits.validation)} "
            "validation films, so mean AUROC is undefined: raise --validation, or take another --seed"
        )


@rank_zero_only
def _say(splits: Splits) -> None:
    for name, films in splits.fingerprint.films.items():
        print(f"{name}: {films:,} films of {splits.fingerprint.patients[name]:,} patients", file=sys.stderr)
    if splits.fingerprint.missing_images:
        print(f"left out: {splits.fingerprint.missing_images:,} films that are missing", file=sys.stderr)
    for name, reason in untrained(splits.train.targets, OBSERVATIONS).items():
        print(f"{name} is not trained: {reason}", file=sys.stderr)


def _pretrained(config: FitConfig) -> bool | Path:
    if config.resume or config.weights == "none":
        return False
    return True if config.weights == "imagenet" else Path(config.weights)


def _devices(text: str) -> str | int | list[int]:
    if "," in text:
        return [int(part) for part in text.split(",") if part]
    return int(text) if text.lstrip("-").isdigit() else text


def _precision(config: FitConfig) -> Any:
    if config.precision != "auto":  # Lightning knows its own words and lists them where one is wrong
        return config.precision
    if config.accelerator not in ("auto", "gpu", "cuda") or not torch.cuda.is_available():
        return "32-true"
    return "bf16-mixed" if torch.cuda.is_bf16_supported() else "16-mixed"


@contextmanager
def _resumable(config: FitConfig) -> Iterator[None]:
    """Say how to go on when a run is interrupted; Lightning ends the program on Ctrl-C."""
    try:
        yield
    except SystemExit as stopped:
        last = config.out / CHECKPOINTS / f"{LAST}.ckpt"
        advice = "no epoch was finished: start again"
        if last.is_file():
            advice = "the last finished epoch is kept: add --resume to the same command to go on"
        raise ChexError(f"stopped; {advice}") from stopped


def _write_bundle(
    config: FitConfig,
    splits: Splits,
    preprocessing: Preprocessing,
    net: network.Network,
    version: str,
) -> None:
    best = config.out / CHECKPOINTS / f"{BEST}.ckpt"
    state = torch.load(best, map_location="cpu", weights_only=True)["state_dict"]
    prefix = "network."
    net.load_state_dict({k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)})
    weights = bundle.weights_bytes(net, config.weights_dtype)
    manifest = bundle.Manifest(
        name=config.out.name,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        code_version=version,
        backbone=config.backbone,
        not_trained=untrained(splits.train.targets, OBSERVATIONS),
        preprocessing=preprocessing,
        policies=bundle.Policies(uncertain=config.uncertain, blank=config.blank, views=config.views),
        config=json.loads(config.model_dump_json(exclude=set(MACHINE))),
        seed=config.seed,
        data=splits.fingerprint,
        weights_dtype=config.weights_dtype,
        weights_sha256=sha256(weights).hexdigest(),
    )
    rows = bundle.read_history(config.out)
    files = {
        bundle.WEIGHTS: weights,
        bundle.MANIFEST: bundle.to_json(manifest, bundle.Manifest),
        "curves.png": history_png(rows),
    }
    bundle.save(config.out, files)
    top = rows.sort_values("val_auroc", ascending=False, kind="stable").iloc[0]
    print(
        f"{config.out}: epoch {top['epoch']:.0f} of {len(rows)} is the best, validation mean AUROC "
        f"{top['val_auroc']:.3f}\n"
        f"next: python -m train evaluate {config.out} --data {config.data}",
        file=sys.stderr,
    )
