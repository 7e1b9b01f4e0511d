"""Bytes → grey film: PNG, JPEG, TIFF, DICOM and arrays, with limits and an account of what was done.

`read` is the only way in, for training, app and command line alike: the same file gives the same pixels.
"""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from chexmodel.dicom import read_dicom
from chexmodel.errors import ImageError
from chexmodel.filetype import file_type
from chexmodel.film import (
    MAX_BYTES,
    MAX_PIXELS,
    MAX_SIDE,
    MIN_SIDE,
    Film,
    Grey,
    InputAudit,
    as_image_error,
    check_bytes,
    check_size,
)
from chexmodel.language import tr
from chexmodel.pictures import read_jpeg, read_with_pillow, scaled, unit_floats
from chexmodel.quality import hints

__all__ = ["MAX_BYTES", "MAX_PIXELS", "MAX_SIDE", "MIN_SIDE", "Film", "InputAudit", "Source", "read"]

Source = bytes | Path | np.ndarray


def read(source: Source, *, frame: int = 0, any_class: bool = False) -> Film:
    """Read one film.

    Args:
        source: the bytes of a PNG, JPEG, TIFF or DICOM file; the path of one; or an array (H, W) of
            uint8, uint16 or float in [0, 1], brighter = denser.
        frame: which picture of a multi-frame DICOM, from 0; other files hold one.
        any_class: read DICOMs of every class, which are refused otherwise unless radiographs come in it: for
            who measures what becomes of other pictures.

    Returns:
        The film, (H, W) with bone white, and the audit of what was done to it; its warnings are those of
        reading and the hints of `quality`.

    Raises:
        ImageError: the source can't be read, is no radiograph file, or exceeds a limit (50 MB, 64 million
            pixels, 10,000 px a side; all checked before decoding). Bad bytes raise nothing else.
    """
    film = _read(source, frame, any_class)
    audit = film.audit.model_copy(update={"warnings": (*film.audit.warnings, *hints(film))})
    return Film(film.grey, audit)


def _read(source: Source, frame: int, any_class: bool) -> Film:
    if isinstance(source, bytes):
        return _read_bytes(source, frame, any_class)
    if isinstance(source, Path):
        try:
            return _read_bytes(_load(source), frame, any_class)
        except ImageError as error:
            raise ImageError(tr("{source}: {error}", source=source, error=error)) from error
    if frame:
        raise _no_frame(frame)
    if isinstance(source, np.ndarray):
        return _read_array(source)
    raise ImageError(
        tr(
            "A film is given as bytes, a pathlib.Path or a NumPy array, not {kind}.",
            kind=type(source).__name__,
        )
    )


def _no_frame(frame: int) -> ImageError:
    return ImageError(tr("This file has no frame {frame}: it holds one picture.", frame=frame + 1))


def _load(path: Path) -> bytes:
    try:
        size = path.stat().st_size
        check_bytes(size)
        with path.open("rb") as file:
            return file.read(size)  # not read(): a device or a growing file has no honest size
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise ImageError(
            tr("can't be opened ({reason}): check the path and your rights on it.", reason=reason)
        ) from error


def _read_bytes(data: bytes, frame: int, any_class: bool) -> Film:
    check_bytes(len(data))
    kind = file_type(data)
    with as_image_error(kind):
        if kind == "DICOM":
            return read_dicom(data, frame=frame, any_class=any_class)
        if frame:
            raise _no_frame(frame)
        return read_jpeg(data) if kind == "JPEG" else read_with_pillow(data, kind)


def _read_array(values: NDArray[Any]) -> Film:
    if values.ndim != 2:
        raise ImageError(
            tr("A film array is (H, W), not {shape}: convert to grey first.", shape=values.shape)
        )
    check_size(values.shape[1], values.shape[0])
    actions = list[str]()
    grey: Grey
    if values.dtype.kind == "f":
        grey = unit_floats(values)
    elif values.dtype == np.uint8:
        grey = values.copy()
    elif values.dtype.kind == "u" and values.dtype.itemsize == 2:  # of either byte order
        grey, actions = scaled(values)
    else:
        raise ImageError(
            tr("A film array is uint8, uint16 or float in [0, 1], not {kind}: convert it.", kind=values.dtype)
        )
    audit = InputAudit(
        format="array",
        width=grey.shape[1],
        height=grey.shape[0],
        bits=8 * values.dtype.itemsize,
        photometric=tr("grayscale"),
        actions=tuple(actions),
    )
    return Film(grey, audit)
