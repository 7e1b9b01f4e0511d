"""Where a model's maps point, on the films that radiologists boxed."""

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from chexmodel import images
from chexmodel.boxes import Box, read_boxes
from chexmodel.explain import class_activation_maps
from chexmodel.geometry import to_film
from chexmodel.labels import OBSERVATIONS
from chexmodel.layout import csv_files
from chexmodel.localisation import Pointing, inside, peak_inside, pointing
from chexmodel.network import Network
from chexmodel.preprocessing import Preprocessing
from train.dataset import Split
from train.films import load_square
from train.pack import PackedFilm, Source


def boxes_of(data: Path) -> dict[str, list[Box]]:
    """Boxes beside both tables of a data directory, by the films' `Path`."""
    train_csv, valid_csv = csv_files(data)
    return read_boxes(train_csv) | (read_boxes(valid_csv) if valid_csv else {})


def localise(
    parts: Sequence[tuple[Network, Split]],
    boxes: dict[str, list[Box]],
    preprocessing: Preprocessing,
    *,
    not_trained: Sequence[str],
    split: str,
    bootstrap: int,
    seed: int,
) -> list[Pointing]:
    """Play the pointing game with the exact Grad-CAM.

    Args:
        parts: networks, each with films that it did not learn from.
        boxes: film → boxes.
        preprocessing: of the networks.
        not_trained: observations without maps.
        split: name of the films' split.
        bootstrap: resamples of patients.
        seed: of the resampling.

    Returns:
        One result an observation that has a boxed film, in the order of `OBSERVATIONS`.
    """
    found: dict[str, list[tuple[bool, bool, str]]] = defaultdict(list)
    for network, films in parts:
        for name, source, patient in zip(films.ids, films.sources, films.patients, strict=True):
            if name in boxes:
                for finding, hit, centre in _film(network, source, boxes[name], preprocessing):
                    found[finding].append((hit, centre, patient))
    results = []
    for finding in OBSERVATIONS:
        if finding in found and finding not in not_trained:
            hits, centres, patients = zip(*found[finding], strict=True)
            results.append(
                pointing(
                    hits,
                    centres,
                    patients,
                    observation=finding,
                    split=split,
                    bootstrap=bootstrap,
                    seed=seed,
                )
            )
    return results


def _film(
    network: Network, source: Source, boxes: Sequence[Box], preprocessing: Preprocessing
) -> list[tuple[str, bool, bool]]:
    """For each finding that is boxed on a film: its name, whether the map and the film's middle hit."""
    height, width = source.shape if isinstance(source, PackedFilm) else images.read(source).grey.shape
    device = network.head.weight.device
    square = load_square(source, preprocessing.size)
    with torch.inference_mode():
        _, features = network(preprocessing.normalise(square).unsqueeze(0).to(device))
        maps = class_activation_maps(features, network.head.weight)[0].cpu()
    results = []
    for finding in sorted({box.finding for box in boxes}):
        drawn = [box[1:] for box in boxes if box.finding == finding]
        heat = to_film(maps[OBSERVATIONS.index(finding)], (height, width)).numpy().astype(np.float32)
        results.append((finding, peak_inside(heat, drawn), inside((width / 2, height / 2), drawn)))
    return results
