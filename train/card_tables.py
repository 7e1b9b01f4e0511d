"""The model card's tables of figures, in Markdown."""

from collections.abc import Iterable, Sequence

from chexmodel.bundle import Manifest
from chexmodel.localisation import Pointing
from chexmodel.metrics import Evaluation
from chexmodel.scores import interval
from chexmodel.thresholds import Threshold


def number(value: float) -> str:
    """Two decimals, or a dash where a value is undefined."""
    return "—" if value != value else f"{value:.2f}"


def title(name: str) -> str:
    """Name of a metric in words."""
    words = {"auroc": "AUROC", "f1": "F1", "f1_constant_yes": "F1 of a constant yes"}
    return words.get(name, name.replace("_", " "))


def table(header: list[str], rows: Iterable[list[str]]) -> str:
    """Markdown table."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def scores(test: Evaluation) -> str:
    """One row an observation; of an undefined one the reason."""
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
    return table([*header, "precision", "recall", "F1", "F1 of a constant yes"], rows)


def averages(test: Evaluation) -> str:
    """Macro averages, and which observations count several times in them."""
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
    text = table(["macro average", "plain", "equivalent labels as one"], rows)
    if test.equivalent:
        groups = "; ".join(", ".join(group) for group in test.equivalent)
        text += (
            "\n\nOn these films the following have the same or the complementary labels, and a plain macro "
            f"average counts them several times: {groups}."
        )
    return text


def reading(test: Evaluation) -> str:
    """How the figures are to be read."""
    return (
        f"95 % intervals: percentile bootstrap over patients, {test.bootstrap:,} resamples. A constant "
        "answer has AUROC 0.50 and, answering yes, the F1 of the last column; average precision is to be "
        "read against the share of positives. With a handful of positives an interval says little, and the "
        "bootstrap understates it."
    )


def operating_points(manifest: Manifest, thresholds: Sequence[Threshold]) -> str:
    """One row an observation that was trained."""
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
    return table(["observation", "threshold", "rule", "fitted on", "why a default"], rows)


def pointing(maps: Sequence[Pointing]) -> str:
    """How often maps peak in boxes."""
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
    return table(header, rows)
