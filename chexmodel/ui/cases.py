"""What this session keeps of its films: what was asked of each, and the reader's word; nothing leaves it."""

from dataclasses import dataclass, field
from typing import Final, NamedTuple

import streamlit as st

from chexmodel import language
from chexmodel.containers import Entry
from chexmodel.correction import Correction
from chexmodel.predictor import Prediction, Predictor
from chexmodel.ui.journal import Noted
from chexmodel.verdicts import Word

_CASES: Final = "cases"
_READINGS: Final = "readings"
_KEPT: Final = 3
"""Readings kept: those of the film and of a prior one, and one before; each holds a film's pixels."""


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
    return cases.setdefault((chosen.key, predictor.bundle.manifest.weights_sha256), Case())


def read(predictor: Predictor, chosen: Chosen, correction: Correction | None) -> Prediction:
    """Read a film once per model, correction and language; the last few readings stay in this session.

    Raises:
        ImageError: the film can't be read.
    """
    readings: dict[tuple[object, ...], Prediction] = st.session_state.setdefault(_READINGS, {})
    bundle = predictor.bundle
    model = (bundle.manifest.weights_sha256, str(bundle.path))
    key = (chosen.key, *model, correction, language.current())
    prediction = readings.pop(key, None)
    if prediction is None:
        with st.spinner(language.tr("Reading the film …")):
            prediction = Noted(predictor).predict(
                chosen.entry.data, correction=correction, frame=chosen.frame
            )
    readings[key] = prediction  # the last one asked for is the last to go
    while len(readings) > _KEPT:
        readings.pop(next(iter(readings)))
    return prediction
