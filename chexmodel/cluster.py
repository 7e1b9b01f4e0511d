"""Many films read on a Ray cluster: the same reader in a process per core, on any number of machines.

Ray is optional (`requirements-cluster.txt`). This package travels to the nodes by itself; films and bundle
must be there under the same path. Ray's nodes trust each other and exchange pickles: keep a cluster in a
network of its own.
"""

import math
import os
import socket
import warnings
from collections.abc import Generator, Sequence
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import torch

from chexmodel.errors import ChexError
from chexmodel.film_files import FilmFile
from chexmodel.film_rows import Order, read_file
from chexmodel.headless import Reader
from chexmodel.parts import SCHEMA, Row
from chexmodel.predictor import Predictor

LOCAL: Final = "local"
_BLOCK: Final = 200  # films that a worker gets at once; what is read anew if it dies
_RETRIES: Final = 3  # of a block whose worker died; endless ones would never tell of a film that kills it
_REACH: Final = 10.0  # s
_FAILED: Final = "failed"  # status of the one row of a worker that can't go on
_ERROR: Final = 40  # the level of what Ray may print beside the command's own lines
_ENVIRONMENT: Final = {
    "RAY_USAGE_STATS_ENABLED": "0",  # nothing is reported to anybody
    "RAY_DATA_LOG_LEVEL": "ERROR",
}


class FilmReader:
    """A worker: holds the model, and reads a batch of files at a time.

    What goes wrong comes back as a row: Ray would run what raises over and over.
    """

    def __init__(self, bundle: Path, expected: tuple[str, str], order: Order) -> None:
        """Load the model, if it and its engine are those of the command."""
        torch.set_num_threads(1)
        self._order, self._problem = order, ""
        try:
            self._predictor = Predictor.from_bundle(bundle, threads=1)
            if (found := kind(self._predictor)) != expected:
                self._problem = (
                    f"a node reads with {found}, the command with {expected}: give all nodes the same bundle "
                    f"at {bundle}, and the same packages"
                )
        except ChexError as error:
            self._problem = str(error)

    def __call__(self, files: pa.Table) -> pa.Table:
        """Read files, in the columns of `FilmFile` with the path as bytes, to rows of `SCHEMA`."""
        try:
            return pa.Table.from_pylist(self._rows(files), schema=SCHEMA)
        except ChexError as error:
            problem = str(error)
        except Exception as error:
            problem = f"reading failed unexpectedly ({type(error).__name__})"
        return pa.Table.from_pylist([{"status": _FAILED, "reason": problem}], schema=SCHEMA)

    def _rows(self, files: pa.Table) -> list[Row]:
        if self._problem:
            raise ChexError(self._problem)
        listed = [FilmFile(**row | {"path": os.fsdecode(row["path"])}) for row in files.to_pylist()]
        return [row for file in listed for row in read_file(self._predictor, file, self._order)]


def kind(predictor: Predictor) -> tuple[str, str]:
    """Tell model and engine: rows of one run are read with the same."""
    return predictor.bundle.checksum, predictor.engine


def on_ray(predictor: Predictor, address: str, workers: int | None = None) -> Reader:
    """Read on a Ray cluster.

    Args:
        predictor: the one that the workers load, by its bundle's path.
        address: of the cluster, as `ray.init` takes it; "local" starts one on this machine for this run.
        workers: processes, of one core each; None for one per core of the cluster.

    Raises:
        ChexError: Ray is not installed, or nobody listens at the address; later, that its workers failed.
    """
    try:
        import ray
    except ImportError:
        raise ChexError("--ray needs Ray: pip install -r requirements-cluster.txt") from None
    if not ray.is_initialized():
        _reach(address)  # before anything is done: --restart removes the former results

    def reader(files: Sequence[FilmFile], order: Order) -> Generator[list[Row], None, None]:
        if not files:
            return
        ours = not ray.is_initialized()
        try:
            if ours:
                _connect(address, workers)
            yield from _readings(files, predictor, order, workers)
        except (ray.exceptions.RayError, ConnectionError) as error:
            raise ChexError(
                f"reading on Ray at {address} failed ({type(error).__name__}): run it again"
            ) from error
        finally:
            if ours:
                ray.shutdown()

    return reader


def _connect(address: str, workers: int | None) -> None:
    import ray

    for name, value in _ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    started: dict[str, Any] = {"num_cpus": workers, "include_dashboard": False} if address == LOCAL else {}
    ray.init(
        address=address,
        runtime_env={"py_modules": [str(Path(__file__).resolve().parent)]},
        log_to_driver=False,  # workers' lines may name files
        logging_level=_ERROR,
        **started,
    )


def _reach(address: str) -> None:
    """Raise `ChexError` where nobody listens; Ray itself would wait for minutes."""
    host, colon, port = address.rpartition("/")[2].rpartition(":")
    if not colon:  # "local", "auto": not an address
        return
    try:
        socket.create_connection((host, int(port)), timeout=_REACH).close()
    except (OSError, ValueError, OverflowError) as error:
        raise ChexError(f"there is no Ray cluster at {address} ({error}): check the address") from None


def _readings(
    files: Sequence[FilmFile], predictor: Predictor, order: Order, workers: int | None
) -> Generator[list[Row], None, None]:
    import ray

    many = workers or int(ray.cluster_resources()["CPU"])  # type: ignore[no-untyped-call]
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False  # the command has its own
    items = [file._asdict() | {"path": os.fsencode(file.path)} for file in files]
    blocks = min(len(items), max(4 * many, math.ceil(len(items) / _BLOCK)))
    with warnings.catch_warnings():
        # How to bound the retries changes with Ray 2.64, which requirements-cluster.txt excludes.
        warnings.simplefilter("ignore", ray.util.annotations.RayDeprecationWarning)
        read = ray.data.from_items(items, override_num_blocks=blocks).map_batches(
            FilmReader,
            fn_constructor_args=(
                predictor.bundle.path.resolve(),
                kind(predictor),
                Order(order.findings, order.out.resolve()),
            ),
            batch_format="pyarrow",
            batch_size=None,
            compute=ray.data.ActorPoolStrategy(size=many),
            num_cpus=1,
            ray_remote_args_fn=_bounded,
        )
    for block in read.iter_batches(batch_size=None, batch_format="pyarrow"):
        assert isinstance(block, pa.Table)
        rows = block.to_pylist()
        if rows[0]["status"] == _FAILED:
            raise ChexError(f"reading on Ray failed: {rows[0]['reason']}")
        yield rows


def _bounded() -> dict[str, Any]:
    return {"max_task_retries": _RETRIES}
