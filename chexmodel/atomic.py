"""Write a directory of files so that a reader sees the old one or the new one, never half of either."""

import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO


def write_file(path: Path, data: bytes) -> None:
    """Write one file through a temporary neighbour, fsync and rename."""
    with replacing(path) as handle:
        handle.write(data)


@contextmanager
def replacing(path: Path) -> Iterator[IO[bytes]]:
    """Write one file as `write_file` does, bit by bit: it is there when the block ends without an error."""
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", delete=False) as handle:
        try:
            yield handle
            handle.flush()
            os.fsync(handle.fileno())
            os.fchmod(handle.fileno(), 0o644)  # temporary files are private, kept ones are not
            Path(handle.name).replace(path)
        except BaseException:
            Path(handle.name).unlink(missing_ok=True)
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
    fresh = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}.new-"))
    try:
        fresh.chmod(0o755)  # mkdtemp makes it private; a bundle is for everyone who may read its parent
        if path.exists():
            shutil.copytree(path, fresh, copy_function=_link, dirs_exist_ok=True)
        for name, data in files.items():
            (fresh / name).parent.mkdir(parents=True, exist_ok=True)
            (fresh / name).unlink(missing_ok=True)  # never write through a link into the old directory
            write_file(fresh / name, data)
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
