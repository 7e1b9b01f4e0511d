"""The reader's word: what it can say, and in which order it is told."""

import pytest
from pydantic import ValidationError

from chexmodel.verdicts import LONGEST, Verdict, Word


def test_a_verdict_in_words() -> None:
    assert Verdict(answer="accepted").words() == "accepted"
    assert Verdict(answer="corrected", presence="absent").words() == "corrected: absent"


def test_the_verdicts_come_in_the_order_of_the_observations() -> None:
    word = Word(verdicts={"Fracture": Verdict(answer="rejected"), "Edema": Verdict(answer="accepted")})
    assert [name for name, _ in word.ordered()] == ["Edema", "Fracture"]
    assert word.of("Edema") == Verdict(answer="accepted")
    assert word.of("Pneumonia") is None


def test_a_comment_has_a_limit() -> None:
    with pytest.raises(ValidationError):
        Word(comment="a" * (LONGEST + 1))
