"""How often each quality hint speaks on real films, and how often on films that were spoilt.

`pytest tests/benchmarks/test_quality_rates.py -m benchmark -s`
"""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from chexmodel import images, quality
from chexmodel.film import Film, InputAudit, Pixels

pytestmark = [pytest.mark.benchmark, pytest.mark.shared]

PARTS = {"train.csv": "xrays/train", "valid.csv": "xrays/valid", "external": "external/images"}
SPOILT: dict[str, tuple[str, Callable[[Pixels], Pixels]]] = {
    "contrast of a sixth": ("low contrast", lambda film: 0.4 + film / 6),
    "contrast of a tenth": ("low contrast", lambda film: 0.4 + film / 10),
    "middle fifth of the grey scale stretched": (
        "clipped white",
        lambda film: np.clip((film - 0.4) * 5, 0, 1),
    ),
    "twice as bright": ("clipped white", lambda film: np.clip(film * 2, 0, 1)),
    "darkened by 0.4": ("clipped black", lambda film: np.clip(film - 0.4, 0, 1)),
}


def films(folder: Path) -> Iterator[Film]:
    for path in sorted(folder.rglob("*.jpg")):
        yield images.read(path)


def spoilt(folder: Path, how: Callable[[Pixels], Pixels]) -> Iterator[Film]:
    for film in films(folder):
        pixels = how(film.pixels).astype(np.float32)
        audit = InputAudit(format="array", width=1, height=1, bits=16, photometric="grayscale")
        yield Film(pixels, audit)


def test_false_alarms(shared: Path) -> None:
    print()
    for part, folder in PARTS.items():
        found = quality.rates(films(shared / folder))
        count = sum(1 for _ in (shared / folder).rglob("*.jpg"))
        spoken = {name: f"{share:.2%}" for name, share in found.items() if share > 0}
        print(f"{part}: {count} films; hints: {spoken or 'none'}")
        assert all(found[name] == 0 for name in ("tiny", "low contrast", "clipped black", "clipped white"))


@pytest.mark.parametrize("name", SPOILT)
def test_spoilt_films_are_noticed(shared: Path, name: str) -> None:
    check, how = SPOILT[name]
    shares = [quality.rates(spoilt(shared / folder, how))[check] for folder in PARTS.values()]
    print(f"\n{name}: {check} on " + ", ".join(f"{s:.1%} of {p}" for s, p in zip(shares, PARTS, strict=True)))
    assert min(shares) > 0.7
