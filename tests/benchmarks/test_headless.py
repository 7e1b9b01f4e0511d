"""Many films without a browser, beside the usual loop: `pytest tests/benchmarks -m benchmark -s`.

The peer reads films one by one as torchxrayvision's own scripts do, with its DenseNet-121 (random weights
cost the same), PyTorch on all cores: a score per finding, no map, no check of the input. Here a film gets its
14 maps too and, by the shipped model, three networks and the check. Each in a fresh process; of the peer
neither imports nor the making of its model are counted, of the command all but the imports. Nothing fails for
being slow.
"""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from tiny_bundle import write_tiny_bundle

from chexmodel.__main__ import main
from chexmodel.command_line import SHIPPED
from chexmodel.machine import cores
from chexmodel.onnx_file import CACHE

pytestmark = [pytest.mark.benchmark, pytest.mark.shared]
ROOT = Path(__file__).resolve().parents[2]
PEER_FILMS = 60

OURS = """
import chexmodel.headless, chexmodel.onnx_file
from chexmodel.__main__ import main
start()
assert main(["read", {data!r}, "--out", {out!r}, "--model", {model!r}]) == 0
end()
"""
PEER = """
import skimage.io, torch, torchvision, torchxrayvision as xrv
from pathlib import Path
model = xrv.models.DenseNet(num_classes=18, weights=None).eval()
prepare = torchvision.transforms.Compose([xrv.datasets.XRayCenterCrop(), xrv.datasets.XRayResizer(224)])
def read(path):
    film = xrv.datasets.normalize(skimage.io.imread(path), 255)
    film = film.mean(2) if film.ndim > 2 else film
    with torch.no_grad():
        return model(torch.from_numpy(prepare(film[None]))[None])[0].numpy()
films = sorted(Path({data!r}).rglob("*.jpg"))[:{films}]
read(films[0])
start()
assert all(len(read(film)) == 18 for film in films)
end()
"""
CLOCK = """
import json, re, sys, time, warnings
from pathlib import Path
warnings.simplefilter("ignore")
def start():
    global started, worked
    started, worked = time.perf_counter(), time.process_time()
def end():
    seconds, busy = time.perf_counter() - started, time.process_time() - worked
    # Not getrusage: its peak includes that of the process which started this one.
    peak = int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) / 1024
    print(json.dumps(dict(seconds=seconds, busy=busy, megabytes=peak)), file=sys.stderr)
"""


def run(program: str) -> dict[str, float]:
    done = subprocess.run(
        [sys.executable, "-c", CLOCK + program], cwd=ROOT, capture_output=True, text=True, check=True
    )
    found: dict[str, float] = json.loads(done.stderr.strip().splitlines()[-1])
    return found


@pytest.mark.skipif(not Path("/proc/self/status").is_file(), reason="peak memory is read from /proc")
def test_the_shared_films(shared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("torchxrayvision")
    monkeypatch.setenv(CACHE, str(tmp_path / "cache"))  # the user's may have the shipped model's already
    shipped = Path(shutil.copytree(SHIPPED, tmp_path / "shipped"))
    dense = write_tiny_bundle(tmp_path / "densenet121", backbone="densenet121", size=224)
    data, few = shared / "xrays", shared / "xrays" / "valid"
    theirs = plain_loop(data)
    command(shipped, few, tmp_path / "torch", "PyTorch", theirs)
    for bundle in (shipped, dense):
        assert main(["export", str(bundle), "--films", str(shared / "external")]) == 0
    theirs = plain_loop(data)
    command(shipped, data, tmp_path / "onnx", "ONNX Runtime", theirs)
    theirs = plain_loop(data)
    command(dense, few, tmp_path / "dense", "ONNX Runtime", theirs)
    films = len(pd.read_parquet(tmp_path / "onnx" / "scores.parquet"))
    for files in ("parts/*", "scores.parquet", "scores.csv"):
        size = sum(file.stat().st_size for file in (tmp_path / "onnx").glob(files))
        print(f"{files}: {size / films:.0f} bytes a film")


def plain_loop(data: Path) -> float:
    """Films a second of the peer."""
    found = run(PEER.format(data=str(data), films=PEER_FILMS))
    films, each = PEER_FILMS / found["seconds"], found["busy"] / PEER_FILMS
    print(
        f"\ntorchxrayvision's loop: {films:.1f} films/s, {each * 1e3:.0f} ms of processor a film, "
        f"{found['megabytes']:.0f} MB at most"
    )
    return films


def command(model: Path, data: Path, out: Path, engine: str, theirs: float) -> None:
    found = run(OURS.format(data=str(data), out=str(out), model=str(model)))
    table = pd.read_parquet(out / "scores.parquet")
    assert len(table) == len(list(data.rglob("*.jpg")))
    assert table["engine"].str.startswith(engine).all()
    films, each = len(table) / found["seconds"], found["busy"] / len(table)
    print(
        f"{model.name}, {engine}, {len(table)} films: {films:.1f} films/s, {films / cores():.1f} a core, "
        f"{films / theirs:.1f}× the loop, {each * 1e3:.0f} ms of processor a film, "
        f"{found['megabytes']:.0f} MB at most"
    )
