"""Films to try the reader on: three public ones, fetched on request and never kept on disk.

From the NIH Clinical Center's ChestX-ray14 (Wang X. et al., CVPR 2017), as published with Chester
(Cohen J. P. et al., arXiv:1901.11210).
"""

import hashlib
from dataclasses import dataclass
from http.client import HTTPException
from typing import Final
from urllib.parse import quote
from urllib.request import urlopen

from chexmodel.errors import ImageError
from chexmodel.film import MAX_BYTES
from chexmodel.labels import NO_FINDING
from chexmodel.language import mark, tr

_BASE: Final = (
    "https://raw.githubusercontent.com/mlmed/dl-web-xray/6d46e5dfdc033715dc9b19a2600c79309a8c8400/examples/"
)
_TIMEOUT = 15  # seconds


@dataclass(frozen=True)
class Example:
    """A public film: its file name at the source, what NIH's labels say of it, and its checksum."""

    file: str
    labels: str
    sha256: str


EXAMPLES: Final[tuple[Example, ...]] = (
    Example(
        "00000001_000-Cardiomegaly.png",
        mark("Cardiomegaly"),
        "54637429eef039060cf9feb4a07042d4986a71042b41cd1c833befd26cabe9bd",
    ),
    Example(
        "00000002_000-No Finding.png",
        NO_FINDING,
        "84cb473f69dbf9dca2fb946de92545031f03d6501be510555067aee46c17033e",
    ),
    Example(
        "00000001_002-Cardiomegaly-Effusion.png",
        mark("Cardiomegaly, Effusion"),
        "ff2f2da7867f237c4ed0df9337a9325d77d74bb47b18479e734b92991cdd3fa5",
    ),
)


def fetch(example: Example, *, base: str = _BASE) -> bytes:
    """Download an example film (about 0.5 MB) and check that it is the one meant.

    Args:
        example: which.
        base: address of the directory.

    Raises:
        ImageError: no network, or other bytes than expected.
    """
    try:
        with urlopen(base + quote(example.file), timeout=_TIMEOUT) as reply:
            data: bytes = reply.read(MAX_BYTES + 1)
    except (OSError, HTTPException, ValueError) as error:  # URLError is an OSError, a cut transfer is not
        raise ImageError(
            tr(
                "The example could not be fetched: this machine seems to be offline, or GitHub can't "
                "be reached. Try the synthetic phantom, or upload a film of your own."
            )
        ) from error
    if hashlib.sha256(data).hexdigest() != example.sha256:
        raise ImageError(
            tr(
                "The example that arrived is not the published one (its SHA-256 differs), so it is not "
                "shown. Try the synthetic phantom, or upload a film of your own."
            )
        )
    return data
