"""Judge a trained bundle: calibration and thresholds on validation, then the test split, once."""

import io
import json
import shlex
import sys
from typing import Final, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from chexmodel import bundle, metrics
from chexmodel.bundle import Manifest, Metrics
from chexmodel.calibration import Calibration, fit_calibrations, probabilities
from chexmodel.labels import OBSERVATIONS
from chexmodel.localisation import Pointing
from chexmodel.metrics import Evaluation
from chexmodel.network import Network, ensemble
from chexmodel.reliability import Reliability, reliability
from chexmodel.subgroup_scores import Subgroups
from chexmodel.thresholds import Threshold, fit_thresholds
from train.card import write_card
from train.commands import EvaluateConfig
from train.config import FitConfig
from train.curves import operating_png
from train.dataset import Split, Splits, load_splits, together
from train.evaluate_html import html
from train.html_page import write_page
from train.judged import fit_config, judged_on, require_same_data
from train.localise import boxes_of, localise
from train.predict import predict
from train.subgroups import Groups, judge_groups

FITTING: Final = "validation"
TEST: Final = "test"


def evaluate(config: EvaluateConfig) -> Metrics:
    """Fit calibration and thresholds on validation, score validation and test, and complete the bundle.

    Everything is computed from the weights as they are written in the bundle.

    Returns:
        What was written to `metrics.json`.

    Raises:
        ChexError: the bundle or the data do not fit; the bundle is then as it was.
    """
    manifest = bundle.read_manifest(config.bundle)
    fitted = fit_config(config, manifest)
    splits = load_splits(fitted)
    groups = Groups(config.data, config.by)
    if manifest.origin is None:
        require_same_data(config, manifest, splits)
    else:
        print(f"note: {manifest.origin.caution}", file=sys.stderr)
        manifest = judged_on(manifest, splits)
    if splits.pack is not None and splits.pack.size != manifest.preprocessing.size:
        print(
            f"note: the films of {config.data} are resized from {splits.pack.size} px, a second time; "
            "the app resizes once and sees slightly other pixels: for its very own give the folder of films, "
            f"or a pack of --size {manifest.preprocessing.size}",
            file=sys.stderr,
        )
    members = bundle.load_members(config.bundle, manifest)
    networks = _Networks(members, ensemble(members))
    held_out = [pair.validation for pair in splits.pairs]
    films = {FITTING: together(held_out), TEST: splits.test}
    logits = _logits(networks, manifest, fitted, splits)
    calibrations, thresholds = _fit_operating_points(config, manifest, films[FITTING], logits[FITTING])
    probs = {name: probabilities(values, calibrations) for name, values in logits.items()}
    scores = {
        name: metrics.evaluate(
            split.truth,
            probs[name],
            thresholds=[threshold.value for threshold in thresholds],
            patients=split.patients,
            bootstrap=config.bootstrap,
            seed=config.seed,
        )
        for name, split in films.items()
    }
    command = _command(config, manifest)
    judged = Metrics(command=command, weights_sha256=manifest.weights_sha256, splits=scores)
    judgement = [
        row
        for name, split in films.items()
        for row in reliability(
            split.truth.astype(np.float64),
            logits[name],
            calibrations,
            split=name,
            patients=split.patients,
            bootstrap=config.bootstrap,
            seed=config.seed,
        )
    ]
    maps = _pointing(config, networks, manifest, splits)
    by_group = judge_groups(
        groups,
        films,
        probs,
        thresholds=[threshold.value for threshold in thresholds],
        bootstrap=config.bootstrap,
        seed=config.seed,
    )
    files = {
        "localisation.json": bundle.to_json(maps, list[Pointing]),
        "calibration.json": bundle.to_json(calibrations, list[Calibration]),
        "thresholds.json": bundle.to_json(thresholds, list[Threshold]),
        "reliability.json": bundle.to_json(judgement, list[Reliability]),
        "metrics.json": bundle.to_json(judged, Metrics),
        "subgroups.json": bundle.to_json(by_group, dict[str, Subgroups]),
        "predictions.parquet": _predictions(films, logits, splits),
        "card.md": write_card(manifest, judged, thresholds, maps, held_out, judgement).encode(),
    }
    if manifest.origin is not None:
        files[bundle.MANIFEST] = bundle.to_json(manifest, Manifest)
    for name, split in films.items():
        title = f"{manifest.name}: {name} split, {len(split)} films"
        files[f"operating_{name}.png"] = operating_png(split.truth, probs[name], scores[name], title=title)
    bundle.save(config.bundle, files)
    if config.html is not None:
        write_page(config.html, html(bundle.load(config.bundle)))
    print(_summary(scores[TEST]))
    return judged


class _Networks(NamedTuple):
    """The members, each with validation films that it did not see, and the model that is their mean."""

    members: list[Network]
    model: Network


def _logits(
    networks: _Networks, manifest: Manifest, fitted: FitConfig, splits: Splits
) -> dict[str, NDArray[np.float64]]:
    """Raw logits of both splits; a validation film's are of the one member that did not see it."""
    held_out = [
        predict(member, pair.validation, manifest.preprocessing, fitted, name=FITTING)
        for member, pair in zip(networks.members, splits.pairs, strict=True)
    ]
    tested = predict(networks.model, splits.test, manifest.preprocessing, fitted, name=TEST)
    logits = {FITTING: np.concatenate(held_out), TEST: tested}
    untrained = [OBSERVATIONS.index(name) for name in manifest.not_trained]
    for values in logits.values():
        values[:, untrained] = np.nan
    return logits


def _pointing(
    config: EvaluateConfig, networks: _Networks, manifest: Manifest, splits: Splits
) -> list[Pointing]:
    boxes = boxes_of(config.data)
    held_out = [(net, pair.validation) for net, pair in zip(networks.members, splits.pairs, strict=True)]
    results = []
    for name, parts in {FITTING: held_out, TEST: [(networks.model, splits.test)]}.items():
        results += localise(
            parts,
            boxes,
            manifest.preprocessing,
            not_trained=list(manifest.not_trained),
            split=name,
            bootstrap=config.bootstrap,
            seed=config.seed,
        )
    return results


def _fit_operating_points(
    config: EvaluateConfig, manifest: Manifest, split: Split, logits: NDArray[np.float64]
) -> tuple[list[Calibration], list[Threshold]]:
    # An untrained column has no logits: its films are as good as masked.
    truth = np.where(np.isnan(logits), np.nan, split.truth)
    calibrations = fit_calibrations(
        truth, logits, method=config.calibration, split=FITTING, patients=split.patients
    )
    thresholds = fit_thresholds(
        truth,
        probabilities(logits, calibrations),
        rule=config.rule,
        sensitivity=config.sensitivity,
        split=FITTING,
        patients=split.patients,
        bootstrap=config.bootstrap,
        seed=config.seed,
        weights_sha256=manifest.weights_sha256,
    )
    return calibrations, thresholds


def _predictions(films: dict[str, Split], logits: dict[str, NDArray[np.float64]], splits: Splits) -> bytes:
    frames = []
    for name, split in films.items():
        frame = pd.DataFrame({"split": name, "id": split.ids, "patient": split.patients})
        for k, observation in enumerate(OBSERVATIONS):
            frame[f"target {observation}"] = split.truth[:, k]
            frame[f"logit {observation}"] = logits[name][:, k].astype(np.float32)
        frames.append(frame)
    table = pd.concat(frames, ignore_index=True)
    if len(splits.pairs) > 1:
        held_out = [number for number, pair in enumerate(splits.pairs, start=1) for _ in pair.validation.ids]
        table["fold"] = pd.Series(held_out, dtype="Int64")  # validation comes first; the test films have none
    buffer = io.BytesIO()
    table.to_parquet(buffer, index=False)
    return buffer.getvalue()


def _command(config: EvaluateConfig, manifest: Manifest) -> str:
    chosen = json.loads(
        config.model_dump_json(exclude_defaults=True, exclude={"bundle", "data", "workers", "html"})
    )
    options = "".join(
        f" --{name.replace('_', '-')} {shlex.join(map(str, value)) if isinstance(value, list) else value}"
        for name, value in chosen.items()
    )
    note = f"  # {manifest.origin.caution}" if manifest.origin else ""
    return f"python -m train evaluate runs/{config.bundle.resolve().name} --data DIR{options}{note}"


def _summary(evaluation: Evaluation) -> str:
    shown = evaluation.frame()[
        [
            *("observation", "positives", "negatives", "masked", "auroc", "auroc_low", "auroc_high"),
            *("average_precision", "precision", "recall", "f1", "f1_constant_yes", "threshold"),
        ]
    ]
    macro = evaluation.macro["auroc"]
    distinct = evaluation.macro_distinct["auroc"]
    table = shown.to_string(index=False, float_format=lambda value: f"{value:.3f}", na_rep="—")
    return (
        f"test split: {evaluation.films} films of {evaluation.patients} patients\n{table}\n"
        f"mean AUROC {macro.value:.3f} ({macro.low:.3f}–{macro.high:.3f}) over {macro.observations} "
        f"observations; with equivalent labels as one {distinct.value:.3f} over {distinct.observations}"
    )
