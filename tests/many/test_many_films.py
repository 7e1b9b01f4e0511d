"""Very many films into a folder of scores: every row right, wherever the films lie and whoever reads them."""

import hashlib
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from many_films import FILMS, STUDY, scores, tables
from PIL import Image
from test_batch import Gated
from tiny_bundle import write_tiny_bundle

from chexmodel.batch_pictures import overlay_png
from chexmodel.film_files import find
from chexmodel.labels import OBSERVATIONS
from chexmodel.predictor import Predictor

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
    read: Any, drawn: Path, tmp_path: Path, address: str, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("ray", reason="Ray is not installed: requirements-cluster.txt")
    assert read(drawn) == 0
    before = tables(tmp_path / "out")
    assert read(drawn, "--restart", "--ray", address) == 2
    assert f"there is no Ray cluster at {address}" in capsys.readouterr().err
    assert tables(tmp_path / "out") == before


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
