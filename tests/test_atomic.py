import os
from pathlib import Path

import pytest

from chexmodel import atomic, bundle
from chexmodel.atomic import replace_directory, write_file
from chexmodel.errors import BundleError


def contents(directory: Path) -> dict[str, bytes]:
    return {
        str(file.relative_to(directory)): file.read_bytes() for file in directory.rglob("*") if file.is_file()
    }


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    """A directory with two files and one below, alone in its parent."""
    path = tmp_path / "run"
    replace_directory(path, {"a": b"old a", "b": b"old b"})
    (path / "below").mkdir()
    (path / "below" / "c").write_bytes(b"old c")
    return path


def test_a_new_directory_is_readable_by_all(tmp_path: Path) -> None:
    path = tmp_path / "not" / "yet" / "there"
    replace_directory(path, {"a": b"1"})
    assert contents(path) == {"a": b"1"}
    assert path.stat().st_mode & 0o777 == 0o755
    assert (path / "a").stat().st_mode & 0o777 == 0o644


def test_what_is_new_is_as_open_as_the_umask_lets_and_what_is_replaced_as_it_was(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        replace_directory(tmp_path / "run", {"a": b"1"})
        write_file(tmp_path / "table", b"1")
    finally:
        os.umask(before)
    files = (tmp_path / "run", tmp_path / "run" / "a", tmp_path / "table")
    assert [file.stat().st_mode & 0o777 for file in files] == [0o700, 0o600, 0o600]
    replace_directory(tmp_path / "run", {"a": b"2"})
    write_file(tmp_path / "table", b"2")
    assert [file.stat().st_mode & 0o777 for file in files] == [0o700, 0o600, 0o600]


def test_files_below_are_replaced_and_their_directories_reach_the_disk(
    kept: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[str] = []
    sync = atomic._sync

    def noted(directory: Path) -> None:
        synced.append(directory.name)
        sync(directory)

    monkeypatch.setattr(atomic, "_sync", noted)
    replace_directory(kept, {"below/c": b"new c", "members/01": b"1"})
    assert contents(kept) == {"a": b"old a", "b": b"old b", "below/c": b"new c", "members/01": b"1"}
    assert {"below", "members", kept.parent.name} < set(synced)


def test_files_that_are_not_given_stay(kept: Path) -> None:
    replace_directory(kept, {"b": b"new b", "d": b"new d"})
    assert contents(kept) == {"a": b"old a", "b": b"new b", "d": b"new d", "below/c": b"old c"}
    assert [file.name for file in kept.parent.iterdir()] == ["run"]


def test_a_reader_who_holds_the_old_file_keeps_it(kept: Path) -> None:
    with (kept / "a").open("rb") as held:
        replace_directory(kept, {"a": b"new a"})
        assert held.read() == b"old a"


@pytest.mark.parametrize("call", range(1, 8))
@pytest.mark.parametrize("function", ["os.fsync", "pathlib.Path.rename", "pathlib.Path.replace", "os.link"])
@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_whatever_fails_the_old_directory_stays_whole(
    kept: Path, monkeypatch: pytest.MonkeyPatch, function: str, call: int, error: BaseException
) -> None:
    """Each system call in turn fails once: the directory is the old one or the new one, nothing beside it."""
    old, new = contents(kept), {"a": b"new a", "b": b"new b"}
    owner = {"os.fsync": os, "os.link": os}.get(function, Path)
    name = function.rpartition(".")[2]
    original, calls = getattr(owner, name), iter(range(1, 100))

    def failing(*arguments: object) -> object:
        if next(calls) == call:
            raise error
        return original(*arguments)

    monkeypatch.setattr(owner, name, failing)
    try:
        replace_directory(kept, new)
        raised = False
    except (OSError, KeyboardInterrupt):
        raised = True
    monkeypatch.undo()
    found = contents(kept)
    assert found in (old, old | new)
    assert raised or found == old | new
    assert [file.name for file in kept.parent.iterdir() if file.name != ".run.old"] == ["run"]
    replace_directory(kept, new)
    assert contents(kept) == old | new
    assert [file.name for file in kept.parent.iterdir()] == ["run"]


def test_a_crash_between_the_renames_loses_nothing(kept: Path) -> None:
    kept.rename(kept.with_name(".run.old"))
    replace_directory(kept, {"b": b"new b"})
    assert contents(kept) == {"a": b"old a", "b": b"new b", "below/c": b"old c"}


def test_without_hard_links_files_are_copied(kept: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*arguments: object) -> None:
        raise OSError(1, "Operation not permitted")

    monkeypatch.setattr(atomic.os, "link", refused)
    replace_directory(kept, {"b": b"new b"})
    assert contents(kept) == {"a": b"old a", "b": b"new b", "below/c": b"old c"}


def test_one_file_is_replaced_or_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "history.csv"
    write_file(file, b"one")
    write_file(file, b"two")
    assert contents(tmp_path) == {"history.csv": b"two"}

    def full(handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        write_file(file, b"three")
    assert contents(tmp_path) == {"history.csv": b"two"}


def test_a_bundle_that_cannot_be_written_says_that_nothing_changed(kept: Path) -> None:
    with pytest.raises(BundleError, match=r"can't be written.*Nothing in it was changed"):
        bundle.save(kept / "a", {"bundle.json": b"{}"})  # a file stands where the directory should be
    assert contents(kept)["a"] == b"old a"
