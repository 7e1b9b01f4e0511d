"""Hints about a film that make its reading doubtful: from its pixels, its file and a DICOM's header.

Each check is a function film → sentence or None; `images.read` puts what they say among the audit's warnings.
The limits are set by what real chest films have; `rates` measures how often each check speaks.
"""

from collections.abc import Callable, Iterable
from typing import Final

import numpy as np
from numpy.typing import NDArray

from chexmodel.film import Film, Header, View
from chexmodel.language import tr

# The limits lie outside of all 848 films of ../shared/data (train.csv 622, valid.csv 156, external 70): each
# check of pixels speaks on 0 of them, which bounds its rate of false alarms below 0.4 % only. Films spoilt on
# purpose are noticed more often than not: contrast of a tenth 100 %, of a sixth 94–100 %, twice as bright
# 94–100 %, darkened by 0.4 of white 74–94 %. Measured by
# `pytest tests/benchmarks/test_quality_rates.py -m benchmark -s`.
ADVISED_SIDE: Final = 224  # px; the networks' own input: below it they see blur, not detail
LEAST_CONTRAST: Final = 0.04  # standard deviation of the film's middle, white being 1; those films: ≥ 0.061
MOST_BLACK: Final = 0.03  # share of the film's middle at black; those films: ≤ 0.013
MOST_WHITE: Final = 0.01  # share of the film's middle at white; those films: ≤ 0.0001
_ADULT: Final = 18
_SQUARE: Final = 0.01
_MIDDLE: Final = 0.2  # cut off at each side: collimation and air beside the body are black on any film
_GRID: Final = 64  # samples a side of the middle; enough for shares, at a hundredth of the time

PROJECTION: Final = ("CR", "DX", "DR", "RG", "RF", "SC", "OT")
"""Modalities of radiographs, and of pictures of which the header does not know better."""
_CHEST: Final = (
    "CHEST",
    "THORAX",
    "LUNG",
    "RIB",
    "HEART",
    "CLAVICLE",
    "STERNUM",
    "TSPINE",
    "TRUNK",
    "WHOLEBODY",
)

Check = Callable[[Film], str | None]


def hints(film: Film) -> tuple[str, ...]:
    """Return what makes the reading of a film doubtful, in the language in use."""
    return tuple(hint for check in CHECKS.values() if (hint := check(film)) is not None)


def view_hint(view: View | None) -> str | None:
    """Return the hint for a view that is known from elsewhere than the film's own header, as from a CSV."""
    return tr("this is a lateral view: the model reads frontal films only") if view == "LATERAL" else None


def rates(films: Iterable[Film]) -> dict[str, float]:
    """Return the share of films on which each of `CHECKS` speaks; NaN without a film."""
    spoken = [[check(film) is not None for check in CHECKS.values()] for film in films]
    shares = np.mean(spoken, axis=0) if spoken else np.full(len(CHECKS), np.nan)
    return dict(zip(CHECKS, shares.tolist(), strict=True))


def _header(film: Film) -> Header:
    return film.audit.header or Header()


def _one_of_many(film: Film) -> str | None:
    if film.audit.frames == 1:
        return None
    frame, frames = film.audit.frame, film.audit.frames
    return tr("frame {frame} of {frames}: the others are not looked at", frame=frame, frames=frames)


def _lateral(film: Film) -> str | None:
    if film.audit.view != "LATERAL":
        return None
    return tr("the header says that this is a lateral view: the model reads frontal films only")


def _child(film: Film) -> str | None:
    age = film.audit.age_years
    if age is None or age >= _ADULT:
        return None
    # Not how old: exports repeat this, and tell an age only where the reader asks for the identity.
    return tr("the header says an age under 18: scores and thresholds were measured mostly or only on adults")


def _turned_body(film: Film) -> str | None:
    directions = (_header(film).orientation or "").split("\\")
    if len(directions) != 2 or directions[0][0] in "AP":  # unknown, or seen from the side: another check
        return None
    along, down = directions[0][0], directions[1][0]
    if along == "L" and down == "F":
        return None
    if along == "R" and down == "F":
        return tr("the header says that the film is mirrored: the patient's left is on the viewer's left")
    if along == "R" and down == "H":
        return tr("the header says that the film is upside down")
    return tr("the header says that the film is turned or flipped: the patient's head is not at the top")


def _other_modality(film: Film) -> str | None:
    modality = _header(film).modality
    if modality is None or modality in PROJECTION:
        return None
    return tr("the header says modality {modality}: that is not a chest radiograph", modality=modality)


def _other_part(film: Film) -> str | None:
    part = _header(film).body_part
    if part is None or any(known in part for known in _CHEST):
        return None
    return tr("the header says body part {part}: the model reads chest films only", part=part)


def _raw_detector(film: Film) -> str | None:
    if not _header(film).for_processing:
        return None
    return tr(
        "the header says that this is the detector's raw picture (for processing): "
        "read the one that is meant for presentation"
    )


def _contradictory_tone(film: Film) -> str | None:
    if not _header(film).contradictory_tone:
        return None
    return tr("the header contradicts itself on what is black and what is white: check that bone is white")


def _burned_in(film: Film) -> str | None:
    if not _header(film).burned_in_text:
        return None
    return tr("the header says that text is burned into the picture: it may name the patient")


def _not_square(film: Film) -> str | None:
    aspect = _header(film).pixel_aspect
    if aspect is None or abs(aspect - 1) <= _SQUARE:
        return None
    return tr(
        "the pixels are not square ({aspect:.2f} times as high as wide): "
        "the film is shown as stored, not stretched",
        aspect=aspect,
    )


def _turned_file(film: Film) -> str | None:
    if not film.audit.turned:
        return None
    return tr("the film was turned or mirrored as its file asks (EXIF): check that it is upright")


def _coloured(film: Film) -> str | None:
    if not film.audit.coloured:
        return None
    return tr("the picture has colour: it is probably not a radiograph")


def _small(film: Film) -> str | None:
    height, width = film.grey.shape
    if min(height, width) >= ADVISED_SIDE:
        return None
    return tr(
        "the film is only {width}×{height} px: fine detail is lost below {advised} px",
        width=width,
        height=height,
        advised=ADVISED_SIDE,
    )


def _flat(film: Film) -> str | None:
    if float(_middle(film).std()) >= LEAST_CONTRAST:
        return None
    return tr("the film has hardly any contrast: it is blank, or its window does not fit")


def _black(film: Film) -> str | None:
    share = float((_middle(film) <= 1 / 255).mean())
    if share <= MOST_BLACK:
        return None
    return tr(
        "{share:.0%} of the film's middle is plain black: overexposed, or its window does not fit",
        share=share,
    )


def _white(film: Film) -> str | None:
    share = float((_middle(film) >= 254 / 255).mean())
    if share <= MOST_WHITE:
        return None
    return tr(
        "{share:.0%} of the film's middle is plain white: underexposed, or its window does not fit",
        share=share,
    )


def _middle(film: Film) -> NDArray[np.float32]:
    """Return samples of the film's middle, white being 1."""
    height, width = film.grey.shape
    top, left = int(height * _MIDDLE), int(width * _MIDDLE)
    middle = film.grey[top : height - top, left : width - left]
    sampled = middle[:: max(1, middle.shape[0] // _GRID), :: max(1, middle.shape[1] // _GRID)]
    white = 255 if sampled.dtype == np.uint8 else 1
    return np.divide(sampled, white, dtype=np.float32)


CHECKS: Final[dict[str, Check]] = {
    "several frames": _one_of_many,
    "lateral view": _lateral,
    "under 18": _child,
    "orientation": _turned_body,
    "modality": _other_modality,
    "body part": _other_part,
    "raw detector picture": _raw_detector,
    "contradictory tone": _contradictory_tone,
    "burned-in text": _burned_in,
    "not square": _not_square,
    "turned by EXIF": _turned_file,
    "colour": _coloured,
    "tiny": _small,
    "low contrast": _flat,
    "clipped black": _black,
    "clipped white": _white,
}
"""Name → check, in the order in which the hints are given."""
