"""What is exported of a reading, whatever the format: scores, the reader's word, and where both come from."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from chexmodel.bundle import Bundle
from chexmodel.errors import ChexError
from chexmodel.film import VIEWS
from chexmodel.language import mark, tr, trn
from chexmodel.predictor import Prediction
from chexmodel.report_rows import Row, rows
from chexmodel.verdicts import Word
from chexmodel.version import __version__

NOTICE: Final = mark(
    "For research and teaching. Not a medical device: never the basis of a decision about a patient."
)
ALPHA: Final = 0.55
"""Opacity of the strongest evidence in the heatmaps of an export, as on the screen at first."""
INSISTED: Final = mark("Read at the reader's insistence: the check of the input had withheld this reading.")


@dataclass(frozen=True, eq=False)
class Report:
    """A reading to be exported. Nothing in it names a file or a patient unless `name` is set.

    prediction, bundle: the reading, and the model that made it. word: the reader's.
    overlays: observations whose heatmap is shown.
    insisted: read although the gate rejected the film; every export is marked.
    made: when, with a time zone.
    name: the file's name, only if the reader asked for it; a DICOM's patient is then named too.
    source: the DICOM file's bytes; None for another kind of file.

    Raises:
        ChexError: the gate withheld the reading and the reader did not insist; or an overlay of an
            observation that is unknown or was not trained.
    """

    prediction: Prediction
    bundle: Bundle
    word: Word
    overlays: tuple[str, ...]
    insisted: bool
    made: datetime
    name: str = ""
    source: bytes | None = None

    def __post_init__(self) -> None:
        """Refuse what must not be exported."""
        if self.prediction.withheld and not self.insisted:
            raise ChexError(
                tr(
                    "This film's reading was withheld, so there is nothing to export: correct the film, or "
                    "insist on reading it."
                )
            )
        for observation in self.overlays:
            if observation in self.prediction.not_trained:
                raise ChexError(
                    tr("{name} was not trained in this model: it has no heatmap.", name=tr(observation))
                )
            if observation not in self.prediction.observations:
                raise ChexError(
                    tr(
                        "There is no observation “{name}”: choose one of {names}.",
                        name=observation,
                        names=", ".join(map(tr, self.prediction.observations)),
                    )
                )

    def rows(self) -> tuple[Row, ...]:
        """One row per observation, in the order of the 14."""
        return rows(self.prediction, self.bundle, self.word)

    @property
    def insistence(self) -> str:
        """The mark of a reading that the gate had withheld, with its reason; empty for any other."""
        if not self.insisted:
            return ""
        gate = self.prediction.gate
        return tr(INSISTED) if gate is None else f"{tr(INSISTED)} {gate.reason}".rstrip()

    @property
    def stamp(self) -> str:
        """Date and time to the minute, with the offset to UTC."""
        offset = self.made.strftime("%z")
        return f"{self.made:%Y-%m-%d %H:%M} (UTC{offset[:3]}:{offset[3:5]})"


def called(prediction: Prediction) -> tuple[str, ...]:
    """Observations at or above their threshold and outside of its band, in the order of the 14."""
    return tuple(
        observation
        for observation, above, unsure in zip(
            prediction.observations, prediction.decisions, prediction.indeterminate, strict=True
        )
        if above and not unsure
    )


def audit_facts(report: Report) -> dict[str, str]:
    """What the file was, as words: label → value; a dash where the file does not say.

    The age is a fact about the patient: it is told where the reader asked for the identity.
    """
    audit = report.prediction.audit
    facts = {
        tr("Format"): audit.format,
        tr("Size"): tr("{width} × {height} px", width=audit.width, height=audit.height),
        tr("Bits stored"): str(audit.bits),
        tr("Photometric interpretation"): audit.photometric,
        tr("Transfer syntax"): audit.transfer_syntax,
        tr("Window"): audit.window,
        tr("View"): tr(VIEWS[audit.view]) if audit.view else None,
    }
    if report.name and audit.age_years is not None:
        facts[tr("Patient's age")] = trn("{n} year", "{n} years", audit.age_years)
    return {label: value or "—" for label, value in facts.items()}


def audit_actions(report: Report) -> tuple[str, ...]:
    """What was done to the film before the network saw it, in order."""
    side = report.bundle.manifest.preprocessing.size
    last = tr("padded to a square and resized to {side}×{side} px for the network", side=side)
    return (*report.prediction.audit.actions, last)


def model_facts(bundle: Bundle) -> dict[str, str]:
    """Which model read the film, and by which code: label → value."""
    manifest = bundle.manifest
    return {
        tr("Model"): manifest.name,
        tr("Network"): tr("{backbone}, {n} members", backbone=manifest.backbone, n=manifest.members)
        if manifest.members > 1
        else manifest.backbone,
        tr("Training date"): manifest.created[:10],
        tr("Version at training"): manifest.code_version,
        tr("Weights (SHA-256)"): manifest.weights_sha256,
        tr("Version at reading"): __version__,
    }
