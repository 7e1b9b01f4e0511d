"""Many people at once on one server: `python tests/load/load.py [--sessions 16] [--films 20] [--data DIR]`.

Starts the app on loopback and as many browser sessions in headless Chromium. Each uploads its films one after
another, asks for the reading, and holds every score on the page against what one predictor gave for the
file, alone, before. Prints the waiting times, the server's memory over the uploads, and what went wrong: the
exit status is 1 if any score was wrong, another film's, or missing.
"""

import argparse
import asyncio
import os
import random
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from browsing import CHROMIUM, started  # noqa: E402
from held_memory import megabytes, with_children  # noqa: E402
from playwright.async_api import Browser, Page, async_playwright  # noqa: E402

from chexmodel import Predictor, phantom  # noqa: E402
from chexmodel.onnx_export import make, phantoms  # noqa: E402
from chexmodel.onnx_file import CACHE, cache_directory, write  # noqa: E402

DEMO = ROOT / "assets" / "models" / "demo"
PATIENCE_MS = 180_000
MARKS = (20, 100, 200, 300, 400, 500)
"""Uploads after which the server's memory is looked at."""
WRONG = 0.02  # per cent: the page rounds widths to a hundredth, ONNX Runtime to some 1e-5
SCORES = "bars => bars.map(bar => parseFloat(bar.style.width)).sort((a, b) => a - b)"


@dataclass
class Course:
    """What happened: seconds from a file's choice to its film, and from the click to the findings."""

    film: list[float] = field(default_factory=list)
    reading: list[float] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    megabytes: dict[int, float] = field(default_factory=dict)


def films(data: Path | None, count: int) -> list[bytes]:
    """Read as many different films; drawn ones where no directory is given."""
    if data is None:
        return [phantom.png(size=512, seed=seed) for seed in range(count)]
    paths = sorted(path for path in data.rglob("*") if path.suffix.lower() in (".jpg", ".png", ".dcm"))
    random.Random(0).shuffle(paths)
    return [paths[k % len(paths)].read_bytes() for k in range(count)]


def expected(predictor: Predictor, film: bytes) -> list[float]:
    """The scores of a film in per cent, as the page draws them, lowest first."""
    scores = predictor.predict(film).probabilities
    return sorted((100 * scores[np.isfinite(scores)]).tolist())


async def session(
    browser: Browser,
    url: str,
    mine: list[bytes],
    wanted: list[list[float]],
    course: Course,
    server: int,
) -> None:
    """Be one visitor."""
    context = await browser.new_context(viewport={"width": 1000, "height": 700}, locale="en-US")
    page = await context.new_page()
    page.set_default_timeout(PATIENCE_MS)
    await page.goto(url)
    for k, film in enumerate(mine):
        try:
            await _one(page, f"film{k}.bin", film, wanted[k], course)
        except Exception as error:
            course.wrong.append(f"film {k}: {type(error).__name__}: {str(error)[:300]}")
            await page.goto(url)
        for mark in MARKS:
            if len(course.film) >= mark and mark not in course.megabytes:
                course.megabytes[mark] = megabytes(server)
                print(f"{mark} uploads: {course.megabytes[mark]:.0f} MB", flush=True)
    await context.close()


async def _one(page: Page, name: str, film: bytes, wanted: list[float], course: Course) -> None:
    uploader = page.locator('input[type="file"]').first
    await uploader.wait_for(state="attached")
    chosen = time.perf_counter()
    await uploader.set_input_files({"name": name, "mimeType": "application/octet-stream", "buffer": film})
    show = page.get_by_role("button", name="Show the model's reading")
    insist = page.get_by_role("button", name="Read it all the same")
    await page.locator(".viewer canvas").first.wait_for()
    await show.first.wait_for()
    course.film.append(time.perf_counter() - chosen)
    withheld = await show.first.is_disabled()
    asked = time.perf_counter()
    await (insist if withheld else show).first.click()
    await page.locator(".viewer .finding").first.wait_for()
    course.reading.append(time.perf_counter() - asked)
    shown = await page.locator(".viewer .finding .score .fill").evaluate_all(SCORES)
    if len(shown) != len(wanted) or max(abs(a - b) for a, b in zip(shown, wanted, strict=True)) > WRONG:
        course.wrong.append(f"{name}: the page shows {shown}, the predictor gave {wanted}")
    await page.get_by_role("button", name="Open other films").click()
    await page.get_by_role("button", name=f"Remove {name}").first.click()
    await page.get_by_text("Nothing to read yet").wait_for()


async def run(url: str, given: list[bytes], wanted: list[list[float]], sessions: int, server: int) -> Course:
    """Let all visitors in at once."""
    course = Course()
    async with async_playwright() as driver:
        browser = await driver.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"]
        )
        visits = [
            session(browser, url, given[k::sessions], wanted[k::sessions], course, server)
            for k in range(sessions)
        ]
        await asyncio.gather(*visits)
        await browser.close()
    return course


def main() -> int:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sessions", type=int, default=16)
    parser.add_argument("--films", type=int, default=20, help="that each session uploads")
    parser.add_argument("--data", type=Path, help="directory of X-rays; drawn phantoms without it")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        predictor, cache = _prepared(Path(place) / "cache")
        given = films(options.data, options.sessions * options.films)
        print(f"{len(given)} films, read alone by {predictor.engine} first …", flush=True)
        wanted = [expected(predictor, film) for film in given]
        with started(Path(place) / "runs", CHEXMODEL_CACHE=str(cache), CHEXMODEL_ENGINE="auto") as url:
            server = with_children(os.getpid())[1]
            begun = time.perf_counter()
            course = asyncio.run(run(url, given, wanted, options.sessions, server))
            seconds = time.perf_counter() - begun
    print(f"{options.sessions} sessions, {len(course.film)} uploads in {seconds:.0f} s")
    for what, times in (("file chosen → film", course.film), ("click → findings", course.reading)):
        p50, p95 = np.percentile(times, [50, 95])
        print(f"{what}: p50 {p50:.2f} s, p95 {p95:.2f} s, longest {max(times):.2f} s")
    print("memory, MB: " + ", ".join(f"{mb:.0f} after {n}" for n, mb in sorted(course.megabytes.items())))
    print(f"{len(course.wrong)} wrong", *course.wrong[:20], sep="\n")
    return 1 if course.wrong or len(course.reading) < len(given) else 0


def _prepared(cache: Path) -> tuple[Predictor, Path]:
    """The shipped model with its model.onnx in a cache of this run's own."""
    os.environ[CACHE] = str(cache)
    predictor = Predictor.from_bundle(DEMO)
    model, record = make(predictor.bundle, phantoms(), source="drawn phantoms", real=True)
    write(cache_directory(record.weights_sha256), model, record)
    predictor.find_onnx(required=True)
    return predictor, cache


if __name__ == "__main__":
    sys.exit(main())
