"""What `bundle.json` and `metrics.json` say of a model: from what, how and by what it was made and judged."""

from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from chexmodel.labels import OBSERVATIONS, BlankPolicy, UncertainPolicy
from chexmodel.language import tr
from chexmodel.preprocessing import Preprocessing
from chexmodel.scores import Evaluation

FORMAT_VERSION: Final = 2
READ_VERSIONS: Final = (1, FORMAT_VERSION)
"""Version 2 brought ensembles; a bundle without them is the same in both."""

Dtype = Literal["float16", "float32"]


class Fingerprint(BaseModel):
    """Which data a model was fitted on: file name and SHA-256 of each CSV, films and patients per split."""

    model_config = ConfigDict(frozen=True)

    files: dict[str, str]
    films: dict[str, int]
    patients: dict[str, int]
    missing_images: int = 0


class Policies(BaseModel):
    """How labels became targets, and which views were used."""

    model_config = ConfigDict(frozen=True)

    uncertain: UncertainPolicy
    blank: BlankPolicy
    views: Literal["frontal", "all"]


class Origin(BaseModel):
    """Where weights are from that this program did not train.

    `trained_on` names the films, `outputs` gives each observation's name there, `command` is the import's.
    """

    model_config = ConfigDict(frozen=True)

    source: str
    trained_on: str
    outputs: dict[str, str]
    licence: str
    citation: str
    command: str

    @property
    def caution(self) -> str:
        """What to know of any score of these weights, in the language in use."""
        return tr(
            "The films scored may be among those that it was trained on: {films}.", films=self.trained_on
        )


class Manifest(BaseModel):
    """`bundle.json`.

    `not_trained` gives, for each observation that was not trained, the reason. `members` is the number of
    networks whose mean logits are the model's; `weights_sha256` is of their weight files, one after another.
    Of an imported model `origin` says where it is from, `config` is empty, and `data` is what judged it.
    """

    model_config = ConfigDict(frozen=True)

    format_version: int = FORMAT_VERSION
    name: str
    created: str
    code_version: str
    backbone: str
    members: int = Field(default=1, ge=1, le=99)
    observations: tuple[str, ...] = OBSERVATIONS
    not_trained: dict[str, str]
    preprocessing: Preprocessing
    policies: Policies
    config: dict[str, Any]
    seed: int
    data: Fingerprint
    weights_dtype: Dtype
    weights_sha256: str
    origin: Origin | None = None


class Metrics(BaseModel):
    """`metrics.json`: the evaluation of each split, and the command that made it."""

    model_config = ConfigDict(frozen=True, ser_json_inf_nan="null")

    command: str
    weights_sha256: str
    splits: dict[str, Evaluation]
