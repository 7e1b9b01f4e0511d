"""The app in a real browser: upload a film, pick a finding, see its overlay; a picture of every page.

`pytest -m browser`; with CHEXMODEL_SCREENSHOTS=DIR the pictures of the README are written there.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest
from browsing import CHROMIUM, session, settled, too_wide, visit

from chexmodel import phantom

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
PAGES = {"Dataset": 1150, "Evaluation": 1150, "Training": 900, "Model": 900}
"""Title → height of its picture, px: the first chart is in it."""

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine"),
]


@pytest.fixture(params=[(1440, "light"), (420, "dark")], ids=["desktop-light", "phone-dark"])
def page(request: pytest.FixtureRequest, browser: "playwright.Browser") -> Iterator["playwright.Page"]:
    """Open a page in a fresh session."""
    width, scheme = request.param
    with session(browser, width, scheme) as opened:
        yield opened


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
    assert table.splitlines()[0] == "observation,probability,threshold,band_low,band_high,decision,raw_logit"
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
    visit(page, address, title)
    assert not too_wide(page), "the page scrolls sideways"
    if page.viewport_size["width"] == 1440:
        page.set_viewport_size({"width": 1440, "height": PAGES[title]})
        settled(page)
        page.screenshot(path=str(pictures / f"{title.lower()}.png"))
