"""The files of a bundle as bytes and typed JSON: read with a sentence where one is missing or damaged."""

import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, TypeVar

from pydantic import TypeAdapter, ValidationError

from chexmodel.atomic import replace_directory
from chexmodel.errors import BundleError
from chexmodel.language import tr

MANIFEST: Final = "bundle.json"
Model = TypeVar("Model")


def save(path: str | Path, files: Mapping[str, bytes]) -> None:
    """Write files into a bundle, all or none; the other files that it has stay.

    Raises:
        BundleError: the disk is full or not writable.
    """
    try:
        replace_directory(Path(path), files)
    except OSError as error:
        raise BundleError(
            tr("bundle {path} can't be written: {error}. Nothing in it was changed", path=path, error=error)
        ) from error


def to_json(value: Any, kind: Any) -> bytes:
    """Serialise a pydantic model or list of them, indented, NaN as null."""
    return TypeAdapter(kind).dump_json(value, indent=2) + b"\n"


def read_bytes(path: Path, name: str) -> bytes:
    """Read a file of a bundle.

    Raises:
        BundleError: it is not there; the message says what writes it.
    """
    try:
        return (path / name).read_bytes()
    except OSError as error:
        maker = tr("run `python -m train fit … --out {path}`", path=path)
        if not name.endswith(".safetensors") and name not in (MANIFEST, "history.csv", "curves.png"):
            maker = tr("run `python -m train evaluate {path} --data DIR`", path=path)
        if name == "model.onnx":
            maker = tr("run `python -m chexmodel export {path}`", path=path)
        raise BundleError(
            tr(
                "bundle {path} lacks {name}: {maker}, or copy the bundle again",
                path=path,
                name=name,
                maker=maker,
            )
        ) from error


def parse(path: Path, name: str, kind: TypeAdapter[Model]) -> Model:
    """Read a JSON file of a bundle as `kind`.

    Raises:
        BundleError: it is not there, or damaged.
    """
    try:
        return kind.validate_json(read_bytes(path, name))
    except ValidationError as error:
        raise damaged(path, name, error) from error


def damaged(path: Path, name: str, error: Exception) -> BundleError:
    """Say that a file of a bundle is damaged, and what to do."""
    reason = textwrap.shorten(str(error) or type(error).__name__, 300, placeholder=" …")
    return BundleError(
        tr(
            "{name} of bundle {path} is damaged ({reason}): copy the bundle again, or write it anew",
            name=name,
            path=path,
            reason=reason,
        )
    )
