"""What the server's process is set up with at its first page."""

from typing import Final

from starlette.formparsers import MultiPartParser

from chexmodel.containers import MAX_UPLOAD
from chexmodel.ui import journal

_FRAME: Final = 2**20  # bytes; the server lets a request have as many beside the file


def begin() -> None:
    """Keep uploads in memory, start the log and the metrics; further calls do nothing."""
    # Starlette writes what is above 1 MB to a temporary file as it arrives: films are never written to disk.
    MultiPartParser.spool_max_size = MAX_UPLOAD + _FRAME
    journal.begin()
