"""The app in a real browser: started, opened, waited for."""

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

ROOT = Path(__file__).resolve().parents[1]
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
WAIT = 60_000  # ms; a cold start loads torch


@contextmanager
def started(runs: Path, script: Path = ROOT / "app.py", **environment: str) -> Iterator[str]:
    """Start the app, or another script, on a free port, with the shipped models and those of `runs`."""
    with served(runs, script, **environment) as (url, _):
        yield url


@contextmanager
def served(
    runs: Path, script: Path = ROOT / "app.py", **environment: str
) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """Start it as `started` does; give its address and its process."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    options = ["--server.headless=true", f"--server.port={port}", "--server.address=127.0.0.1"]
    command = [sys.executable, "-m", "streamlit", "run", str(script), *options]
    server = subprocess.Popen(
        command,
        cwd=ROOT,
        env=os.environ | {"CHEXMODEL_RUNS": str(runs), "PYTHONPATH": str(ROOT)} | environment,
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
        yield url, server
    finally:
        server.terminate()
        server.wait(20)


@contextmanager
def session(browser: "Browser", width: int, scheme: str = "light", locale: str = "en-US") -> Iterator["Page"]:
    """Open a page in a fresh session."""
    context = browser.new_context(
        viewport={"width": width, "height": 900},
        color_scheme=scheme,
        locale=locale,
        accept_downloads=True,
    )
    opened = context.new_page()
    opened.set_default_timeout(WAIT)
    yield opened
    context.close()


def settled(page: "Page") -> None:
    """Wait until the script has run and everything is drawn; nothing may show a traceback."""
    page.wait_for_timeout(500)  # what was just done has to reach the server first
    page.wait_for_function(
        """() => document.querySelector('[data-testid="stApp"][data-test-script-state="notRunning"]')
            && !document.querySelector('[data-testid="stSkeleton"], [data-stale="true"]')"""
    )
    page.wait_for_timeout(500)  # plotly draws after its element is there
    assert page.locator('[data-testid="stException"]').count() == 0


def revealed(page: "Page") -> None:
    """Ask for the model's reading and wait for it; where the check of the input withholds it, insist."""
    asked = page.get_by_role("button", name="Show the model's reading")
    if not asked.is_enabled():
        asked = page.get_by_role("button", name="Read it all the same")
    asked.click()
    page.locator(".viewer .finding").first.wait_for()
    settled(page)


def visit(page: "Page", address: str, title: str) -> None:
    """Open one of the app's pages by its title."""
    page.goto(address if title == "Analyse" else f"{address}/{title.lower()}")  # the first page has no name
    page.get_by_role("heading", name=title, exact=True).first.wait_for()
    settled(page)


def too_wide(page: "Page") -> bool:
    """Whether the page scrolls sideways: the window, or the part beside the sidebar, which scrolls alone."""
    wide: bool = page.evaluate(
        """() => [document.documentElement, document.querySelector('[data-testid="stMain"]')]
            .some(part => part.scrollWidth > part.clientWidth + 1)"""
    )
    return wide


def chosen(page: "Page", label: str) -> None:
    """Choose one of a group of alternatives: a section, a radio button, a format."""
    page.locator("label, button[role=radio]").filter(has_text=label).first.click()
    settled(page)
