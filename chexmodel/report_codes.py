"""Codes of the structured report: SNOMED CT where it says just what is meant, else a scheme of our own."""

from typing import Final

from highdicom.coding_schemes import CodingSchemeIdentificationItem
from highdicom.sr import CodedConcept

from chexmodel.labels import OBSERVATIONS
from chexmodel.language import NAMES, Language, mark, tr
from chexmodel.report_rows import DECISIONS, Decision
from chexmodel.verdicts import ANSWERS, PRESENCES, Answer, Presence

SCHEME: Final = "99CHEXMODEL"
"""Our private scheme, declared in every report. OBS01 … OBS14 are the observations in CheXpert's order."""

_MEANING: Final = 64  # characters that DICOM allows
_SNOMED: Final = {  # by the name in small letters; what CheXpert calls edema is that of the lung
    "atelectasis": "46621007",
    "cardiomegaly": "8186001",
    "consolidation": "95436008",
    "edema": "19242006",
    "pleural effusion": "60046008",
    "pneumonia": "233604007",
    "pneumothorax": "36118008",
}
_CONCEPTS: Final = {
    "SCORE": mark("Score of the model"),
    "THRESHOLD": mark("Threshold of the score"),
    "BAND_LOW": mark("Lower end of the indeterminate band"),
    "BAND_HIGH": mark("Upper end of the indeterminate band"),
    "SENSITIVITY": mark("Sensitivity at the threshold"),
    "SPECIFICITY": mark("Specificity at the threshold"),
    "VERDICT": mark("Reader's verdict on the score"),
    "STATED": mark("Stated by the reader"),
    "READER_COMMENT": mark("Reader's comment"),
    "NOTICE": mark("Conditions of use"),
    "INSISTED": mark("Withheld by the check of the input"),
    "REMARK": mark("To know before trusting the scores"),
    "NOT_TRAINED": mark("Not trained in this model"),
    "ACTION": mark("Done to the film before it was read"),
}
_DECISIONS: Final[dict[Decision, str]] = {
    "at_or_above": "ABOVE",
    "below": "BELOW",
    "indeterminate": "INDETERMINATE",
    "not_trained": "NOT_TRAINED",
}
_PRESENCES: Final[dict[Presence, str]] = {
    "present": "52101004",
    "absent": "272519000",
    "uncertain": "64957009",
}


def observation_code(observation: str) -> CodedConcept:
    """Code one of the 14 observations; the meaning is its name in the language in use."""
    if (value := _SNOMED.get(observation.lower())) is not None:
        return _coded(value, "SCT", tr(observation))
    return _coded(f"OBS{OBSERVATIONS.index(observation) + 1:02d}", SCHEME, tr(observation))


def concept(value: str) -> CodedConcept:
    """Name a content item by one of our own concepts."""
    return _coded(value, SCHEME, tr(_CONCEPTS[value]))


def decision_code(decision: Decision) -> CodedConcept:
    """Code on which side of its threshold a score lies."""
    return _coded(_DECISIONS[decision], SCHEME, tr(DECISIONS[decision]))


def answer_code(answer: Answer) -> CodedConcept:
    """Code the reader's verdict."""
    return _coded(answer.upper(), SCHEME, tr(ANSWERS[answer]))


def presence_code(presence: Presence) -> CodedConcept:
    """Code what the reader states."""
    return _coded(_PRESENCES[presence], "SCT", tr(PRESENCES[presence]))


def language_code(language: Language) -> CodedConcept:
    """Code a language, by RFC 5646."""
    return _coded(language, "RFC5646", NAMES[language])


def schemes() -> list[CodingSchemeIdentificationItem]:
    """Declare our coding scheme, as an object that uses it has to."""
    return [
        CodingSchemeIdentificationItem(
            designator=SCHEME,
            name="Observations and decisions of chexmodel",
            responsible_organization="chexmodel",
        )
    ]


def _coded(value: str, scheme: str, meaning: str) -> CodedConcept:
    return CodedConcept(value, scheme, meaning[:_MEANING])
