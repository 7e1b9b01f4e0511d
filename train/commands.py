"""What the other commands are asked to do: typed, frozen models, each a command line."""

import os
from pathlib import Path
from typing import Annotated, Final, Literal, Self

import tyro
from pydantic import BaseModel, ConfigDict, Field, model_validator

from chexmodel.calibration import CalibrationMethod
from chexmodel.grouping import DEFAULT_COLUMNS
from chexmodel.methods import METHODS, Method
from chexmodel.thresholds import Rule

GATE_FILMS: Final = 600
"""Training films that the input check is fitted to, at most: five passes of the network each."""


class EvaluateConfig(BaseModel):
    """Fit calibration and thresholds on validation, then score the test split once."""

    model_config = ConfigDict(frozen=True)

    bundle: Annotated[Path, tyro.conf.Positional, Field(description="Directory of the run or bundle.")]
    data: Annotated[
        Path, Field(description="What it was trained on, folder or pack; for imported weights any.")
    ]
    validation: Annotated[
        float | None,
        Field(gt=0, lt=1, description="For imported weights: share of the patients to fit on (0.1)."),
    ] = None
    test: Annotated[
        float | None,
        Field(gt=0, lt=1, description="For imported weights: share to score, without a valid.csv (0.1)."),
    ] = None
    rule: Annotated[Rule, Field(description="Threshold: best F1, Youden's J, or a sensitivity.")] = "f1"
    sensitivity: Annotated[
        float, Field(gt=0, le=1, description="To reach on validation, with --rule sensitivity.")
    ] = 0.9
    calibration: Annotated[
        CalibrationMethod | Literal["best"],
        Field(description="best: the lowest log-loss on other patients of the split, per observation."),
    ] = "best"
    cam_methods: Annotated[
        tuple[Method, ...],
        Field(
            min_length=1, description="Maps to measure where radiologists marked films; Grad-CAM is quick."
        ),
    ] = METHODS
    by: Annotated[
        tuple[str, ...],
        Field(description="Columns of the tables to score groups of films by; none: give --by alone."),
    ] = DEFAULT_COLUMNS
    protocol: Annotated[
        Literal["ours", "reference"],
        Field(
            description="reference: the reference project's way to score beside ours, from the predictions "
            "of a bundle that is evaluated; nothing else is done."
        ),
    ] = "ours"
    table: Annotated[
        Path | None,
        Field(description="With --protocol reference: a further table, for the constant answers alone."),
    ] = None
    bootstrap: Annotated[int, Field(ge=0, description="Resamples of patients for the intervals.")] = 1000
    seed: Annotated[int, Field(ge=0, description="Of the resampling, and of the reference's split.")] = 0
    html: Annotated[Path | None, Field(description="Also write one self-contained page here.")] = None
    batch_size: Annotated[int, Field(ge=1, description="Films at a time.")] = 32
    workers: Annotated[int, Field(ge=0, description="Processes that load films.")] = 2

    @model_validator(mode="after")
    def _together(self) -> Self:
        if self.table is not None and self.protocol != "reference":
            raise ValueError("--table is for --protocol reference: give both, or leave it out")
        return self


class GateConfig(BaseModel):
    """Fit the input check to training films, and measure it on films and pictures that it never saw."""

    model_config = ConfigDict(frozen=True)

    bundle: Annotated[Path, tyro.conf.Positional, Field(description="Directory of the bundle.")]
    data: Annotated[
        Path, Field(description="What it was trained on, folder or pack; for imported weights any.")
    ]
    external: Annotated[
        tuple[Path, ...],
        Field(
            description="Folders of upright frontal films of other hospitals; a metadata.csv there with "
            "image_id and patient_id says which are of one patient."
        ),
    ] = ()
    others: Annotated[
        tuple[Path, ...],
        Field(
            description="Folders of pictures that are no chest films, each with one folder a source, whose "
            "SOURCE.txt says what it is."
        ),
    ] = ()
    films: Annotated[int, Field(ge=2, description="Training films to fit it to, at most.")] = GATE_FILMS
    seed: Annotated[int, Field(ge=0, description="Of the choice of films, and of how they are varied.")] = 0


class ImportConfig(BaseModel):
    """Write another program's weights as a bundle; `evaluate` completes it."""

    model_config = ConfigDict(frozen=True)

    source: Annotated[Literal["torchxrayvision"], tyro.conf.Positional, Field(description="Whose weights.")]
    weights: Annotated[
        str, Field(description="A name, for example densenet121-res224-chex (downloaded), or a .pt file.")
    ]
    out: Annotated[Path, Field(description="Directory of the bundle, for example runs/xrv-chex.")]


class StudyConfig(BaseModel):
    """Train a plan of configurations on the same folds, one after another, and compare them."""

    model_config = ConfigDict(frozen=True)

    data: Annotated[Path, Field(description="Directory with train.csv in CheXpert's layout, or a pack.")]
    out: Annotated[Path, Field(description="Directory of the study; one that is there is gone on with.")]
    backbone: Annotated[str, Field(description="timm model of all configurations but one.")] = (
        "tf_efficientnet_lite0"
    )
    weights: Annotated[str, Field(description="imagenet (downloaded), none, or a file.")] = "imagenet"
    second_backbone: Annotated[str, Field(description="timm model of that one.")] = "tf_efficientnet_lite1"
    second_weights: Annotated[str, Field(description="imagenet (downloaded), none, or a file.")] = "imagenet"
    seeds: Annotated[int, Field(ge=1, description="Each configuration is trained so many times.")] = 2
    folds: Annotated[int, Field(ge=2, description="Patient-wise folds.")] = 3
    epochs: Annotated[int, Field(ge=1, description="Of each training.")] = 8
    image_size: Annotated[int, Field(ge=32, le=1024, description="Side of the input, px.")] = 112
    bootstrap: Annotated[int, Field(ge=1, description="Resamples of patients for the intervals.")] = 1000
    workers: Annotated[int, Field(ge=0, description="Processes that load films.")] = 0
    accelerator: Annotated[str, Field(description="Lightning's: auto, cpu, gpu, mps …")] = "auto"


class PackConfig(BaseModel):
    """Decode every film of a data set once, into one array that `fit` and `evaluate` read much faster."""

    model_config = ConfigDict(frozen=True)

    data: Annotated[Path, Field(description="Directory with train.csv (and valid.csv) in CheXpert's layout.")]
    out: Annotated[Path, Field(description="Directory of the pack; an unfinished one is gone on with.")]
    size: Annotated[int, Field(ge=32, le=2048, description="Side of the squares, px; a byte a pixel.")] = 256
    workers: Annotated[int, Field(ge=1, description="Processes that decode; default: one a core.")] = (
        os.cpu_count() or 1
    )


class CompareConfig(BaseModel):
    """Put runs side by side: options, metrics, and paired differences to the first one."""

    model_config = ConfigDict(frozen=True)

    runs: Annotated[
        tuple[Path, ...],
        tyro.conf.Positional,
        Field(min_length=1, description="Directories of runs or bundles; the first is the baseline."),
    ]
    html: Annotated[Path | None, Field(description="Also write one self-contained page here.")] = None
    split: Annotated[Literal["test", "validation"], Field(description="Films to compare on.")] = "test"
    bootstrap: Annotated[int, Field(ge=0, description="Resamples of patients for the paired intervals.")] = (
        1000
    )
    seed: Annotated[int, Field(ge=0, description="Of the resampling.")] = 0
