"""What the whole costs: `pytest tests/benchmarks/test_cost.py -m benchmark -s`.

Seconds from the start of the server to a first page and a first reading, memory at rest and at the peak, the
start of the commands, and the size of what `pip install -r requirements.txt` brings. Nothing here fails for
being slow or large.
"""

import importlib.metadata
import os
import re
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from browsing import CHROMIUM, session, started
from held_memory import megabytes, with_children
from packaging.requirements import Requirement

from chexmodel import phantom
from chexmodel.onnx_file import CACHE

if TYPE_CHECKING:
    from playwright.sync_api import Browser

pytestmark = pytest.mark.benchmark
ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.skipif(not Path("/proc/self/smaps_rollup").is_file(), reason="memory is read from /proc")
@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")
def test_the_app(browser: "Browser", tmp_path: Path) -> None:
    film = phantom.png(size=2000)
    begun = time.perf_counter()
    with started(tmp_path, CHEXMODEL_ENGINE="auto", **{CACHE: str(tmp_path / "cache")}) as url:
        server = next(pid for pid in with_children(os.getpid()) if b"streamlit" in _command(pid))
        print(f"\nserver answers {time.perf_counter() - begun:.1f} s after its start")
        with session(browser, 1440) as page:
            page.goto(url)
            page.get_by_text("Nothing to read yet").wait_for()
            print(f"first page after {time.perf_counter() - begun:.1f} s, {megabytes(server):.0f} MB")
            for which in ("first", "second"):
                asked = time.perf_counter()
                with _peak(server) as most:
                    page.locator('input[type="file"]').first.set_input_files(
                        {"name": f"{which}.png", "mimeType": "image/png", "buffer": film}
                    )
                    page.locator(".viewer canvas").first.wait_for()
                print(
                    f"{which} film of 2000×2000 px read and shown in {time.perf_counter() - asked:.1f} s, "
                    f"peak {max(most):.0f} MB, afterwards {megabytes(server):.0f} MB"
                )
                page.get_by_role("button", name="Open other films").click()
                page.get_by_role("button", name=f"Remove {which}.png").first.click()
                page.get_by_text("Nothing to read yet").wait_for()
        made = tmp_path / "cache"
        while not list(made.rglob("model.onnx")):
            time.sleep(0.5)
            assert time.perf_counter() - begun < 600, "model.onnx was not made within ten minutes"
        print(f"model.onnx made after {time.perf_counter() - begun:.1f} s, beside all this")
        time.sleep(5)
        print(f"at rest {megabytes(server):.0f} MB in {len(with_children(server))} processes")


def _command(pid: int) -> bytes:
    return Path(f"/proc/{pid}/cmdline").read_bytes()


class _peak:  # noqa: N801 – reads as a word
    """Look at the memory ten times a second while the block runs."""

    def __init__(self, pid: int) -> None:
        self._pid, self._done, self._seen = pid, threading.Event(), [0.0]
        self._thread = threading.Thread(target=self._look)

    def _look(self) -> None:
        while not self._done.wait(0.1):
            self._seen.append(megabytes(self._pid))

    def __enter__(self) -> list[float]:
        self._thread.start()
        return self._seen

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()


@pytest.mark.parametrize(
    "what",
    [
        ["-c", "pass"],
        ["-c", "import chexmodel"],
        ["-m", "chexmodel", "--help"],
        ["-m", "chexmodel", "read", "FILM"],
    ],
    ids=["python", "import", "help", "read"],
)
def test_the_commands(what: list[str], tmp_path: Path) -> None:
    film = tmp_path / "film.png"
    film.write_bytes(phantom.png(size=512))
    command = [sys.executable, *(str(film) if word == "FILM" else word for word in what)]
    command += ["--insist"] * ("FILM" in what)
    times = []
    for _ in range(3):
        begun = time.perf_counter()
        subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
        times.append(time.perf_counter() - begun)
    print(f"\npython {' '.join(what)}: {min(times):.2f} s")


def test_the_installation() -> None:
    """Sizes of the packages that requirements.txt names and of all that they need."""
    lines = (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines()
    todo = [Requirement(line.partition("#")[0]) for line in lines if re.match(r"\w", line)]
    sizes = Counter[str]()
    while todo:
        needed = todo.pop()
        name = needed.name.lower().replace("_", "-")
        if name in sizes or (needed.marker and not needed.marker.evaluate({"extra": ""})):
            continue
        try:
            found = importlib.metadata.distribution(name)
        except importlib.metadata.PackageNotFoundError:
            continue
        files = [Path(str(found.locate_file(file))) for file in found.files or ()]
        sizes[name] = sum(file.stat().st_size for file in files if file.is_file())
        todo += [Requirement(text) for text in found.requires or ()]
    assert sizes["torch"] > 0
    largest = ", ".join(f"{name} {size / 2**20:.0f}" for name, size in sizes.most_common(8))
    print(f"\n{len(sizes)} packages, {sum(sizes.values()) / 2**30:.1f} GB; the largest, in MB: {largest}")
