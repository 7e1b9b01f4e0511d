"""The app in a real browser: upload a film, pick a finding, see its overlay; a picture of every page.

`pytest -m browser`; with CHEXMODEL_SCREENSHOTS=DIR the pictures of the README are written there.
"""

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from chexmodel import phantom

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
ROOT = Path(__file__).resolve().parents[1]
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
PAGES = {"Dataset": "dataset", "Evaluation": "evaluation", "Training": "training", "Model": "model"}
WAIT = 60_000  # ms; a cold start loads torch

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine"),
]


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Start the app on a free port of this machine, with the shipped models alone."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    options = ["--server.headless=true", f"--server.port={port}", "--server.address=127.0.0.1"]
    command = [sys.executable, "-m", "streamlit", "run", str(ROOT / "app.py"), *options]
    server = subprocess.Popen(
        command,
        cwd=ROOT,
        env=os.environ | {"CHEXMODEL_RUNS": str(tmp_path_factory.mktemp("runs"))},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    url = f"http://127.0.0.1:{port}"
    try:
        for _ in range(240):
            try:
                urllib.request.urlopen(f"{url}/_stcore/health", timeout=2).close()
                break
            except OSError:
                time.sleep(0.25)
        else:
            pytest.fail("the app did not start within a minute")
        yield url
    finally:
        server.terminate()
        server.wait(20)


@pytest.fixture(scope="module")
def browser() -> Iterator["playwright.Browser"]:
    """Start headless Chromium."""
    with playwright.sync_playwright() as driver:
        running = driver.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-dev-shm-usage"]
        )
        yield running
        running.close()


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Directory for the pictures."""
    place = os.environ.get("CHEXMODEL_SCREENSHOTS")
    if place is None:
        return tmp_path_factory.mktemp("screenshots")
    Path(place).mkdir(parents=True, exist_ok=True)
    return Path(place)


@pytest.fixture(params=[("1440", "light"), ("420", "dark")], ids=["desktop-light", "phone-dark"])
def page(request: pytest.FixtureRequest, browser: "playwright.Browser") -> Iterator["playwright.Page"]:
    """Open a page in a fresh session."""
    width, scheme = request.param
    context = browser.new_context(
        viewport={"width": int(width), "height": 900}, color_scheme=scheme, accept_downloads=True
    )
    opened = context.new_page()
    opened.set_default_timeout(WAIT)
    yield opened
    context.close()


def settled(page: "playwright.Page") -> None:
    """Wait until the script has run and everything is drawn; nothing may show a traceback."""
    page.wait_for_timeout(500)  # what was just done has to reach the server first
    page.wait_for_function(
        """() => document.querySelector('[data-testid="stApp"][data-test-script-state="notRunning"]')
            && !document.querySelector('[data-testid="stSkeleton"], [data-stale="true"]')"""
    )
    page.wait_for_timeout(500)  # plotly draws after its element is there
    assert page.locator('[data-testid="stException"]').count() == 0


def overlay_picture(page: "playwright.Page") -> str:
    """The overlay that the browser shows, as its data URI."""
    shown = page.locator(".st-key-overlay-figure image").first
    shown.wait_for(state="attached")
    return shown.get_attribute("href") or shown.get_attribute("xlink:href") or ""


def pick(page: "playwright.Page", rank: int) -> None:
    """Choose the finding of this rank to explain."""
    page.get_by_role("combobox", name="Finding to explain").click()
    page.get_by_role("option").nth(rank).click()
    settled(page)


def test_upload_pick_a_finding_and_see_the_overlay(
    address: str, page: "playwright.Page", pictures: Path, tmp_path: Path
) -> None:
    page.goto(address)
    settled(page)
    film = tmp_path / "phantom.png"
    film.write_bytes(phantom.png())
    page.set_input_files('input[type="file"]', str(film))
    page.get_by_text("not trained in this model").first.wait_for()
    settled(page)
    before = overlay_picture(page)
    assert before.startswith("data:image/png;base64,")
    pick(page, 1)
    assert overlay_picture(page) != before
    pick(page, 0)
    assert overlay_picture(page) == before
    with page.expect_download() as download:
        page.get_by_role("button", name="Findings (CSV)").click()
    table = Path(download.value.path()).read_text()
    assert table.splitlines()[0] == "observation,probability,threshold,decision,raw_logit"
    assert len(table.splitlines()) == 15
    page.locator('[data-testid="stMain"]').evaluate("main => main.scrollTo(0, 0)")
    page.mouse.move(0, 0)
    settled(page)
    desktop = page.viewport_size["width"] == 1440
    page.screenshot(path=str(pictures / ("analyse.png" if desktop else "analyse-phone.png")))


def test_a_file_that_is_no_film_gets_a_sentence(
    address: str, page: "playwright.Page", tmp_path: Path
) -> None:
    page.goto(address)
    settled(page)
    wrong = tmp_path / "letter.txt"
    wrong.write_text("Dear colleague, thank you for referring this patient.")
    page.set_input_files('input[type="file"]', str(wrong))
    alert = page.locator('[data-testid="stAlert"]').filter(has_text="PNG")
    alert.first.wait_for()
    settled(page)


@pytest.mark.parametrize("title", PAGES)
def test_every_page_opens(address: str, page: "playwright.Page", pictures: Path, title: str) -> None:
    page.goto(f"{address}/{PAGES[title]}")
    page.get_by_role("heading", name=title, exact=True).first.wait_for()
    settled(page)
    wide = page.evaluate("document.documentElement.scrollWidth > window.innerWidth + 1")
    assert not wide, "the page scrolls sideways"
    if page.viewport_size["width"] == 1440:
        page.screenshot(path=str(pictures / f"{PAGES[title]}.png"))
