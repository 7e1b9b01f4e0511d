"""The two ways to score as tables of text: one wording for the shell and the page."""

from typing import Final

import pandas as pd

from chexmodel.labels import OBSERVATIONS
from chexmodel.language import mark, number, tr
from chexmodel.protocol_scores import (
    CONSTANTS,
    METRICS,
    MODEL,
    Judgement,
    Leak,
    ReferenceProtocol,
    TableProtocols,
    Way,
)
from chexmodel.scores import Average, interval

WAYS: Final[dict[Way, str]] = {"reference": mark("reference's way"), "ours": mark("our way")}

RULES: Final[dict[Way, str]] = {
    "reference": mark(
        "a random share of the images; blanks and uncertain labels masked; threshold 0.5; what is "
        "undefined counts as 0 in the mean over 14"
    ),
    "ours": mark(
        "no patient in two parts; blanks negative, uncertain labels masked; the model's own thresholds; "
        "what is undefined is left out of the mean"
    ),
}

_LIFT: Final = mark("lift over the best constant answer")
_NAMES: Final = {"f1": "F1"}


def macro_table(judgement: Judgement) -> pd.DataFrame:
    """One row per answer: macro averages with intervals, and a model's lift over the best constant answer."""
    rows = {}
    for answer in judgement.answers:
        row = {}
        for metric in METRICS:
            found = answer.macro[metric]
            row[tr("macro {metric}", metric=tr(_NAMES.get(metric, metric)))] = _over(found)
            if metric == "f1" and judgement.answers[0].name == MODEL:
                lift = answer.macro_lift.get(metric)
                row[_LIFT] = f"{interval(lift, signed=True)} ({answer.over[metric]})" if lift else ""
        rows[tr(answer.name)] = row
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis(mark("answer"))


def observation_table(judgement: Judgement) -> pd.DataFrame:
    """One row per observation: its labels, the F1 of a model with its lift, and that of a constant yes.

    The F1 of a constant no is 0, and the prevalence answers yes or no.
    """
    answers = {answer.name: answer for answer in judgement.answers}
    rows = {}
    for k, name in enumerate(OBSERVATIONS):
        row = {
            mark("positives"): number(judgement.positives[k], ","),
            mark("negatives"): number(judgement.negatives[k], ","),
            mark("masked"): number(judgement.masked[k], ","),
        }
        if MODEL in answers:
            row["F1"] = interval(answers[MODEL].scores["f1"][k])
            row[_LIFT] = interval(answers[MODEL].lifts["f1"][k], signed=True)
        row[tr("F1 of {answer}", answer=tr(CONSTANTS[0]))] = interval(answers[CONSTANTS[0]].scores["f1"][k])
        rows[tr(name)] = row
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis(mark("observation"))


def both_ways(reference: Judgement, ours: Judgement) -> pd.DataFrame:
    """One row per answer: macro F1 either way, with a model's lift beside it."""
    rows: dict[str, dict[str, str]] = {}
    for judgement in (reference, ours):
        for answer in judgement.answers:
            found, row = answer.macro["f1"], rows.setdefault(tr(answer.name), {})
            row[tr("macro F1, {way}", way=tr(WAYS[judgement.way]))] = _over(found)
            if judgement.answers[0].name == MODEL:
                lift = answer.macro_lift.get("f1")
                row[tr("lift, {way}", way=tr(WAYS[judgement.way]))] = (
                    interval(lift, signed=True) if lift else "—"
                )
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis(mark("answer"))


def leak_sentence(leak: Leak) -> str:
    """Say how many patients are on both sides of a split of images."""
    share, films = leak.shared_patients / leak.scored_patients, leak.shared_films / leak.scored_films
    return tr(
        "A random split of the images puts {shared:,} of the {scored:,} scored patients ({share:.0f} %) "
        "into the training part as well: {shared_films:,} of the {scored_films:,} scored films ({films:.0f} "
        "%) are of patients whom a model has seen.",
        shared=leak.shared_patients,
        scored=leak.scored_patients,
        share=100 * share,
        shared_films=leak.shared_films,
        scored_films=leak.scored_films,
        films=100 * films,
    )


def one_class(judgement: Judgement) -> str:
    """Say which observations have labels of one class alone, or none, and what that does; "" of none."""
    reference = judgement.way == "reference"
    found: dict[str, list[str]] = {}
    for name, positives, negatives in zip(
        OBSERVATIONS, judgement.positives, judgement.negatives, strict=True
    ):
        if not positives and not negatives:
            what = tr("no label, F1 0 to every answer") if reference else tr("no label, left out")
        elif not positives:
            what = tr("no positive, F1 0 to every answer") if reference else tr("no positive, left out")
        elif not negatives:
            what = tr("no negative, F1 1 to “yes”") if reference else tr("no negative, left out")
        else:
            continue
        found.setdefault(what, []).append(tr(name))
    return "; ".join(f"{', '.join(names)} ({what})" for what, names in found.items())


def printed(result: TableProtocols | ReferenceProtocol) -> str:
    """The whole as text for the shell."""
    if isinstance(result, ReferenceProtocol):
        parts = ["The model, on films that it did not learn from"]
        parts += [_judgement(judgement) for judgement in (result.reference, result.ours)]
        parts += [printed(table) for table in (result.own, result.other) if table is not None]
        return "\n\n".join(parts)
    title = (
        f"Answers that look at no film, on {result.provenance.source} "
        f"(SHA-256 {result.provenance.sha256}), {100 * result.fraction:.0f} % scored"
    )
    tables = [_judgement(judgement) for judgement in (result.reference, result.ours)]
    return "\n\n".join([title, leak_sentence(result.leak), *tables])


def _over(average: Average) -> str:
    return tr("{score} over {n}", score=interval(average, digits=3), n=average.observations)


def _judgement(judgement: Judgement) -> str:
    head = (
        f"{WAYS[judgement.way].capitalize()} ({RULES[judgement.way]}): {judgement.films:,} films of "
        f"{judgement.patients:,} patients"
    )
    foot = one_class(judgement)
    tables = [macro_table(judgement).to_string(), observation_table(judgement).to_string()]
    return "\n".join([head, *tables, *([foot] if foot else [])])
