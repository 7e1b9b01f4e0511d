"""Masks that radiologists drew around findings: `*_masks.json` beside a CheXpert table.

The format of CheXlocalize (Saporta A. et al., *Benchmarking saliency methods for chest X-ray
interpretation*, Nature Machine Intelligence 2022): image id → finding → `{"size": [height, width], "counts":
TEXT}`, the mask in COCO's compressed run lengths. Its `gt_segmentations_val.json` becomes `valid_masks.json`
beside `valid.csv`. The image id is patient, study and view of the table's `Path`:
"patient64622_study1_view1_frontal".
"""

import textwrap
from pathlib import Path, PurePosixPath
from typing import Annotated, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, Field, TypeAdapter, ValidationError

from chexmodel.errors import DatasetError
from chexmodel.labels import CHEXLOCALIZE_NAMES, OBSERVATIONS
from chexmodel.language import tr

_Side = Annotated[int, Field(gt=0, le=20_000)]


class Mask(NamedTuple):
    """A mask around a finding: the lengths of its runs, column by column, outside and inside in turn.

    size is (height, width) in px of the picture that it was drawn on; the film at hand may be a smaller copy.
    """

    finding: str
    size: tuple[int, int]
    runs: tuple[int, ...]

    def pixels(self) -> NDArray[np.bool_]:
        """The mask, (height, width)."""
        inside = np.arange(len(self.runs)) % 2 == 1
        return np.repeat(inside, self.runs).reshape(self.size, order="F")


class _Encoded(BaseModel):
    size: tuple[_Side, _Side]
    counts: str


_FORMAT: Final = TypeAdapter(dict[str, dict[str, _Encoded | tuple[int, int]]])


def read_masks(csv: Path) -> dict[str, list[Mask]]:
    """Read the masks that lie beside a table: of `valid.csv` those in `valid_masks.json`.

    A mask without a pixel inside is CheXlocalize's way to say that the finding is not there: left out.

    Args:
        csv: the table.

    Returns:
        Image id, as `image_id` gives it → the film's masks; empty where there is no such file.

    Raises:
        DatasetError: the file is not of this format, a finding is unknown, or a mask is cut short.
    """
    file = csv.with_name(f"{csv.stem}_masks.json")
    if not file.is_file():
        return {}
    try:
        films = _FORMAT.validate_json(file.read_bytes())
        return {image: masks for image, found in films.items() if (masks := _masks(image, found))}
    except (ValidationError, ValueError, OSError) as error:
        raise DatasetError(
            tr(
                "{file} holds no masks in the format of CheXlocalize, image id → finding → size and "
                "counts ({reason}): correct it, or move it away",
                file=file,
                reason=textwrap.shorten(str(error), 200),
            )
        ) from error


def image_id(path: str) -> str:
    """Give CheXlocalize's name of a film from the table's `Path`: its last three parts, joined."""
    return "_".join(PurePosixPath(path).with_suffix("").parts[-3:])


def _masks(image: str, found: dict[str, _Encoded | tuple[int, int]]) -> list[Mask]:
    masks = []
    for name, encoded in found.items():
        if not isinstance(encoded, _Encoded):  # "img_size", which each mask's own size repeats
            continue
        finding = CHEXLOCALIZE_NAMES.get(name, name)
        if finding not in OBSERVATIONS:
            raise ValueError(f"{image}: {name!r} is none of the 14 observations")
        runs = decode_runs(encoded.counts)
        if min(runs, default=0) < 0 or sum(runs) != encoded.size[0] * encoded.size[1]:
            raise ValueError(
                f"{image}, {name}: the runs do not fill {encoded.size[0]} × {encoded.size[1]} px"
            )
        if sum(runs[1::2]):
            masks.append(Mask(finding, encoded.size, runs))
    return masks


def decode_runs(counts: str) -> tuple[int, ...]:
    """Decode COCO's compressed run lengths.

    A character is 48 plus six bits: five of a number, the lowest first, and whether more of it follow; the
    last one's highest bit is the sign. From the fourth number on, each is a difference to the last but one.
    Own code, because pycocotools leaves what a text that is cut short does not fill uninitialised, unsaid.

    Args:
        counts: the text of a mask.

    Raises:
        ValueError: a character that is not of this code, or a number without an end.
    """
    runs: list[int] = []
    value = bits = 0
    for character in counts:
        code = ord(character) - 48
        if not 0 <= code < 64:
            raise ValueError(f"{character!r} is no character of run lengths")
        value |= (code & 0x1F) << bits
        bits += 5
        if code & 0x20:
            continue
        if code & 0x10:
            value -= 1 << bits
        runs.append(value + (runs[-2] if len(runs) > 2 else 0))
        value = bits = 0
    if bits:
        raise ValueError("the run lengths end within a number")
    return tuple(runs)
