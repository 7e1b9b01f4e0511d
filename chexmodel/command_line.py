"""What the commands have in common: the model by default, the progress bar, how a file is written."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from chexmodel.atomic import write_file
from chexmodel.errors import ChexError

SHIPPED: Final = Path(__file__).resolve().parent.parent / "assets" / "models" / "demo"


@contextmanager
def bar(*, shown: bool = True) -> Iterator[Callable[[int, int], None]]:
    """Show films done, films a second and the time left on a terminal; to be told how many of how many."""
    from tqdm import tqdm

    with tqdm(desc="films", unit="film", disable=None if shown else True) as line:

        def show(done: int, total: int) -> None:
            line.total = total
            line.update(done - line.n)

        yield show


def write(path: Path, data: bytes) -> None:
    """Write a file that the user named: the whole, or what was there before stays.

    Raises:
        ChexError: it can't be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.is_file() or not path.exists():
            write_file(path.resolve(), data)  # what a link points to, not the link
        else:  # a device, or a pipe
            path.write_bytes(data)
    except OSError as error:
        raise ChexError(f"{path} can't be written ({error.strerror}): give another file") from None
