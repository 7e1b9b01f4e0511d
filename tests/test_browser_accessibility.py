"""Accessibility by axe-core (WCAG 2 A and AA, and best practices): no page has a serious violation."""

import pytest
from browsing import CHROMIUM, revealed, session, settled, visit

from chexmodel import phantom

pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe-playwright-python is missing")

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine"),
]


def serious(page: "object") -> list[str]:
    """Each serious or critical violation on the page: its rule, and the first elements that break it."""
    return [
        f"{found['id']} ({found['help']}): {[node['html'][:200] for node in found['nodes'][:3]]}"
        for found in axe.Axe().run(page).response["violations"]
        if found["impact"] in ("serious", "critical")
    ]


@pytest.mark.parametrize(("width", "scheme"), [(1440, "light"), (1440, "dark"), (420, "light")])
@pytest.mark.parametrize("title", ["Analyse", "Dataset", "Evaluation", "Training", "Model"])
def test_no_page_has_a_serious_violation(
    address: str, browser: "object", title: str, width: int, scheme: str
) -> None:
    with session(browser, width, scheme) as page:
        visit(page, address, title)
        page.wait_for_timeout(3000)  # charts and tables take their size some time after they are drawn
        assert serious(page) == []


@pytest.mark.parametrize(("width", "scheme"), [(1440, "light"), (1440, "dark"), (420, "dark")])
def test_a_reading_with_everything_unfolded_has_none(
    address: str, browser: "object", width: int, scheme: str
) -> None:
    with session(browser, width, scheme) as page:
        visit(page, address, "Analyse")
        film = {"name": "film.png", "mimeType": "image/png", "buffer": phantom.png(size=256)}
        page.locator('input[type="file"]').first.set_input_files(film)
        page.locator(".viewer canvas").first.wait_for()
        settled(page)
        revealed(page)
        page.locator(".viewer .finding").first.click()
        for folded in ("Your word on the findings", "What the model saw", "Thresholds and where they come"):
            page.get_by_text(folded).first.click()
            settled(page)
        page.wait_for_timeout(3000)
        assert serious(page) == []


def test_the_table_of_many_films_has_none(address: str, browser: "object") -> None:
    with session(browser, 1440) as page:
        visit(page, address, "Analyse")
        films = [
            {"name": f"film{k}.png", "mimeType": "image/png", "buffer": phantom.png(size=96, seed=k)}
            for k in range(2)
        ]
        page.locator('input[type="file"]').first.set_input_files(films)
        page.get_by_role("button", name="Read all 2 films").click()
        page.get_by_role("button", name="All findings (CSV)").wait_for()
        settled(page)
        assert serious(page) == []
