"""Pack a data set: decode every film once, in parallel, into the one array that `train.pack` reads."""

import io
import multiprocessing
import os
import shutil
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
import torch
from tqdm import tqdm

from chexmodel import images
from chexmodel.atomic import write_file
from chexmodel.errors import ChexError, DatasetError, ImageError
from chexmodel.geometry import to_square8
from chexmodel.layout import csv_files, image_paths
from chexmodel.table import read_table
from train.commands import PackConfig
from train.pack import FILMS, INDEX, MANIFEST, REJECTS, Manifest, Plan, checksums, parse

PLAN: Final = "unfinished.json"
SHAPES: Final = "unfinished.npy"
"""(N, 2) uint16, height and width of each film once its square is on the disk; 0 until then."""
_CHUNK: Final = 16
_Shapes = np.memmap[Any, np.dtype[np.uint16]]
_Rejects = dict[int, str]
_Packed = tuple[dict[int, tuple[int, int]], _Rejects]


def pack(config: PackConfig) -> Path:
    """Decode all films of a data directory into `config.out`, or go on with that.

    Films that can't be read are listed in `rejects.csv` and stop nothing; going on tries them again.

    Returns:
        `config.out`.

    Raises:
        ChexError: the tables do not fit, `out` holds something else, the disk is too small, no film could
            be read, or the packing was interrupted; the message says what to do.
    """
    out = config.out
    csvs = [csv for csv in csv_files(config.data) if csv is not None]
    if csvs[0].name != "train.csv":
        raise DatasetError(f"{csvs[0]} is not named train.csv: give a directory that has one")
    tables = {csv: read_table(csv) for csv in csvs}
    ids = [(csv.name, film) for csv, table in tables.items() for film in table["Path"]]
    paths = [path for csv, table in tables.items() for path in image_paths(table, csv)]
    source = csvs[0].parent.resolve()
    plan = Plan(source=source, files=checksums(source), size=config.size, films=len(ids))
    if _finished(out, plan):
        print(f"{out} is already packed: {plan.films:,} films", file=sys.stderr)
        return out
    _require_room(out, plan)
    try:
        _start(out, plan)
        rejects = _decode(out, plan, paths, config.workers)
        return _finish(out, plan, ids, rejects)
    except KeyboardInterrupt:
        raise ChexError("stopped; run the same command again: it goes on where it stopped") from None
    except BrokenProcessPool as error:
        raise DatasetError(
            "a packing process died, perhaps for lack of memory: run the same command again, it goes on"
            " where it stopped; fewer --workers take less memory"
        ) from error
    except OSError as error:
        raise DatasetError(
            f"{out} can't be written ({error.strerror}): make room or check your rights on it, then run the "
            "same command again: it goes on where it stopped"
        ) from error


def _finished(out: Path, plan: Plan) -> bool:
    """Check that `out` is free or of the same plan, and tell whether nothing is left to do."""
    for name in (MANIFEST, PLAN):
        if not (out / name).is_file():
            continue
        former = parse(out, name, Plan)
        names = {"source": "source directory", "files": "tables", "size": "--size", "films": "films"}
        changed = [word for field, word in names.items() if getattr(former, field) != getattr(plan, field)]
        if changed:
            raise DatasetError(
                f"{out} is a pack with other {', '.join(changed)} ({former.films:,} films of {former.source} "
                f"at {former.size} px): choose another --out"
            )
        return name == MANIFEST
    if out.exists() and not (out.is_dir() and not any(out.iterdir())):
        raise DatasetError(f"{out} is not empty and no pack: choose another --out")
    return False


def _require_room(out: Path, plan: Plan) -> None:
    """Say how much disk the pack takes; refuse when what is left to write does not fit."""
    done = int(np.count_nonzero(_shapes(out)[:, 0])) if (out / SHAPES).is_file() else 0
    disk = next(path for path in (out.absolute(), *out.absolute().parents) if path.exists())
    free, square = shutil.disk_usage(disk).free, plan.size**2
    done_too = f", {done:,} of them done" if done else ""
    print(
        f"{plan.films:,} films at {plan.size} × {plan.size}{done_too}: {_bytes(plan.films * square)} in {out}"
        f", {_bytes(free)} free",
        file=sys.stderr,
    )
    needed = (plan.films - done) * square
    if needed > free:
        raise DatasetError(
            f"the pack needs {_bytes(needed)} more, but {disk} has {_bytes(free)} left: make room, choose "
            "another --out, or a smaller --size"
        )


def _bytes(count: int) -> str:
    return f"{count / 1e9:.1f} GB" if count >= 1e8 else f"{count / 1e6:.2f} MB"


def _shapes(out: Path) -> _Shapes:
    shapes: _Shapes = np.load(out / SHAPES, mmap_mode="r+")
    return shapes


def _start(out: Path, plan: Plan) -> None:
    """Make what is not there yet; the shapes come last, so that where they are the rest is whole."""
    out.mkdir(parents=True, exist_ok=True)
    if (out / SHAPES).is_file():
        return
    write_file(out / PLAN, plan.model_dump_json(indent=2).encode() + b"\n")
    tables = [plan.source / name for name in plan.files]
    marked = [table.with_name(table.stem + end) for table in tables for end in ("_boxes.csv", "_masks.json")]
    for file in (*tables, *marked):
        if file.is_file():
            write_file(out / file.name, file.read_bytes())
    np.lib.format.open_memmap(
        out / FILMS, mode="w+", dtype=np.uint8, shape=(plan.films, plan.size, plan.size)
    )
    shapes = io.BytesIO()
    np.save(shapes, np.zeros((plan.films, 2), np.uint16))
    write_file(out / SHAPES, shapes.getvalue())


def _decode(out: Path, plan: Plan, paths: Sequence[Path], workers: int) -> _Rejects:
    """Pack the films that are not yet; return the reasons of those that can't be, by row."""
    shapes, rejects = _shapes(out), _Rejects()
    todo = np.flatnonzero(shapes[:, 0] == 0).tolist()
    chunks = [todo[start : start + _CHUNK] for start in range(0, len(todo), _CHUNK)]
    # Forking from this process would copy torch's locks as they happen to be; Windows can only spawn.
    method = "forkserver" if "forkserver" in multiprocessing.get_all_start_methods() else "spawn"
    context = multiprocessing.get_context(method)
    context.set_forkserver_preload([__name__])
    with (
        ProcessPoolExecutor(workers, mp_context=context, initializer=_start_worker) as pool,
        tqdm(total=plan.films, initial=plan.films - len(todo), unit="film", file=sys.stderr) as bar,
    ):
        try:
            with _interrupts_held():  # processes that start in here keep it so: Ctrl-C is left to this one
                futures: list[Future[_Packed]] = [
                    pool.submit(_pack_films, out / FILMS, plan.size, {row: paths[row] for row in chunk})
                    for chunk in chunks
                ]
            for future in as_completed(futures):
                done, failed = future.result()
                shapes[list(done)] = list(done.values()) or np.empty((0, 2))
                shapes.flush()
                rejects |= failed
                bar.set_postfix(rejected=len(rejects), refresh=False)
                bar.update(len(done) + len(failed))
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    return rejects


def _pack_films(file: Path, size: int, films: dict[int, Path]) -> _Packed:
    """Write the squares of some films into their rows; return the films' shapes, or why there is none."""
    packed: _Packed = ({}, {})
    start = np.load(file, mmap_mode="r").offset
    # Written, not mapped: on a full disk that is an error, where a map would end the process with a signal.
    with file.open("r+b") as rows:
        for row, path in films.items():
            try:
                grey = images.read(path).grey
            except ImageError as error:
                reason = str(error).removeprefix(f"{path}: ") if path.is_file() else "missing"
                packed[1][row] = reason
                continue
            rows.seek(start + row * size**2)
            rows.write(to_square8(grey, size).numpy().tobytes())
            packed[0][row] = (grey.shape[0], grey.shape[1])
        rows.flush()
        os.fsync(rows.fileno())  # before these rows count as done
    return packed


def _start_worker() -> None:
    torch.set_num_threads(1)  # the films are the parallelism
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """A killed parent can't tell its workers: without this they would wait for ever."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


@contextmanager
def _interrupts_held() -> Iterator[None]:
    """Hold Ctrl-C back until the end; processes started meanwhile never see it, where the system can."""
    held: list[int] = []
    former = signal.signal(signal.SIGINT, lambda number, _: held.append(number))
    if blocks := hasattr(signal, "pthread_sigmask"):
        # Inherited by processes, but not binding for the other threads of this one: hence the handler too.
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    try:
        yield
    finally:
        if blocks:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        signal.signal(signal.SIGINT, former)
    if held:
        raise KeyboardInterrupt


def _finish(out: Path, plan: Plan, ids: Sequence[tuple[str, str]], rejects: _Rejects) -> Path:
    """Write index, rejects and, last, the manifest."""
    reasons = pd.DataFrame(
        [(ids[row][1], rejects[row]) for row in sorted(rejects)], columns=["Path", "reason"]
    )
    write_file(out / REJECTS, reasons.to_csv(index=False).encode())
    if len(rejects) == plan.films:
        raise DatasetError(
            f"none of the {plan.films:,} films could be read; the first, {reasons['Path'][0]}: "
            f"{reasons['reason'][0]}. All reasons are in {out / REJECTS}: check --data, then run it again"
        )
    index = pd.DataFrame(ids, columns=["file", "Path"])
    index["row"] = np.arange(plan.films)
    index[["height", "width"]] = _shapes(out)
    index["rejected"] = index["row"].isin(rejects)
    buffer = io.BytesIO()
    index.to_parquet(buffer, index=False)
    write_file(out / INDEX, buffer.getvalue())
    manifest = Manifest(**plan.model_dump(), rejected=len(rejects))
    write_file(out / MANIFEST, manifest.model_dump_json(indent=2).encode() + b"\n")
    for name in (PLAN, SHAPES):
        (out / name).unlink(missing_ok=True)
    left_out = f"; {len(rejects):,} could not be read, see {out / REJECTS}" if rejects else ""
    print(
        f"{out}: {plan.films - len(rejects):,} films{left_out}\n"
        f"next: python -m train fit --data {out} --out runs/NAME",
        file=sys.stderr,
    )
    return out
