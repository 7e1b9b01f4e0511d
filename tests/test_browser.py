"""The app in a real browser: upload a film, pick a finding, see its overlay; a picture of every page.

`pytest -m browser`; with CHEXMODEL_SCREENSHOTS=DIR the pictures of the README are written there.
"""

import base64
from collections.abc import Iterator
from pathlib import Path

import pytest
from browsing import CHROMIUM, revealed, session, settled, too_wide, visit

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


def upload(page: "playwright.Page", *files: Path) -> None:
    """Open films by the page's uploader, which lies in a popover where some are open already."""
    if not page.locator('input[type="file"]').count():
        page.get_by_role("button", name="Open other films").click()
    page.locator('input[type="file"]').first.set_input_files([str(file) for file in files])
    settled(page)


def painted(page: "playwright.Page", which: int) -> bytes:
    """What one of the visible canvases shows."""
    page.wait_for_timeout(200)  # a frame or two
    canvas = page.locator(".stage figure:not([hidden]) canvas").nth(which)
    picture: str = canvas.evaluate("canvas => canvas.toDataURL('image/png')")
    return base64.b64decode(picture.partition(",")[2])


def test_the_film_first_then_the_findings_by_keyboard_and_their_maps(
    address: str, page: "playwright.Page", pictures: Path, tmp_path: Path
) -> None:
    page.goto(address)
    settled(page)
    film = tmp_path / "phantom.png"
    film.write_bytes(phantom.png())
    upload(page, film)
    page.locator(".viewer canvas").first.wait_for()
    assert page.locator(".viewer .finding").count() == 0, "the film comes before the model's word"
    plain = painted(page, 0)
    revealed(page)
    assert page.locator(".stage figure:not([hidden])").count() == 1, "no map before one is asked for"
    page.locator(".viewer .finding").first.focus()
    page.keyboard.press("n")
    assert page.locator('.viewer .finding[aria-pressed="true"]').count() == 1
    first = painted(page, 1)
    assert first != painted(page, 0)
    page.keyboard.press("n")
    assert painted(page, 1) != first, "another finding has another map"
    page.keyboard.press("p")
    assert painted(page, 1) == first
    opacity = page.get_by_role("slider", name="Opacity")
    opacity.fill("0")
    assert painted(page, 1) == painted(page, 0), "without opacity it is the film"
    opacity.fill("55")
    page.get_by_role("slider", name="Level").fill("30")
    assert painted(page, 0) != plain
    page.get_by_role("button", name="Reset").click()
    assert not too_wide(page), "the page scrolls sideways"
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
