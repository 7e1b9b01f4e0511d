"""The reader's word on a reading: what a person makes of each score; kept in the session and in exports."""

from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from chexmodel.labels import OBSERVATIONS
from chexmodel.language import mark, tr

Answer = Literal["accepted", "rejected", "corrected"]
Presence = Literal["present", "absent", "uncertain"]

ANSWERS: Final[dict[Answer, str]] = {
    "accepted": mark("accepted"),
    "rejected": mark("rejected"),
    "corrected": mark("corrected"),
}
PRESENCES: Final[dict[Presence, str]] = {
    "present": mark("present"),
    "absent": mark("absent"),
    "uncertain": mark("uncertain"),
}
LONGEST: Final = 2000
"""Characters of a comment."""


class Verdict(BaseModel):
    """What the reader says of one observation's score.

    answer: "accepted": the reader agrees; "rejected": the reader does not, and says no more; "corrected": the
        reader states what is there in `presence`.
    """

    model_config = ConfigDict(frozen=True)

    answer: Answer
    presence: Presence | None = None
    comment: str = Field(default="", max_length=LONGEST)

    def words(self) -> str:
        """Say it in the language in use, without the comment."""
        said = tr(ANSWERS[self.answer])
        if self.presence is None:
            return said
        return tr("{answer}: {presence}", answer=said, presence=tr(PRESENCES[self.presence]))


class Word(BaseModel):
    """The reader's word on a whole reading: a verdict per observation that has one, and a comment."""

    model_config = ConfigDict(frozen=True)

    verdicts: dict[str, Verdict] = {}
    comment: str = Field(default="", max_length=LONGEST)

    def of(self, observation: str) -> Verdict | None:
        """The verdict on one of the 14; None where the reader gave none."""
        return self.verdicts.get(observation)

    def ordered(self) -> list[tuple[str, Verdict]]:
        """The verdicts in the order of the observations."""
        return [(name, self.verdicts[name]) for name in OBSERVATIONS if name in self.verdicts]
