"""The model card's tables of figures, in Markdown."""

from collections.abc import Iterable, Sequence
from typing import Final

from chexmodel.bundle import Manifest
from chexmodel.evaluation_tables import (
    READING,
    averages_table,
    reliability_table,
    scores_table,
    thresholds_table,
)
from chexmodel.gate_rates import ALL_PLACED, AS_THEY_ARE, GateRate, GateRates
from chexmodel.localisation import BASELINES, Localisation, Measure
from chexmodel.localisation_words import verdict
from chexmodel.metrics import Evaluation
from chexmodel.reliability import Reliability
from chexmodel.scores import interval
from chexmodel.thresholds import Threshold

_COLUMNS: Final = (
    *("observation", "positives", "negatives", "masked", "AUROC (95 %)", "average precision (95 %)"),
    *("sensitivity (95 %)", "specificity (95 %)", "F1 (95 %)", "F1 of the best constant", "lift in F1"),
    *("Brier (95 %)", "lift in Brier"),
)


def table(header: list[str], rows: Iterable[list[str]]) -> str:
    """Markdown table."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def scores(test: Evaluation) -> str:
    """One row an observation; of an undefined one the reason."""
    shown = scores_table(test)
    kept = shown[list(_COLUMNS)].copy()
    # The reason stands where the first figure would: a card has no room for a column of its own.
    undefined = [bool(score.undefined) for score in test.scores]
    kept.loc[undefined, "AUROC (95 %)"] = "undefined: " + shown["why undefined"]
    return table(list(kept.columns), ([str(cell) for cell in row] for row in kept.to_numpy()))


def averages(test: Evaluation) -> str:
    """Averages, and which observations count several times in the plain macro average."""
    rows = averages_table(test)
    words = [
        [*(str(cell) for cell in row[:1]), f"{row[1]} over {row[2]}", f"{row[3]} over {row[4]}", *row[5:]]
        for row in rows.to_numpy().tolist()
    ]
    header = ["metric", "macro average", "equivalent labels as one", "lift over the best constant", "micro"]
    text = table(header, words)
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
        f"95 % intervals: percentile bootstrap over patients, {test.bootstrap:,} resamples. {READING} With a "
        "handful of positives an interval says little."
    )


def operating_points(manifest: Manifest, thresholds: Sequence[Threshold]) -> str:
    """One row an observation that was trained: threshold, indeterminate band, rates at it, provenance."""
    frame = thresholds_table([t for t in thresholds if t.observation not in manifest.not_trained])
    text = table(list(frame.columns), frame.to_numpy().tolist())
    return text + (
        "\n\nThe band is the 95 % bootstrap interval of the threshold itself: other patients would have put "
        "it somewhere there, and a score within it is read as indeterminate. Sensitivity and specificity are "
        "those on the films of the fit, which flatter them."
    )


def calibration(rows: Sequence[Reliability]) -> str:
    """What calibration does on the test split; one row an observation."""
    frame = reliability_table([row for row in rows if row.split == "test"])
    cells = (
        [f"{cell:.3f}" if isinstance(cell, float) else str(cell) for cell in row] for row in frame.to_numpy()
    )
    return table(list(frame.columns), cells)


def pointing(maps: Localisation) -> str:
    """How maps lie on what radiologists marked: a row per observation, split, and method or baseline."""
    measures: tuple[Measure, ...] = ("hit", "iou")
    rows = []
    for score in maps.scores:
        verdicts = [
            "—" if score.method in BASELINES or margin is None else verdict(margin)
            for margin in map(score.margin, measures)
        ]
        rows.append(
            [
                score.observation,
                score.split,
                f"{score.films} of {score.patients} patients",
                score.method,
                interval(score.hit),
                verdicts[0],
                interval(score.iou),
                verdicts[1],
            ]
        )
    header = [
        "observation",
        "split",
        "marked films",
        "map",
        "hit rate",
        "hit rate against the better baseline",
    ]
    return table([*header, "mean IoU", "IoU against the better baseline"], rows)


def gate(rates: GateRates) -> str:
    """How often the check of the input accepts and rejects what it should: a row per kind of picture."""
    rows = [
        [
            f"{rate.source}: {_shown(rate)}",
            f"{rate.pictures:,}" + (f" of {rate.patients:,} patients" if rate.kind == "films" else ""),
            "accepted" if rate.kind == "films" and rate.shown == AS_THEY_ARE else "rejected",
            interval(rate.right, digits=3),
            f"{rate.corrected:,}" if rate.shown != AS_THEY_ARE or rate.kind == "others" else "—",
        ]
        for rate in rates.rates
    ]
    header = ["pictures", "number", "right answer", "share of right answers", "correction offered"]
    return table(header, rows)


def hints(rates: GateRates) -> str:
    """On how many films the hints of quality speak: a row per source and way to spoil the films."""
    rows = [
        [
            f"{rate.source}: {rate.shown}",
            rate.check or "any",
            f"{rate.spoken:,} of {rate.films:,}",
            interval(rate.share, digits=3),
        ]
        for rate in rates.hints
    ]
    return table(["films", "hint", "speaks on", "share"], rows)


def _shown(rate: GateRate) -> str:
    if rate.kind == "others":
        return "other pictures"
    if rate.shown in (AS_THEY_ARE, ALL_PLACED):
        return "upright films" if rate.shown == AS_THEY_ARE else ALL_PLACED
    return f"in need of “{rate.shown}”"
