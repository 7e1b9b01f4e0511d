"""Copies of a film are found, other patients' films are not, and the search misses no pair."""

from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from chexmodel import images, phantom
from chexmodel.duplicates import COARSE_RADIUS, FINE_RADIUS, distances, near_pairs, perceptual_hash


def compared(hashes: np.ndarray) -> np.ndarray:
    """Every pair within the radii, by comparing all pairs."""
    i, j = np.triu_indices(len(hashes), 1)
    near = np.bitwise_count(hashes[i, 0] ^ hashes[j, 0]) <= COARSE_RADIUS
    near &= distances(hashes[i], hashes[j]) <= FINE_RADIUS
    return np.stack([i[near], j[near]], axis=1)


def flipped(hashes: np.ndarray, film: int, coarse: list[int], fine: list[int]) -> np.ndarray:
    """A copy of a film whose hash differs in these bits."""
    copy = hashes[film].copy()
    for bit in coarse:
        copy[0] ^= np.uint64(1) << np.uint64(bit)
    for bit in fine:
        copy[1 + bit // 64] ^= np.uint64(1) << np.uint64(bit % 64)
    return copy


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(2, 40), st.integers(0, 20))
def test_no_pair_is_missed(seed: int, films: int, copies: int) -> None:
    rng = np.random.default_rng(seed)
    hashes = rng.integers(0, 2**64, (films, 5), dtype=np.uint64)
    more = [
        flipped(
            hashes,
            int(rng.integers(films)),
            rng.choice(64, rng.integers(0, 9), replace=False).tolist(),
            rng.choice(256, rng.integers(0, 40), replace=False).tolist(),
        )
        for _ in range(copies)
    ]
    hashes = np.concatenate([hashes, np.array(more, np.uint64).reshape(-1, 5)])
    np.testing.assert_array_equal(near_pairs(hashes), compared(hashes))


def test_the_radii_are_where_they_are_said_to_be() -> None:
    hashes = np.zeros((1, 5), np.uint64)
    bits = list(range(0, 64, 7))[:7]
    at = flipped(hashes, 0, bits[:COARSE_RADIUS], list(range(FINE_RADIUS)))
    beyond = flipped(hashes, 0, bits[: COARSE_RADIUS + 1], [])
    further = flipped(hashes, 0, [], list(range(FINE_RADIUS + 1)))
    for copy, pairs in ((at, [[0, 1]]), (beyond, []), (further, [])):
        assert near_pairs(np.stack([hashes[0], copy])).tolist() == pairs


@pytest.mark.parametrize("films", [0, 1])
def test_few_films_have_no_pair(films: int) -> None:
    assert near_pairs(np.zeros((films, 5), np.uint64)).shape == (0, 2)


def test_a_hash_does_not_depend_on_depth_range_or_size() -> None:
    film = phantom.draw(size=256, seed=3).astype(np.uint16)
    hashes = [
        perceptual_hash(grey)
        for grey in (
            film,
            film.astype(np.float32) / 65535,
            film[:, :] // 2 + 1000,
            (film >> 8).astype(np.uint8),
        )
    ]
    assert np.array_equal(hashes[0], hashes[1])
    for other in hashes[2:]:
        assert distances(hashes[0], other) <= 8
    assert distances(hashes[0], perceptual_hash(phantom.draw(size=256, seed=4))) > FINE_RADIUS


def copies(film: np.ndarray) -> Iterator[tuple[str, np.ndarray]]:
    picture = Image.fromarray(film)
    for quality in (50, 20):
        stream = BytesIO()
        picture.save(stream, "JPEG", quality=quality)
        yield f"JPEG {quality}", images.read(stream.getvalue()).grey
    for side in (160, 224):
        yield f"{side} px", np.asarray(picture.resize((side, side), Image.Resampling.BICUBIC))
    wide = film.astype(int)
    yield "brighter by 20", np.clip(wide + 20, 0, 255).astype(np.uint8)
    yield "brighter by a fifth", np.clip(wide * 1.2, 0, 255).astype(np.uint8)
    yield "gamma 0.8", (255 * (film / 255) ** 0.8).astype(np.uint8)


@pytest.mark.shared
@pytest.mark.slow
def test_on_real_films_copies_are_near_and_other_films_are_not(shared: Path) -> None:
    films = [images.read(path).grey for path in sorted((shared / "xrays").glob("*/*/*/*.jpg"))]
    hashes = np.array([perceptual_hash(film) for film in films])
    assert len(near_pairs(hashes)) == 0
    i, j = np.triu_indices(len(films), 1)
    others = distances(hashes[i], hashes[j])
    assert others.min() > 1.5 * FINE_RADIUS
    for k in range(0, len(films), 20):
        for how, copy in copies(np.asarray(films[k])):
            pair = np.stack([hashes[k], perceptual_hash(copy)])
            assert near_pairs(pair).tolist() == [[0, 1]], how
