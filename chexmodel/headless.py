"""Very many films, read into a folder of scores, without a browser.

Films are read file by file by whatever gives their rows, in any order: threads here, or a cluster. Each
part of rows is on the disk before the next is begun.
"""

import time
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, as_completed, wait
from contextlib import closing
from pathlib import Path
from typing import Final, NamedTuple

import torch

from chexmodel.batch import Findings
from chexmodel.errors import ChexError
from chexmodel.film_files import FilmFile, find
from chexmodel.film_rows import Order, read_file
from chexmodel.labels import OBSERVATIONS
from chexmodel.parts import OWN, Format, Row, Settings, begin, missing, save, table, write
from chexmodel.predictor import Predictor
from chexmodel.version import __version__

PART_ROWS: Final = 1000
PART_SECONDS: Final = 60.0
"""A part is written after so many rows or so long, whichever comes first: what a killed run loses."""
_AHEAD: Final = 4  # files a worker that wait or are done: one slow film must not stop the others

Progress = Callable[[int, int], None]
"""Told how many files are done, and of how many."""


Reader = Callable[[Sequence[FilmFile], Order], Generator[list[Row], None, None]]
"""Reads files, in any order; each list holds all rows of one or more of them."""


class Summary(NamedTuple):
    """How many films have which status, how many files were read by this run, and the tables written."""

    statuses: Counter[str]
    files: int
    tables: list[Path]


def read_many(
    paths: Sequence[str],
    predictor: Predictor,
    reader: Reader,
    order: Order,
    *,
    formats: Sequence[Format],
    restart: bool,
    progress: Progress,
) -> Summary:
    """Read what is missing of many films, then write the table of all.

    Args:
        paths: of files, folders, patterns and lists, as `film_files.find` takes them.
        predictor: the one that `reader` reads with.
        reader: gives the rows of files.
        order: the folder of the results, and the overlays wanted.
        formats: of the table.
        restart: forget what an earlier run left in the folder.
        progress: called as files are done.

    Raises:
        ChexError: there are no such paths or observations, the folder was read with other settings, or the
            disk is full. What was read is kept, also when the run is interrupted.
    """
    listing = find(paths, but=order.out, own=OWN)
    settings = _settings(predictor, order.findings, listing.root)
    begin(order.out, settings, restart=restart)
    pending = missing(order.out, listing.files)
    progress(0, len(pending))
    with closing(reader(pending, order)) as readings:
        _keep(readings, order.out, settings, lambda done: progress(done, len(pending)))
    rows = table(order.out, listing.files)
    tables = [save(order.out, rows, kind) for kind in formats]
    return Summary(Counter(rows["status"].to_pylist()), len(pending), tables)


def _settings(predictor: Predictor, findings: Findings | None, root: str) -> Settings:
    manifest = predictor.bundle.manifest
    for name in findings or ():
        if name not in OBSERVATIONS or name in manifest.not_trained:
            trained = [name for name in OBSERVATIONS if name not in manifest.not_trained]
            raise ChexError(f"{name!r} has no map in this model: choose from {', '.join(trained)}")
    return Settings(
        root=root,
        model=manifest.name,
        checksum=predictor.bundle.checksum,
        engine=predictor.engine,
        version=__version__,
        overlays="" if findings is None else ", ".join(findings) or "called",
    )


def _keep(
    readings: Iterable[list[Row]], out: Path, settings: Settings, progress: Callable[[int], None]
) -> None:
    rows, done, since = list[Row](), 0, time.monotonic()
    try:
        for some in readings:
            rows += some
            done += len({row["source"] for row in some})
            progress(done)
            if len(rows) >= PART_ROWS or time.monotonic() - since >= PART_SECONDS:
                write(out, rows, settings)
                rows, since = [], time.monotonic()
    finally:  # an interrupted run keeps its last part
        if rows:
            write(out, rows, settings)


def in_threads(predictor: Predictor, workers: int) -> Reader:
    """Read in so many threads of this process: decoders and networks let go of the interpreter."""

    def reader(files: Sequence[FilmFile], order: Order) -> Generator[list[Row], None, None]:
        pool = ThreadPoolExecutor(workers)
        waiting = set[Future[list[Row]]]()
        before = torch.get_num_threads()
        if workers > 1:
            torch.set_num_threads(1)  # films side by side are faster than a film on all cores
        try:
            for file in files:
                if len(waiting) == _AHEAD * workers:
                    done, waiting = wait(waiting, return_when=FIRST_COMPLETED)
                    yield from (future.result() for future in done)
                waiting.add(pool.submit(read_file, predictor, file, order))
            yield from (future.result() for future in as_completed(waiting))
        finally:
            pool.shutdown(cancel_futures=True)
            torch.set_num_threads(before)

    return reader
