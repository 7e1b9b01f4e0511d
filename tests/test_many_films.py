"""Very many films into a folder of scores: every row right, whatever fails, and taken up where it stopped."""

import errno
import hashlib
import io
import os
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from dicom_files import RAMP, dicom
from PIL import Image
from test_batch import Gated
from tiny_bundle import UNTRAINED, write_tiny_bundle

from chexmodel import headless, phantom
from chexmodel.__main__ import main
from chexmodel.batch_pictures import overlay_png
from chexmodel.film_files import find
from chexmodel.labels import OBSERVATIONS
from chexmodel.predictor import Prediction, Predictor

FILMS = {
    "a/one.png": phantom.png(size=96, seed=1),
    "a/two_lateral.png": phantom.png(size=96, seed=2),
    "b/=three.png": phantom.png(size=96, seed=3),
    "b/four": dicom(RAMP),
    "b/broken.png": phantom.png(size=64)[:900],
    "empty.png": b"",
    "letter.txt": b"Dear colleague",
}
JUNK = {".hidden.png": phantom.png(size=64), "a/Thumbs.db": b"1", "train.csv": b"Path\n"}


def zipped(members: dict[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return stream.getvalue()


STUDY = {"one.png": phantom.png(size=64, seed=7), "../../up.png": phantom.png(size=64, seed=8), "note": b"?"}


@pytest.fixture
def films(tmp_path: Path) -> Path:
    root = tmp_path / "films"
    for name, data in (FILMS | JUNK | {"study.zip": zipped(STUDY)}).items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(data)
    return root


@pytest.fixture
def drawn(tmp_path: Path) -> Path:
    """Twelve films that can be read."""
    root = tmp_path / "drawn"
    root.mkdir()
    for seed in range(12):
        (root / f"{seed:02d}.png").write_bytes(phantom.png(size=64, seed=seed))
    return root


@pytest.fixture
def read(tiny_bundle: Path, tmp_path: Path) -> Any:
    """Run the command into `out`: its exit status."""

    def run(*arguments: object, out: str = "out", model: Path = tiny_bundle) -> int:
        return main(["read", *map(str, arguments), "--out", str(tmp_path / out), "--model", str(model)])

    return run


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """What the predictor was given."""
    given: list[bytes] = []
    predict = Predictor.predict

    def noting(self: Predictor, image: bytes, **options: Any) -> Prediction:
        given.append(image)
        return predict(self, image, **options)

    monkeypatch.setattr(Predictor, "predict", noting)
    return given


def scores(out: Path) -> pd.DataFrame:
    return pd.read_parquet(out / "scores.parquet").set_index("path")


def tables(out: Path) -> list[bytes]:
    return [(out / f"scores.{kind}").read_bytes() for kind in ("parquet", "csv")]


# -------------------------------------------------------------------------------------------- rows


def test_every_film_has_its_row_and_every_other_file_its_reason(
    read: Any, films: Path, tmp_path: Path, tiny_bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert read(films) == 1
    printed = capsys.readouterr().out
    assert "10 films: 6 read, 0 withheld, 4 not read; 8 files were read by this run" in printed
    table = scores(tmp_path / "out")
    members = ["study.zip/one.png", "study.zip/../../up.png", "study.zip/note"]
    assert table.index.tolist() == [
        *("empty.png", "letter.txt", *members),
        *("a/one.png", "a/two_lateral.png", "b/=three.png", "b/broken.png", "b/four"),
    ]
    predictor = Predictor.from_bundle(tiny_bundle)
    for name, data in (FILMS | {f"study.zip/{name}": data for name, data in STUDY.items()}).items():
        row = table.loc[name]
        # What is not looked at has no checksum: an empty file, a file in an archive that is no film.
        looked_at = name not in ("empty.png", "study.zip/note")
        assert (row["sha256"] == hashlib.sha256(data).hexdigest()) if looked_at else pd.isna(row["sha256"])
        if row["status"] == "read":
            whole = predictor.predict(data)
            written = [row[f"probability {observation}"] for observation in OBSERVATIONS]
            np.testing.assert_array_equal(np.array(written, float), whole.probabilities)
            decisions = [row[f"decision {observation}"] for observation in OBSERVATIONS]
            assert decisions == whole.frame()["decision"].tolist()
            assert row["engine"] == predictor.engine
        else:
            assert row.filter(like="probability ").isna().all()
            assert row["reason"]
    assert "lateral" in table.loc["a/two_lateral.png", "warnings"]
    assert set(table["weights_sha256"]) == {predictor.bundle.manifest.weights_sha256}


def test_the_csv_is_the_same_table_and_runs_no_formula(read: Any, films: Path, tmp_path: Path) -> None:
    (films / "=SUM(1).png").write_bytes(FILMS["a/one.png"])
    read(films)
    out = tmp_path / "out"
    csv, parquet = pd.read_csv(out / "scores.csv"), pd.read_parquet(out / "scores.parquet")
    assert csv.columns.tolist() == parquet.columns.tolist()
    raw = parquet["path"].tolist()
    assert "=SUM(1).png" in raw
    assert csv["path"].tolist() == [f"'{name}" if name.startswith("=") else name for name in raw]
    for name in csv.columns.drop(["path", "overlays"]):
        np.testing.assert_array_equal(csv[name].isna(), parquet[name].isna())
        assert csv[name].dropna().tolist() == parquet[name].dropna().tolist()
    assert read(films, "--format", "csv", out="csv") == 1
    assert not (tmp_path / "csv" / "scores.parquet").exists()
    assert (tmp_path / "csv" / "scores.csv").read_bytes() == (out / "scores.csv").read_bytes()


def test_threads_give_what_one_gives(read: Any, films: Path, tmp_path: Path) -> None:
    read(films, "--workers", 1, out="one")
    read(films, "--workers", 5, out="five")
    assert tables(tmp_path / "one") == tables(tmp_path / "five")


def test_a_withheld_film_has_no_scores_and_is_no_failure(
    read: Any, drawn: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("chexmodel.predictor.Predictor", Gated)
    Image.new("L", (64, 40)).save(drawn / "wide.png")
    assert read(drawn) == 0
    row = scores(tmp_path / "out").loc["wide.png"]
    assert (row["status"], row["gate"], row["reason"]) == ("withheld", "rejected", "This is no chest film.")
    assert row.filter(like="probability ").isna().all()


def test_overlays_are_those_of_the_readings(
    read: Any, films: Path, tmp_path: Path, tiny_bundle: Path
) -> None:
    assert read(films, "--overlays", "Edema", "Lung Opacity") == 1
    root, table = tmp_path / "out" / "overlays", scores(tmp_path / "out")
    painted = table[table["status"] == "read"]["overlays"]
    assert [len(names) for names in painted] == [2] * 6
    assert all(len(names) == 0 for names in table[table["status"] != "read"]["overlays"].dropna())
    written = {str(file.relative_to(root)) for file in root.rglob("*.png")}
    assert written == {name for some in painted for name in some}
    whole = Predictor.from_bundle(tiny_bundle).predict(FILMS["a/one.png"])
    assert (root / table.loc["a/one.png", "overlays"][0]).read_bytes() == overlay_png(whole, "Edema")
    assert table.loc["study.zip/../../up.png", "overlays"][0].startswith("study.zip/")


# ------------------------------------------------------------------------------------------- paths


def names(*paths: object, but: Path = Path("none")) -> list[str]:
    return [file.name for file in find([str(path) for path in paths], but=but).files]


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


@pytest.mark.parametrize("path", ["none.png", "*.nothing", "@none", "empty"])
def test_paths_of_nothing_are_a_sentence(
    read: Any, tmp_path: Path, path: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    assert read(path) == 2
    assert path.lstrip("@") in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_names_of_any_bytes(read: Any, drawn: Path, tmp_path: Path) -> None:
    strange = [b"\xff\xfe.png", "Röntgen\n2.png".encode()]
    for name in strange:
        shutil.copyfile(drawn / "00.png", os.fsencode(drawn) + b"/" + name)
    assert read(drawn) == 0
    assert set(scores(tmp_path / "out").index) >= {"\\xff\\xfe.png", "Röntgen\n2.png"}


# ------------------------------------------------------------------------------------------ resume


def test_a_second_run_reads_nothing(read: Any, drawn: Path, tmp_path: Path, seen: list[bytes]) -> None:
    assert read(drawn) == 0
    before = tables(tmp_path / "out")
    seen.clear()
    assert read(drawn) == 0
    assert not seen
    assert tables(tmp_path / "out") == before


@pytest.mark.parametrize("workers", [1, 3])
def test_an_interrupted_run_goes_on(
    read: Any,
    drawn: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    workers: int,
) -> None:
    read(drawn, out="straight")
    predict, calls = Predictor.predict, iter(range(10**6))

    def interrupted(self: Predictor, image: bytes, **options: Any) -> Prediction:
        if next(calls) == 7:
            raise KeyboardInterrupt
        return predict(self, image, **options)

    monkeypatch.setattr(Predictor, "predict", interrupted)
    assert read(drawn, "--workers", workers) == 130
    assert "the same command goes on from there" in capsys.readouterr().err
    assert not (tmp_path / "out" / "scores.csv").exists()
    assert read(drawn) == 0
    capsys.readouterr()
    assert tables(tmp_path / "out") == tables(tmp_path / "straight")
    assert next(calls) < 2 * 12  # the films before the interruption were not read again


def test_a_killed_run_goes_on(
    read: Any, drawn: Path, tmp_path: Path, tiny_bundle: Path, seen: list[bytes]
) -> None:
    program = f"""
import time
from chexmodel import headless
from chexmodel.__main__ import main
from chexmodel.predictor import Predictor
headless.PART_SECONDS = 0
predict = Predictor.predict
def slow(*arguments, **options):
    time.sleep(0.2)
    return predict(*arguments, **options)
Predictor.predict = slow
main(["read", {str(drawn)!r}, "--out", {str(tmp_path / "out")!r}, "--model", {str(tiny_bundle)!r}])
"""
    parts = tmp_path / "out" / "parts"
    started, process = time.monotonic(), subprocess.Popen([sys.executable, "-c", program])
    while len(list(parts.glob("*.parquet"))) < 3 and time.monotonic() - started < 120:
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    kept = sum(pq.read_metadata(part).num_rows for part in parts.glob("*.parquet"))
    assert 3 <= kept < 12
    assert read(drawn) == 0
    assert len(seen) == 12 - kept
    read(drawn, out="straight")
    assert tables(tmp_path / "out") == tables(tmp_path / "straight")


def test_what_changed_is_read_anew_and_what_left_is_dropped(
    read: Any, drawn: Path, tmp_path: Path, seen: list[bytes]
) -> None:
    read(drawn)
    before = scores(tmp_path / "out")
    changed = phantom.png(size=80, seed=99)
    (drawn / "03.png").write_bytes(changed)
    (drawn / "04.png").unlink()
    shutil.copyfile(drawn / "05.png", drawn / "new.png")
    seen.clear()
    assert read(drawn) == 0
    assert sorted(map(len, seen)) == sorted([len(changed), (drawn / "new.png").stat().st_size])
    after = scores(tmp_path / "out")
    assert set(after.index) == set(before.index) - {"04.png"} | {"new.png"}
    assert after.loc["03.png", "sha256"] == hashlib.sha256(changed).hexdigest()
    same = after.index.drop(["03.png", "new.png"])
    pd.testing.assert_frame_equal(after.loc[same], before.loc[same])


def test_what_could_not_be_opened_is_tried_again(
    read: Any, drawn: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = Path.open

    def away(self: Path, *arguments: Any, **options: Any) -> Any:
        if self.name == "05.png":
            raise OSError(errno.EIO, "Input/output error")
        return plain(self, *arguments, **options)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "open", away)
        assert read(drawn) == 1
    row = scores(tmp_path / "out").loc["05.png"]
    assert row["status"] == "not read"
    assert "Input/output error" in row["reason"]
    assert read(drawn) == 0
    assert len(scores(tmp_path / "out")) == 12


def test_other_settings_are_refused_until_restarted(
    read: Any, drawn: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = write_tiny_bundle(tmp_path / "other", seed=1)
    read(drawn, "--overlays", "Edema")
    painted = set((tmp_path / "out" / "overlays").iterdir())
    assert len(painted) == 12
    assert read(drawn, "--overlays", "Edema", model=other) == 2
    assert "another model and checksum: give another --out, or --restart" in capsys.readouterr().err
    assert read(drawn) == 2
    assert "another overlays" in capsys.readouterr().err
    assert read(drawn.parent, "--overlays", "Edema") == 2
    assert "another root" in capsys.readouterr().err
    mine = tmp_path / "out" / "overlays" / "mine.png"
    mine.write_bytes(b"1")
    assert read(drawn, "--restart", model=other) == 0
    assert list((tmp_path / "out" / "overlays").iterdir()) == [mine]
    assert set(scores(tmp_path / "out")["model"]) == {"other"}


# ------------------------------------------------------------------------------------------- faults


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


# --------------------------------------------------------------------------------------------- Ray


def test_ray_gives_what_threads_give(read: Any, films: Path, tmp_path: Path, seen: list[bytes]) -> None:
    pytest.importorskip("ray", reason="Ray is not installed: requirements-cluster.txt")
    read(films, "--overlays", "Edema", out="threads")
    seen.clear()
    assert read(films, "--overlays", "Edema", "--ray", "local", "--workers", 2) == 1
    assert not seen  # it was others that read
    assert tables(tmp_path / "out") == tables(tmp_path / "threads")
    painted = [
        {str(file.relative_to(tmp_path / out)): file.read_bytes() for file in (tmp_path / out).rglob("*.png")}
        for out in ("out", "threads")
    ]
    assert painted[0] == painted[1]
    assert len(painted[0]) == 6
    (films / "a" / "one.png").unlink()
    assert read(films, "--overlays", "Edema") == 1  # what a cluster read goes on in threads
    assert {FILMS["empty.png"]} >= set(seen)


def test_without_ray(
    read: Any, drawn: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    assert read(drawn, "--ray", "local") == 2
    assert "pip install -r requirements-cluster.txt" in capsys.readouterr().err


@pytest.mark.parametrize("address", ["127.0.0.1:1", "ray://127.0.0.1:1", "127.0.0.1:999999"])
def test_a_cluster_that_is_not_there(
    read: Any, drawn: Path, address: str, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("ray", reason="Ray is not installed: requirements-cluster.txt")
    assert read(drawn, "--ray", address) == 2
    assert f"there is no Ray cluster at {address}" in capsys.readouterr().err


def test_what_a_worker_can_not_do_comes_back_as_a_sentence(
    tiny_bundle: Path, drawn: Path, tmp_path: Path
) -> None:
    from chexmodel.cluster import FilmReader, kind
    from chexmodel.film_rows import Order

    expected = kind(Predictor.from_bundle(tiny_bundle))
    listed = find([str(drawn)], but=tmp_path / "o").files
    files = pa.Table.from_pylist([file._asdict() | {"path": os.fsencode(file.path)} for file in listed])
    blocked = tmp_path / "blocked"
    blocked.mkdir()
    (blocked / "overlays").touch()
    for bundle, order, said in (
        (tiny_bundle, Order(None, tmp_path), ""),
        (tiny_bundle, Order(("Edema",), blocked), "can't be written"),
        (write_tiny_bundle(tmp_path / "other", seed=1), Order(None, tmp_path), "all nodes the same bundle"),
        (tmp_path / "none", Order(None, tmp_path), "there is no bundle"),
    ):
        rows = FilmReader(bundle, expected, order)(files).to_pylist()
        if said:
            (row,) = rows
            assert row["status"] == "failed"
            assert said in row["reason"]
        else:
            assert [row["status"] for row in rows] == ["read"] * 12
