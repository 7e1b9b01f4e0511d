"""Very many films into a folder of scores: what fails is a sentence, and nobody's files are lost."""

import errno
import os
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from many_films import tables
from tiny_bundle import UNTRAINED

from chexmodel import headless
from chexmodel.__main__ import main


@pytest.mark.parametrize("call", [1, 2, 3])
def test_a_full_disk_is_a_sentence_and_the_run_goes_on(
    read: Any,
    drawn: Path,
    tmp_path: Path,
    call: int,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(headless, "PART_ROWS", 5)
    sync, calls = os.fsync, iter(range(1, 10**6))

    def full(handle: int) -> None:
        if next(calls) >= call:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        sync(handle)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        assert read(drawn) == 2
    message = capsys.readouterr().err.strip().splitlines()
    assert "No space left on device" in message[-1]
    assert "the same command goes on" in message[-1]
    assert len(list((tmp_path / "out" / "parts").iterdir())) == call - 1  # and no half of one
    assert read(drawn) == 0
    read(drawn, out="straight")
    assert tables(tmp_path / "out") == tables(tmp_path / "straight")


def test_what_a_killed_run_left_half_written_is_removed(read: Any, drawn: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    read(drawn)
    before = {file for file in out.rglob("*") if file.is_file()}
    (part,) = (out / "parts").iterdir()
    left = [out / ".scores.csv.0123abcd", out / ".scores.parquet.0123abcd"]
    left.append(part.with_name(f".{part.name}.0123abcd"))
    for file in [*left, out / ".scores.csv.swp"]:
        file.touch()
    assert read(drawn) == 0
    assert {file for file in out.rglob("*") if file.is_file()} == before | {out / ".scores.csv.swp"}


def test_a_damaged_part_is_named(
    read: Any, drawn: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    read(drawn)
    before = tables(tmp_path / "out")
    (part,) = (tmp_path / "out" / "parts").iterdir()
    part.write_bytes(part.read_bytes()[:-100])
    assert read(drawn) == 2
    assert f"{part} is damaged" in capsys.readouterr().err
    part.unlink()
    assert read(drawn) == 0
    assert tables(tmp_path / "out") == before
    (part,) = (tmp_path / "out" / "parts").iterdir()
    part.write_bytes(b"PAR1")
    assert read(drawn, "--restart") == 0


@pytest.mark.parametrize("name", ["absolute", "../mine.png"])
def test_starting_again_removes_nothing_outside_of_the_overlays(
    read: Any, drawn: Path, tmp_path: Path, name: str
) -> None:
    """A part may be anybody's, where folders are shared."""
    mine = tmp_path / "out" / "mine.png"
    read(drawn, "--overlays", "Edema")
    mine.write_bytes(b"1")
    (part,) = (tmp_path / "out" / "parts").iterdir()
    rows = pq.read_table(part)
    named = pa.array([[str(mine) if name == "absolute" else name]] * len(rows), pa.list_(pa.string()))
    column = rows.schema.get_field_index("overlays")
    pq.write_table(rows.set_column(column, rows.schema.field(column), named), part)
    assert read(drawn, "--restart") == 0
    assert mine.exists()


def test_a_table_of_somebody_else_is_left_alone(
    read: Any, drawn: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "scores.csv").write_text("mine")
    for options in ([], ["--restart"]):
        assert read(drawn, *options) == 2
        assert "scores.csv that this program did not write" in capsys.readouterr().err
    assert (tmp_path / "out" / "scores.csv").read_text() == "mine"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["a", "b"], "give --out DIR"),
        (["a", "--workers", "2"], "give --out DIR"),
        (["a", "--out", "o", "--insist"], "for one FILE, without --out"),
        (["a", "--out", "o", "--csv", "f.csv"], "for one FILE, without --out"),
        (["a", "--out", "o", "--workers", "0"], "--workers is 0"),
        (["a", "--format", "csv"], "give --out DIR"),
        (["a", "--finding", "Edema"], "that --overlay writes"),
        (["a", "--alpha", "0.7"], "that --overlay writes"),
        (["a", "--out", "o", "--alpha", "7"], "for one FILE, without --out"),
    ],
)
def test_options_that_do_not_go_together(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["read", *arguments]) == 2
    assert said in capsys.readouterr().err


@pytest.mark.parametrize("finding", ["Fever", UNTRAINED])
def test_overlays_of_what_has_no_map(
    read: Any, drawn: Path, tmp_path: Path, finding: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert read(drawn, "--overlays", finding) == 2
    assert f"{finding!r} has no map in this model" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
