"""What a session keeps of a film: corrections add up, and a word is of the scores that it was given on."""

from chexmodel.correction import Correction
from chexmodel.ui.cases import Case
from chexmodel.verdicts import Verdict, Word


def test_a_further_correction_is_added_and_the_word_is_taken_back() -> None:
    case = Case(word=Word(verdicts={"Edema": Verdict(answer="accepted")}))
    case.correct(Correction(quarter_turns=1))
    assert case.correction == Correction(quarter_turns=1)
    assert case.word == Word()
    case.correct(Correction(mirror=True))
    assert case.correction == Correction(mirror=True).after(Correction(quarter_turns=1))
    assert case.correction != Correction(mirror=True)
    case.correct(None)
    assert case.correction is None
