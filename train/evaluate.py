"""Judge a trained bundle: calibration and thresholds on validation, then the test split, once."""

import io
import json
import shlex
import sys

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from chexmodel import bundle, metrics
from chexmodel.bundle import Manifest, Metrics
from chexmodel.calibration import Calibration, fit_calibrations, probabilities
from chexmodel.labels import OBSERVATIONS
from chexmodel.localisation import Localisation, summarise
from chexmodel.metrics import Evaluation
from chexmodel.reliability import Reliability, reliability
from chexmodel.subgroup_scores import Subgroups
from chexmodel.thresholds import Threshold, fit_thresholds
from train.card import write_card
from train.commands import EvaluateConfig
from train.curves import operating_png
from train.dataset import Split, Splits, load_splits
from train.evaluate_html import html
from train.gate import gate_for
from train.held_out import FITTING, TEST, HeldOut
from train.html_page import write_page
from train.judged import fit_config, judged_on, require_same_data
from train.subgroups import Groups, judge_groups


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
    groups = Groups(config.data, config.by)  # before the films are read: a misspelt column costs no time
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
    held_out = HeldOut.of(bundle.load_members(config.bundle, manifest), manifest, splits)
    films, logits = held_out.films(), held_out.logits(fitted)
    calibrations, thresholds = _fit_operating_points(config, manifest, films[FITTING], logits[FITTING])
    probs = {name: probabilities(values, calibrations) for name, values in logits.items()}
    cuts = [threshold.value for threshold in thresholds]
    resampling = {"bootstrap": config.bootstrap, "seed": config.seed}
    scores = {
        name: metrics.evaluate(
            split.truth, probs[name], thresholds=cuts, patients=split.patients, **resampling
        )
        for name, split in films.items()
    }
    judged = Metrics(
        command=_command(config, manifest), weights_sha256=manifest.weights_sha256, splits=scores
    )
    judgement = [
        row
        for name, split in films.items()
        for row in reliability(
            split.truth.astype(np.float64),
            logits[name],
            calibrations,
            split=name,
            patients=split.patients,
            **resampling,
        )
    ]
    marked = held_out.localised(config.data, config.cam_methods)
    maps = Localisation(
        weights_sha256=manifest.weights_sha256, scores=summarise(marked, **resampling), **resampling
    )
    by_group = judge_groups(groups, films, probs, thresholds=cuts, **resampling)
    folds = [pair.validation for pair in splits.pairs]
    check = gate_for(config.bundle, manifest, held_out.model, splits)
    rates = check.rates if check else None
    files = {
        "localisation.json": bundle.to_json(maps, Localisation),
        "localisation_films.parquet": _parquet(marked),
        "calibration.json": bundle.to_json(calibrations, list[Calibration]),
        "thresholds.json": bundle.to_json(thresholds, list[Threshold]),
        "reliability.json": bundle.to_json(judgement, list[Reliability]),
        "metrics.json": bundle.to_json(judged, Metrics),
        "subgroups.json": bundle.to_json(by_group, dict[str, Subgroups]),
        "predictions.parquet": _predictions(films, logits, splits),
        "card.md": write_card(manifest, judged, thresholds, maps, folds, judgement, rates).encode(),
        **(check.files() if check else {}),
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
    return _parquet(table)


def _parquet(table: pd.DataFrame) -> bytes:
    buffer = io.BytesIO()
    table.to_parquet(buffer, index=False)
    return buffer.getvalue()


def _command(config: EvaluateConfig, manifest: Manifest) -> str:
    machine = {"bundle", "data", "workers", "html"}
    chosen = json.loads(config.model_dump_json(exclude_defaults=True, exclude=machine))
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
