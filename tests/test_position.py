"""The place of a map's peak in words."""

import numpy as np
import pytest

from chexmodel.position import ZONES, peak, position


@pytest.mark.parametrize("row", range(3))
@pytest.mark.parametrize("column", range(3))
def test_each_ninth_has_its_words(row: int, column: int) -> None:
    grid = np.full((6, 6), -1.0)
    grid[2 * row : 2 * row + 2, 2 * column : 2 * column + 2] = 2.0
    assert position(grid, (300, 300)) == ZONES[row][column]
    assert ("left", "centre", "right")[column] in ZONES[row][column]


def test_the_thirds_are_the_films_not_the_squares() -> None:
    # a film of half the square's width lies in its middle: a cell right of the square's middle is its right
    grid = np.zeros((8, 8))
    grid[0, 5] = 1.0
    assert position(grid, (400, 200)) == "upper third of the picture, viewer's right"
    y, x = peak(grid, (400, 200)) or (0, 0)
    assert y < 1 / 3 < 2 / 3 < x < 1


def test_heat_on_the_padding_is_not_on_the_film() -> None:
    grid = np.zeros((8, 8))
    grid[4, 0] = 5.0  # on the padding of a narrow film
    grid[1, 4] = 1.0
    y, x = peak(grid, (400, 200)) or (0, 0)
    assert y < 1 / 3
    assert 0.4 < x < 0.7


def test_a_map_without_positive_evidence_has_no_place() -> None:
    assert peak(np.full((7, 7), -0.5), (100, 100)) is None
    assert position(np.zeros((7, 7)), (100, 100)) == ""
    assert position(np.full((7, 7), np.nan), (100, 100)) == ""
