"""Two readings side by side: the scores of a prior and a current film, and what their difference is not."""

from typing import Final

import pandas as pd

from chexmodel.language import mark, number, tr
from chexmodel.predictor import Prediction

CAVEAT: Final = mark(
    "Scores of two films are not a measurement of progression: projection, exposure, inspiration and "
    "position change them too, and a score is no size."
)


def changes(prior: Prediction, current: Prediction) -> pd.DataFrame:
    """Set the scores of two films of the same model beside each other.

    Args:
        prior: of the earlier film.
        current: of the later one.

    Returns:
        One row per observation that the model was trained on, the largest current score first: observation,
        prior, current (calibrated scores in [0, 1]), change (current − prior), prior_decision and
        current_decision as in `Prediction.frame`.
    """
    earlier, later = (reading.frame().set_index("observation") for reading in (prior, current))
    table = pd.DataFrame(
        {
            "prior": earlier["probability"],
            "current": later["probability"],
            "change": later["probability"] - earlier["probability"],
            "prior_decision": earlier["decision"],
            "current_decision": later["decision"],
        }
    )
    trained = table[~table.index.isin(current.not_trained)]
    return trained.sort_values("current", ascending=False, kind="stable").reset_index()


def shown(table: pd.DataFrame) -> pd.DataFrame:
    """Write a table of `changes` for the screen, in the language in use; a change has its sign."""
    return pd.DataFrame(
        {
            tr("Observation"): [tr(name) for name in table["observation"]],
            tr("Prior score"): [number(value) for value in table["prior"]],
            tr("Current score"): [number(value) for value in table["current"]],
            tr("Change"): [number(value, "+.2f") for value in table["change"]],
            tr("Decision, prior film"): [tr(words) for words in table["prior_decision"]],
            tr("Decision, current film"): [tr(words) for words in table["current_decision"]],
        }
    )
