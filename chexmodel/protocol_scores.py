"""Answers to the same labels, scored as the reference project does or as we do; with the results' types."""

from collections.abc import Mapping
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from chexmodel.bootstrap import draw_weights, ratio
from chexmodel.draws import averages, estimate
from chexmodel.errors import DatasetError
from chexmodel.labels import OBSERVATIONS
from chexmodel.language import mark, tr
from chexmodel.scores import Average, Estimate
from chexmodel.statistics import Provenance

METRICS: Final = ("f1", mark("precision"), mark("recall"), mark("accuracy"))
MODEL: Final = mark("model")
CONSTANTS: Final = (mark("constant yes"), mark("constant no"), mark("prevalence"))
"""Answers that look at no film; "prevalence" answers the share of positives in the training part, from 0.5 on
yes."""

Way = Literal["reference", "ours"]
Floats = NDArray[np.float64]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, ser_json_inf_nan="null")


class Answer(_Frozen):
    """Scores of one answer: by metric, of each of the 14 observations and as a macro average.

    The lifts are those over the best constant answer to the same labels: best for the observation, and best
    in the macro average (of `over`). Of a constant answer they are left out.
    """

    name: str
    scores: dict[str, tuple[Estimate, ...]]
    macro: dict[str, Average]
    lifts: dict[str, tuple[Estimate, ...]] = {}
    macro_lift: dict[str, Average] = {}
    over: dict[str, str] = {}


class Judgement(_Frozen):
    """Answers to the same labels, scored one way, with the conditions; counts are of the 14 observations."""

    way: Way
    films: int
    patients: int
    bootstrap: int
    seed: int
    positives: tuple[int, ...]
    negatives: tuple[int, ...]
    masked: tuple[int, ...]
    answers: tuple[Answer, ...]

    def answer(self, name: str) -> Answer:
        """The answer of this name; KeyError without one."""
        return {answer.name: answer for answer in self.answers}[name]


class Leak(_Frozen):
    """Who is on both sides of a split of images: patients, and their films among those that are scored."""

    training_films: int
    scored_films: int
    scored_patients: int
    shared_patients: int
    shared_films: int


class TableProtocols(_Frozen):
    """Both ways on one label table, for the constant answers: no film is needed."""

    provenance: Provenance
    fraction: float
    leak: Leak
    reference: Judgement
    ours: Judgement


class ReferenceProtocol(_Frozen):
    """A model scored the reference project's way, and ours; `own` is its data's table, `other` a further one.

    `reference` is on films that the model did not learn from: those among the images of a random 15 % of
    `train.csv`, each scored by a network that did not see its patient. The model has no advantage from
    patients on both sides of that split; a model that is trained on the rest of the images has.
    """

    command: str
    weights_sha256: str
    reference: Judgement
    ours: Judgement
    own: TableProtocols
    other: TableProtocols | None = None


def judge(
    labels: NDArray[np.floating],
    calls: NDArray[np.bool_] | None = None,
    *,
    way: Way,
    base: Floats,
    patients: NDArray[np.object_],
    bootstrap: int = 1000,
    seed: int = 0,
) -> Judgement:
    """Score the constant answers, and a model's calls, to the same labels.

    Args:
        labels: (N, 14) in {0, 1, −1, NaN}; −1 and NaN are masked.
        calls: (N, 14), what a model calls positive; None for the constant answers alone.
        way: "reference": undefined is 0; "ours": an observation of one class is undefined, as is any ratio
            to nothing, and left out of the averages. Accuracy without a label is undefined either way.
        base: (14,) share of positives in the training part, or NaN.
        patients: N ids; whole patients are resampled, the same for every answer.
        bootstrap: number of resamples.
        seed: of the resampling.

    Raises:
        DatasetError: no films.
    """
    if len(labels) == 0:
        raise DatasetError(tr("there are no films to score: check the split and the views"))
    unique, groups = np.unique(np.asarray(patients).astype(str), return_inverse=True)
    drawn = draw_weights(np.arange(len(unique)), resamples=bootstrap, rng=np.random.default_rng(seed))
    weights = np.concatenate([np.ones((1, len(unique))), drawn]).astype(np.float32)  # exact up to 2²⁴ films
    said = {} if calls is None else {MODEL: calls}
    every = np.ones(labels.shape, dtype=bool)
    said |= dict(zip(CONSTANTS, (every, ~every, every & (base >= 0.5)), strict=True))
    draws = {name: _draws(labels, answer, groups, weights, way) for name, answer in said.items()}
    answers = [_answer(name, draws) for name in said]
    return Judgement(
        way=way,
        films=len(labels),
        patients=len(unique),
        bootstrap=bootstrap,
        seed=seed,
        positives=tuple((labels == 1).sum(axis=0).tolist()),
        negatives=tuple((labels == 0).sum(axis=0).tolist()),
        masked=tuple((~np.isin(labels, (0, 1))).sum(axis=0).tolist()),
        answers=tuple(answers),
    )


_Draws = list[dict[str, Floats]]  # 14 times metric → (1 + R,)


def _draws(
    labels: NDArray[np.floating],
    calls: NDArray[np.bool_],
    groups: NDArray[np.integer],
    weights: NDArray[np.float32],
    way: Way,
) -> _Draws:
    """Every metric of every observation on the films (first) and on each resample of their patients."""
    counts = []
    yes, no = labels == 1, labels == 0
    for cell in (yes & calls, no & calls, yes & ~calls, no & ~calls):
        of_patient = np.zeros((weights.shape[1], labels.shape[1]), dtype=np.float32)
        np.add.at(of_patient, groups, cell)
        counts.append((weights @ of_patient).astype(np.float64))
    tp, fp, fn, tn = counts
    found = {
        "f1": ratio(2 * tp, 2 * tp + fp + fn),
        "precision": ratio(tp, tp + fp),
        "recall": ratio(tp, tp + fn),
    }
    accuracy = ratio(tp + tn, tp + fp + fn + tn)
    if way == "reference":
        found = {name: np.nan_to_num(values, nan=0.0) for name, values in found.items()}
    else:
        found["f1"] = np.where(tp + fn > 0, found["f1"], np.nan)
        one_class = (tp[0] + fn[0] == 0) | (fp[0] + tn[0] == 0)
        found = {name: np.where(one_class, np.nan, values) for name, values in found.items()}
        accuracy = np.where(one_class, np.nan, accuracy)
    found["accuracy"] = accuracy
    return [{name: values[:, k] for name, values in found.items()} for k in range(labels.shape[1])]


def _answer(name: str, draws: Mapping[str, _Draws]) -> Answer:
    every = [[k] for k in range(len(OBSERVATIONS))]
    macros = {answer: averages(rows, every) for answer, rows in draws.items()}
    own = draws[name]
    scores = {metric: tuple(estimate(row[metric]) for row in own) for metric in METRICS}
    if name in CONSTANTS:
        return Answer(name=name, scores=scores, macro=macros[name])
    over = {}
    lifts: dict[str, tuple[Estimate, ...]] = {}
    macro_lift = {}
    for metric in METRICS:
        found = []
        for k, row in enumerate(own):
            best = _best({answer: float(draws[answer][k][metric][0]) for answer in CONSTANTS})
            found.append(estimate(row[metric] - draws[best][k][metric]))
        lifts[metric] = tuple(found)
        over[metric] = _best({answer: macros[answer][metric].value for answer in CONSTANTS})
        gained = [
            {metric: row[metric] - other[metric]} for row, other in zip(own, draws[over[metric]], strict=True)
        ]
        macro_lift[metric] = averages(gained, every)[metric]
    return Answer(name=name, scores=scores, macro=macros[name], lifts=lifts, macro_lift=macro_lift, over=over)


def _best(values: Mapping[str, float]) -> str:
    """The constant answer of the highest value, an undefined one last, the first of equals."""
    return max(values, key=lambda name: -np.inf if np.isnan(values[name]) else values[name])
