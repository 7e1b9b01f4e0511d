"""From opening the page to a filed report: clicks and seconds, in Chromium on this machine.

`pytest tests/benchmarks/test_way_to_a_report.py -m benchmark -s`
"""

import time
from pathlib import Path

import pytest
from browsing import CHROMIUM, WAIT

from chexmodel import phantom

pytest.importorskip("playwright.sync_api", reason="playwright is not installed")

pytestmark = [
    pytest.mark.benchmark,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine"),
]


@pytest.mark.parametrize("start", ["cold", "warm"])
def test_from_the_page_to_a_pdf(address: str, browser: "object", start: str) -> None:
    """The first visitor of a server waits for torch and the model, the next ones don't."""
    page = browser.new_context(viewport={"width": 1440, "height": 900}).new_page()
    page.set_default_timeout(WAIT)
    file = {"name": "film.png", "mimeType": "image/png", "buffer": phantom.png(size=2048)}
    began = time.perf_counter()
    times = {}
    page.goto(address)
    chooser = page.locator('input[type="file"]').first
    chooser.wait_for(state="attached")
    times["page"] = time.perf_counter() - began
    chooser.set_input_files(file)  # click 1, and the file is chosen
    page.locator(".viewer canvas").first.wait_for()
    times["film"] = time.perf_counter() - began
    clicks = 1
    asked = page.get_by_role("button", name="Show the model's reading")
    asked.wait_for()
    if not asked.is_enabled():
        asked = page.get_by_role("button", name="Read it all the same")
    asked.click()
    clicks += 1
    page.locator(".viewer .finding").first.wait_for()
    times["reading"] = time.perf_counter() - began
    with page.expect_download() as download:
        page.get_by_role("button", name="Report (PDF)", exact=True).click()
    clicks += 1
    assert Path(download.value.path()).read_bytes().startswith(b"%PDF")
    times["PDF"] = time.perf_counter() - began
    steps = ", ".join(f"{name} {seconds:.1f} s" for name, seconds in times.items())
    print(f"\n{start} server, film of 2048 px: {clicks} clicks; {steps} after opening the page")
