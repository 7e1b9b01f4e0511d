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

    path: absolute. name: relative to what all files have in common, as `printable` has it; tells them apart.
    size: bytes. modified: nanoseconds since 1970. Both are 0 for a file that can't be looked at.
    """

    path: str
    name: str
    size: int
    modified: int


class Listing(NamedTuple):
    """Files to read, each once, and the folder that all are in, as `printable` has it."""

    root: str
    files: tuple[FilmFile, ...]


def find(paths: Sequence[str], *, but: Path, own: Sequence[str] = ()) -> Listing:
    """Find the files that paths mean, in the order of the paths, folders by name.

    Of a folder all files are taken, those of its folders too, but for tables (.csv) and what is hidden or
    left by systems and disc writers: files are judged by their bytes, not by their names. Links are followed,
    to each folder once.

    Args:
        paths: of files and folders; patterns with `*`, `?`, `[…]`, and `**` for any folders; `@LIST`, a text
            file with a path a line, of which relative ones start from the current directory.
        but: the folder of the results, which is passed over wherever it lies and whatever leads to it.
        own: what is written into that; where a path leads into it, or is it, only this is passed over.

    Raises:
        ChexError: a path is empty, there is nothing at it, or there is no file at all. A path in a list may
            be missing: it becomes a file that can't be opened.
    """
    folders, files = list[Path](), dict[Path, None]()
    out = os.path.realpath(but)
    for path in paths:
        for folder, found in _meant(path):
            folders.append(folder)
            inside = _below(_real(folder), [out])
            skipped = [f"{out}{os.sep}{name}" for name in own] if inside else [out]
            for start in found:
                if not _below(_real(start), skipped):
                    files |= dict.fromkeys(_within(start, skipped) if _is_folder(start) else [start])
    if not files:
        raise ChexError(f"there is no film at {' '.join(paths)}: give files, folders or patterns with some")
    root = os.path.commonpath(folders)
    return Listing(printable(root), tuple(_looked_at(path, root) for path in files))


def printable(path: str | Path) -> str:
    r"""Write a path as text, "/" between folders: bytes that are no UTF-8 become \xff, a backslash two.

    Different paths stay different.
    """
    encoded = os.fsencode(path).replace(os.fsencode(os.sep), b"/")
    return encoded.replace(b"\\", b"\\\\").decode(errors="backslashreplace")


def _absolute(path: str) -> Path:
    """Make a path absolute without following links: what lies behind them may have names of its own."""
    return Path(os.path.normpath(Path(path).absolute()))


def _is_folder(path: Path) -> bool:
    return os.path.isdir(path)  # noqa: PTH112 — `Path.is_dir` raises where rights are missing


def _real(path: Path) -> str:
    try:
        return os.path.realpath(path)
    except ValueError:  # a zero byte in a list: opening will tell
        return str(path)


def _below(path: str, folders: Sequence[str]) -> bool:
    """Whether a real path is one of these or lies in one."""
    return any(path == folder or path.startswith(folder.rstrip(os.sep) + os.sep) for folder in folders)


def _meant(path: str) -> Iterator[tuple[Path, list[Path]]]:
    """Give the folder from which names are counted, and the files and folders that are meant."""
    if not path:
        raise ChexError('a path is empty: give files, folders or patterns; "." is the current folder')
    whole = _absolute(path)
    if _is_folder(whole):
        yield whole, [whole]
    elif os.path.lexists(whole):
        yield whole.parent, [whole]
    elif path.startswith("@"):
        for line in _lines(path[1:]):
            listed = _absolute(line)
            yield (listed if _is_folder(listed) else listed.parent), [listed]
    elif glob.has_magic(path):
        # A folder that is there is meant by its name, whatever signs are in that.
        fixed = next(folder for folder in whole.parents if _is_folder(folder))
        yield fixed, _matching(fixed, str(whole.relative_to(fixed)))
    else:
        raise ChexError(f"there is no {path}: check the path and your rights on it")


def _matching(folder: Path, pattern: str) -> list[Path]:
    try:
        found = [path for path in folder.glob(pattern) if not is_junk(path.relative_to(folder).as_posix())]
    except ValueError as error:
        raise ChexError(f"{pattern} is no pattern ({error}): use * ? [ ] and **/ for any folders") from None
    except OSError as error:
        reason = error.strerror
        raise ChexError(f"{folder} can't be searched for {pattern} ({reason}): check the pattern") from None
    if not found:
        raise ChexError(f"nothing in {folder} matches {pattern}: check the pattern")
    return sorted(found)


def _lines(path: str) -> list[str]:
    try:
        text = Path(path).read_bytes().removeprefix(b"\xef\xbb\xbf")
    except OSError as error:
        raise ChexError(f"the list {path} can't be opened ({error.strerror}): check the path") from None
    return [os.fsdecode(line) for line in text.splitlines() if line.strip()]


def _within(folder: Path, skipped: Sequence[str]) -> Iterator[Path]:
    unreadable, seen = list[OSError](), set[tuple[int, int]]()
    _first(folder, seen)
    for place, folders, files in os.walk(folder, onerror=unreadable.append, followlinks=True):
        here, real = Path(place), os.path.realpath(place)
        inner = [here / name for name in sorted(folders) if not is_junk(name)]
        folders[:] = [path.name for path in inner if not _below(_real(path), skipped) and _first(path, seen)]
        for name in sorted(files):
            if is_junk(name) or name.lower().endswith(".csv"):
                continue
            file, plain = here / name, f"{real}{os.sep}{name}"
            linked = os.path.islink(file)  # noqa: PTH114 — as above; real paths of all would take long
            if not _below(_real(file) if linked else plain, skipped):
                yield file
    yield from (Path(error.filename) for error in unreadable)  # so that they are told, as not read


def _first(folder: Path, seen: set[tuple[int, int]]) -> bool:
    """Whether no path led to a folder before: links may make a ring."""
    try:
        found = folder.stat()
    except OSError:
        return True  # walking into it will tell
    known = (found.st_dev, found.st_ino) in seen
    seen.add((found.st_dev, found.st_ino))
    return not known


def _looked_at(path: Path, root: str) -> FilmFile:
    name = printable(os.path.relpath(path, root))
    try:
        seen = path.stat()
    except (OSError, ValueError):
        return FilmFile(str(path), name, 0, 0)
    return FilmFile(str(path), name, seen.st_size, seen.st_mtime_ns)
