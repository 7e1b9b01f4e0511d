"""The model card: what a bundle was made from, for what, how well it reads, and what it can't do.

After Mitchell M. et al., *Model Cards for Model Reporting*, FAT* 2019, arXiv:1810.03993.
"""

import json
import shlex
from collections.abc import Iterable, Sequence
from typing import Any

from chexmodel.bundle import Manifest, Metrics, Origin
from chexmodel.localisation import Pointing
from chexmodel.metrics import Evaluation
from chexmodel.scores import interval
from chexmodel.thresholds import Threshold
from train.config import MACHINE, FitConfig

_INTENDED = """\
Research and teaching. **Not a medical device**: not for diagnosis, triage or any decision about a patient.
Scores say how much a film resembles films that were labelled so, not whether a finding is there. A film
from another hospital, machine, age group or projection may be read worse than the figures here say."""


def write_card(
    manifest: Manifest,
    metrics: Metrics | None = None,
    thresholds: Sequence[Threshold] = (),
    maps: Sequence[Pointing] = (),
) -> str:
    """Write `card.md`: every figure in it is in the bundle's other files.

    Without metrics it is the card of imported weights that were not judged yet.
    """
    test = metrics.splits["test"] if metrics else None
    parts = [
        f"# {manifest.name}",
        manifest.config.get("description", ""),
        "## Intended use",
        _INTENDED,
        *(["## Data", _data(manifest)] if manifest.data.films else []),
        "## Training",
        _origin(manifest.origin) if manifest.origin else "",
        _members(manifest.members) if manifest.members > 1 else "",
        f"`{manifest.backbone}` at {manifest.preprocessing.size} px, seed {manifest.seed}, "
        f"code {manifest.code_version}, {manifest.created}. Weights {manifest.weights_dtype}, "
        f"SHA-256 `{manifest.weights_sha256}`.",
        _commands(manifest, metrics),
        *(_judged(manifest, test, thresholds) if test else []),
        *(["## Maps", _maps(maps)] if maps else []),
        "## Limits",
        _limits(manifest, test, maps),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _judged(manifest: Manifest, test: Evaluation, thresholds: Sequence[Threshold]) -> list[str]:
    return [
        f"## Scores on the test split ({test.films:,} films of {test.patients:,} patients)",
        _scores(test),
        _averages(test),
        _reading(test),
        "## Operating points",
        _operating_points(manifest, thresholds),
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


def number(value: float) -> str:
    """Two decimals, or a dash where a value is undefined."""
    return "—" if value != value else f"{value:.2f}"


def title(name: str) -> str:
    """Name of a metric in words."""
    words = {"auroc": "AUROC", "f1": "F1", "f1_constant_yes": "F1 of a constant yes"}
    return words.get(name, name.replace("_", " "))


def _table(header: list[str], rows: Iterable[list[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def _data(manifest: Manifest) -> str:
    films, patients = manifest.data.films, manifest.data.patients
    rows = [[split, f"{films[split]:,}", f"{patients[split]:,}"] for split in films]
    files = ", ".join(f"`{name}` (SHA-256 `{digest}`)" for name, digest in manifest.data.files.items())
    policies = manifest.policies
    missing = manifest.data.missing_images
    training = "" if manifest.origin else f"{policies.uncertain} in training, "
    return "\n\n".join(
        [
            _table(["split", "films", "patients"], rows),
            *([_folds(manifest.members)] if manifest.members > 1 else []),
            f"Files: {files}. Split by patient; {policies.views} films. Uncertain labels (−1): {training}"
            f"masked in every score. Blanks: {policies.blank}."
            + (f" Left out: {missing:,} films that were missing or unreadable." if missing else ""),
        ]
    )


def _folds(members: int) -> str:
    return (
        f"The patients of train are dealt out to {members} folds, stratified by label. A film validates the "
        "member of its fold; the others learn from it."
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


def _scores(test: Evaluation) -> str:
    rows = []
    for score in test.scores:
        if score.undefined:
            counted = [str(score.positives), str(score.negatives), str(score.masked)]
            rows.append([score.observation, *counted, f"undefined: {score.undefined}", *["—"] * 5])
            continue
        rows.append(
            [
                score.observation,
                *(str(count) for count in (score.positives, score.negatives, score.masked)),
                interval(score.auroc),
                interval(score.average_precision),
                number(score.precision.value),
                number(score.recall.value),
                interval(score.f1),
                number(score.f1_constant_yes),
            ]
        )
    header = ["observation", "positives", "negatives", "masked", "AUROC", "average precision"]
    return _table([*header, "precision", "recall", "F1", "F1 of a constant yes"], rows)


def _averages(test: Evaluation) -> str:
    rows = []
    for name, average in test.macro.items():
        distinct = test.macro_distinct[name]
        rows.append(
            [
                title(name),
                f"{interval(average)} over {average.observations}",
                f"{interval(distinct)} over {distinct.observations}",
            ]
        )
    text = _table(["macro average", "plain", "equivalent labels as one"], rows)
    if test.equivalent:
        groups = "; ".join(", ".join(group) for group in test.equivalent)
        text += (
            "\n\nOn these films the following have the same or the complementary labels, and a plain macro "
            f"average counts them several times: {groups}."
        )
    return text


def _reading(test: Evaluation) -> str:
    return (
        f"95 % intervals: percentile bootstrap over patients, {test.bootstrap:,} resamples. A constant "
        "answer has AUROC 0.50 and, answering yes, the F1 of the last column; average precision is to be "
        "read against the share of positives. With a handful of positives an interval says little, and the "
        "bootstrap understates it."
    )


def _operating_points(manifest: Manifest, thresholds: Sequence[Threshold]) -> str:
    rows = [
        [
            point.observation,
            f"{point.value:.3f}",
            point.rule,
            f"{point.split}: {point.positives} positives, {point.negatives} negatives",
            point.reason or "",
        ]
        for point in thresholds
        if point.observation not in manifest.not_trained
    ]
    return _table(["observation", "threshold", "rule", "fitted on", "why a default"], rows)


def _maps(maps: Sequence[Pointing]) -> str:
    rows = [
        [
            point.observation,
            point.split,
            f"{point.films} of {point.patients} patients",
            interval(point.rate),
            number(point.centre),
        ]
        for point in maps
    ]
    header = [
        "observation",
        "split",
        "boxed films",
        "peak of the map in a box",
        "middle of the film in a box",
    ]
    return _table(header, rows)


def _limits(manifest: Manifest, test: Evaluation | None, maps: Sequence[Pointing]) -> str:
    measured = sorted({point.observation for point in maps})
    lines = [
        "Labels mined from reports are noisy; the scores are against such labels unless the data say more.",
        "Heatmaps show where a score came from. How well they mark a finding has been measured for "
        f"{', '.join(measured) if measured else 'none of them'}"
        + (", see Maps, and for no other." if measured else "."),
        "Nothing checks that the input is an upright frontal chest film.",
    ]
    if manifest.not_trained:
        names = "; ".join(f"{name} ({reason})" for name, reason in manifest.not_trained.items())
        lines.insert(0, f"Not trained in this model: {names}.")
    if manifest.origin:
        lines += _imported_limits(manifest.origin)
    weak = [s.observation for s in (test.scores if test else []) if not s.undefined and s.auroc.low <= 0.5]
    if weak:
        lines.insert(1, f"No skill shown (the AUROC's interval reaches 0.50): {', '.join(weak)}.")
    return "\n".join(f"- {line}" for line in lines)


def _imported_limits(origin: Origin) -> list[str]:
    renamed = [f"{name} is its “{output}”" for name, output in origin.outputs.items() if name != output]
    lines = [
        origin.caution,
        "torchxrayvision cuts a film to its central square, here the whole film is padded to one: on a film "
        "that is not square the scores are not the library's. Its rescaling of probabilities to its own "
        "operating points is left out: calibration and thresholds are fitted here.",
    ]
    return [*lines, f"By their names there: {'; '.join(renamed)}."] if renamed else lines
