"""Paths as a command line gives them → the files to read: files, folders, patterns, lists of paths."""

import glob
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from chexmodel.archives import is_junk
from chexmodel.errors import ChexError


class FilmFile(NamedTuple):
    """A file to read: a film, or a ZIP of films.

    path: absolute. name: relative to what all files have in common, "/" between folders; tells them apart.
    size: bytes. modified: nanoseconds since 1970. Both are 0 for a file that can't be looked at.
    """

    path: str
    name: str
    size: int
    modified: int


class Listing(NamedTuple):
    """Files to read, each once, and the folder that all are in."""

    root: str
    files: tuple[FilmFile, ...]


def find(paths: Sequence[str], *, but: Path) -> Listing:
    """Find the files that paths mean, in the order of the paths, folders by name.

    Of a folder all files are taken, those of its folders too, but for tables (.csv) and what is hidden or
    left by systems and disc writers: files are judged by their bytes, not by their names.

    Args:
        paths: of files and folders; patterns with `*`, `?`, `[…]`, and `**` for any folders; `@LIST`, a text
            file with a path a line, of which relative ones start from the current directory.
        but: a folder that is passed over wherever it lies.

    Raises:
        ChexError: there is nothing at one of the paths, or no file at all. A path in a list may be missing:
            it becomes a file that can't be opened.
    """
    folders, files = list[Path](), dict[Path, None]()
    skipped = _absolute(str(but))
    for path in paths:
        for folder, found in _meant(path):
            folders.append(folder)
            for start in found:
                files |= dict.fromkeys(_within(start, skipped) if start.is_dir() else [start])
    if not files:
        raise ChexError(f"there is no film at {' '.join(paths)}: give files, folders or patterns with some")
    root = os.path.commonpath(folders)
    return Listing(root, tuple(_looked_at(path, root) for path in files))


def _absolute(path: str) -> Path:
    """Make a path absolute without following links: what lies behind them may have names of its own."""
    return Path(os.path.normpath(Path(path).absolute()))


def _meant(path: str) -> Iterator[tuple[Path, list[Path]]]:
    """Give the folder from which names are counted, and the files and folders that are meant."""
    whole = _absolute(path)
    if whole.is_dir():
        yield whole, [whole]
    elif os.path.lexists(whole):
        yield whole.parent, [whole]
    elif path.startswith("@"):
        for line in _lines(path[1:]):
            listed = _absolute(line)
            yield (listed if listed.is_dir() else listed.parent), [listed]
    elif glob.has_magic(path):
        fixed = next(folder for folder in whole.parents if not glob.has_magic(str(folder)))
        yield fixed, _matching(fixed, str(whole.relative_to(fixed)))
    else:
        raise ChexError(f"there is no {path}: check the path")


def _matching(folder: Path, pattern: str) -> list[Path]:
    try:
        found = [path for path in folder.glob(pattern) if not is_junk(path.relative_to(folder).as_posix())]
    except ValueError as error:
        raise ChexError(f"{pattern} is no pattern ({error}): use * ? [ ] and **/ for any folders") from None
    if not found:
        raise ChexError(f"nothing in {folder} matches {pattern}: check the pattern")
    return sorted(found)


def _lines(path: str) -> list[str]:
    try:
        text = Path(path).read_bytes().removeprefix(b"\xef\xbb\xbf")
    except OSError as error:
        raise ChexError(f"the list {path} can't be opened ({error.strerror}): check the path") from None
    return [os.fsdecode(line) for line in text.splitlines() if line.strip()]


def _within(folder: Path, but: Path) -> Iterator[Path]:
    unreadable = list[OSError]()
    for place, folders, files in os.walk(folder, onerror=unreadable.append):
        here = Path(place)
        folders[:] = sorted(name for name in folders if not is_junk(name) and here / name != but)
        for name in sorted(files):
            if not is_junk(name) and not name.lower().endswith(".csv"):
                yield here / name
    yield from (Path(error.filename) for error in unreadable)  # so that they are told, as not read


def _looked_at(path: Path, root: str) -> FilmFile:
    name = os.fsencode(os.path.relpath(path, root)).decode(errors="backslashreplace").replace(os.sep, "/")
    try:
        seen = path.stat()
    except (OSError, ValueError):
        return FilmFile(str(path), name, 0, 0)
    return FilmFile(str(path), name, seen.st_size, seen.st_mtime_ns)
