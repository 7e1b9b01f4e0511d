"""What a training run is asked to do: one typed, frozen model, saved in each run and each bundle."""

import math
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from chexmodel.bundle import Dtype
from chexmodel.labels import OBSERVATIONS, BlankPolicy, UncertainPolicy
from chexmodel.weighting import FACTOR_CAP, POS_WEIGHT_CAP, RARE_PREVALENCE

Loss = Literal["focal", "bce", "asl"]
PosWeight = Literal["on", "off", "cap"]
Augment = Literal["affine", "crop", "none"]

MACHINE = frozenset(
    {"data", "out", "resume", "workers", "accelerator", "devices", "num_nodes", "checkpoint_steps"}
)
"""Fields that say where and on what a run happens: they may differ when it is resumed."""


class FitConfig(BaseModel):
    """Train a classifier and write its bundle."""

    model_config = ConfigDict(frozen=True)

    data: Annotated[
        Path, Field(description="Directory with train.csv (and valid.csv) in CheXpert's layout, or a pack.")
    ]
    out: Annotated[Path, Field(description="Directory of the run, for example runs/NAME.")]
    resume: Annotated[bool, Field(description="Go on from the last checkpoint in --out.")] = False

    backbone: Annotated[str, Field(description="timm model ending in average pooling.")] = "densenet121"
    weights: Annotated[str, Field(description="imagenet (downloaded), none, or a file.")] = "imagenet"
    image_size: Annotated[int, Field(ge=32, le=1024, description="Side of the input, px.")] = 224

    views: Annotated[Literal["frontal", "all"], Field(description="Films to use.")] = "frontal"
    uncertain: Annotated[UncertainPolicy, Field(description="What −1 becomes in training.")] = "ignore"
    blank: Annotated[BlankPolicy, Field(description="What a blank becomes.")] = "negative"
    validation: Annotated[float, Field(gt=0, lt=1, description="Share of the patients of train.csv.")] = 0.1
    test: Annotated[
        float, Field(gt=0, lt=1, description="Share of the patients; used only without a valid.csv.")
    ] = 0.1
    skip_missing: Annotated[bool, Field(description="Train without the films that are missing.")] = False

    folds: Annotated[
        int,
        Field(
            ge=0, le=99, description="Patient-wise folds, a member each, in place of --validation; 0 is off."
        ),
    ] = 0

    loss: Annotated[
        Loss,
        Field(description="focal (arXiv:1708.02002), bce, or asl (asymmetric, arXiv:2009.14119)."),
    ] = "focal"
    gamma: Annotated[float, Field(ge=0, description="Focusing exponent of the focal loss.")] = 2.0
    pos_weight: Annotated[
        PosWeight, Field(description="Weight of positives: neg / pos, none, or that up to --pos-weight-cap.")
    ] = "cap"
    pos_weight_cap: Annotated[float, Field(ge=1, description="Largest such weight.")] = POS_WEIGHT_CAP
    box_weight: Annotated[
        float, Field(ge=0, description="Of the loss that points maps into train_boxes.csv; 0 is off.")
    ] = 0.0
    sampler: Annotated[Literal["weighted", "shuffle"], Field(description="How an epoch is drawn.")] = (
        "weighted"
    )
    rare: Annotated[float, Field(gt=0, le=1, description="Prevalence below this is rare.")] = RARE_PREVALENCE
    factor_cap: Annotated[float, Field(ge=1, description="Largest sampling factor.")] = FACTOR_CAP
    factors: Annotated[
        dict[str, float], Field(description="Sampling factors to set by hand: NAME FACTOR …, each ≥ 1.")
    ] = {}

    epochs: Annotated[int, Field(ge=1, description="Passes over as many films as the split has.")] = 10
    batch_size: Annotated[int, Field(ge=1, description="Films per step and device.")] = 32
    learning_rate: Annotated[float, Field(gt=0, description="Peak of the one-cycle schedule.")] = 3e-4
    weight_decay: Annotated[float, Field(ge=0, description="Of AdamW.")] = 1e-2
    gradient_clip: Annotated[float, Field(ge=0, description="Largest gradient norm; 0 is off.")] = 1.0
    patience: Annotated[
        int, Field(ge=1, description="Epochs without a better AUROC before stopping; not with --folds.")
    ] = 5
    ema: Annotated[
        float,
        Field(
            ge=0, lt=1, description="Decay a step of the weights' moving average (arXiv:2411.18704); 0: off."
        ),
    ] = 0.0
    augment: Annotated[
        Augment,
        Field(description="affine; crop: a window of 7/8 of the side, faster, films 8/7 as large; or none."),
    ] = "affine"
    rotation: Annotated[float, Field(ge=0, le=45, description="Augmentation: largest angle, degrees.")] = 7.0
    shift: Annotated[float, Field(ge=0, lt=0.5, description="Augmentation: shift, share of the side.")] = 0.05
    zoom: Annotated[float, Field(ge=0, lt=0.5, description="Augmentation: change of scale.")] = 0.1
    contrast: Annotated[float, Field(ge=0, lt=1, description="Augmentation: brightness, contrast.")] = 0.15
    horizontal_flip: Annotated[
        bool, Field(description="Augmentation: mirror half of the films. Puts hearts on the wrong side.")
    ] = False

    description: Annotated[
        str, Field(description="What the model card says of the data and the purpose.")
    ] = ""
    seed: Annotated[int, Field(ge=0, description="Of the split, the draws and the weights.")] = 0
    checkpoint_steps: Annotated[
        int, Field(ge=0, description="Steps between checkpoints in an epoch; 0: only at its end.")
    ] = 1000
    workers: Annotated[int, Field(ge=0, description="Processes that load films.")] = 2
    accelerator: Annotated[str, Field(description="Lightning's: auto, cpu, gpu, mps …")] = "auto"
    devices: Annotated[str, Field(description="Lightning's: auto, a number, or a list.")] = "auto"
    num_nodes: Annotated[int, Field(ge=1, description="Lightning's: machines.")] = 1
    precision: Annotated[
        str, Field(description="Lightning's; auto is bf16-mixed or 16-mixed on a GPU, else 32-true.")
    ] = "auto"
    weights_dtype: Annotated[Dtype, Field(description="Of the matrices in the bundle.")] = "float16"

    @property
    def training_side(self) -> int:
        """Side of the square, px, that training takes its inputs from: a crop leaves an eighth of it out."""
        return math.ceil(self.image_size * 8 / 7) if self.augment == "crop" else self.image_size

    @field_validator("pos_weight", mode="before")
    @classmethod
    def _switch(cls, pos_weight: object) -> object:
        # Bundles of format version 1 have a switch here, and the cap beside it.
        return {True: "cap", False: "off"}[pos_weight] if isinstance(pos_weight, bool) else pos_weight

    @field_validator("folds")
    @classmethod
    def _several(cls, folds: int) -> int:
        if folds == 1:
            raise ValueError("one fold leaves nothing to train on: 0 for no folds, or 2 and more")
        return folds

    @field_validator("factors")
    @classmethod
    def _observations(cls, factors: dict[str, float]) -> dict[str, float]:
        unknown = sorted(set(factors) - set(OBSERVATIONS))
        if unknown or any(value < 1 for value in factors.values()):
            raise ValueError(f"factors must be ≥ 1 and name an observation; unknown: {unknown or 'none'}")
        return factors
