"""The JSON export, field by field: `python -m chexmodel schema` prints this model as JSON Schema.

Keys and codes are English and stay as they are within a major version of the schema; texts in `words`,
`title` and the like are in `language`. A number that is undefined is null, and a field beside it says why.
"""

from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from chexmodel.language import Language
from chexmodel.report_rows import Decision
from chexmodel.verdicts import Answer, Presence

SCHEMA_VERSION: Final = "1.0"
"""Major: a key went or changed its meaning. Minor: keys were added."""

Share = Annotated[float, Field(ge=0, le=1)]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", json_schema_serialization_defaults_required=True)


class Interval(_Part):
    """A value with its 95 % bootstrap interval over patients; null where undefined."""

    value: Share | None
    low: Share | None
    high: Share | None


class OperatingPointOut(_Part):
    """What the threshold does on films whose labels are known."""

    films: Literal["test", "fit", "none"] = Field(
        description="test: films that neither model nor threshold was fitted to; fit: films that the "
        "threshold was fitted to, which flatter it; none: not measured"
    )
    split: str = Field(description="what those films are called in the bundle")
    positives: int = Field(description="films with the finding, among them")
    negatives: int = Field(description="films without it")
    sensitivity: Interval
    specificity: Interval
    undefined: str = Field(description="why a value is null; empty where none is")


class VerdictOut(_Part):
    """What the reader made of a score."""

    answer: Answer
    presence: Presence | None = Field(description="what the reader states, of a corrected finding")
    comment: str
    words: str


class Peak(_Part):
    """Where the heatmap is highest: the place of a map's peak, not of a disease."""

    x: Share = Field(description="share of the film's width, from the viewer's left")
    y: Share = Field(description="share of the film's height, from the top")
    words: str


class FindingOut(_Part):
    """One of the 14 observations."""

    observation: str = Field(description="CheXpert's name")
    title: str = Field(description="the name in `language`")
    probability: Share | None = Field(description="the score: calibrated; null where not trained")
    raw_logit: float | None = Field(description="the network's log-odds; null where not trained")
    threshold: Share | None = Field(description="scores at or above it are called; null where not trained")
    band_low: Share | None = Field(
        description="95 % interval of the threshold itself; null for a default, or one of a former version"
    )
    band_high: Share | None
    decision: Decision
    words: str = Field(description="the decision in `language`")
    threshold_rule: str = Field(description="how the threshold was set; default: 0.5")
    threshold_default: str | None = Field(description="why the threshold is a default; null where fitted")
    calibration: str = Field(description="method; none: the probability is the raw sigmoid")
    uncalibrated: str | None = Field(description="why there is no calibration; null where there is one")
    not_trained: str | None = Field(description="why the observation has no score; null where it has one")
    operating_point: OperatingPointOut
    heatmap_peak: Peak | None = Field(description="null where the map is nowhere positive, or not trained")
    verdict: VerdictOut | None = Field(description="null where the reader gave none")


class GateOut(_Part):
    """The check whether the film is an upright frontal chest X-ray."""

    accepted: bool
    reason: str


class FilmOut(_Part):
    """What the file was, and what was done to it, without a name, an identifier or a date."""

    format: str
    width: int = Field(description="pixels, as decoded")
    height: int
    bits: int = Field(description="stored per sample")
    frame: int = Field(description="which picture of the file, from 1")
    frames: int = Field(description="how many the file holds")
    photometric: str
    window: str | None
    view: str | None
    transfer_syntax: str | None
    actions: list[str] = Field(description="in the order done")


class ModelOut(_Part):
    """Which model read the film."""

    name: str
    weights_sha256: str
    backbone: str
    members: int = Field(description="networks whose mean log-odds are the model's")
    created: str
    trained_by_version: str
    read_by_version: str


class IdentityOut(_Part):
    """Whom the film is of; only in an export for which the reader asked for it."""

    file: str
    age_years: int | None
    patient_name: str | None = Field(description="of a DICOM, as written there; null for other files")
    patient_id: str | None
    accession_number: str | None
    study_date: str | None = Field(description="YYYYMMDD")


class ReadingOut(_Part):
    """A reading as it is exported."""

    schema_version: Literal["1.0"] = SCHEMA_VERSION
    notice: str
    language: Language
    made: str = Field(description="ISO 8601, with the offset to UTC")
    insisted: bool = Field(
        description="true: the gate had withheld this reading, and the reader insisted on it"
    )
    insistence: str = Field(description="that, and the gate's reason, in words; empty otherwise")
    identity: IdentityOut | None = Field(description="null unless the reader asked for it")
    model: ModelOut
    film: FilmOut
    gate: GateOut | None = Field(description="null: this model has no check of what it is shown")
    warnings: list[str]
    findings: list[FindingOut] = Field(description="the 14 observations, in CheXpert's order")
    comment: str = Field(description="the reader's, on the whole reading")


def json_schema() -> dict[str, Any]:
    """Give the JSON Schema of the export, draft 2020-12: every key is there, whatever its value."""
    return ReadingOut.model_json_schema(mode="serialization")
