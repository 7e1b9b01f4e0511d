"""How often the hints of quality speak: on films as they are, and on films spoilt on purpose."""

from collections.abc import Callable
from typing import Final

import numpy as np
from numpy.typing import NDArray

from chexmodel import images, quality
from chexmodel.errors import ImageError
from chexmodel.film import Film, InputAudit, Pixels
from chexmodel.gate_rates import AS_THEY_ARE, HintRate, wilson
from train.gate_measure import Folder
from train.pack import PackedFilm

SPOILT: Final[dict[str, tuple[str, Callable[[Pixels], NDArray[np.floating]]]]] = {
    "contrast of a sixth": ("low contrast", lambda film: 0.4 + film / 6),
    "contrast of a tenth": ("low contrast", lambda film: 0.4 + film / 10),
    "middle fifth of the grey scale stretched": (
        "clipped white",
        lambda film: np.clip((film - 0.4) * 5, 0, 1),
    ),
    "twice as bright": ("clipped white", lambda film: np.clip(film * 2, 0, 1)),
    "darkened by 0.4": ("clipped black", lambda film: np.clip(film - 0.4, 0, 1)),
}
"""How a film [0, 1] is spoilt → the check that should speak, of `quality.CHECKS`, and the spoiling."""


def spoilt(film: Film, how: Callable[[Pixels], NDArray[np.floating]]) -> Film:
    """Spoil a film; its audit says no more of where it is from."""
    pixels = how(film.pixels).astype(np.float32)
    height, width = pixels.shape
    audit = InputAudit(format="array", width=width, height=height, bits=16, photometric="grayscale")
    return Film(pixels, audit)


def hint_rates(folder: Folder) -> list[HintRate]:
    """Count the films of a folder on which any hint speaks, and per way to spoil them the right one.

    A pack holds no film as it was, so that nothing is measured on one.
    """
    spoken = dict.fromkeys([AS_THEY_ARE, *SPOILT], 0)
    patients = set()
    films = 0
    for source, patient in zip(folder.files, folder.patients, strict=True):
        if isinstance(source, PackedFilm):
            return []
        try:
            film = images.read(source)
        except ImageError:
            continue
        films += 1
        patients.add(patient)
        spoken[AS_THEY_ARE] += bool(quality.hints(film))
        for name, (check, how) in SPOILT.items():
            spoken[name] += quality.CHECKS[check](spoilt(film, how)) is not None
    return [
        HintRate(
            source=folder.name,
            shown=shown,
            check=SPOILT[shown][0] if shown in SPOILT else "",
            films=films,
            patients=len(patients),
            spoken=count,
            share=wilson(count, films, len(patients)),
        )
        for shown, count in spoken.items()
    ]
