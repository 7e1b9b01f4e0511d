"""The pointing game."""

import numpy as np
import pytest

from chexmodel.localisation import inside, peak_inside, pointing


def test_a_peak_hits_the_box_that_it_lies_in() -> None:
    heat = np.zeros((10, 20))
    heat[3, 15] = 1
    assert peak_inside(heat, [(0, 0, 2, 2), (15, 3, 16, 4)])
    assert not peak_inside(heat, [(14, 3, 15, 4)])
    assert not peak_inside(heat, [(3, 15, 4, 16)])  # x and y changed places
    assert peak_inside(-heat, [(0, 0, 20, 10)])


def test_edges_belong_to_one_side() -> None:
    assert inside((2.0, 3.0), [(2, 3, 4, 5)])
    assert not inside((4.0, 3.0), [(2, 3, 4, 5)])


def test_rate_and_interval_are_over_patients() -> None:
    hits = [True] * 30 + [False] * 30
    centres = [False] * 45 + [True] * 15
    single = pointing(
        hits, centres, [str(i) for i in range(60)], observation="Edema", split="test", bootstrap=400, seed=1
    )
    assert single.rate.value == 0.5
    assert single.centre == 0.25
    assert (single.films, single.patients) == (60, 60)
    # The binomial interval of 30 of 60 is 0.37 to 0.63.
    assert single.rate.low == pytest.approx(0.37, abs=0.03)
    assert single.rate.high == pytest.approx(0.63, abs=0.03)
    few = pointing(
        hits,
        centres,
        [str(i // 10) for i in range(60)],
        observation="Edema",
        split="test",
        bootstrap=400,
        seed=1,
    )
    assert few.rate.high - few.rate.low > single.rate.high - single.rate.low
    plain = pointing(hits, centres, ["a"] * 60, observation="Edema", split="test", bootstrap=0, seed=1)
    assert np.isnan(plain.rate.low)
