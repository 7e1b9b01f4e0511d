"""Paths as the command takes them, whatever their signs, lengths, bytes and links."""

import os
import shutil
from pathlib import Path
from typing import Any

import pytest
from many_films import scores

from chexmodel.__main__ import main
from chexmodel.errors import ChexError
from chexmodel.film_files import find
from chexmodel.parts import OWN


def names(*paths: object, but: Path = Path("none")) -> list[str]:
    return [file.name for file in find([str(path) for path in paths], but=but, own=OWN).files]


def test_folders_patterns_and_lists(films: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = ["empty.png", "letter.txt", "study.zip", "a/one.png", "a/two_lateral.png"]
    whole += ["b/=three.png", "b/broken.png", "b/four"]
    assert names(films) == whole
    assert names(films, but=films / "b") == whole[:5]
    assert names(films / "a", films / "a" / "one.png") == ["one.png", "two_lateral.png"]
    assert names(films / "b" / "four", films / "a") == ["b/four", "a/one.png", "a/two_lateral.png"]
    pngs = ["a/one.png", "a/two_lateral.png", "b/=three.png", "b/broken.png", "empty.png"]
    assert names(films / "**" / "*.png") == pngs
    assert names(films / "*t*") == ["empty.png", "letter.txt", "study.zip", "train.csv"]
    monkeypatch.chdir(films)
    listed = b"\xef\xbb\xbfa/one.png\r\n\r\nb\r\n" + bytes(tmp_path / "gone.png") + b"\n"
    (tmp_path / "list").write_bytes(listed)
    assert names(f"@{tmp_path / 'list'}") == [
        *("films/a/one.png", "films/b/=three.png", "films/b/broken.png", "films/b/four", "gone.png")
    ]
    link = films / "a" / "link.png"
    link.symlink_to(films / "b" / "four")
    assert "link.png" in names(films / "a")


LONG = "x" * 300  # looking at it is an error


@pytest.mark.parametrize(
    "path", ["none.png", "*.nothing", "@none", "empty", LONG, f"@{LONG}", f"{LONG}*", f"em*/{LONG}"]
)
def test_paths_of_nothing_are_a_sentence(
    read: Any, tmp_path: Path, path: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    assert read(path) == 2
    assert path.lstrip("@") in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_an_empty_path_is_not_the_current_folder(
    read: Any, drawn: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(drawn)
    assert read("") == 2
    assert "a path is empty" in capsys.readouterr().err


def test_a_folder_that_can_not_be_made_is_a_sentence(
    read: Any, drawn: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert read(drawn, out=LONG) == 2
    assert "can't be written (File name too long)" in capsys.readouterr().err


def test_a_listed_path_that_can_not_be_looked_at_is_a_row(read: Any, drawn: Path, tmp_path: Path) -> None:
    (tmp_path / "list").write_bytes(bytes(drawn / "00.png") + f"\n{LONG}/a\n/a\0b/c\n".encode())
    assert read(f"@{tmp_path / 'list'}") == 1
    table = scores(tmp_path / "out")
    assert table["status"].tolist() == ["read", "not read", "not read"]
    assert "File name too long" in table["reason"].iloc[1]


@pytest.mark.parametrize("where", ["below", "itself", "inside", "linked"])
def test_what_the_program_wrote_is_never_read(read: Any, drawn: Path, tmp_path: Path, where: str) -> None:
    out = {"below": "drawn/out", "itself": "drawn", "inside": ".", "linked": "link"}[where]
    (tmp_path / "link").symlink_to(drawn / "results")
    if where == "linked":
        (drawn / "results").mkdir()
    for path in (drawn, drawn / "**" / "*.png", f"{drawn}/*"):
        for _ in range(2):
            assert read(path, "--overlays", "Edema", "--restart", out=out) == 0
            assert len(scores(tmp_path / out)) == 12


def test_own_folders_lead_to_nothing(drawn: Path, tmp_path: Path) -> None:
    (drawn / "overlays").mkdir()
    (drawn / "overlays" / "one.png").touch()
    (drawn / "linked.png").symlink_to(drawn / "overlays" / "one.png")
    assert len(names(drawn, but=drawn)) == 12
    with pytest.raises(ChexError, match="there is no film"):
        names(drawn / "overlays", but=drawn)


def test_linked_folders_are_followed_once(tmp_path: Path) -> None:
    for name in ("archive/2020/one.png", "films/a/two.png"):
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).touch()
    (tmp_path / "films" / "b").symlink_to(tmp_path / "archive")
    (tmp_path / "films" / "c").symlink_to(tmp_path / "archive")
    (tmp_path / "films" / "a" / "ring").symlink_to(tmp_path / "films")
    (tmp_path / "films" / "nowhere").symlink_to(tmp_path / "gone")
    assert names(tmp_path / "films") == ["nowhere", "a/two.png", "b/2020/one.png"]


def test_folders_with_the_signs_of_patterns(drawn: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = drawn.parent / "k [1]*"
    drawn.rename(folder)
    assert len(names(folder / "*.png")) == 12
    monkeypatch.chdir(folder)
    assert names("0[12].png") == ["01.png", "02.png"]
    assert names("../k*/00.png") == ["k [1]*/00.png"]


def test_names_tell_files_apart_whatever_their_bytes(tmp_path: Path) -> None:
    for name in (b"\xff.png", b"\\xff.png", b"\\\xff.png", b"\\\\xff.png"):
        (tmp_path / os.fsdecode(name)).touch()
    assert sorted(names(tmp_path)) == ["\\\\\\\\xff.png", "\\\\\\xff.png", "\\\\xff.png", "\\xff.png"]


def test_folders_of_any_bytes(
    read: Any, drawn: Path, tmp_path: Path, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    strange = drawn.rename(drawn.parent / os.fsdecode(b"r\xf6ntgen"))
    out = os.fsdecode(b"run-10:30/\xff")
    for _ in range(2):
        assert read(strange, out=out) == 0
    assert b"0 files were read by this run" in capsysbinary.readouterr().out
    assert read(strange / "none.png", out=out) == 2
    assert b"r\\udcf6ntgen" in capsysbinary.readouterr().err


def test_a_relative_folder_with_a_colon(
    tiny_bundle: Path, drawn: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(drawn.parent)
    for options in ([], [], ["--restart"]):
        assert main(["read", "drawn", "--out", "run-10:30", "--model", str(tiny_bundle), *options]) == 0


def test_overlays_of_the_longest_names(read: Any, drawn: Path, tmp_path: Path) -> None:
    folder = drawn.rename(drawn.parent / os.fsdecode(b"\xff" * 250))
    (folder / "01.png").rename(folder / ("𠀀" * 62 + ".png"))
    assert read(tmp_path / "*" / "*.png", "--overlays", "Edema") == 0
    table = scores(tmp_path / "out")
    assert all((tmp_path / "out" / "overlays" / name).is_file() for (name,) in table["overlays"])


def test_names_of_any_bytes(read: Any, drawn: Path, tmp_path: Path) -> None:
    strange = [b"\xff\xfe.png", "Röntgen\n2.png".encode()]
    for name in strange:
        shutil.copyfile(drawn / "00.png", os.fsencode(drawn) + b"/" + name)
    assert read(drawn) == 0
    assert set(scores(tmp_path / "out").index) >= {"\\xff\\xfe.png", "Röntgen\n2.png"}
