"""What an evaluation consists of as flat tables of plain numbers, to be saved: nothing is rounded."""

from collections.abc import Iterable, Mapping

import pandas as pd
from pydantic import BaseModel

from chexmodel.comparison import Comparison
from chexmodel.labels import OBSERVATIONS
from chexmodel.protocol_scores import Judgement
from chexmodel.scores import Average, Estimate, Evaluation


def records(rows: Iterable[BaseModel | Mapping[str, object]]) -> pd.DataFrame:
    """One row each; NaN is undefined.

    An estimate NAME becomes the columns NAME, NAME_low and NAME_high, an average NAME_observations too; other
    nested parts are joined with "_". Lists, such as the bins of a reliability diagram, are left out.
    """
    return pd.DataFrame([_flat("", row) for row in rows])


def averages(evaluation: Evaluation) -> pd.DataFrame:
    """One row a metric: its averages over the observations, each with interval and number of observations."""
    kinds = {
        "macro": evaluation.macro,
        "equivalent_as_one": evaluation.macro_distinct,
        "macro_lift": evaluation.macro_lift,
        "micro": evaluation.micro,
    }
    return records(
        {"metric": metric} | {kind: found[metric] for kind, found in kinds.items() if metric in found}
        for metric in evaluation.macro
    )


def runs(evaluations: Mapping[str, Evaluation]) -> pd.DataFrame:
    """One row a run: films, patients, macro averages, those with equivalent labels as one."""
    return records(
        {"run": run, "films": found.films, "patients": found.patients, "macro": found.macro}
        | {"equivalent_as_one": found.macro_distinct}
        for run, found in evaluations.items()
    )


def aurocs(evaluations: Mapping[str, Evaluation]) -> pd.DataFrame:
    """One row an observation and run: positives, negatives, AUROC."""
    return records(
        {"observation": name, "run": run}
        | {part: getattr(found.scores[k], part) for part in ("positives", "negatives", "auroc")}
        for k, name in enumerate(OBSERVATIONS)
        for run, found in evaluations.items()
    )


def differences(comparison: Comparison) -> pd.DataFrame:
    """One row an observation, second model minus first, and two for the averages."""
    means = {"mean": comparison.macro, "mean, equivalent as one": comparison.macro_distinct}
    rows: list[Mapping[str, object]] = [
        {"observation": row.observation, "positives": row.positives, "negatives": row.negatives} | row.metrics
        for row in comparison.observations
    ]
    return records([*rows, *({"observation": name} | found for name, found in means.items())])


def answers(reference: Judgement, ours: Judgement) -> pd.DataFrame:
    """One row an answer and a way to score it: its macro averages, and their lift where it is a model."""
    return records(
        {"answer": answer.name, "way": judgement.way, "macro": answer.macro, "macro_lift": answer.macro_lift}
        for judgement in (reference, ours)
        for answer in judgement.answers
    )


def judged(judgement: Judgement) -> pd.DataFrame:
    """One row an observation and answer: its labels, its scores, and their lift where it is a model."""
    return records(
        {"observation": name, "answer": answer.name, "positives": judgement.positives[k]}
        | {"negatives": judgement.negatives[k], "masked": judgement.masked[k]}
        | {metric: found[k] for metric, found in answer.scores.items()}
        | {f"lift_{metric}": found[k] for metric, found in answer.lifts.items()}
        for k, name in enumerate(OBSERVATIONS)
        for answer in judgement.answers
    )


def _flat(name: str, value: object) -> dict[str, object]:
    if isinstance(value, Estimate | Average):
        plain: dict[str, object] = {name: value.value, f"{name}_low": value.low, f"{name}_high": value.high}
        return plain | {f"{name}_observations": value.observations} if isinstance(value, Average) else plain
    if isinstance(value, BaseModel):
        value = {field: getattr(value, field) for field in type(value).model_fields}
    if isinstance(value, Mapping):
        nested = (_flat(f"{name}_{key}" if name else key, part) for key, part in value.items())
        return {column: cell for part in nested for column, cell in part.items()}
    return {} if isinstance(value, list | tuple) else {name: value}
