"""Fit the check of the input to training films: as they are, varied, turned, inverted and mirrored."""

import sys
from collections.abc import Callable, Iterator
from typing import Final, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional as F
from tqdm import tqdm

from chexmodel.bundle import Manifest
from chexmodel.correction import Correction
from chexmodel.errors import DatasetError
from chexmodel.gate import PLACINGS, Gate, GateFit, cells
from chexmodel.network import Network
from train.dataset import Split
from train.films import load_square
from train.gate_seen import features_of, varied
from train.ridge import Samples, splits

COARSE: Final = 2
"""Side of the grid on which turns and polarity are told; finer ones were no better."""
FINE: Final = 7
"""Side of the grid on which mirror images are told; on coarser ones the side of the heart is lost."""
PASSES: Final = 6
"""Of the network, for each film that a gate is fitted to."""

_FOLDS = 5
_PENALTY_PLACED, _PENALTY_FACING = 0.3, 0.03
# Shares of the training films, each judged by a fit that did not see its patient, beyond each limit.
_TOO_FAR, _TOO_UNLIKE, _TOO_MIRRORED, _CLEAR_MIRRORED = 0.005, 0.005, 0.015, 0.005
_MIRROR = Correction(mirror=True)

Film = NDArray[np.uint8]
Show = Callable[[int, Film], Film]


class _Seen(NamedTuple):
    """What the network sees of F films in one manner: mean (F, C), coarse and fine (F, C·g·g) as float16."""

    mean: NDArray[np.float32]
    coarse: NDArray[np.float16]
    fine: NDArray[np.float16]


def fit_gate(network: Network, manifest: Manifest, learnt: Split, *, films: int, seed: int) -> Gate:
    """Fit a gate; its limits come from films whose patients were kept out of the fit that judges them.

    The network itself may have learnt from all of these films, which makes the limits strict, if anything.

    Args:
        network: of the bundle, in evaluation mode.
        manifest: of the bundle.
        learnt: training films, all taken for upright frontal ones.
        films: how many to fit to, at most.
        seed: of their choice and of how they are varied.

    Raises:
        DatasetError: there are fewer than two patients, or a film can't be read.
    """
    chosen = np.sort(np.random.default_rng(seed).permutation(len(learnt))[:films])
    patients = np.unique([learnt.patients[i] for i in chosen], return_inverse=True)[1]
    if patients.max(initial=0) < 1:
        raise DatasetError(
            "the check of the input needs the films of two patients or more: give it more training films"
        )
    size = manifest.preprocessing.size
    squares = [load_square(learnt.sources[i], size).numpy() for i in chosen]
    seen = _see(network, manifest, squares, seed)
    count = len(squares)
    centre, farthest = _distance(seen["plain"].mean, seen["varied"].mean, patients)

    placed = _coarse(seen)
    classes = np.concatenate([np.zeros(4 * count, np.intp), *(_classes(count, k) for k in (0, 1))])
    targets = np.eye(len(PLACINGS))[classes]
    groups = np.tile(patients, PASSES)
    samples = Samples(placed, np.arange(len(placed)) < count)
    upright = samples.out_of_fold(targets, groups, penalty=_PENALTY_PLACED, folds=_FOLDS)[:, 0]
    placing = samples.ridge(targets, penalty=_PENALTY_PLACED)

    sides = np.repeat([1.0, 1.0, -1.0, -1.0], count)[:, None]
    fine = np.concatenate([seen[name].fine for name in ("plain", "varied", "mirrored", "varied mirrored")])
    samples = Samples(fine, np.arange(len(fine)) < count)
    facing = samples.out_of_fold(sides, np.tile(patients, 4), penalty=_PENALTY_FACING, folds=_FOLDS)[:, 0]
    mirror = samples.ridge(sides, penalty=_PENALTY_FACING)

    fit = GateFit(
        weights_sha256=manifest.weights_sha256,
        films=count,
        patients=int(patients.max()) + 1,
        farthest=farthest,
        least_upright=float(np.quantile(upright[: 2 * count], _TOO_UNLIKE)),
        clearly_faced=float(np.quantile(facing[2 * count : 3 * count], 1 - _CLEAR_MIRRORED)),
        # Of films as they are: varied ones are harder than films that are met.
        least_faced=min(
            0.0, float(np.quantile(facing[:count] - facing[2 * count : 3 * count], _TOO_MIRRORED))
        ),
    )
    channels = len(centre)
    return Gate(
        fit,
        torch.from_numpy(centre),
        torch.from_numpy(placing.weights.T.copy()).view(len(PLACINGS), channels, COARSE, COARSE),
        torch.from_numpy(mirror.weights[:, 0].copy()).view(channels, FINE, FINE),
        torch.from_numpy(np.append(placing.biases, mirror.biases).astype(np.float32)),
    )


def _see(network: Network, manifest: Manifest, squares: list[Film], seed: int) -> dict[str, _Seen]:
    """Pass every film in six manners: as it is and varied, each mirrored too, and in two other placings."""

    def other(i: int, film: Film) -> Film:
        return varied(film, np.random.default_rng([seed, 0, i]))

    def placed(number: int) -> Show:
        classes = _classes(len(squares), number)

        def show(i: int, film: Film) -> Film:
            # In turn varied or not, mirrored or not, so that the placing is all that a class has in common.
            step = i // (len(PLACINGS) - 1) + number
            film = varied(film, np.random.default_rng([seed, 1 + number, i])) if step % 2 else film
            film = _MIRROR.apply(film) if step // 2 % 2 else film
            shown: Film = PLACINGS[classes[i]].inverse().apply(film)
            return shown

        return show

    manners: dict[str, Show] = {
        "plain": lambda _, film: film,
        "varied": other,
        "mirrored": lambda _, film: _MIRROR.apply(film),
        "varied mirrored": lambda i, film: _MIRROR.apply(other(i, film)),
        "placed": placed(0),
        "placed again": placed(1),
    }
    bar = tqdm(total=PASSES * len(squares), desc="input check: films seen", unit="film", file=sys.stderr)
    with bar:
        return {name: _pass(network, manifest, squares, show, bar) for name, show in manners.items()}


def _pass(network: Network, manifest: Manifest, squares: list[Film], show: Show, bar: "tqdm[None]") -> _Seen:
    shown: Iterator[Film] = (show(i, film) for i, film in enumerate(squares))
    parts: list[_Seen] = []
    for features in features_of(network, manifest.preprocessing, shown):
        grids = (cells(features, side).flatten(1).numpy().astype(np.float16) for side in (COARSE, FINE))
        parts.append(_Seen(features.mean(dim=(2, 3)).numpy(), *grids))
        bar.update(len(features))
    return _Seen(*(np.concatenate(column) for column in zip(*parts, strict=True)))


def _classes(count: int, number: int) -> NDArray[np.intp]:
    """Which of the seven placings other than upright each film is shown in, the first or the second time."""
    others = len(PLACINGS) - 1
    return (np.arange(count) + number * (others // 2)) % others + 1


def _coarse(seen: dict[str, _Seen]) -> NDArray[np.float16]:
    names = ("plain", "varied", "mirrored", "varied mirrored", "placed", "placed again")
    return np.concatenate([seen[name].coarse for name in names])


def _distance(
    plain: NDArray[np.float32], changed: NDArray[np.float32], patients: NDArray[np.intp]
) -> tuple[NDArray[np.float32], float]:
    """Mean of the films (C,), and the farthest from it that is accepted."""
    found = []
    for fitted, held in splits(patients, _FOLDS):
        centre = torch.from_numpy(plain[fitted].mean(axis=0))
        means = torch.from_numpy(np.concatenate([plain[held], changed[held]]))
        found.append(1 - F.cosine_similarity(means, centre, dim=1).numpy())
    return plain.mean(axis=0), float(np.quantile(np.concatenate(found), 1 - _TOO_FAR))
