import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from chexmodel.geometry import to_film, to_square, to_square8


def test_a_square_film_of_the_right_size_is_unchanged() -> None:
    film = np.random.default_rng(0).random((48, 48), dtype=np.float32)
    np.testing.assert_allclose(to_square(film, 48).numpy(), film, atol=1e-6)


@pytest.mark.parametrize("shape", [(60, 100), (100, 60), (61, 100), (100, 33)])
def test_the_film_is_centred_between_black_bands(shape: tuple[int, int]) -> None:
    square = to_square(np.ones(shape, dtype=np.float32), 100).numpy()
    assert (square.shape, square.dtype) == ((100, 100), np.float32)
    rows, columns = (square.max(axis=axis) > 0.5 for axis in (1, 0))
    assert (rows.sum(), columns.sum()) == shape
    for filled, length in zip((rows, columns), shape, strict=True):
        assert filled.argmax() == (100 - length) // 2


def test_reduction_averages_instead_of_skipping() -> None:
    film = np.zeros((512, 512), dtype=np.float32)
    film[::8] = 1  # plain bilinear would show these lines as stripes, or not at all
    inner = to_square(film, 32)[2:-2, 2:-2]
    torch.testing.assert_close(inner, torch.full_like(inner, 1 / 8), atol=0.01, rtol=0)


def test_maps_keep_their_leading_shape_and_range() -> None:
    maps = torch.randn(2, 3, 7, 5)
    film = to_film(maps, (90, 40))
    assert film.shape == (2, 3, 90, 40)
    assert film.min() >= maps.min()
    assert film.max() <= maps.max()
    torch.testing.assert_close(to_film(maps[1, 2], (90, 40)), film[1, 2])


def test_the_film_itself_survives_the_round_trip() -> None:
    rows, columns = np.mgrid[:90, :150]
    film = (np.sin(rows / 30) * np.cos(columns / 40)).astype(np.float32)
    back = to_film(to_square(film, 150), film.shape).numpy()
    np.testing.assert_allclose(back, film, atol=1e-5)


@settings(max_examples=60, deadline=None)
@given(
    shape=st.tuples(st.integers(32, 700), st.integers(32, 700)),
    size=st.sampled_from([64, 224, 320]),
    stride=st.sampled_from([8, 16, 32]),
    place=st.tuples(st.floats(0, 1), st.floats(0, 1)),
    blob=st.integers(1, 5),
)
def test_a_mark_comes_back_within_one_cell(
    shape: tuple[int, int], size: int, stride: int, place: tuple[float, float], blob: int
) -> None:
    """Film → network's square → feature map → film: the peak lies within one cell of the mark."""
    film = np.zeros(shape, dtype=np.float32)
    row, column = (round(at * (length - 1)) for at, length in zip(place, shape, strict=True))
    film[row : row + blob, column : column + blob] = 1
    features = F.adaptive_avg_pool2d(to_square(film, size)[None], size // stride)
    back = to_film(features, shape)[0]
    peak = np.unravel_index(int(back.argmax()), shape)
    pixel = max(shape) / size  # of the network's square, in film pixels: how far resizing may smear
    assert (np.abs(np.array(peak) - (row, column)) <= pixel * (stride + 1) + blob).all()


@pytest.mark.parametrize(
    ("shape", "size"), [((320, 320), 224), ((90, 130), 64), ((64, 64), 64), ((50, 40), 96)]
)
def test_eight_bits_are_the_same_rule_and_the_same_from_either_type(
    shape: tuple[int, int], size: int
) -> None:
    film = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    square = to_square8(film, size)
    assert (square.dtype, tuple(square.shape)) == (torch.uint8, (size, size))
    assert torch.equal(square, to_square8((film / 255).astype(np.float32), size))
    exact = to_square(film.astype(np.float32), size)
    assert float((square - exact).abs().max()) <= 1.01
    assert abs(float((square - exact).mean())) < 0.1  # no shift of the grey scale


def test_deeper_films_are_rounded_and_kept_in_range() -> None:
    deep = np.random.default_rng(0).random((320, 240), dtype=np.float32)
    exact = to_square(deep, 224) * 255
    assert float((to_square8(deep, 224) - exact).abs().max()) <= 1.51
    beyond = np.array([[-0.5, 0.0], [1.0, 1.5]], dtype=np.float32).repeat(32, 0).repeat(32, 1)
    assert to_square8(beyond, 64)[::32, ::32].tolist() == [[0, 0], [255, 255]]


@settings(max_examples=60, deadline=None)
@given(
    shape=st.tuples(st.integers(1, 500), st.integers(1, 500)),
    size=st.sampled_from([32, 224, 320]),
    seed=st.integers(0, 99),
)
def test_eight_bits_in_two_steps_are_one_step_bit_for_bit(
    shape: tuple[int, int], size: int, seed: int
) -> None:
    film = np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)
    side = max(shape)
    top, left = (side - shape[0]) // 2, (side - shape[1]) // 2
    whole = torch.zeros(1, 1, side, side, dtype=torch.uint8)
    whole[0, 0, top : top + shape[0], left : left + shape[1]] = torch.from_numpy(film)
    once = F.interpolate(whole, size=(size, size), mode="bilinear", antialias=True, align_corners=False)
    assert torch.equal(to_square(film, size), once[0, 0])
