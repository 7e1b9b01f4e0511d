"""The evaluation of a bundle as one page that needs no network: what its files say, nothing else."""

from collections.abc import Iterator, Sequence
from html import escape
from typing import Final

from chexmodel import evaluation_charts, localisation_charts, operating_charts, subgroup_charts
from chexmodel.bundle import Bundle, Metrics
from chexmodel.comparison_tables import FLATTERED
from chexmodel.evaluation_tables import (
    READING,
    WORDS,
    averages_table,
    reliability_table,
    scores_table,
    thresholds_table,
)
from chexmodel.localisation_tables import scores_table as localisation_table
from chexmodel.localisation_words import ELSEWHERE, MEASURES, RULE, SPLITS, UNSEEN, summary
from chexmodel.metrics import Evaluation
from chexmodel.operating import Scored, read_scored
from chexmodel.protocol_scores import ReferenceProtocol
from chexmodel.protocol_tables import RULES as WAYS_TO_SCORE
from chexmodel.protocol_tables import both_ways, leak_sentence
from chexmodel.reliability import Reliability
from chexmodel.ribbons import ribbons
from chexmodel.scores import interval
from chexmodel.subgroup_scores import Column
from chexmodel.subgroup_tables import STARS, gaps_table, sizes_table
from chexmodel.subgroups import METRICS
from train.html_page import chart, page, pairs, section, table

_FORESTS: Final = ("auroc", "average_precision", "f1", "brier")
_NOTICE: Final = (
    "For research and teaching. Not a medical device: never the basis of a decision about a patient."
)


def html(bundle: Bundle) -> str:
    """Write the evaluation of every split as HTML, the test split first.

    Raises:
        BundleError: the bundle was not evaluated, or a file of it is damaged.
    """
    metrics = bundle.metrics()
    splits = sorted(metrics.splits, key=lambda split: split != "test")
    parts = [_head(bundle, metrics), *(part for split in splits for part in _split(bundle, metrics, split))]
    parts += _localisation(bundle)
    protocols = bundle.reference_protocol()
    if protocols is not None and protocols.weights_sha256 == bundle.manifest.weights_sha256:
        parts.append(_protocol(protocols))
    return page(f"Evaluation of {bundle.manifest.name}", parts)


def _head(bundle: Bundle, metrics: Metrics) -> str:
    manifest = bundle.manifest
    untrained = "; ".join(f"{name} ({reason})" for name, reason in manifest.not_trained.items())
    lines = [
        f"<b>{_NOTICE}</b>",
        f"Command: <code>{escape(metrics.command)}</code>",
        f"Weights SHA-256: <code>{escape(metrics.weights_sha256)}</code>",
        f"Labels: uncertain masked in every score, blank: {escape(manifest.policies.blank)}; "
        f"{escape(manifest.policies.views)} films; split by patient.",
        f"Not trained: {escape(untrained)}." if untrained else "",
        escape(manifest.origin.caution) if manifest.origin else "",
    ]
    operating = section("Operating points", "", table(thresholds_table(bundle.thresholds), index=False))
    return f"<p>{'<br>'.join(line for line in lines if line)}</p>{operating}"


def _split(bundle: Bundle, metrics: Metrics, split: str) -> Iterator[str]:
    evaluation = metrics.splits[split]
    conditions = (
        f"{evaluation.films:,} films of {evaluation.patients:,} patients. Intervals: 95 %, percentile "
        f"bootstrap over patients, {evaluation.bootstrap:,} resamples, seed {evaluation.seed}."
    )
    note = f" {FLATTERED}" if split == "validation" else ""
    yield section(
        f"{split.capitalize()} split: scores",
        f"{conditions}{note} {READING}",
        table(scores_table(evaluation), index=False),
        table(averages_table(evaluation), index=False),
        pairs(
            chart(evaluation_charts.forest(evaluation, metric), WORDS[metric])
            for metric in _FORESTS
            if metric in evaluation.macro
        ),
    )
    scored = read_scored(bundle, bundle.predictions(), split)
    yield section(
        f"{split.capitalize()} split: curves",
        "Ribbons: pointwise 95 % intervals over resamples of patients. A mark is the bundle's threshold; "
        "dotted: chance, and the share of positives." + note,
        *(_curves(one, evaluation) for one in scored.values()),
    )
    rows = [row for row in bundle.reliability() if row.split == split]
    if rows:
        yield _reliability(rows, split, note)
    groups = bundle.subgroups().get(split)
    if groups is not None:
        yield from (_groups(column, split, note) for column in groups.columns)


def _curves(scored: Scored, evaluation: Evaluation) -> str:
    found = ribbons(
        scored.labels, scored.probs, scored.patients, bootstrap=evaluation.bootstrap, seed=evaluation.seed
    )
    score = next(score for score in evaluation.scores if score.observation == scored.observation)
    return pairs(
        [
            chart(
                operating_charts.roc([scored], [found.roc]),
                f"{scored.observation}: ROC, area {interval(score.auroc)}",
            ),
            chart(
                operating_charts.precision_recall([scored], [found.precision_recall]),
                f"{scored.observation}: precision-recall, average {interval(score.average_precision)}",
            ),
        ]
    )


def _reliability(rows: Sequence[Reliability], split: str, note: str) -> str:
    return section(
        f"{split.capitalize()} split: calibration",
        "Whiskers: 95 % Wilson intervals of the share of positives in a bin. Dotted: perfect calibration."
        + note,
        table(reliability_table(list(rows)), index=False),
        pairs(chart(evaluation_charts.reliability(row), row.observation) for row in rows),
    )


def _groups(column: Column, split: str, note: str) -> str:
    """Groups of one column by each metric that two of them score; below, what is counted alone."""
    parts = []
    for metric, words in METRICS.items():
        compared = [gap.observation for gap in column.gaps if gap.metric == metric]
        if compared:
            parts += [
                chart(subgroup_charts.forest(column, metric, compared), f"{column.name}: {words}"),
                table(gaps_table(column, metric)),
            ]
    parts.append(table(sizes_table(column, next(iter(METRICS)))))
    reading = f"{column.cut}. {STARS}" if len(parts) > 1 else f"{column.cut}. No two groups are scored."
    return section(f"{split.capitalize()} split: by {column.name}", reading + note, *parts)


def _protocol(found: ReferenceProtocol) -> str:
    return section(
        "The reference project's way to score beside ours",
        f"Reference's way: {WAYS_TO_SCORE['reference']}. Our way: {WAYS_TO_SCORE['ours']}. "
        f"{leak_sentence(found.own.leak)}",
        "<h3>The model, on films that it did not learn from</h3>",
        table(both_ways(found.reference, found.ours)),
        "<h3>Its label table, without a film</h3>",
        table(both_ways(found.own.reference, found.own.ours)),
    )


def _localisation(bundle: Bundle) -> list[str]:
    """What was measured of the maps, the most films first; a sentence where nothing was."""
    measured = bundle.localisation()
    if not measured.scores:
        return [section("Localisation", "Not measured: no film of these data is marked by radiologists.")]
    if measured.weights_sha256 != bundle.manifest.weights_sha256:
        return [section("Localisation", "Not measured for these weights: evaluate the bundle anew.")]
    parts = []
    for name in dict.fromkeys(score.observation for score in measured.scores):
        for split in reversed(SPLITS):
            scores = measured.of(name, split)
            if not scores:
                continue
            films = f"{scores[0].films:,} films of {scores[0].patients:,} patients ({SPLITS[split]}). "
            said = " ".join(summary(scores, measure) for measure in MEASURES)
            charts = [
                chart(localisation_charts.forest(scores, measure), MEASURES[measure]) for measure in MEASURES
            ]
            parts.append(
                section(
                    f"Localisation of {name}, {SPLITS[split]}",
                    f"{films}{said} {RULE}",
                    table(localisation_table(scores), index=False),
                    pairs(charts),
                )
            )
    return [*parts, section("", f"{UNSEEN} {ELSEWHERE} Other observations: not measured.")]
