"""Which other films a film's cut-off and mean region are taken from: never its own, nor its patient's."""

from collections.abc import Mapping, Sequence
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
    groups of patients, dealt out in the order of a hash of their ids. A test film refers to all validation
    films; where none is marked, it is referred to as a validation film without folds would be.

    Args:
        places: of N films that are marked for one observation.

    Returns:
        Pairs of positions: films, and what they refer to (perhaps nothing). Each film is in one pair.
    """
    pool = [i for i, place in enumerate(places) if place.split == "validation"] or list(range(len(places)))
    pooled = set(pool)
    # Dealt out, or a handful of patients could all come into one group and have nobody to refer to.
    patients = sorted({places[i].patient for i in pool}, key=lambda name: (_hash(name), name))
    dealt = {name: rank % _GROUPS for rank, name in enumerate(patients)}
    groups: dict[str, list[int]] = {}
    for i, place in enumerate(places):
        groups.setdefault(_group(place, dealt) if i in pooled else _TEST, []).append(i)
    return [
        (members, [i for i in pool if name == _TEST or _group(places[i], dealt) != name])
        for name, members in sorted(groups.items())
    ]


def _group(place: Place, dealt: Mapping[str, int]) -> str:
    return f"patients {dealt[place.patient]}" if place.fold is None else f"fold {place.fold}"


def _hash(patient: str) -> bytes:
    return blake2b(patient.encode(), digest_size=8).digest()
