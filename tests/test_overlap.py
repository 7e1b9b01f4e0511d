"""Maps against regions: the pointing game, IoU at cut-offs, and the maps that look at no film."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from chexmodel.overlap import (
    CUTOFFS,
    MEAN_GRID,
    MEASURED_SIDE,
    best_cutoff,
    centre_map,
    mean_region,
    measure,
    measured_shape,
    stretched,
)


def region(shape: tuple[int, int], top: int, bottom: int, left: int, right: int) -> np.ndarray:
    inside = np.zeros(shape, bool)
    inside[top:bottom, left:right] = True
    return inside


def test_a_peak_hits_the_region_that_it_lies_in() -> None:
    heat = np.zeros((10, 20))
    heat[3, 15] = 1
    assert measure(heat, region(heat.shape, 3, 4, 15, 16)).hit
    assert not measure(heat, region(heat.shape, 3, 4, 14, 15)).hit
    assert not measure(heat, region(heat.shape, 2, 3, 15, 16)).hit
    assert not measure(heat, region(heat.shape, 3, 4, 16, 20)).hit
    heat[7, 2] = 1  # of equal peaks the first in reading order
    assert not measure(heat, region(heat.shape, 7, 8, 2, 3)).hit


def test_iou_of_rectangles() -> None:
    heat = np.zeros((10, 10))
    heat[2:6, 2:6] = 0.5  # 16 px
    heat[2:4, 2:6] = 2.0  # 8 of them the maximum: 0.5 is a quarter of it
    found = measure(heat, region(heat.shape, 4, 8, 2, 6))  # 16 px, of which 8 lie on the lower half
    at = dict(zip(CUTOFFS, found.ious, strict=True))
    assert at[0.25] == pytest.approx(8 / 24)  # a pixel that equals the cut-off is marked
    assert at[0.3] == 0
    whole = measure(heat, region(heat.shape, 2, 6, 2, 6))
    assert dict(zip(CUTOFFS, whole.ious, strict=True))[0.25] == 1
    assert dict(zip(CUTOFFS, whole.ious, strict=True))[0.95] == pytest.approx(8 / 16)


@pytest.mark.parametrize("heat", [np.zeros((4, 4)), np.full((4, 4), -1.0)])
def test_a_map_that_is_nowhere_positive_is_no_hit(heat: np.ndarray) -> None:
    found = measure(heat, np.ones((4, 4), bool))
    assert (found.hit, found.positive) == (False, False)
    assert (found.ious == 0).all()


@given(
    arrays(np.float32, (6, 7), elements=st.floats(-2, 2, width=32)),
    arrays(bool, (6, 7)).filter(lambda inside: inside.any()),
)
def test_all_cutoffs_at_once_are_each_alone(heat: np.ndarray, inside: np.ndarray) -> None:
    found = measure(heat, inside)
    for cutoff, iou in zip(CUTOFFS, found.ious, strict=True):
        called = (heat.astype(np.float64) >= cutoff * float(heat.max())) & (heat.max() > 0)
        assert iou == pytest.approx((called & inside).sum() / (called | inside).sum())
    scaled = measure(heat * 4, inside)  # the unit does not matter
    assert np.array_equal(scaled.ious, found.ious)


def test_the_best_cutoff_is_the_lowest_of_equals() -> None:
    flat, peaked = np.full(len(CUTOFFS), 0.5), np.zeros(len(CUTOFFS))
    peaked[[4, 9]] = 0.4
    assert best_cutoff([flat, peaked]) == 4


@pytest.mark.parametrize("shape", [(11, 21), (10, 20), (1, 5)])
def test_the_centre_marks_a_centred_box(shape: tuple[int, int]) -> None:
    heat = centre_map(shape)
    assert heat.shape == shape
    assert np.unravel_index(int(np.argmax(heat)), shape) == (shape[0] // 2, shape[1] // 2)
    assert (heat == heat.max()).sum() == 1
    marked = np.argwhere(heat >= 0.5)  # half of the film's height and width
    for axis in (0, 1):
        spread = np.ptp(marked[:, axis]) + 1
        assert spread == pytest.approx(shape[axis] / 2, abs=1)


def test_the_mean_region_peaks_in_the_middle_of_what_is_marked_most() -> None:
    both = region(MEAN_GRID, 40, 60, 20, 60)
    mean = mean_region([both, region(MEAN_GRID, 40, 60, 40, 100), region(MEAN_GRID, 40, 60, 0, 60)])
    y, x = np.unravel_index(int(np.argmax(mean)), MEAN_GRID)
    assert abs(y - 49.5) <= 1
    assert abs(x - 49.5) <= 3  # all three mark columns 40 to 59
    assert 0 <= mean.min() <= mean.max() <= 1
    film = stretched(mean, (64, 256))
    y, x = np.unravel_index(int(np.argmax(film)), film.shape)
    assert (y / 64, x / 256) == pytest.approx((49.5 / 128, 49.5 / 128), abs=0.03)


def test_large_films_are_measured_on_a_smaller_grid_of_their_proportions() -> None:
    assert measured_shape((320, 390)) == (320, 390)
    assert measured_shape((2320, 2828)) == (420, MEASURED_SIDE)
    assert measured_shape((1, 5000)) == (1, MEASURED_SIDE)
