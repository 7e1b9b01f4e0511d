"""What former versions wrote to `localisation.json`, and what can still be read from it."""

from collections.abc import Sequence
from typing import Literal

import numpy as np
from pydantic import BaseModel, ConfigDict

from chexmodel.localisation import CENTRE, Baseline, Localisation, LocalisationScore
from chexmodel.methods import EXACT, Method
from chexmodel.reasons import FORMER_HITS
from chexmodel.scores import Estimate, Undefinable


class Pointing(BaseModel):
    """What former versions wrote in place of a score: the hit rate of the exact Grad-CAM alone."""

    model_config = ConfigDict(frozen=True)

    observation: str
    split: Literal["validation", "test"]
    films: int
    patients: int
    rate: Estimate
    centre: Undefinable


def from_former(rows: Sequence[Pointing]) -> Localisation:
    """Read a former version's results as scores of the exact Grad-CAM and of the image centre.

    They have no IoU, no interval of the baseline and no difference to it: undefined, with the reason.
    """
    unknown = Estimate(value=np.nan, low=np.nan, high=np.nan)
    scores = []
    for row in rows:
        centre = Estimate(value=row.centre, low=np.nan, high=np.nan)
        pairs: list[tuple[Method | Baseline, Estimate]] = [(EXACT, row.rate), (CENTRE, centre)]
        for name, hit in pairs:
            scores.append(
                LocalisationScore(
                    observation=row.observation,
                    split=row.split,
                    method=name,
                    films=row.films,
                    patients=row.patients,
                    nowhere=0,
                    cutoffs=(),
                    hit=hit,
                    iou=unknown,
                    overlapping=unknown,
                    undefined=FORMER_HITS,
                )
            )
    return Localisation(scores=tuple(scores))
