"""What a million films cost beside the network: `pytest tests/benchmarks/test_scale.py -m benchmark -s`.

Large films, whose decoding and resizing count; the last step, which makes one table of all rows; the same
films by Ray on this machine. All in fresh processes, by the shipped model with ONNX Runtime. Nothing fails
for being slow.
"""

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from dicom_files import dicom
from test_engine_speed import encoded
from test_headless import OURS, run

from chexmodel import phantom
from chexmodel.__main__ import main
from chexmodel.command_line import SHIPPED
from chexmodel.machine import cores
from chexmodel.onnx_file import CACHE

pytestmark = [
    pytest.mark.benchmark,
    pytest.mark.skipif(not Path("/proc/self/status").is_file(), reason="peak memory is read from /proc"),
]
FILMS = 40
ROWS = 1_000_000
LAST_STEP = """
import random
from chexmodel.batch import SCORES
from chexmodel.film_files import FilmFile
from chexmodel.parts import Settings, begin, missing, save, table, write
out = Path({out!r})
settings = Settings(root="/", model="m", checksum="c", engine="e", version="v", overlays="")
begin(out, settings, restart=False)
names = [f"films/{{k:07d}}.jpg" for k in range({rows})]
files = [FilmFile(f"/{{name}}", name, 30_000 + k, 10**18 + k) for k, name in enumerate(names)]
read = dict(status="read", view="PA", frames=1, gate="accepted", model="demo", weights_sha256="0" * 64)
def row(file):
    stamp = dict(source=file.name, bytes=file.size, modified=file.modified, opened=True)
    scores = {{name: "below threshold" for name in SCORES if name.startswith("decision")}}
    scores |= {{name: random.random() for name in SCORES if name not in scores}}
    return read | stamp | scores | dict(path=file.name, sha256=f"{{random.getrandbits(256):064x}}")
for first in range(0, {rows}, 1000):
    write(out, [row(file) for file in files[first : first + 1000]], settings)
start()
assert not missing(out, files)
rows = table(out, files)
assert len(rows) == {rows}
for kind in ("parquet", "csv"):
    save(out, rows, kind)
end()
"""


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shipped model with its model.onnx."""
    place = tmp_path_factory.mktemp("model")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(CACHE, str(place / "cache"))
        bundle = Path(shutil.copytree(SHIPPED, place / "shipped"))
        assert main(["export", str(bundle)]) == 0
    return bundle


def test_films_of_five_million_pixels(model: Path, tmp_path: Path) -> None:
    deep = [phantom.draw(size=2500, seed=seed)[:2000] for seed in range(4)]
    grey = [(film >> 8).astype(np.uint8) for film in deep]
    small = [(phantom.draw(size=320, seed=seed) >> 8).astype(np.uint8) for seed in range(4)]
    kinds = {
        "JPEG of 320×320 px": [encoded(film, "JPEG", quality=92) for film in small],
        "JPEG": [encoded(film, "JPEG", quality=92) for film in grey],
        "PNG, 8 bits": [encoded(film, "PNG") for film in grey],
        "PNG, 16 bits": [encoded(film, "PNG") for film in deep],
        "DICOM, 16 bits": [dicom(film) for film in deep],
    }
    print(f"\n{FILMS} films of each kind, 2,500×2,000 px but for the first, {cores()} threads")
    for kind, files in kinds.items():
        data = tmp_path / kind
        data.mkdir()
        for k in range(FILMS):
            (data / str(k)).write_bytes(files[k % len(files)])
        found = run(OURS.format(data=str(data), out=str(tmp_path / f"out {kind}"), model=str(model)))
        table = pd.read_parquet(tmp_path / f"out {kind}" / "scores.parquet")
        assert table["sha256"].notna().all()
        print(
            f"{kind:20} {FILMS / found['seconds']:5.1f} films/s, {1e3 * found['busy'] / FILMS:4.0f} ms of "
            f"processor a film, {found['megabytes']:,.0f} MB at most"
        )


def test_the_table_of_a_million_rows(tmp_path: Path) -> None:
    found = run(LAST_STEP.format(out=str(tmp_path / "million"), rows=ROWS))
    sizes = [(tmp_path / "million" / f"scores.{kind}").stat().st_size / 2**20 for kind in ("parquet", "csv")]
    print(
        f"\n{ROWS:,} rows gathered and written: {found['seconds']:.0f} s, {found['megabytes']:,.0f} MB at "
        f"most; Parquet {sizes[0]:.0f} MB, CSV {sizes[1]:.0f} MB"
    )


@pytest.mark.shared
def test_ray_on_this_machine(model: Path, shared: Path, tmp_path: Path) -> None:
    pytest.importorskip("ray", reason="Ray is not installed: requirements-cluster.txt")
    films = len(list((shared / "xrays").rglob("*.jpg")))
    for name, more in (("threads", ""), ("ray", '"--ray", "local"')):
        program = OURS.replace('"--model", {model!r}', '"--model", {model!r}, ' + more)
        found = run(program.format(data=str(shared / "xrays"), out=str(tmp_path / name), model=str(model)))
        print(f"\n{films} films by {cores()} workers, {name}: {found['seconds']:.0f} s")
    threads, ray = (pd.read_parquet(tmp_path / name / "scores.parquet") for name in ("threads", "ray"))
    pd.testing.assert_frame_equal(threads, ray)
