"""A clinician's way through Analyse in a real browser: a DICOM, its exports, what is rejected, French."""

import io
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pydicom
import pytest
from browsing import CHROMIUM, revealed, session, settled, too_wide
from PIL import Image, ImageDraw
from reports import film_dicom

from chexmodel import phantom
from chexmodel.labels import OBSERVATIONS

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
pypdf = pytest.importorskip("pypdf", reason="pypdf is not installed")

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine"),
]


ON_PRIMARY = ("rgb(255, 255, 255)", "rgb(6, 18, 26)")
BOTH = """() => {
  window.both = 0;
  const look = () => {
    const text = document.body.innerText;
    window.both += text.includes("Open other films") && text.includes("Nothing to read yet");
  };
  new MutationObserver(look).observe(document.body, {subtree: true, childList: true, characterData: true});
}"""


@pytest.fixture(params=[1440, 420])
def page(request: pytest.FixtureRequest, browser: "playwright.Browser") -> Iterator["playwright.Page"]:
    with session(browser, request.param) as opened:
        yield opened


def letter() -> bytes:
    """A page of text, as a picture."""
    drawn = Image.new("L", (800, 1000), 255)
    pen = ImageDraw.Draw(drawn)
    for line in range(28):
        pen.text((60, 60 + 32 * line), "Dear colleague, thank you for referring this patient. " * 2, fill=0)
    buffer = io.BytesIO()
    drawn.save(buffer, "PNG")
    return buffer.getvalue()


def open_film(page: "playwright.Page", address: str, data: bytes, name: str) -> None:
    page.goto(address)
    settled(page)
    file = {"name": name, "mimeType": "application/octet-stream", "buffer": data}
    page.locator('input[type="file"]').first.set_input_files(file)
    page.locator(".viewer canvas").first.wait_for()
    settled(page)


def saved(page: "playwright.Page", button: str) -> bytes:
    """What a download button gives."""
    with page.expect_download() as download:
        page.get_by_role("button", name=button, exact=True).click()
    return Path(download.value.path()).read_bytes()


def text_of(data: bytes) -> str:
    reader = pypdf.PdfReader(io.BytesIO(data))
    return " ".join(" ".join(page.extract_text() for page in reader.pages).split())


def test_the_words_of_the_start_are_gone_while_a_film_is_read(address: str, page: "playwright.Page") -> None:
    page.goto(address)
    settled(page)
    page.evaluate(BOTH)
    file = {"name": "film.png", "mimeType": "image/png", "buffer": phantom.png(size=1500)}
    page.locator('input[type="file"]').first.set_input_files(file)
    page.locator(".viewer canvas").first.wait_for()
    assert page.evaluate("window.both") == 0


def test_a_dicom_is_read_judged_and_filed(address: str, page: "playwright.Page") -> None:
    source = film_dicom(PatientName="Secret^Name", PatientID="4711")
    open_film(page, address, source, "IM0001")
    revealed(page)
    page.get_by_text("Your word on the findings").click()
    page.get_by_role("radio", name="Reject").first.click()
    settled(page)
    page.get_by_label("Comment on the film").fill("Seen together with the lateral film.")
    page.get_by_label("Comment on the film").press("Control+Enter")
    settled(page)
    report = text_of(saved(page, "Report (PDF)"))
    assert "Seen together with the lateral film." in report
    assert "rejected" in report
    assert "Secret" not in report
    assert "4711" not in report
    data = json.loads(saved(page, "Data (JSON)"))
    assert "Secret" not in json.dumps(data)
    page.get_by_text("Include the file's name").click()
    settled(page)
    uid = pydicom.dcmread(io.BytesIO(source)).StudyInstanceUID
    structured = pydicom.dcmread(io.BytesIO(saved(page, "Structured report (DICOM SR)")))
    capture = pydicom.dcmread(io.BytesIO(saved(page, "Heatmap (Secondary Capture)")))
    assert structured.StudyInstanceUID == capture.StudyInstanceUID == uid
    assert structured.Modality == "SR"
    assert capture.pixel_array.ndim == 3
    assert not too_wide(page), "the page scrolls sideways"


def test_a_png_has_every_other_export(address: str, page: "playwright.Page") -> None:
    open_film(page, address, phantom.png(size=512), "phantom.png")
    revealed(page)
    assert saved(page, "Report (PDF)").startswith(b"%PDF")
    rows = saved(page, "Table (CSV)").decode().splitlines()
    assert len(rows) == 1 + len(OBSERVATIONS)
    with Image.open(io.BytesIO(saved(page, "Heatmap (PNG)"))) as heatmap:
        assert heatmap.size[0] == 512
        assert not heatmap.info.keys() - {"dpi"}
    assert page.get_by_role("button", name="Structured report (DICOM SR)").count() == 0
    assert page.get_by_text("are filed in the study of a DICOM film").count() == 1


def test_what_is_no_film_is_withheld_until_the_reader_insists(address: str, page: "playwright.Page") -> None:
    open_film(page, address, letter(), "letter.png")
    assert page.get_by_text("does not look like").count() >= 1
    off = page.get_by_role("button", name="Show the model's reading")
    assert not off.is_enabled()
    # The colours of text on the primary colour, which a button that is off does not have.
    assert off.evaluate("button => getComputedStyle(button).color") not in ON_PRIMARY
    assert page.locator(".viewer .finding").count() == 0
    revealed(page)
    assert page.get_by_text("Read on your request although").count() == 1
    report = text_of(saved(page, "Report (PDF)"))
    assert "insistence" in report


@pytest.mark.shared
def test_a_film_upside_down_is_corrected_by_a_click(
    address: str, page: "playwright.Page", shared: Path
) -> None:
    film = sorted((shared / "xrays" / "valid").rglob("*.jpg"))[3]
    with Image.open(film) as upright:
        buffer = io.BytesIO()
        Image.fromarray(np.rot90(np.asarray(upright.convert("L")), 2)).save(buffer, "PNG")
    open_film(page, address, buffer.getvalue(), "turned.png")
    page.get_by_role("button", name="Turn it by 180°").click()
    page.get_by_text("Corrected on your request").wait_for()
    settled(page)
    assert page.get_by_role("button", name="Show the model's reading").is_enabled()
    revealed(page)
    page.get_by_role("button", name="Undo the correction").click()
    page.get_by_role("button", name="Turn it by 180°").wait_for()


def test_twenty_films_with_one_broken(address: str, page: "playwright.Page") -> None:
    page.goto(address)
    settled(page)
    films = [
        {
            "name": f"film{k:02}.png",
            "mimeType": "image/png",
            "buffer": phantom.png(size=128, seed=k)[: 1500 if k == 7 else None],
        }
        for k in range(20)
    ]
    page.locator('input[type="file"]').first.set_input_files(films)
    settled(page)
    page.get_by_role("button", name="Read all 20 films").click()
    page.get_by_role("button", name="All findings (CSV)").wait_for(timeout=120_000)
    settled(page)
    rows = saved(page, "All findings (CSV)").decode().splitlines()
    assert len(rows) == 21
    assert sum("can't be decoded" in row for row in rows) == 1
    assert not too_wide(page), "the page scrolls sideways"


def test_a_french_browser_is_spoken_to_in_french(address: str, browser: "playwright.Browser") -> None:
    with session(browser, 1440, locale="fr-FR") as page:
        open_film(page, address, phantom.png(size=256), "cliché.png")
        assert page.locator("html").get_attribute("lang") == "fr"
        asked = page.get_by_role("button", name="Afficher la lecture du modèle")
        if not asked.is_enabled():
            asked = page.get_by_role("button", name="Lire malgré tout")
        asked.click()
        page.locator(".viewer .finding").first.wait_for()
        settled(page)
        listed = page.locator(".viewer").inner_text()
        assert "Épanchement pleural" in listed
        assert "Pleural Effusion" not in listed
        report = text_of(saved(page, "Rapport (PDF)"))
        assert "dispositif médical" in report
        assert "Épanchement pleural" in report
        page.get_by_role("radio", name="English").click()
        page.get_by_role("button", name="Hide the model's reading").wait_for()
        settled(page)
