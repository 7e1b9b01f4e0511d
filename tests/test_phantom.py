import io

import numpy as np
import pytest
from PIL import Image

from chexmodel import images, phantom


def test_the_same_seed_draws_the_same_film_and_another_seed_another() -> None:
    first = phantom.draw(size=128, seed=4)
    np.testing.assert_array_equal(first, phantom.draw(size=128, seed=4))
    assert (first != phantom.draw(size=128, seed=5)).mean() > 0.5


@pytest.mark.parametrize("size", [64, 320, 700])
def test_it_has_the_tones_of_a_chest_film(size: int) -> None:
    film = images.read(phantom.draw(size=size, seed=1))
    assert film.pixels.shape == (size, size)
    assert film.audit.actions == ()  # all 16 bits are in use

    def tone(x: float, y: float) -> float:
        row, column, half = round(y * size), round(x * size), max(size // 50, 1)
        return float(film.pixels[row - half : row + half, column - half : column + half].mean())

    air, lung, heart, spine, abdomen = (
        tone(0.06, 0.04),
        tone(0.25, 0.4),
        tone(0.6, 0.62),
        tone(0.5, 0.5),
        tone(0.3, 0.85),
    )
    assert air < 0.1 < lung < heart < spine
    assert abdomen > lung + 0.2
    assert tone(0.65, 0.62) > tone(0.35, 0.62) + 0.1  # the heart lies on the viewer's right


@pytest.mark.parametrize("seed", range(6))
def test_the_opacity_lies_in_its_box_and_nowhere_else(seed: int) -> None:
    size = 256
    change = phantom.draw(size=size, seed=seed).astype(int) - phantom.draw(
        size=size, seed=seed, opacity=False
    )
    x, y, width, height = phantom.opacity_box(size, seed)
    rows, columns = np.nonzero(change > 100)
    assert change.max() > 4000
    assert columns.min() >= x - 2
    assert columns.max() <= x + width + 2
    assert rows.min() >= y - 2
    assert rows.max() <= y + height + 2
    assert np.ptp(columns) > 0.7 * width
    assert np.ptp(rows) > 0.7 * height


def test_png_is_sixteen_bit_and_read_back_exactly() -> None:
    data = phantom.png(size=100, seed=2, opacity=False)
    assert Image.open(io.BytesIO(data)).mode == "I;16"
    film = images.read(data)
    assert film.audit.bits == 16
    np.testing.assert_allclose(film.pixels * 65535, phantom.draw(size=100, seed=2, opacity=False), atol=0.01)


def test_it_says_in_a_corner_that_it_is_synthetic(monkeypatch: pytest.MonkeyPatch) -> None:
    labelled = phantom.draw(size=512)
    monkeypatch.setattr(phantom, "LABEL", " ")
    rows, columns = np.nonzero(labelled != phantom.draw(size=512))
    assert rows.size > 300
    assert rows.min() > 0.9 * 512
    assert columns.max() < 0.4 * 512
