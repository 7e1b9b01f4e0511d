"""One network trained with Lightning: where it starts, what it keeps, how it goes on when it was stopped."""

import json
import sys
import warnings
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from lightning import Callback, Trainer, seed_everything
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch.callbacks import EarlyStopping, EMAWeightAveraging
from lightning.pytorch.utilities import rank_zero_only

from chexmodel import network
from chexmodel.atomic import write_file
from chexmodel.errors import BundleError, ChexError, DatasetError
from chexmodel.labels import OBSERVATIONS
from chexmodel.preprocessing import Preprocessing
from chexmodel.weighting import pos_weight
from train import checkpoint
from train.callbacks import HISTORY, Finite, History, Progress
from train.config import MACHINE, FitConfig
from train.dataset import Pair, Split
from train.devices import connected, require_one_training, synchronise_batch_norm
from train.faults import resumable
from train.films import Films, augmentation, loader
from train.module import Classifier
from train.pointing import load_regions
from train.pretrained import load_backbone_weights
from train.sampling import EpochSampler, ShardedOrder, sample_weights, sampling_factors

CONFIG = "config.json"
CHECKPOINTS = "checkpoints"
LAST = f"{CHECKPOINTS}/{checkpoint.LAST}"
"""The checkpoint to resume from, below a run's directory."""
Kept = Literal["best", "last"]


def train_network(
    config: FitConfig, pair: Pair, *, kept: Kept, advice: str | None = None
) -> tuple[network.Network, Preprocessing]:
    """Train one network in `config.out`, or go on with it.

    Args:
        config: what to do.
        pair: films to learn from, and films to validate each epoch on.
        kept: which weights are returned: of the epoch with the best validation mean AUROC, or of the last.
        advice: how to go on when it is stopped, where that is not with `--resume`.

    Returns:
        The network with these weights, and what its input looks like.

    Raises:
        ChexError: data, backbone or output do not fit; the message says what to do.
    """
    seed_everything(config.seed, workers=True, verbose=False)
    net = _started(config)
    mean, std = network.input_normalisation(net)
    preprocessing = Preprocessing(size=config.image_size, mean=mean, std=std)
    sampler = EpochSampler(epoch_weights(pair.train, config), seed=config.seed, batch_size=config.batch_size)
    regions = load_regions(pair.train, config.data) if config.box_weight else None
    train = Films(pair.train, pair.train.targets, preprocessing, augmentation(config), regions)
    validation = Films(pair.validation, pair.validation.truth, preprocessing)
    classifier = Classifier(
        net.to(memory_format=torch.channels_last), config, alpha=class_weights(pair.train, config)
    )
    trainer = _trainer(config, sampler, kept)
    require_one_training(trainer)
    rank, world = trainer.global_rank, trainer.world_size
    sampler.rank, sampler.world = rank, world
    synchronise_batch_norm(net, trainer)
    _start(config, trainer)
    with resumable(config.out / LAST, advice), connected(), warnings.catch_warnings():
        # Lightning can't know that the sampler goes on where the checkpoint was written.
        warnings.filterwarnings("ignore", message="You're resuming from a checkpoint that ended before")
        trainer.fit(
            classifier,
            loader(train, config, sampler=sampler),
            loader(validation, config, sampler=ShardedOrder(len(validation), rank=rank, world=world)),
            ckpt_path=config.out / LAST if config.resume else None,
            weights_only=True,
        )
    _load(net, config.out / CHECKPOINTS / f"{kept}.ckpt")
    return net, preprocessing


def _load(net: network.Network, checkpoint: Path) -> None:
    state = torch.load(checkpoint, map_location="cpu", weights_only=True)["state_dict"]
    prefix = "network."
    net.load_state_dict({k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)})


def class_weights(split: Split, config: FitConfig) -> torch.Tensor | None:
    """Weight of the positives, (14,), or None where they weigh as much as the negatives."""
    if config.pos_weight == "off":
        return None
    cap = config.pos_weight_cap if config.pos_weight == "cap" else float("inf")
    return torch.from_numpy(pos_weight(split.targets, cap=cap)).float()


def epoch_weights(split: Split, config: FitConfig) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Sampling weight of every training film, (N,): equal when the epoch is only shuffled."""
    if config.sampler == "shuffle":
        return np.ones(len(split))
    factors = sampling_factors(split.targets, rare=config.rare, cap=config.factor_cap)
    for name, factor in config.factors.items():
        factors[OBSERVATIONS.index(name)] = factor
    return sample_weights(split.targets, factors=factors)


def _trainer(config: FitConfig, sampler: EpochSampler, kept: Kept) -> Trainer:
    callbacks: list[Callback] = [
        Finite(),
        History(config.out / HISTORY),
        Progress(config.batch_size),
        checkpoint.Checkpoints(
            config.out / CHECKPOINTS,
            sampler,
            steps=config.checkpoint_steps,
            monitor="val_auroc" if kept == "best" else None,
        ),
    ]
    if config.ema:
        callbacks.append(EMAWeightAveraging(decay=config.ema))
    if kept == "best":
        callbacks.append(EarlyStopping(monitor="val_auroc", mode="max", patience=config.patience))
    try:
        return Trainer(
            max_epochs=config.epochs,
            accelerator=config.accelerator,
            devices=_devices(config.devices),
            num_nodes=config.num_nodes,
            precision=_precision(config),
            gradient_clip_val=config.gradient_clip or None,
            callbacks=callbacks,
            plugins=[checkpoint.WholeFiles()],
            use_distributed_sampler=False,  # ours share the films out themselves
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


def check(config: FitConfig) -> None:
    """Check the output directory before anything is loaded.

    Raises:
        ChexError: it holds another run, or, with `resume`, none that can be gone on with.
    """
    if config.resume:
        _require_same(config)
        return
    # What a run leaves that has no checkpoint to go on from does not count: it may be started again.
    kept = {path.name for path in config.out.glob("[!.]*")} - {CONFIG, CHECKPOINTS, HISTORY}
    if kept or (config.out / LAST).exists():
        raise DatasetError(f"{config.out} is not empty: choose another --out, or go on with --resume")


@rank_zero_only
def _start(config: FitConfig, trainer: Trainer) -> None:
    """Make the run's directory, once nothing is left that could be refused."""
    print(f"on {trainer.strategy.root_device}, precision {trainer.precision}", file=sys.stderr)
    try:
        (config.out / CHECKPOINTS).mkdir(parents=True, exist_ok=True)
        for pattern in (f".{CONFIG}.*", f".{HISTORY}.*", f"{CHECKPOINTS}/.*.ckpt.*"):
            for unfinished in config.out.glob(pattern):  # what a kill left of a file that was being written
                unfinished.unlink()
        write_file(config.out / CONFIG, config.model_dump_json(indent=2).encode() + b"\n")
    except OSError as error:
        raise BundleError(
            f"{config.out} can't be written ({error.strerror}): choose another --out"
        ) from error


def _require_same(config: FitConfig) -> None:
    file = config.out / CONFIG
    if not file.is_file() or not (config.out / LAST).is_file():
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
    checkpoint.require_whole(config.out / CHECKPOINTS)


def _started(config: FitConfig) -> network.Network:
    """The network before its first step: random, with ImageNet weights, or with those of a local file."""
    weights = "none" if config.resume else config.weights  # those of the checkpoint come later
    net = network.build(config.backbone, pretrained=weights == "imagenet")
    if weights not in ("imagenet", "none"):
        load_backbone_weights(net.backbone, Path(weights))
    return net


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
