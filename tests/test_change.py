"""Scores of two films beside each other."""

from pathlib import Path

import numpy as np
import pytest

from chexmodel import phantom
from chexmodel.change import changes, shown
from chexmodel.predictor import Prediction, Predictor


@pytest.fixture(scope="module")
def readings(tiny_bundle: Path) -> tuple[Prediction, Prediction]:
    predictor = Predictor.from_bundle(tiny_bundle)
    return tuple(predictor.predict(phantom.png(size=128, seed=seed)) for seed in (1, 2))


def test_a_change_is_current_minus_prior(readings: tuple[Prediction, Prediction]) -> None:
    prior, current = readings
    table = changes(prior, current)
    assert set(table["observation"]) == set(current.observations) - set(current.not_trained)
    assert list(table["current"]) == sorted(table["current"], reverse=True)
    for row in table.itertuples():
        k = current.observations.index(row.observation)
        assert row.prior == prior.probabilities[k]
        assert row.current == current.probabilities[k]
        assert row.change == pytest.approx(current.probabilities[k] - prior.probabilities[k])
        assert row.current_decision == current.frame()["decision"][k]
    assert np.abs(table["change"]).max() > 0


def test_a_film_does_not_change_against_itself(readings: tuple[Prediction, Prediction]) -> None:
    table = changes(readings[0], readings[0])
    assert (table["change"] == 0).all()
    assert set(shown(table)["Change"]) == {"+0.00"}


def test_the_table_on_the_screen_has_signs_and_words(readings: tuple[Prediction, Prediction]) -> None:
    table = changes(*readings)
    drawn = shown(table)
    assert len(drawn) == len(table)
    assert all(text[0] in "+-" for text in drawn["Change"])
    assert drawn["Observation"].tolist() == table["observation"].tolist()
