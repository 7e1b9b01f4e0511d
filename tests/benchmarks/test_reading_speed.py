"""A table of CheXpert's size, as the Dataset page reads it: `pytest tests/benchmarks -m benchmark -s`.

Seconds and the memory that a fresh process needs on top of its imports. The peer is `pandas.read_csv` alone,
without a check, a count or an audit. Nothing here fails for being slow.
"""

import gzip
import json
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from chexpert_rows import real_table
from PIL import Image
from scipy.fft import dctn

from chexmodel import images
from chexmodel.duplicates import FINE_RADIUS, distances, near_pairs, perceptual_hash

pytestmark = pytest.mark.benchmark
ROOT = Path(__file__).resolve().parents[2]

PAGE = """
table = read_bytes(data, "t.csv")
read = time.perf_counter()
found = audit({"t.csv": table})
audited = time.perf_counter()
statistics = describe(table, found=found)
films, parts = statistics.films, {"read": read - start, "audit": audited - read}
"""
POLICY = """
effect = explain_policy(read_bytes(data, "t.csv"), uncertain="smooth")
films, parts = effect.films, {}
"""
PANDAS = "films, parts = len(pandas.read_csv(BytesIO(data), compression=gz)), {}"
PROGRAM = """
import json, re, time
from io import BytesIO
from pathlib import Path
import pandas
from chexmodel.audit import audit
from chexmodel.policies import explain_policy
from chexmodel.reading import read_bytes
from chexmodel.statistics import describe
data = Path({csv!r}).read_bytes()
gz = "gzip" if data[:2] == bytes([31, 139]) else None
# Not getrusage: its peak includes that of the process which started this one.
peak = lambda: int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) / 1024
before, start = peak(), time.perf_counter()
{work}
seconds = time.perf_counter() - start
print(json.dumps(dict(films=films, seconds=seconds, megabytes=peak() - before, **parts)))
"""


def run(csv: Path, work: str) -> dict[str, float]:
    """Do the work in three fresh processes; the fastest, and the largest peak."""
    program = PROGRAM.format(csv=str(csv), work=work)
    results = []
    for _ in range(3):
        done = subprocess.run(
            [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
        )
        results.append(json.loads(done.stdout))
    best = min(results, key=lambda result: result["seconds"])
    return best | {"megabytes": max(result["megabytes"] for result in results)}


@pytest.mark.skipif(not Path("/proc/self/status").is_file(), reason="peak memory is read from /proc")
def test_a_table_of_223_thousand_rows(tmp_path: Path) -> None:
    packed = real_table()
    plain = tmp_path / "chexpert.csv"
    plain.write_bytes(gzip.decompress(packed.read_bytes()))
    for csv in (packed, plain):
        for what, work in (("page", PAGE), ("one policy", POLICY), ("pandas.read_csv", PANDAS)):
            result = run(csv, work)
            assert result.pop("films") == 223_414
            print(f"\n{csv.suffix}, {what}: " + ", ".join(f"{k} {v:.2f}" for k, v in result.items()))


@pytest.mark.shared
def test_search_for_duplicates(shared: Path) -> None:
    """223,414 hashes distributed as those of the shared films: frequencies drawn from their covariance."""
    started = time.perf_counter()
    films = [images.read(path).grey for path in sorted((shared / "xrays").glob("*/*/*/*.jpg"))]
    hashes = np.array([perceptual_hash(film) for film in films])
    print(f"\n{len(films)} films decoded and hashed on one core: {time.perf_counter() - started:.1f} s")
    i, j = np.triu_indices(len(films), 1)
    square = np.full((len(films),) * 2, 256)
    square[i, j] = square[j, i] = distances(hashes[i], hashes[j])
    nearest = np.percentile(square.min(axis=1), [0, 1, 50, 100])
    print(
        "bits of 255 to the nearest other film: least {:g}, 1 % {:g}, median {:g}, most {:g}".format(*nearest)
    )
    small = [
        np.asarray(Image.fromarray(film).resize((32, 32), Image.Resampling.BOX), float) for film in films
    ]
    low = np.array([dctn(film, norm="ortho")[:16, :16].ravel() for film in small])[:, 1:]
    low /= np.linalg.norm(low, axis=1, keepdims=True)
    drawn = np.random.default_rng(0).multivariate_normal(
        low.mean(0), np.cov(low.T), size=223_414, method="eigh"
    )
    frequencies = np.pad(drawn.astype(np.float32), ((0, 0), (1, 0))).reshape(-1, 16, 16)
    bits = [_signs(frequencies[:, :size, :size].reshape(len(frequencies), -1)) for size in (8, 16)]
    many = np.packbits(np.concatenate(bits, axis=1), axis=1).view(np.uint64)
    many[-1000:] = many[:1000]
    started = time.perf_counter()
    pairs = near_pairs(many)
    print(f"{len(many):,} hashes searched: {time.perf_counter() - started:.1f} s, {len(pairs):,} pairs")
    np.testing.assert_array_equal(pairs[:, 1] - pairs[:, 0], len(many) - 1000)
    assert len(pairs) == 1000
    assert square.min() > FINE_RADIUS


def _signs(values: np.ndarray) -> np.ndarray:
    signs = values > np.median(values[:, 1:], axis=1, keepdims=True)
    signs[:, 0] = False
    return signs
