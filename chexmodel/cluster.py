"""Many films read on a Ray cluster: the same reader in a process per core, on any number of machines.

Ray is optional (`requirements-cluster.txt`). This package travels to the nodes by itself; films and bundle
must be there under the same path. Ray's nodes trust each other and exchange pickles: keep a cluster in a
network of its own.
"""

import math
import os
import warnings
from collections.abc import Generator, Sequence
from pathlib import Path
from typing import Any, Final

import pyarrow as pa

from chexmodel.errors import ChexError
from chexmodel.film_files import FilmFile
from chexmodel.film_rows import Order, read_file
from chexmodel.headless import Reader
from chexmodel.parts import SCHEMA, Row
from chexmodel.predictor import Predictor

LOCAL: Final = "local"
_BLOCK: Final = 200  # films that a worker gets at once; what is read anew if it dies
_RETRIES: Final = 3  # of a block whose worker died; endless ones would never tell of a film that kills it
_ERROR: Final = 40  # the level of what Ray may print beside the command's own lines
_ENVIRONMENT: Final = {
    "RAY_USAGE_STATS_ENABLED": "0",  # nothing is reported to anybody
    "RAY_DATA_LOG_LEVEL": "ERROR",
}


class FilmReader:
    """A worker: holds the model, and reads a batch of files at a time."""

    def __init__(self, bundle: Path, expected: tuple[str, str], order: Order) -> None:
        """Load the model; raise `ChexError` if model or engine are not those of the command."""
        import torch

        torch.set_num_threads(1)
        self._predictor, self._order = Predictor.from_bundle(bundle, threads=1), order
        if (found := kind(self._predictor)) != expected:
            raise ChexError(
                f"a node reads with {found}, the command with {expected}: give all nodes the same bundle "
                f"at {bundle}, and the same packages"
            )

    def __call__(self, files: pa.Table) -> pa.Table:
        """Read files, in the columns of `FilmFile` with the path as bytes, to rows of `SCHEMA`."""
        rows = list[Row]()
        for row in files.to_pylist():
            file = FilmFile(**row | {"path": os.fsdecode(row["path"])})
            rows += read_file(self._predictor, file, self._order)
        return pa.Table.from_pylist(rows, schema=SCHEMA)


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
        ChexError: Ray is not installed; later, it can't be reached, or its workers failed.
    """
    try:
        import ray
    except ImportError:
        raise ChexError("--ray needs Ray: pip install -r requirements-cluster.txt") from None

    def reader(files: Sequence[FilmFile], order: Order) -> Generator[list[Row], None, None]:
        if not files:
            return
        ours = not ray.is_initialized()
        try:
            if ours:
                _connect(address, workers)
            yield from _readings(files, predictor, order, workers)
        except (ray.exceptions.RayError, ConnectionError) as error:
            raise ChexError(f"reading on Ray at {address} failed: {_reason(error)}") from error
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
        yield block.to_pylist()


def _bounded() -> dict[str, Any]:
    return {"max_task_retries": _RETRIES}


def _reason(error: BaseException) -> str:
    """Tell what went wrong: the sentence of an error that was expected, else the kind of error."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ChexError):
            return str(cause)
        cause = getattr(cause, "cause", None) or cause.__cause__
    return type(error).__name__
