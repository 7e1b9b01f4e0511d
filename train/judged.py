"""Which films a bundle is judged on: those of its own split, or of any for imported weights."""

from pydantic import ValidationError

from chexmodel.bundle import Manifest
from chexmodel.errors import BundleError, DatasetError
from train.commands import EvaluateConfig
from train.config import FitConfig
from train.dataset import Splits


def fit_config(config: EvaluateConfig, manifest: Manifest) -> FitConfig:
    """Rebuild the run's own configuration: same seed and shares, hence the same split.

    An imported bundle has none: it gets the default split, or the shares that are asked for.
    """
    machine = {"data": config.data, "out": config.bundle, "augment": "none"}  # nothing is trained
    machine["image_size"] = manifest.preprocessing.size
    chosen = config.model_dump(include={"validation", "test", "workers", "batch_size"}, exclude_none=True)
    if manifest.origin is None and not chosen.keys().isdisjoint({"validation", "test"}):
        raise BundleError(
            f"the split of {config.bundle} is that of its training: leave out --validation and --test"
        )
    try:
        fitted = FitConfig.model_validate(manifest.config | machine | chosen)
    except ValidationError as error:
        wrong = ", ".join(str(part["loc"][0]) for part in error.errors() if part["loc"])
        raise BundleError(
            f"the configuration in bundle {config.bundle} does not fit this program ({wrong}): evaluate it "
            "with the version that wrote it, or train it again"
        ) from error
    if manifest.members != (fitted.folds or 1):
        raise BundleError(
            f"bundle {config.bundle} has {manifest.members} members, which its configuration of "
            f"{fitted.folds} folds does not make: copy the bundle again, or train it again"
        )
    return fitted


def judged_on(manifest: Manifest, splits: Splits) -> Manifest:
    """Note in an imported bundle which films it is judged on; none of them trains it."""
    data = splits.fingerprint
    films, patients = (
        {name: counts[name] for name in ("validation", "test")} for counts in (data.films, data.patients)
    )
    return manifest.model_copy(
        update={"data": data.model_copy(update={"films": films, "patients": patients})}
    )


def require_same_data(config: EvaluateConfig, manifest: Manifest, splits: Splits) -> None:
    """Refuse other tables than those that the bundle was trained on.

    Raises:
        DatasetError: their checksums differ.
    """
    if splits.fingerprint.files == manifest.data.files:
        return
    raise DatasetError(
        f"{config.data} is not the data that {config.bundle} was trained on: the SHA-256 of "
        f"{', '.join(manifest.data.files)} differs, so patients of the training could be among those to "
        "score. Give the directory that `fit` was given"
    )
