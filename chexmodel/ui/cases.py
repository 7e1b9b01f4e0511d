"""What this session keeps of its films: what was asked of each, and the reader's word; nothing leaves it."""

from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Final, NamedTuple, TypeVar

import numpy as np
import streamlit as st
from numpy.typing import NDArray

from chexmodel import language
from chexmodel.containers import Entry
from chexmodel.correction import Correction
from chexmodel.explain import EXACT, Method
from chexmodel.keeping import Kept
from chexmodel.predictor import Prediction, Predictor
from chexmodel.ui import service
from chexmodel.ui.journal import Noted
from chexmodel.verdicts import Word

_CASES: Final = "cases"
_KEPT: Final = 3
"""Readings kept: those of the film and of a prior one, and one before; each holds a film's pixels."""
_SECONDS: Final = 1800
"""For how long a reading is kept after it was last shown; it is computed anew then."""

Maps = dict[str, NDArray[np.float32]]
Made = TypeVar("Made")


class Chosen(NamedTuple):
    """A film to be read: which of the open ones, and which of its frames, from 0."""

    entry: Entry
    frame: int = 0

    @property
    def key(self) -> str:
        """What tells it from other films: its content, never its name."""
        return f"{self.entry.key}-{self.frame}"


@dataclass
class Case:
    """What the reader did with one film under one model.

    revealed: asked for the model's reading. insisted: asked for it although the input check rejected the
    film. correction: how to bring the film upright first. word: the reader's verdicts and comment.
    """

    revealed: bool = False
    insisted: bool = False
    correction: Correction | None = None
    word: Word = field(default_factory=Word)

    def correct(self, further: Correction | None) -> None:
        """Correct it further, None: not at all; a word on the former scores says nothing of the new ones."""
        if further is not None and self.correction is not None:
            further = further.after(self.correction)
        self.correction, self.word = further, Word()


def case_of(chosen: Chosen, predictor: Predictor) -> Case:
    """The case of a film under a model; begun where there is none."""
    cases: dict[tuple[str, str], Case] = st.session_state.setdefault(_CASES, {})
    return cases.setdefault((chosen.key, predictor.bundle.checksum), Case())


def read(predictor: Predictor, chosen: Chosen, correction: Correction | None) -> Prediction:
    """Read a film once per model, correction and language; the last few readings stay in this session.

    Raises:
        ChexError: the film can't be read, or too many wait.
    """
    key = (chosen.key, predictor.bundle.checksum, str(predictor.bundle.path), correction, language.current())
    data, frame = chosen.entry.data, chosen.frame
    return _kept("readings", key, lambda: Noted(predictor).predict(data, correction=correction, frame=frame))


def maps(predictor: Predictor, prediction: Prediction, chosen: Chosen, method: Method) -> Maps:
    """Map every trained observation of a reading by a method, as `Prediction.grid`; kept as readings are."""

    def drawn() -> Maps:
        trained = (name for name in prediction.observations if name not in prediction.not_trained)
        return {name: prediction.grid(name, method=method) for name in trained}

    if method == EXACT:  # they are there already
        return drawn()
    return _kept("maps", (chosen.key, predictor.bundle.checksum, prediction.correction, method), drawn)


def _kept(kind: str, key: Hashable, make: Callable[[], Made]) -> Made:
    """Return what this session kept under a key, or make it when its turn comes."""
    if kind not in st.session_state:
        st.session_state[kind] = Kept(_KEPT, seconds=_SECONDS)
    kept: Kept[Hashable, Made] = st.session_state[kind]

    def made() -> Made:
        place = service.Place()
        with service.turns().turn(place):
            place.clear()
            with st.spinner(language.tr("Reading the film …")):
                return make()

    return kept.get(key, made)
