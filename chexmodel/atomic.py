"""Write a file or a directory so that a reader sees the old one or the new one, never half of either.

What is new may be read by whom the umask lets; what replaces a file is as open or as private as that was.
"""

import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO
from uuid import uuid4


def write_file(path: Path, data: bytes) -> None:
    """Write one file through a temporary neighbour, fsync and rename."""
    with replacing(path) as handle:
        handle.write(data)


@contextmanager
def replacing(path: Path) -> Iterator[IO[bytes]]:
    """Write one file as `write_file` does, bit by bit: it is there when the block ends without an error."""
    fresh = path.with_name(f".{path.name}.{uuid4().hex[:8]}")
    try:
        with fresh.open("xb") as handle:
            with suppress(FileNotFoundError):
                shutil.copymode(path, fresh)
            yield handle
            handle.flush()
            os.fsync(handle.fileno())
        fresh.replace(path)
    except BaseException:
        fresh.unlink(missing_ok=True)
        raise


def replace_directory(path: Path, files: Mapping[str, bytes]) -> None:
    """Make `path` a directory with these files beside the others that it has now.

    The whole is built in a temporary neighbour (what stays is hard-linked), synced, and swapped in by two
    renames. A crash between the two leaves the former directory as `.NAME.old` beside it; the next call
    takes it up again. Calls for one parent, of whatever process, wait for each other.

    Raises:
        OSError: the disk is full or not writable; `path` is then as it was.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with _alone(path.parent):
        _replace(path, files)


@contextmanager
def _alone(parent: Path) -> Iterator[None]:
    """Lock a directory against others who do the same; where there are no such locks, do without."""
    handle = os.open(parent, os.O_RDONLY)
    try:
        with suppress(ImportError, OSError):
            import fcntl

            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)  # and the lock ends, as it does with the process


def _replace(path: Path, files: Mapping[str, bytes]) -> None:
    old = path.with_name(f".{path.name}.old")
    if old.exists() and not path.exists():
        old.rename(path)
    fresh = path.with_name(f".{path.name}.new-{uuid4().hex[:8]}")
    fresh.mkdir()
    try:
        if path.exists():
            shutil.copytree(path, fresh, copy_function=_link, dirs_exist_ok=True)
        for name, data in files.items():
            (fresh / name).parent.mkdir(parents=True, exist_ok=True)
            write_file(fresh / name, data)  # never through a link into the old directory
        for directory in {fresh, *((fresh / name).parent for name in files)}:
            _sync(directory)
        shutil.rmtree(old, ignore_errors=True)
        if path.exists():
            path.rename(old)
        fresh.rename(path)
        _sync(path.parent)
        shutil.rmtree(old, ignore_errors=True)
    except BaseException:
        if old.exists() and not path.exists():
            old.rename(path)
        shutil.rmtree(fresh, ignore_errors=True)
        raise


def _link(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:  # a file system without hard links
        shutil.copy2(source, target)


def _sync(directory: Path) -> None:
    handle = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
