"""What an evaluation by groups of films consists of: scores per group, gaps, means."""

from typing import Any

import pandas as pd
from pydantic import BaseModel, ConfigDict

from chexmodel.scores import Estimate


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, ser_json_inf_nan="null")


class GroupScore(_Frozen):
    """How one observation is read in one group: `films` and `patients` are those with a known label.

    `metrics` has what is scored, `reasons` says of the other metrics why they are not.
    """

    observation: str
    films: int
    patients: int
    positives: int
    negatives: int
    metrics: dict[str, Estimate]
    reasons: dict[str, str]


class Group(_Frozen):
    """A group of films, and how each of the 14 observations is read in it."""

    name: str
    films: int
    patients: int
    scores: tuple[GroupScore, ...]


class Gap(_Frozen):
    """Highest minus lowest score among the `groups` scored groups of a column.

    Which two is decided by the values on the films themselves; the resamples keep to that pair. Of two groups
    this is the interval of their difference. Of more, taking the extreme pair inflates the gap: among groups
    that are read alike, too, some pair is furthest apart, and 0 is left out more often than once in twenty.
    For the Brier score the lowest is the best.
    """

    observation: str
    metric: str
    lowest: str
    highest: str
    groups: int
    gap: Estimate


class Mean(_Frozen):
    """Mean of a metric over the observations that every group of `groups` scores.

    Observations with equal or complementary labels count as one: the mean is `over` so many. `left_out` are
    the groups that score no observation.
    """

    metric: str
    observations: tuple[str, ...]
    over: int
    groups: dict[str, Estimate]
    left_out: tuple[str, ...]
    gap: Gap | None


class Column(_Frozen):
    """The groups of one column; `cut` says how its cells became groups."""

    name: str
    cut: str
    groups: tuple[Group, ...]
    gaps: tuple[Gap, ...]
    means: tuple[Mean, ...]


class Subgroups(_Frozen):
    """Scores per group on one set of films, with the conditions under which they hold."""

    films: int
    patients: int
    bootstrap: int
    seed: int
    columns: tuple[Column, ...]

    def frame(self) -> pd.DataFrame:
        """One row per column, group and observation; estimates as three columns (`auroc`, `auroc_low` …)."""
        rows = []
        for column in self.columns:
            for group in column.groups:
                for score in group.scores:
                    row: dict[str, Any] = {"column": column.name, "group": group.name}
                    row |= score.model_dump(exclude={"metrics", "reasons"})
                    for name, found in score.metrics.items():
                        row |= {name: found.value, f"{name}_low": found.low, f"{name}_high": found.high}
                    row["not scored"] = "; ".join(dict.fromkeys(score.reasons.values()))
                    rows.append(row)
        return pd.DataFrame(rows)
