"""Do maps point where radiologists saw the finding? Hit rate and IoU per method, beside trivial baselines.

`localisation_films.parquet` has one row per film, observation and method; `summarise` turns them into what
`localisation.json` holds, so that every figure can be computed again.
"""

from collections.abc import Iterator
from typing import Final, Literal, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from chexmodel.bootstrap import draw_weights
from chexmodel.draws import estimate
from chexmodel.labels import OBSERVATIONS
from chexmodel.language import mark
from chexmodel.methods import METHODS, Method
from chexmodel.reasons import NO_CUTOFF
from chexmodel.scores import Estimate

Baseline = Literal["image centre", "mean box"]
CENTRE: Final[Baseline] = mark("image centre")
MEAN_BOX: Final[Baseline] = mark("mean box")
BASELINES: Final[tuple[Baseline, ...]] = (CENTRE, MEAN_BOX)
"""Maps that look at no film: they peak in its middle, or where other films' regions lie most often."""

OVERLAP: Final = 0.25
"""IoU from which a map is counted as overlapping what was marked."""

FILM_COLUMNS: Final = (
    *("film", "patient", "observation", "split", "fold", "method"),
    *("hit", "positive", "cutoff", "iou"),
)
"""Columns of `localisation_films.parquet`: the film's `Path` and patient; whose map and region; validation
or test; of a validation film the number, from 1, of the ensemble's member that made the map; a method or a
baseline; whether the peak hits; whether the map is positive anywhere; the cut-off (share of the map's
maximum) that other films gave, and the IoU there (both NaN where no other patient's film is marked)."""

_ORDER: Final[tuple[Method | Baseline, ...]] = (*METHODS, *BASELINES)

Split = Literal["validation", "test", "all"]
Measure = Literal["hit", "iou"]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, ser_json_inf_nan="null")


class Margin(_Frozen):
    """Difference to the better baseline, film by film and draw by draw; `baseline` names that one."""

    baseline: Baseline
    difference: Estimate

    @property
    def beaten(self) -> bool:
        """Whether the difference's 95 % interval lies above 0."""
        return bool(self.difference.low > 0)


class LocalisationScore(_Frozen):
    """How a method's maps, or a baseline's, lie on what radiologists marked for an observation.

    split: "validation", "test", or "all" of them. Every map is by a network that did not learn from the
        film's patient: in an ensemble of folds a validation film's is by the one member of its fold.
    nowhere: films whose map is nowhere positive; they count as no hit and an IoU of 0.
    cutoffs: the cut-offs that other films gave, ascending.
    hit: share of films whose map peaks inside. iou: mean over films. overlapping: share with IoU ≥ `OVERLAP`.
    hit_margin, iou_margin: against the better of the baselines on the same films; None of a baseline itself.
    undefined: why the IoU is, where it is.
    """

    observation: str
    split: Split
    method: Method | Baseline
    films: int
    patients: int
    nowhere: int
    cutoffs: tuple[float, ...]
    hit: Estimate
    iou: Estimate
    overlapping: Estimate
    hit_margin: Margin | None = None
    iou_margin: Margin | None = None
    undefined: str | None = None

    def measured(self, measure: Measure) -> Estimate:
        """The hit rate, or the mean IoU."""
        return self.hit if measure == "hit" else self.iou

    def margin(self, measure: Measure) -> Margin | None:
        """The difference to the better baseline by this measure."""
        return self.hit_margin if measure == "hit" else self.iou_margin


class Localisation(_Frozen):
    """`localisation.json`: the scores, of which weights, and how their intervals were drawn."""

    weights_sha256: str | None = None
    bootstrap: int = 0
    seed: int = 0
    scores: tuple[LocalisationScore, ...] = ()

    def of(self, observation: str, split: str) -> list[LocalisationScore]:
        """Scores of an observation on a split: the methods, then the baselines."""
        return [score for score in self.scores if (score.observation, score.split) == (observation, split)]

    def widest(self, observation: str, method: str) -> LocalisationScore | None:
        """The score over the most films ("all", where it is there); None where it was not measured."""
        found = [s for s in self.scores if (s.observation, s.method) == (observation, method)]
        return max(found, key=lambda score: (score.films, score.split == "all"), default=None)

    def frame(self) -> pd.DataFrame:
        """One row per score; each estimate as three columns (`hit`, `hit_low`, `hit_high`)."""
        return pd.DataFrame([dict(_cells(score)) for score in self.scores])


def _cells(score: LocalisationScore) -> Iterator[tuple[str, object]]:
    for name in LocalisationScore.model_fields:
        value = getattr(score, name)
        if isinstance(value, tuple):
            value = " ".join(map(str, value))
        if name.endswith("_margin"):
            yield f"{name}_to", value.baseline if value else None
            value = value.difference if value else Estimate(value=np.nan, low=np.nan, high=np.nan)
        if isinstance(value, Estimate):
            yield from ((name, value.value), (f"{name}_low", value.low), (f"{name}_high", value.high))
        else:
            yield name, value


def summarise(films: pd.DataFrame, *, bootstrap: int, seed: int) -> tuple[LocalisationScore, ...]:
    """Score every observation and method on each split and on all films together.

    Intervals are 95 %, percentile bootstrap over patients; all methods and baselines of a split share the
    resamples, so that their differences are paired. The order of the rows does not matter.

    Args:
        films: in `FILM_COLUMNS`; of an observation and split every method has the same films.
        bootstrap: number of resamples.
        seed: of the resampling.
    """
    scores: list[LocalisationScore] = []
    for observation in OBSERVATIONS:
        rows = films[films["observation"] == observation].sort_values("film", kind="stable")
        splits: list[tuple[Split, pd.DataFrame]] = [
            ("validation", rows[rows["split"] == "validation"]),
            ("test", rows[rows["split"] == "test"]),
            ("all", rows),
        ]
        for split, chosen in splits:
            if len(chosen):
                scores += _scores(observation, split, chosen, bootstrap=bootstrap, seed=seed)
    return tuple(scores)


class _Draws(NamedTuple):
    """A method's measures on the films themselves and on R resamples, each (1 + R,)."""

    hit: NDArray[np.float64]
    iou: NDArray[np.float64]
    overlapping: NDArray[np.float64]


def _scores(
    observation: str, split: Split, rows: pd.DataFrame, *, bootstrap: int, seed: int
) -> list[LocalisationScore]:
    methods = {name: part for name in _ORDER if len(part := rows[rows["method"] == name])}
    first = next(iter(methods.values()))
    unique, groups = np.unique(first["patient"].to_numpy(str), return_inverse=True)
    resampled = draw_weights(groups, resamples=bootstrap, rng=np.random.default_rng(seed))
    weights = np.concatenate([np.ones((1, len(first))), resampled]).astype(np.float64)
    draws = {name: _draws(part, weights) for name, part in methods.items()}
    baselines = [name for name in BASELINES if name in draws]
    scores = []
    for name, part in methods.items():
        drawn = draws[name]
        against = [] if name in baselines else baselines
        unknown = int(part["iou"].isna().sum())
        scores.append(
            LocalisationScore(
                observation=observation,
                split=split,
                method=name,
                films=len(part),
                patients=len(unique),
                nowhere=int((~part["positive"].astype(bool)).sum()),
                cutoffs=tuple(sorted(set(part["cutoff"].dropna().tolist()))),
                hit=estimate(drawn.hit),
                iou=estimate(drawn.iou),
                overlapping=estimate(drawn.overlapping),
                hit_margin=_margin(drawn.hit, {base: draws[base].hit for base in against}),
                iou_margin=_margin(drawn.iou, {base: draws[base].iou for base in against}),
                undefined=NO_CUTOFF.format(films=unknown) if unknown else None,
            )
        )
    return scores


def _draws(films: pd.DataFrame, weights: NDArray[np.float64]) -> _Draws:
    ious = films["iou"].to_numpy(np.float64)
    overlapping = np.where(np.isnan(ious), np.nan, ious >= OVERLAP)
    hit, iou, over = (
        weights @ values / weights.sum(axis=1)
        for values in (films["hit"].to_numpy(np.float64), ious, overlapping)
    )
    return _Draws(hit=hit, iou=iou, overlapping=over)


def _margin(drawn: NDArray[np.float64], baselines: dict[Baseline, NDArray[np.float64]]) -> Margin | None:
    known = {name: values for name, values in baselines.items() if not np.isnan(values[0])}
    if not known or np.isnan(drawn[0]):
        return None
    better = max(known, key=lambda name: float(known[name][0]))
    return Margin(baseline=better, difference=estimate(drawn - known[better]))
