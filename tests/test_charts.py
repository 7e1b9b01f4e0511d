"""Figures show the numbers they are given, and leave out what is undefined."""

import numpy as np
import pandas as pd
import pytest
from chexpert_rows import labelled

from chexmodel import canvas, run_charts
from chexmodel.labels import OBSERVATIONS
from chexmodel.policies import explain_policy
from chexmodel.statistics import Ages, PerPatient
from chexmodel.ui import charts, population

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
    films = charts.cooccurrence(together, "films").data[0]
    assert films.z[0][0] is None
    assert 10 ** films.z[9][9] == pytest.approx(9)
    assert films.customdata[9][4][0] == together.iloc[9, 4] == 2
    given = charts.cooccurrence(together, "conditional").data[0]
    assert list(given.z[0]) == [None] * 14
    assert given.z[9][4] == pytest.approx(100 * 2 / 9)
    assert given.z[4][9] == pytest.approx(100 * 2 / 4)
    assert given.customdata[0][3][1] == "undefined"
    shared = charts.cooccurrence(together, "jaccard").data[0]
    assert shared.z[9][4] == shared.z[4][9] == pytest.approx(100 * 2 / (9 + 4 - 2))
    assert shared.zmax == max(cell for row in shared.z for cell in row if cell is not None)
    assert all(shared.z[k][k] is None for k in range(14))
    assert shared.customdata[9][4][3] == "18.2 %"


def test_a_table_without_positives_has_a_chart(together: pd.DataFrame) -> None:
    for measure in ("films", "conditional", "jaccard"):
        empty = charts.cooccurrence(together * 0, measure).data[0]
        assert all(cell is None for row in empty.z for cell in row)


def test_ages_stop_at_the_last_used_decade() -> None:
    edges = tuple(range(0, 121, 10))
    films = {"Male": (0,) * 5 + (3,) + (0,) * 6, "blank": (0,) * 8 + (1,) + (0,) * 3}
    bars = population.age_bars(Ages(edges=edges, films=films)).data
    assert [bar.name for bar in bars] == ["Male", "not stated"]
    assert list(bars[0].x) == [f"{low}–{low + 9}" for low in range(0, 90, 10)]
    assert list(bars[0].y) == [0, 0, 0, 0, 0, 3, 0, 0, 0]


def test_a_saved_chart_has_a_name_and_a_format() -> None:
    svg, png = canvas.config("ages"), canvas.config("ages", "png")
    assert svg["toImageButtonOptions"] == {"format": "svg", "filename": "ages", "scale": 1}
    assert png["toImageButtonOptions"] == {"format": "png", "filename": "ages", "scale": 3}
    assert svg["modeBarButtons"] == [["toImage"]]
    assert svg["scrollZoom"] is canvas.CONFIG["displayModeBar"] is False


def test_positives_by_age_are_shares_of_their_band_and_small_bands_are_left_out() -> None:
    ages = Ages(edges=(0, 10, 20, 30), films={"Male": (3, 30, 0), "Female": (5, 20, 40)})
    drawn = population.positives_by_age({"Edema": (8, 10, 0), "Fracture": (0, 5, 40)}, ages).data[0]
    assert list(drawn.x) == ["10–19", "20–30"]
    assert [list(row) for row in drawn.z] == [[20.0, 0.0], [10.0, 100.0]]
    assert list(drawn.customdata[0][0]) == [10, 50]


def test_visits_are_patients_per_bin() -> None:
    films = PerPatient(mean=2, quartiles=(1, 1, 2), maximum=60, edges=(1, 2, 6, 51), patients=(5, 4, 0, 1))
    studies = films.model_copy(update={"patients": (9, 1, 0, 0)})
    one, two = population.per_patient(films, studies).data
    assert list(one.x) == ["1", "2–5", "6–50", "51 and more"]
    assert (list(one.y), list(two.y)) == ([5, 4, 0, 1], [9, 1, 0, 0])
    assert one.customdata[0] == "50.0 %"


def test_an_epoch_is_drawn_as_shares_of_its_films() -> None:
    labels = np.full((20, 14), 0.0)
    labels[0, 5] = labels[:10, 1] = 1
    effect = explain_policy(labelled(labels))
    once, weighted = charts.epoch(effect).data
    assert once.x[5] == pytest.approx(5)
    assert once.x[1] == pytest.approx(50)
    assert weighted.x[5] == pytest.approx(100 * effect.observations["Edema"].drawn / 20)
    assert weighted.x[5] > once.x[5]


def test_amounts_name_count_and_share() -> None:
    bar = population.amounts({"Frontal": 3_000, "Lateral": 1_000, "blank": 1}).data[0]
    assert list(bar.x) == [3000, 1000, 1]
    assert list(bar.y) == ["Frontal", "Lateral", "not stated"]
    assert list(bar.text) == ["3,000 (75.0 %)", "1,000 (25.0 %)", "1 (< 0.1 %)"]


def test_positives_are_shares_of_their_own_view() -> None:
    figure = population.positives_by_view(
        {"Frontal": {"Edema": 5}, "Lateral": {"Edema": 5}}, {"Frontal": 50, "Lateral": 10}
    )
    assert [list(bar.x) for bar in figure.data] == [[10.0], [50.0]]
    nothing = population.positives_by_view({"Frontal": {"Edema": 0}}, {"Frontal": 0})
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
