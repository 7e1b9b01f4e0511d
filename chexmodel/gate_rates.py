"""`gate.json`: how often the input check accepts what it should, and rejects what it should."""

import math
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from chexmodel.scores import Estimate

Kind = Literal["films", "others"]
AS_THEY_ARE: Final = "as they are"
ALL_PLACED: Final = "turned, mirrored or inverted: all 15"
"""What `GateRate.shown` says of upright films and other pictures, and of all else together."""


def wilson(successes: int, trials: int, effective: int | None = None) -> Estimate:
    """A rate with its 95 % score interval (Wilson E. B., JASA 1927), which also holds near 0 and 1.

    Args:
        successes: of `trials`; NaN throughout for no trials.
        trials: pictures.
        effective: independent ones, where there are fewer: patients. The interval is then that of the same
            rate in so many trials, which is wide rather than narrow.
    """
    if trials == 0:
        return Estimate(value=math.nan, low=math.nan, high=math.nan)
    n, z = effective or trials, 1.959964
    rate = successes / trials
    middle = (rate + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(rate * (1 - rate) / n + z * z / (4 * n * n))
    return Estimate(value=rate, low=max(0.0, middle - half), high=min(1.0, middle + half))


class GateRate(BaseModel):
    """What the check said of the pictures of one kind.

    source: the folder or file that they are of. description: what that is. shown: AS_THEY_ARE, ALL_PLACED,
    or the words of the correction that the films shown need. pictures, patients: how many; without known
    patients each picture is one. accepted: how many were. corrected: of how many films the correction offered
    is the right one, after which they are accepted; of other pictures, how many were offered one at all.
    right: share of the right answers: films as they are accepted, all else rejected. mended: share of the
    films with the right correction offered. unreadable: pictures that were refused as files: not counted.
    """

    model_config = ConfigDict(frozen=True, ser_json_inf_nan="null")

    kind: Kind
    source: str
    description: str = ""
    shown: str
    pictures: int
    patients: int
    accepted: int
    corrected: int
    right: Estimate
    mended: Estimate
    unreadable: int = 0


class HintRate(BaseModel):
    """On how many films of a source a hint of quality speaks.

    shown: AS_THEY_ARE, or how they were spoilt. check: the hint, of `quality.CHECKS`; "" for any of them.
    spoken: films on which it speaks. share: of all, with its interval.
    """

    model_config = ConfigDict(frozen=True, ser_json_inf_nan="null")

    source: str
    shown: str
    check: str
    films: int
    patients: int
    spoken: int
    share: Estimate


class GateRates(BaseModel):
    """`gate.json`: of which weights, by what command, fitted to how many training films, and the rates.

    `hints`: of the hints of quality, which belong to the program and not to the weights.
    """

    model_config = ConfigDict(frozen=True, ser_json_inf_nan="null")

    command: str
    weights_sha256: str
    fitted_films: int
    fitted_patients: int
    rates: list[GateRate] = Field(default=[])
    hints: list[HintRate] = Field(default=[])
