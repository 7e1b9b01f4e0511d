"""Figures show the numbers they are given, and leave out what is undefined."""

import numpy as np
import pandas as pd
import pytest

from chexmodel import run_charts
from chexmodel.labels import OBSERVATIONS
from chexmodel.statistics import Ages
from chexmodel.ui import charts

HISTORY = pd.DataFrame({"epoch": [1, 2], "train_loss": [0.3, 0.2], "val_loss": [0.4, np.nan]})


@pytest.fixture
def counts() -> pd.DataFrame:
    """100 films; the first observation has no negatives."""
    rows = [[k + 1, 0 if k == 0 else 10, k, 100 - (k + 1) - (0 if k == 0 else 10) - k] for k in range(14)]
    states = ["positive", "negative", "uncertain", "blank"]
    return pd.DataFrame(rows, index=pd.Index(OBSERVATIONS, name="observation"), columns=states)


@pytest.fixture
def together() -> pd.DataFrame:
    """Each observation is positive on k films, and with each other one on half of the smaller number."""
    grid = np.array([[min(a, b) // (1 if a == b else 2) for a in range(14)] for b in range(14)])
    return pd.DataFrame(grid, index=list(OBSERVATIONS), columns=list(OBSERVATIONS))


# ---------------------------------------------------------------------------------------- label tables


def test_states_are_films_or_shares(counts: pd.DataFrame) -> None:
    films = {bar.name: list(bar.x) for bar in charts.states(counts, percent=False).data}
    assert films == {state: counts[state].tolist() for state in counts}
    shares = np.array([bar.x for bar in charts.states(counts, percent=True).data])
    np.testing.assert_allclose(shares.sum(axis=0), 100)
    np.testing.assert_allclose(shares[0], counts["positive"])  # of 100 films


def test_no_colour_stands_alone(counts: pd.DataFrame) -> None:
    looks = [
        (bar.marker.pattern.shape, bar.marker.color) for bar in charts.states(counts, percent=False).data
    ]
    assert len({shape for shape, _ in looks}) == len({colour for _, colour in looks}) == 4


def test_cooccurrence_leaves_out_zero_and_undefined(together: pd.DataFrame) -> None:
    films = charts.cooccurrence(together, given_row=False).data[0]
    assert films.z[0][0] is None
    assert 10 ** films.z[9][9] == pytest.approx(9)
    assert films.customdata[9][4][0] == together.iloc[9, 4] == 2
    given = charts.cooccurrence(together, given_row=True).data[0]
    assert list(given.z[0]) == [None] * 14
    assert given.z[9][4] == pytest.approx(100 * 2 / 9)
    assert given.z[4][9] == pytest.approx(100 * 2 / 4)
    assert given.customdata[0][3][1] == "undefined"


def test_a_table_without_positives_has_a_chart(together: pd.DataFrame) -> None:
    empty = charts.cooccurrence(together * 0, given_row=False).data[0]
    assert all(cell is None for row in empty.z for cell in row)


def test_ages_stop_at_the_last_used_decade() -> None:
    edges = tuple(range(0, 121, 10))
    films = {"Male": (0,) * 5 + (3,) + (0,) * 6, "blank": (0,) * 8 + (1,) + (0,) * 3}
    bars = charts.age_bars(Ages(edges=edges, films=films)).data
    assert [bar.name for bar in bars] == ["Male", "not stated"]
    assert list(bars[0].x) == [f"{low}–{low + 9}" for low in range(0, 90, 10)]
    assert list(bars[0].y) == [0, 0, 0, 0, 0, 3, 0, 0, 0]


def test_amounts_name_count_and_share() -> None:
    bar = charts.amounts({"Frontal": 3_000, "Lateral": 1_000, "blank": 1}).data[0]
    assert list(bar.x) == [3000, 1000, 1]
    assert list(bar.y) == ["Frontal", "Lateral", "not stated"]
    assert list(bar.text) == ["3,000 (75.0 %)", "1,000 (25.0 %)", "1 (< 0.1 %)"]


def test_positives_are_shares_of_their_own_view() -> None:
    figure = charts.positives_by_view(
        {"Frontal": {"Edema": 5}, "Lateral": {"Edema": 5}}, {"Frontal": 50, "Lateral": 10}
    )
    assert [list(bar.x) for bar in figure.data] == [[10.0], [50.0]]
    nothing = charts.positives_by_view({"Frontal": {"Edema": 0}}, {"Frontal": 0})
    assert list(nothing.data[0].x) == [None]


# ------------------------------------------------------------------------------------------------ runs


def test_training_lines_keep_values_and_gaps() -> None:
    figure = run_charts.training({"a": HISTORY, "b": HISTORY.drop(columns="val_loss")}, run_charts.PANELS[0])
    lines = {line.name: line for line in figure.data}
    assert list(lines) == ["a, training", "a, validation", "b, training"]
    assert list(lines["a, validation"].y) == [0.4, None]
    assert lines["a, training"].line.dash == "dash"
    assert lines["a, validation"].line.dash == "solid"
    assert lines["a, training"].line.color != lines["b, training"].line.color
    assert lines["a, training"].marker.symbol != lines["b, training"].marker.symbol
    assert not run_charts.training({"a": HISTORY}, run_charts.PANELS[1]).data
