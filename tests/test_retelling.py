"""Stored English sentences are told in the language in use, with their values."""

import gettext

import pytest

from chexmodel import language, reasons
from chexmodel.audit_kinds import TABLE_MESSAGES
from chexmodel.language import using
from chexmodel.reasons import told
from chexmodel.retelling import retold

FRENCH = {
    reasons.TOO_FEW: "{positives} positifs, {negatives} négatifs dans {split} ; il en faut {needed}",
    reasons.NO_SKILL: "pas mieux que le hasard sur {split} (AUROC {auroc:.2f})",
    "validation": "la validation",
    "{child} is positive, {parent} negative": "{child} : positif, {parent} : négatif",
    "positive too: {observations}": "positifs aussi : {observations}",
    "Edema": "Œdème",
    "Lung Opacity": "Opacité pulmonaire",
    "check the age": "vérifier l'âge",
}


class Some(gettext.NullTranslations):
    """A few translations."""

    def gettext(self, message: str) -> str:
        return FRENCH.get(message, message)


@pytest.fixture(autouse=True)
def french(monkeypatch: pytest.MonkeyPatch) -> None:
    catalogues = {"en": gettext.NullTranslations(), "fr": Some()}
    monkeypatch.setattr(language, "_catalogue", catalogues.__getitem__)


def test_a_reason_of_a_bundle_is_told() -> None:
    few = reasons.TOO_FEW.format(positives=8, negatives=614, split="validation", needed=10)
    assert few == "8 positives and 614 negatives in the validation split; 10 of each are needed"
    weak = reasons.NO_SKILL.format(split="validation", auroc=0.4)
    assert (told(few), told(None)) == (few, "")
    with using("fr"):
        assert told(few) == "8 positifs, 614 négatifs dans la validation ; il en faut 10"
        assert told(weak) == "pas mieux que le hasard sur la validation (AUROC 0,40)"


def test_names_within_a_sentence_are_told_too() -> None:
    with using("fr"):
        assert retold("Edema is positive, Lung Opacity negative", TABLE_MESSAGES) == (
            "Œdème : positif, Opacité pulmonaire : négatif"
        )
        assert retold("positive too: Edema, Lung Opacity", TABLE_MESSAGES) == (
            "positifs aussi : Œdème, Opacité pulmonaire"
        )


def test_what_nothing_makes_stays_as_it_is() -> None:
    with using("fr"):
        assert told("a reason that a former version gave") == "a reason that a former version gave"
        assert retold("check the age", TABLE_MESSAGES) == "vérifier l'âge"


def test_every_reason_reads_its_own_template_back() -> None:
    values = {
        "positives": 1,
        "negatives": 2,
        "split": "test",
        "needed": 10,
        "least": 10,
        "labels": 5,
        "fold": 2,
    }
    values |= {"model": "a", "first": "a", "second": "b", "films": 3, "auroc": 0.5, "fold": 2}
    for template in reasons._ALL:
        said = template.format(**values)
        first = next(other for other in reasons._ALL if retold(said, [other]) is not said or other == said)
        with using("fr"):
            assert told(said)
        assert first == template
