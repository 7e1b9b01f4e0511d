"""What a choice of label policies does to a table: what training sees and draws, how easy a score becomes."""

from itertools import product
from typing import Final, get_args

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from chexmodel.labels import OBSERVATIONS, BlankPolicy, UncertainPolicy
from chexmodel.metrics import constant_yes_f1
from chexmodel.scores import Undefinable
from chexmodel.table import Views, select_views, targets
from chexmodel.weighting import (
    FACTOR_CAP,
    POS_WEIGHT_CAP,
    RARE_PREVALENCE,
    counts,
    pos_weight_of,
    sample_weights,
    sampling_factors,
)

_DIGITS: Final = 6


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="null")


class Effect(_Frozen):
    """What one observation becomes.

    Attributes:
        positives: unmasked positives; a smoothed label counts by its parts, to `positives` and `negatives`.
        negatives: unmasked negatives.
        masked: films without information.
        factor: by which the sampler multiplies the weight of a film that shows it, ≥ 1.
        drawn: expected positives in an epoch of weighted draws; without weights they are `positives`.
        f1_constant_yes: F1 of calling every film positive, where these targets are taken for the truth;
            smoothed labels are masked there. NaN without a positive.
    """

    positives: float
    negatives: float
    masked: int
    factor: float
    drawn: float
    f1_constant_yes: Undefinable


class PolicyEffect(_Frozen):
    """What a choice of policies does to a table.

    A weighted epoch has `films` draws; `distinct` different films are expected among them.
    """

    uncertain: UncertainPolicy
    blank: BlankPolicy
    views: Views
    rare: float
    factor_cap: float
    films: int
    distinct: float
    observations: dict[str, Effect]

    def frame(self, *, cap: float = POS_WEIGHT_CAP) -> pd.DataFrame:
        """Give a row per observation.

        Args:
            cap: largest class weight; infinity for none.

        Returns:
            The fields of `Effect`, and `pos_weight` in [0, cap], NaN where nothing is unmasked.
        """
        rows = pd.DataFrame(
            [effect.model_dump() for effect in self.observations.values()],
            index=pd.Index(list(self.observations), name="observation"),
        )
        positives, negatives = (rows[name].to_numpy(np.float64) for name in ("positives", "negatives"))
        weights = pos_weight_of(positives, negatives, cap=cap)
        known = positives + negatives > 0
        rows.insert(3, "pos_weight", np.where(known, weights, np.nan))
        return rows

    def macro_constant_yes(self) -> tuple[float, int]:
        """Mean F1 of the constant yes, and over how many observations; NaN over none."""
        defined = [
            effect.f1_constant_yes
            for effect in self.observations.values()
            if not np.isnan(effect.f1_constant_yes)
        ]
        return (float(np.mean(defined)), len(defined)) if defined else (float("nan"), 0)


def explain_policy(
    table: pd.DataFrame,
    *,
    uncertain: UncertainPolicy = "ignore",
    blank: BlankPolicy = "negative",
    views: Views = "all",
    rare: float = RARE_PREVALENCE,
    factor_cap: float = FACTOR_CAP,
    seed: int = 0,
) -> PolicyEffect:
    """Work out what training would see of a table, with the functions that training uses.

    An epoch has as many draws as there are films, with replacement, a film's chance being proportional to
    its sample weight; expectations are exact, nothing is drawn. Equal weights are shuffled instead, as the
    sampler does: then every film comes once.

    Args:
        table: a whole file's table, N rows of `read_table`: whether a column is labelled at all is a fact
            of the file.
        uncertain: as for `table.targets`.
        blank: as for `table.targets`.
        views: of which films.
        rare: prevalence below which an observation is oversampled, in (0, 1].
        factor_cap: largest factor of one observation, ≥ 1.
        seed: for "smooth" alone.

    Returns:
        Counts, weights and expectations over the films of these views, rounded to six decimals.

    Raises:
        DatasetError: an unknown policy.
    """
    kept = select_views(table, views)
    chosen = targets(table, uncertain=uncertain, blank=blank, seed=seed)
    if len(kept) < len(table):
        chosen = chosen[table.index.get_indexer(kept.index)]
    factors = sampling_factors(chosen, rare=rare, cap=factor_cap)
    weights = sample_weights(chosen, factors=factors)
    positives, negatives = counts(chosen)
    drawn, distinct = expected_epoch(chosen, weights)
    masked = np.isnan(chosen).sum(axis=0)
    yes, no = (chosen == 1).sum(axis=0), (chosen == 0).sum(axis=0)
    return PolicyEffect(
        uncertain=uncertain,
        blank=blank,
        views=views,
        rare=rare,
        factor_cap=factor_cap,
        films=len(chosen),
        distinct=round(distinct, _DIGITS),
        observations={
            name: Effect(
                positives=round(float(positives[k]), _DIGITS),
                negatives=round(float(negatives[k]), _DIGITS),
                masked=int(masked[k]),
                factor=round(float(factors[k]), _DIGITS),
                drawn=round(float(drawn[k]), _DIGITS),
                f1_constant_yes=round(constant_yes_f1(int(yes[k]), int(no[k])), _DIGITS),
            )
            for k, name in enumerate(OBSERVATIONS)
        },
    )


def expected_epoch(
    targets: NDArray[np.floating], weights: NDArray[np.float64]
) -> tuple[NDArray[np.float64], float]:
    """Expectations over N draws with replacement, the chance of film i being `weights[i] / sum(weights)`.

    Args:
        targets: (N, K) in [0, 1] or NaN.
        weights: (N,), > 0. Equal weights stand for a shuffled epoch, which shows every film once.

    Returns:
        (K,) expected positives, NaN targets counting nothing, and the expected number of different films.
    """
    films = len(weights)
    if films == 0 or bool((weights == weights[0]).all()):
        return counts(targets)[0], float(films)
    chances = weights / weights.sum()
    drawn: NDArray[np.float64] = films * (chances @ np.nan_to_num(np.asarray(targets, np.float64)))
    return drawn, float(-np.expm1(films * np.log1p(-chances)).sum())


def explain_all(table: pd.DataFrame) -> tuple[PolicyEffect, ...]:
    """Work out every combination of policies and views, at the sampler's defaults.

    Some seconds at 223,000 films.
    """
    choices = product(get_args(Views), get_args(UncertainPolicy), get_args(BlankPolicy))
    return tuple(
        explain_policy(table, views=views, uncertain=uncertain, blank=blank)
        for views, uncertain, blank in choices
    )
