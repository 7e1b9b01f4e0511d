"""The model card: what a bundle was made from, for what, how well it reads, and what it can't do.

After Mitchell M. et al., *Model Cards for Model Reporting*, FAT* 2019, arXiv:1810.03993.
"""

import json
import shlex
from collections.abc import Sequence
from typing import Any

from chexmodel.bundle import Manifest, Metrics, Origin
from chexmodel.gate_rates import AS_THEY_ARE, GateRates
from chexmodel.localisation import Localisation
from chexmodel.localisation_words import MEASURES, RULE, SPLITS, summary
from chexmodel.metrics import Evaluation
from chexmodel.reliability import Reliability
from chexmodel.thresholds import Threshold
from train import card_tables as tables
from train.config import MACHINE, FitConfig
from train.dataset import Split

_INTENDED = """\
Research and teaching. **Not a medical device**: not for diagnosis, triage or any decision about a patient.
Scores say how much a film resembles films that were labelled so, not whether a finding is there. A film
from another hospital, machine, age group or projection may be read worse than the figures here say."""


def write_card(
    manifest: Manifest,
    metrics: Metrics | None = None,
    thresholds: Sequence[Threshold] = (),
    maps: Localisation | None = None,
    folds: Sequence[Split] = (),
    reliability: Sequence[Reliability] = (),
    gate: GateRates | None = None,
) -> str:
    """Write `card.md`: every figure in it is in the bundle's other files.

    Without metrics it is the card of imported weights that were not judged yet. `folds` are the films that
    each member of an ensemble did not learn from. `gate` is of the check of the input, if there is one.
    """
    test = metrics.splits["test"] if metrics else None
    parts = [
        f"# {manifest.name}",
        manifest.config.get("description", ""),
        "## Intended use",
        _INTENDED,
        *(["## Data", _data(manifest, folds)] if manifest.data.films else []),
        "## Training",
        _origin(manifest.origin) if manifest.origin else "",
        _members(manifest.members) if manifest.members > 1 else "",
        f"`{manifest.backbone}` at {manifest.preprocessing.size} px, seed {manifest.seed}, "
        f"code {manifest.code_version}, {manifest.created}. Weights {manifest.weights_dtype}, "
        f"SHA-256 `{manifest.weights_sha256}`.",
        _commands(manifest, metrics),
        *(_judged(manifest, test, thresholds) if test else []),
        *(["## Calibration on the test split", tables.calibration(reliability)] if reliability else []),
        *(["## Maps", _maps(manifest, maps)] if maps and maps.scores else []),
        *(["## Input check", _gate(manifest, gate)] if gate else []),
        "## Limits",
        _limits(manifest, test, maps, gate),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _judged(manifest: Manifest, test: Evaluation, thresholds: Sequence[Threshold]) -> list[str]:
    return [
        f"## Scores on the test split ({test.films:,} films of {test.patients:,} patients)",
        tables.scores(test),
        tables.averages(test),
        tables.reading(test),
        "## Operating points",
        tables.operating_points(manifest, thresholds),
    ]


def _origin(origin: Origin) -> str:
    return (
        f"Not trained by this program: the weights of {origin.source}, which its authors trained on "
        f"{origin.trained_on}.\n\n{origin.licence}\n\nTo cite: {origin.citation}."
    )


def _members(members: int) -> str:
    return (
        f"{members} members, one a fold: each learned from the films of all folds but its own and kept the "
        "weights of its last epoch; the model's logit is the mean of theirs. Validation figures are "
        "out-of-fold: each film is scored by the one member that did not learn from its patient. Calibration "
        "and thresholds are fitted to these scores of single members; the mean of the members varies less, "
        "so that the fitted slopes are somewhat too flat for it."
    )


def _commands(manifest: Manifest, metrics: Metrics | None) -> str:
    made = manifest.origin.command if manifest.origin else _fit_command(manifest)
    return "\n".join(["```", made, *([metrics.command] if metrics else []), "```"])


def _data(manifest: Manifest, folds: Sequence[Split]) -> str:
    films, patients = manifest.data.films, manifest.data.patients
    rows = [[split, f"{films[split]:,}", f"{patients[split]:,}"] for split in films]
    files = ", ".join(f"`{name}` (SHA-256 `{digest}`)" for name, digest in manifest.data.files.items())
    policies = manifest.policies
    missing = manifest.data.missing_images
    training = "" if manifest.origin else f"{policies.uncertain} in training, "
    return "\n\n".join(
        [
            tables.table(["split", "films", "patients"], rows),
            *([_folds(manifest.members, folds)] if manifest.members > 1 else []),
            f"Files: {files}. Split by patient; {policies.views} films. Uncertain labels (−1): {training}"
            f"masked in every score. Blanks: {policies.blank}."
            + (f" Left out: {missing:,} films that were missing or unreadable." if missing else ""),
        ]
    )


def _folds(members: int, folds: Sequence[Split]) -> str:
    sizes = "; ".join(
        f"fold {number} has {len(fold):,} films of {len(set(fold.patients)):,} patients"
        for number, fold in enumerate(folds, start=1)
    )
    return (
        f"The patients of train are dealt out to {members} folds, stratified by label"
        + (f": {sizes}" if sizes else "")
        + ". A film validates the member of its fold; the others learn from it."
    )


def _fit_command(manifest: Manifest) -> str:
    """Rebuild the command line from the configuration: the options that differ from the defaults."""
    hidden = {*MACHINE, "description"}
    places: dict[str, Any] = {"data": ".", "out": "."}
    defaults, options = (
        json.loads(FitConfig.model_validate(chosen | places).model_dump_json(exclude=hidden))
        for chosen in ({}, manifest.config)  # through the model: a former version's values become today's
    )
    words = ["python", "-m", "train", "fit", "--data", "DIR", "--out", f"runs/{manifest.name}"]
    for name, value in options.items():
        if value == defaults[name]:
            continue
        flag = name.replace("_", "-")
        if isinstance(value, bool):
            words.append(f"--{flag}" if value else f"--no-{flag}")
        elif isinstance(value, dict):
            words += [f"--{flag}", *(str(word) for pair in value.items() for word in pair)]
        else:
            words += [f"--{flag}", str(value)]
    return shlex.join(words)


def _maps(manifest: Manifest, maps: Localisation) -> str:
    parts = [tables.pointing(maps), RULE]
    if manifest.members > 1:
        parts.append(
            "Validation is out-of-fold: the map of the one member that did not learn from the film. On test "
            "it is the ensemble's. “all” is both together."
        )
    if manifest.config.get("box_weight"):
        parts.append("These maps were taught with boxes, of other patients' films than those measured.")
    return "\n\n".join(parts)


def _gate(manifest: Manifest, gate: GateRates) -> str:
    command = f"python -m train gate runs/{manifest.name} --data DIR --external DIR --others DIR"
    fitted = (
        "Asks of every picture whether it is an upright frontal chest film, bone white, before a score is "
        "shown: a distance and linear probes on this network's own features, no second network. Fitted to "
        f"{gate.fitted_films:,} training films of {gate.fitted_patients:,} patients, from all of which the "
        "network had learnt; the limits come from films whose patients were kept out of the fit of the check."
    )
    if not gate.rates:
        return f"{fitted}\n\nHow often it is right was not measured: run `{command}`."
    sources = "\n".join(
        f"- {rate.source}: {rate.description}."
        + (f" {rate.unreadable} more were refused as files." if rate.unreadable else "")
        for rate in gate.rates
        if rate.description and rate.shown == AS_THEY_ARE
    )
    reading = (
        "95 % intervals are Wilson's, with as many trials as patients where patients are known. A correction "
        "offered for a film is counted if it is the right one; after it the film is accepted. Whether a film "
        "is mirrored is the hardest question, and a heart on the right side looks like a mirrored film."
    )
    parts = [fitted, f"```\n{gate.command}\n```", tables.gate(gate), reading, sources]
    if gate.hints:
        parts += [
            "**Hints of quality** on the same films, and on these spoilt on purpose. The limits of the hints "
            "were set with films of all these sources in view, so that the rates flatter them.",
            tables.hints(gate),
        ]
    return "\n\n".join(parts)


def _gate_limit(gate: GateRates | None) -> str:
    if gate is None:
        return "Nothing checks that the input is an upright frontal chest film."
    return (
        "The check of the input errs, see Input check. It was not measured on lateral chest films, on "
        "radiographs of the abdomen, the spine or the limbs, on children, or on photographs of films on a "
        "screen: such pictures may pass."
    )


def _limits(
    manifest: Manifest, test: Evaluation | None, maps: Localisation | None, gate: GateRates | None
) -> str:
    measured = sorted({score.observation for score in maps.scores} if maps else ())
    lines = [
        "Labels mined from reports are noisy; the scores are against such labels unless the data say more.",
        "Heatmaps show where a score came from. How well they mark a finding has been measured for "
        f"{', '.join(measured) if measured else 'none of them'}"
        + (", see Maps, and for no other." if measured else "."),
        _gate_limit(gate),
    ]
    lines += [_maps_limit(maps, name) for name in measured] if maps else []
    if manifest.not_trained:
        names = "; ".join(f"{name} ({reason})" for name, reason in manifest.not_trained.items())
        lines.insert(0, f"Not trained in this model: {names}.")
    if manifest.origin:
        lines += _imported_limits(manifest.origin)
    weak = [s.observation for s in (test.scores if test else []) if not s.undefined and s.auroc.low <= 0.5]
    if weak:
        lines.insert(1, f"No skill shown (the AUROC's interval reaches 0.50): {', '.join(weak)}.")
    return "\n".join(f"- {line}" for line in lines)


def _maps_limit(maps: Localisation, observation: str) -> str:
    """Say whether the maps beat those that look at no film, on the most films that were measured."""
    scores = next(found for split in reversed(SPLITS) if (found := maps.of(observation, split)))
    said = " ".join(summary(scores, measure) for measure in MEASURES)
    return f"Maps of {observation} beside maps that look at no film ({SPLITS[scores[0].split]} films). {said}"


def _imported_limits(origin: Origin) -> list[str]:
    renamed = [f"{name} is its “{output}”" for name, output in origin.outputs.items() if name != output]
    lines = [
        origin.caution,
        "torchxrayvision cuts a film to its central square, here the whole film is padded to one: on a film "
        "that is not square the scores are not the library's. Its rescaling of probabilities to its own "
        "operating points is left out: calibration and thresholds are fitted here.",
    ]
    return [*lines, f"By their names there: {'; '.join(renamed)}."] if renamed else lines
