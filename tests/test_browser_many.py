"""The page of many films in a real browser: read, cancel, go on, sort, open, take along."""

import io
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from browsing import CHROMIUM, session, settled, started, too_wide
from dicom_files import dicom
from PIL import Image

from chexmodel import phantom
from chexmodel.predictor import Predictor

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
APP = Path(__file__).resolve().parent / "many_app.py"
FILMS = 20
BROKEN = "film07.png"

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine"),
]


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twenty films, one of them a DICOM without extension and one broken."""
    folder = tmp_path_factory.mktemp("films")
    for k in range(FILMS - 1):
        data = phantom.png(size=256, seed=k)
        name = f"film{k:02}.png"
        (folder / name).write_bytes(data[:2000] if name == BROKEN else data)
    (folder / "IM000001").write_bytes(dicom(phantom.draw(size=256, seed=99) >> 4, ViewPosition="PA"))
    return folder


@pytest.fixture(scope="module")
def many_address(films: Path, tiny_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Start the small app with a model that takes 0.4 s a film."""
    environment = {
        "CHEXMODEL_TEST_FILMS": str(films),
        "CHEXMODEL_TEST_BUNDLE": str(tiny_bundle),
        "CHEXMODEL_TEST_SLOWNESS": "0.4",
    }
    with started(tmp_path_factory.mktemp("runs"), APP, **environment) as url:
        yield url


def button(page: "playwright.Page", name: str) -> "playwright.Locator":
    return page.get_by_role("button", name=name)


def reached(page: "playwright.Page", least: int) -> None:
    """Wait until so many films are read, or more: one number alone may be gone between two looks."""
    numbers = "|".join(str(n) for n in range(least, FILMS))
    page.get_by_text(re.compile(rf"\b({numbers}) of {FILMS} films")).wait_for()


def downloaded(page: "playwright.Page", name: str) -> bytes:
    with page.expect_download() as download:
        button(page, name).click()
    return Path(download.value.path()).read_bytes()


def statuses(page: "playwright.Page") -> list[str]:
    return pd.read_csv(io.BytesIO(downloaded(page, "All findings (CSV)")))["status"].tolist()


def asked(page: "playwright.Page") -> int:
    """How many readings the server has begun, for whomever."""
    settled(page)
    told = page.get_by_text("Readings of this server:").inner_text()
    return int(told.strip(".").rpartition(" ")[2])


def test_a_browser_that_is_closed_in_the_middle_has_no_more_films_read(
    many_address: str, browser: "playwright.Browser"
) -> None:
    with session(browser, 1440) as page:
        page.goto(many_address)
        button(page, f"Read all {FILMS} films").click()
        reached(page, 3)
    with session(browser, 1440) as page:
        page.goto(many_address)
        before = asked(page)
        assert 3 <= before < FILMS
        page.wait_for_timeout(2000)  # time for five films
        page.reload()
        assert asked(page) == before
        button(page, f"Read all {FILMS} films").click()  # and the line is free
        reached(page, 1)
        button(page, "Cancel (keeps what is read)").click()
        button(page, "Read the remaining").wait_for()


def test_twenty_films_are_read_cancelled_resumed_opened_and_taken_along(
    many_address: str, browser: "playwright.Browser", pictures: Path, tiny_bundle: Path, films: Path
) -> None:
    with session(browser, 1440) as page:
        page.goto(many_address)
        button(page, "Read all 20 films").wait_for()
        settled(page)
        button(page, "Read all 20 films").click()
        page.get_by_text("of 20 films, about").wait_for()
        reached(page, 5)
        button(page, "Cancel (keeps what is read)").click()
        button(page, "Read the remaining").wait_for()
        settled(page)
        half = statuses(page)
        assert 5 <= len(half) < FILMS
        assert button(page, f"Read the remaining {FILMS - len(half)} films").is_visible()

        button(page, "Read the remaining").click()
        page.get_by_text("All 20 films are done.").wait_for()
        settled(page)
        table = pd.read_csv(io.BytesIO(downloaded(page, "All findings (CSV)")))
        assert table["file"].tolist() == sorted(path.name for path in films.iterdir())
        assert table.set_index("file")["status"].to_dict() == {
            path.name: "not read" if path.name == BROKEN else "read" for path in films.iterdir()
        }
        whole = Predictor.from_bundle(tiny_bundle).predict(films / "film03.png").frame()
        row = table.set_index("file").loc["film03.png"]
        scores = [row[f"probability {name}"] for name in whole["observation"]]
        np.testing.assert_allclose(scores, whole["probability"])
        page.screenshot(path=str(pictures / "many.png"))

        page.get_by_role("combobox", name="Film to open").click()
        page.get_by_role("option", name="film11.png").click()
        settled(page)
        button(page, "Open this film").click()
        page.get_by_text("opened: film11.png").wait_for()

        page.get_by_role("combobox", name="Observation of the overlays").click()
        page.get_by_role("option", name="Edema").click()
        settled(page)
        button(page, "Make the overlays").click()
        button(page, "Overlays (ZIP)").wait_for()
        settled(page)
        archive = zipfile.ZipFile(io.BytesIO(downloaded(page, "Overlays (ZIP)")))
        assert len(archive.namelist()) == FILMS - 1
        assert archive.testzip() is None
        assert Image.open(archive.open("004-film02-edema.png")).size == (256, 256)


def test_a_row_of_the_sorted_table_opens_its_own_film(
    many_address: str, browser: "playwright.Browser"
) -> None:
    with session(browser, 1440) as page:
        page.goto(many_address)
        button(page, "Read all 20 films").wait_for()
        settled(page)
        grid = page.locator('[data-testid="stDataFrame"] canvas').first
        box = grid.bounding_box()
        page.mouse.click(box["x"] + 150, box["y"] + 18)  # the heading "File": ascending, then descending
        page.wait_for_timeout(500)
        page.mouse.click(box["x"] + 150, box["y"] + 18)
        page.wait_for_timeout(500)
        page.mouse.click(box["x"] + 16, box["y"] + 36 + 64 + 32)  # the box of the second row
        page.get_by_text("opened:").wait_for()
        assert page.get_by_text("opened:").inner_text() == "opened: film18.png"
        settled(page)
        page.mouse.click(box["x"] + 150, box["y"] + 36 + 3 * 64 + 32)  # a cell, then the keyboard alone
        page.wait_for_timeout(300)
        page.keyboard.press("ArrowDown")
        page.keyboard.press("Shift+Space")
        page.get_by_text("opened: film15.png").wait_for()


def test_other_clicks_do_not_stop_the_reading(many_address: str, browser: "playwright.Browser") -> None:
    with session(browser, 420, "dark") as page:
        page.goto(many_address)
        button(page, "Read all 20 films").wait_for()
        settled(page)
        assert not too_wide(page)
        button(page, "Read all 20 films").click()
        reached(page, 2)
        page.get_by_role("combobox", name="Score in the table").click()
        page.get_by_role("option", name="Fracture").click()
        page.get_by_text("All 20 films are done.").wait_for()
        settled(page)
        assert len(statuses(page)) == FILMS
