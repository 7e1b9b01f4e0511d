"""Which other films a film's cut-off and mean region are taken from: never its own, nor its patient's."""

from collections.abc import Sequence
from hashlib import blake2b
from typing import Final, NamedTuple

_GROUPS: Final = 5  # of patients, where the films are in no folds
_TEST: Final = "test"


class Place(NamedTuple):
    """Where a marked film stands: split, patient, and the number of its fold where there are folds."""

    split: str
    patient: str
    fold: int | None


def reference_groups(places: Sequence[Place]) -> list[tuple[list[int], list[int]]]:
    """Group films that have the same reference films.

    A validation film refers to the validation films of the other folds; without folds, to those of other
    groups of patients, into which a hash of the patient's id puts them. A test film refers to all validation
    films; where none is marked, it is referred to as a validation film without folds would be.

    Args:
        places: of N films that are marked for one observation.

    Returns:
        Pairs of positions: films, and what they refer to (perhaps nothing). Each film is in one pair.
    """
    pool = [i for i, place in enumerate(places) if place.split == "validation"] or list(range(len(places)))
    pooled = set(pool)
    groups: dict[str, list[int]] = {}
    for i, place in enumerate(places):
        groups.setdefault(_group(place) if i in pooled else _TEST, []).append(i)
    return [
        (members, [i for i in pool if name == _TEST or _group(places[i]) != name])
        for name, members in sorted(groups.items())
    ]


def _group(place: Place) -> str:
    if place.fold is not None:
        return f"fold {place.fold}"
    return f"patients {blake2b(place.patient.encode(), digest_size=8).digest()[0] % _GROUPS}"
