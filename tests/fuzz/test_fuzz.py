"""Damaged files by the thousand: each is read rightly, or refused with advice, within 10 s and 1 GB.

A thousand run always; `pytest tests/fuzz -m fuzz -s` runs all, and prints what became of them. Seeds are
fixed: a number is the same file in every run.
"""

import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import damaged_bundles
import damaged_tables
import made_archives
import numpy as np
import pytest
from campaign import HEADING, Memory, Tally, assert_right, judged, of_worker
from mutators import mutated, png_riders
from seeds import Seed, pictures

from chexmodel import images
from chexmodel.decoding import Decoders
from chexmodel.errors import ImageError

pytestmark = [
    pytest.mark.skipif(
        not Path("/proc/self/clear_refs").exists(), reason="memory is measured by /proc, of Linux"
    ),
    pytest.mark.filterwarnings("ignore"),
]
ALWAYS = {"pictures": 700, "bundles": 120, "tables": 120, "archives": 60}
ALL = {"pictures": 10_000, "bundles": 1_000, "tables": 1_000, "archives": 200}


@pytest.fixture(scope="module")
def decoders() -> Iterator[Decoders]:
    with Decoders(1) as made:
        yield made


@pytest.fixture(scope="module")
def seeds(tmp_path_factory: pytest.TempPathFactory) -> list[Seed]:
    return pictures(tmp_path_factory.mktemp("seeds"))


def picture(seeds: list[Seed], number: int) -> bytes:
    """The picture of that number, damaged."""
    seed = seeds[number % len(seeds)]
    return mutated(seed.data, seed.kind, np.random.default_rng([1, number])) or b"\0"


def tallies(
    counts: dict[str, int], seeds: list[Seed], decoders: Decoders, whole: Path, place: Path
) -> Iterator[Tally]:
    def read(data: bytes) -> None:
        assert_right(decoders.read(data))

    watch = partial(of_worker, decoders)
    for kind in ("PNG", "JPEG", "TIFF", "DICOM"):
        numbers = [n for n in range(counts["pictures"]) if seeds[n % len(seeds)].kind == kind]
        yield judged(kind, numbers, partial(picture, seeds), read, watch, clock=time.monotonic)
    damage = partial(damaged_bundles.damaged, whole, place)
    yield judged("bundles", range(counts["bundles"]), damage, damaged_bundles.read, Memory)
    yield judged("CSVs", range(counts["tables"]), damaged_tables.damaged, damaged_tables.read, Memory)
    archives = partial(made_archives.read, decoders=decoders)
    yield judged("ZIPs", range(counts["archives"]), made_archives.made, archives, Memory)


def test_a_thousand_damaged_files(
    seeds: list[Seed], decoders: Decoders, tiny_bundle: Path, tmp_path: Path
) -> None:
    found = list(tallies(ALWAYS, seeds, decoders, tiny_bundle, tmp_path / "bundle"))
    assert sum(tally.files for tally in found) == 1000
    assert {tally.kind: tally.bad for tally in found if tally.bad} == {}
    assert all(tally.read and tally.refused for tally in found)  # some damage is hopeless, some harmless


@pytest.mark.fuzz
def test_all_damaged_files(seeds: list[Seed], decoders: Decoders, tiny_bundle: Path, tmp_path: Path) -> None:
    print(f"\n{HEADING}")
    found = []
    for tally in tallies(ALL, seeds, decoders, tiny_bundle, tmp_path / "bundle"):
        found.append(tally)
        print(tally, f"killed: {tally.killed}" if tally.killed else "", flush=True)
    assert {tally.kind: tally.bad for tally in found if tally.bad} == {}


def test_a_number_is_the_same_file_in_every_run(
    seeds: list[Seed], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def files(drawn: list[Seed]) -> list[bytes]:
        """One of each picture, and of what tables and archives there are."""
        found = [picture(drawn, number) for number in range(len(drawn))]
        found += map(damaged_tables.damaged, range(100))
        return found + list(map(made_archives.made, range(2 * len(made_archives.MAKERS))))

    first = files(seeds)
    monkeypatch.setattr(time, "time", lambda: 1e9)
    monkeypatch.setattr(time, "localtime", lambda *_: time.gmtime(1e9))
    made_archives._compressed_nothing.cache_clear()
    damaged_tables._bomb.cache_clear()
    assert files(pictures(tmp_path)) == first


def test_the_files_to_damage_are_valid(seeds: list[Seed], decoders: Decoders) -> None:
    assert {seed.kind for seed in seeds} == {"PNG", "JPEG", "TIFF", "DICOM"}
    for seed in seeds:
        film = decoders.read(seed.data)
        assert film.audit.format == seed.kind
        assert_right(film)


def test_what_is_added_to_a_picture_changes_no_pixel(seeds: list[Seed], decoders: Decoders) -> None:
    """Comments, profiles and what follows the end: the film is the same, or it is refused."""
    read = 0
    for seed in seeds:
        own = images.read(seed.data).grey
        for added in additions(seed):
            try:
                film = decoders.read(added)
            except ImageError:
                continue
            np.testing.assert_array_equal(film.grey, own, err_msg=seed.name)
            read += 1
    assert read > len(seeds)


def additions(seed: Seed) -> Iterator[bytes]:
    yield seed.data + bytes(5000)
    yield seed.data + seed.data
    if seed.kind == "PNG":
        riders = [*png_riders(1000), *png_riders(30 * 2**20)]
        yield from (seed.data[:33] + chunk + seed.data[33:] for chunk in riders)  # behind the header
    if seed.kind == "JPEG":
        for marker in (0xFE, 0xE3, 0xED):
            yield seed.data[:2] + bytes([0xFF, marker]) + (60000).to_bytes(2) + bytes(59998) + seed.data[2:]
