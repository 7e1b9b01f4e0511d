"""Does a map point where a radiologist saw the finding? The pointing game, with its trivial baseline."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from chexmodel.bootstrap import draw_weights
from chexmodel.draws import estimate
from chexmodel.scores import Estimate, Undefinable


class Pointing(BaseModel):
    """How often the exact Grad-CAM of an observation peaks inside a radiologist's box.

    `rate` is over the boxed films of a split, with a bootstrap interval over patients; `centre` is what the
    middle of the film would get on the same films.
    """

    model_config = ConfigDict(frozen=True, ser_json_inf_nan="null")

    observation: str
    split: str
    films: int
    patients: int
    rate: Estimate
    centre: Undefinable


def peak_inside(heat: NDArray[np.floating], boxes: Sequence[Sequence[float]]) -> bool:
    """Whether the highest point of a map lies in one of the boxes.

    The pointing game of Zhang J. et al., *Top-down Neural Attention by Excitation Backprop*, ECCV 2016,
    arXiv:1608.00507, without a tolerance around the box.

    Args:
        heat: (H, W), on the film's pixels.
        boxes: left, top, right, bottom of each, px.
    """
    y, x = np.unravel_index(int(np.argmax(heat)), heat.shape)
    return inside((float(x) + 0.5, float(y) + 0.5), boxes)


def inside(point: tuple[float, float], boxes: Sequence[Sequence[float]]) -> bool:
    """Whether (x, y), px, lies in one of the boxes."""
    x, y = point
    return any(left <= x < right and top <= y < bottom for left, top, right, bottom in boxes)


def pointing(
    hits: Sequence[bool],
    centres: Sequence[bool],
    patients: Sequence[str],
    *,
    observation: str,
    split: str,
    bootstrap: int,
    seed: int,
) -> Pointing:
    """Rate of hits with its interval.

    Args:
        hits: N, one a boxed film.
        centres: N, whether the film's middle lies in a box.
        patients: N ids; whole patients are resampled.
        observation: whose map and boxes these are.
        split: name of the films' split.
        bootstrap: number of resamples.
        seed: of the resampling.
    """
    unique, groups = np.unique(np.asarray(patients), return_inverse=True)
    weights = draw_weights(groups, resamples=bootstrap, rng=np.random.default_rng(seed)).astype(np.float64)
    weights = np.concatenate([np.ones((1, len(hits))), weights])
    rates = weights @ np.asarray(hits, dtype=np.float64) / weights.sum(axis=1)
    return Pointing(
        observation=observation,
        split=split,
        films=len(hits),
        patients=len(unique),
        rate=estimate(rates),
        centre=float(np.mean(centres)),
    )
