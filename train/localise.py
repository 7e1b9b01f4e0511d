"""Where a model's maps point, on the films that radiologists marked."""

import sys
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from tqdm import tqdm

from chexmodel import images
from chexmodel.crossfit import Place, reference_groups
from chexmodel.explain import Method, method_map
from chexmodel.geometry import to_film
from chexmodel.labels import OBSERVATIONS
from chexmodel.localisation import CENTRE, FILM_COLUMNS, MEAN_BOX, Baseline
from chexmodel.network import Network
from chexmodel.overlap import (
    CUTOFFS,
    MEAN_GRID,
    Measured,
    best_cutoff,
    centre_map,
    mean_region,
    measure,
    measured_shape,
    stretched,
)
from chexmodel.preprocessing import Preprocessing
from chexmodel.regions import Region, Regions
from train.dataset import Split
from train.films import load_square
from train.pack import PackedFilm, Source


class Part(NamedTuple):
    """A network, films that it did not learn from, their split, and the number of the fold, if any."""

    network: Network
    films: Split
    split: str
    fold: int | None = None


class _Marked(NamedTuple):
    """A film with a region: shape (H, W), px; what each method's map and the film's middle measure on it."""

    place: Place
    region: Region
    shape: tuple[int, int]
    measured: Mapping[Method | Baseline, Measured]

    def drawn(self) -> NDArray[np.bool_]:
        """The region on the grid that the film is measured on."""
        return self.region.drawn(self.shape, measured_shape(self.shape))

    def averaged(self) -> NDArray[np.bool_]:
        """The region on the grid that regions are averaged on."""
        return self.region.drawn(self.shape, MEAN_GRID)


def localise(
    parts: Sequence[Part],
    learnt: Sequence[Split],
    regions: Regions,
    preprocessing: Preprocessing,
    *,
    not_trained: Sequence[str],
    methods: Sequence[Method],
) -> pd.DataFrame:
    """Measure maps, and the trivial baselines, on every marked film.

    Each film's cut-off comes from its reference films (`crossfit`), as does the mean box: of the regions of
    the reference films and of the films that were learnt from and are in no part.

    Args:
        parts: networks, each with films that it did not learn from.
        learnt: films from which the networks learnt.
        regions: what radiologists marked.
        preprocessing: of the networks.
        not_trained: observations without maps.
        methods: to measure.

    Returns:
        One row per film, observation and method or baseline, in `localisation.FILM_COLUMNS`. Without a region
        to average there are no rows of the mean box.

    Raises:
        DatasetError: a film can't be read, or a region does not fit its film.
    """
    found: dict[str, list[_Marked]] = {}
    films = [(part, i) for part in parts for i, name in enumerate(part.films.ids) if regions.of(name)]
    for part, i in tqdm(films, desc="maps on marked films", unit="film", file=sys.stderr, disable=not films):
        for marked in _film(part, i, regions, preprocessing, not_trained, methods):
            found.setdefault(marked.region.finding, []).append(marked)
    scored = {name for part in parts for name in part.films.ids}
    trained = _averaged(learnt, scored, regions, not_trained)
    rows = [row for name, marked in found.items() for row in _observation(marked, trained.get(name, []))]
    return pd.DataFrame(rows, columns=list(FILM_COLUMNS)).astype({"fold": "Int64"})


def _film(
    part: Part,
    i: int,
    regions: Regions,
    preprocessing: Preprocessing,
    not_trained: Sequence[str],
    methods: Sequence[Method],
) -> list[_Marked]:
    """Measure the maps of each finding that is marked on a film."""
    source = part.films.sources[i]
    shape = _shape(source)
    image = preprocessing.normalise(load_square(source, preprocessing.size))
    grid = measured_shape(shape)
    found = []
    for region in regions.of(part.films.ids[i]):
        if region.finding in not_trained:
            continue
        drawn = region.drawn(shape, grid)
        measured: dict[Method | Baseline, Measured] = {CENTRE: measure(centre_map(grid), drawn)}
        for method in methods:
            heat = method_map(part.network, image, OBSERVATIONS.index(region.finding), method=method)
            measured[method] = measure(to_film(heat, grid).numpy(), drawn)
        place = Place(part.split, part.films.patients[i], part.fold)
        found.append(_Marked(place, region, shape, measured))
    return found


def _averaged(
    learnt: Sequence[Split], scored: set[str], regions: Regions, not_trained: Sequence[str]
) -> dict[str, list[NDArray[np.bool_]]]:
    """Regions, by finding, of films that were learnt from and are not among those scored."""
    found: dict[str, list[NDArray[np.bool_]]] = {}
    sources = {
        name: source for split in learnt for name, source in zip(split.ids, split.sources, strict=True)
    }
    for name, source in sources.items():
        for region in regions.of(name) if name not in scored else []:
            if region.finding not in not_trained:
                found.setdefault(region.finding, []).append(region.drawn(_shape(source), MEAN_GRID))
    return found


def _shape(source: Source) -> tuple[int, int]:
    height, width = source.shape if isinstance(source, PackedFilm) else images.read(source).grey.shape
    return height, width


def _observation(films: Sequence[_Marked], trained: Sequence[NDArray[np.bool_]]) -> list[tuple[object, ...]]:
    """Rows of one observation: every film at the cut-offs that its reference films give."""
    rows: list[tuple[object, ...]] = []
    means: list[tuple[object, ...]] = []
    complete = True
    for members, referred in reference_groups([film.place for film in films]):
        references = [films[i] for i in referred]
        cutoffs = {
            method: best_cutoff([film.measured[method].ious for film in references]) if references else None
            for method in films[members[0]].measured
        }
        for film in (films[i] for i in members):
            rows += [_row(film, method, found, cutoffs[method]) for method, found in film.measured.items()]
        averaged = [film.averaged() for film in references] + list(trained)
        if not averaged:
            complete = False
            continue
        mean = mean_region(averaged)
        cutoff = best_cutoff([_against(mean, film).ious for film in references]) if references else None
        means += [_row(films[i], MEAN_BOX, _against(mean, films[i]), cutoff) for i in members]
    return rows + (means if complete else [])


def _against(mean: NDArray[np.float64], film: _Marked) -> Measured:
    return measure(stretched(mean, measured_shape(film.shape)), film.drawn())


def _row(film: _Marked, method: str, measured: Measured, cutoff: int | None) -> tuple[object, ...]:
    place, region = film.place, film.region
    chosen = (np.nan, np.nan) if cutoff is None else (CUTOFFS[cutoff], float(measured.ious[cutoff]))
    return (
        *(region.film, place.patient, region.finding, place.split, place.fold, method),
        *(measured.hit, measured.positive, *chosen),
    )
