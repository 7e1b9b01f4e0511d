"""Evaluation and Dataset in a real browser: sections, downloads, keyboard, policies, an upload's audit."""

from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

import pandas as pd
import pytest
from browsing import CHROMIUM, ROOT, chosen, session, settled, too_wide, visit
from chexpert_rows import film, row, write
from PIL import Image

from chexmodel import bundle

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
SECTIONS = ("Curves and threshold", "Calibration", "Subgroups", "Localisation", "Two models", "Reference")

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine"),
]


@pytest.fixture
def desktop(browser: "playwright.Browser") -> Iterator["playwright.Page"]:
    with session(browser, 1440) as opened:
        yield opened


@pytest.fixture
def phone(browser: "playwright.Browser") -> Iterator["playwright.Page"]:
    with session(browser, 420, "dark") as opened:
        yield opened


def metric(page: "playwright.Page", label: str) -> str:
    """The value that is shown."""
    shown = page.locator('[data-testid="stMetric"]:visible').filter(has_text=label).first
    value: str = shown.locator('[data-testid="stMetricValue"]').inner_text()
    return value.strip()


def csv_buttons(page: "playwright.Page") -> "playwright.Locator":
    """Those below the tables; a table's own toolbar has another, which saves the text of the cells."""
    return page.locator('[data-testid="stDownloadButton"] button:visible').filter(has_text="CSV")


def test_every_section_of_the_evaluation_fits_a_phone(address: str, phone: "playwright.Page") -> None:
    visit(phone, address, "Evaluation")
    assert not too_wide(phone)
    for name in SECTIONS:
        chosen(phone, name)
        assert not too_wide(phone), f"{name} scrolls sideways"
        assert phone.locator('[data-testid="stAlertContentError"]').count() == 0, name


def test_a_chart_is_saved_as_svg_and_as_png(address: str, desktop: "playwright.Page") -> None:
    visit(desktop, address, "Evaluation")
    for kind in ("svg", "png"):
        chosen(desktop, kind.upper())
        plot = desktop.locator(".js-plotly-plot").first
        plot.hover()
        with desktop.expect_download() as download:
            plot.locator(".modebar-btn").first.click()
        assert download.value.suggested_filename == f"demo-test-auroc.{kind}"
        saved = Path(download.value.path())
        if kind == "svg":
            words = " ".join(ElementTree.parse(saved).getroot().itertext())
            assert "AUROC" in words
            assert "best constant answer" in words
        else:
            with Image.open(saved) as picture:
                assert picture.format == "PNG"
                assert picture.width > 2000  # three times what the page shows


def test_a_table_is_saved_with_the_numbers_of_the_file(address: str, desktop: "playwright.Page") -> None:
    visit(desktop, address, "Evaluation")
    with desktop.expect_download() as download:
        csv_buttons(desktop).first.click()
    saved = pd.read_csv(download.value.path())
    known = bundle.load(ROOT / "assets" / "models" / "demo").metrics().splits["test"].frame()
    numbers = known.select_dtypes("number").columns
    assert saved["observation"].tolist() == known["observation"].tolist()
    pd.testing.assert_frame_equal(
        saved[numbers].astype(float), known[numbers].astype(float), rtol=1e-12, atol=0
    )


def test_the_threshold_moves_by_keyboard(address: str, desktop: "playwright.Page") -> None:
    visit(desktop, address, "Evaluation")
    chosen(desktop, "Curves and threshold")
    assert float(metric(desktop, "Sensitivity")) > 0.5
    desktop.get_by_role("slider", name="Threshold").first.focus()
    desktop.keyboard.press("End")  # only a probability of 1 is still called
    settled(desktop)
    assert metric(desktop, "Sensitivity") == "0.00"
    assert metric(desktop, "Specificity") == "1.00"


def test_the_policies_react_at_once(address: str, desktop: "playwright.Page", pictures: Path) -> None:
    visit(desktop, address, "Dataset")
    desktop.get_by_role("tab", name="Policies").click()
    settled(desktop)
    assert "0.262 over 14" in metric(desktop, "Macro F1 of a constant")
    desktop.set_viewport_size({"width": 1440, "height": 1150})
    settled(desktop)
    desktop.screenshot(path=str(pictures / "dataset-policies.png"))
    chosen(desktop, "ignore: masked")
    assert "0.816 over 14" in metric(desktop, "Macro F1 of a constant")
    assert desktop.get_by_text("No negative is left for No Finding").first.is_visible()


def test_an_upload_shows_its_audit(address: str, desktop: "playwright.Page", tmp_path: Path) -> None:
    rows = [row(film(1), Edema="1", Lung_Opacity="0"), row(film(2), Edema="1", Lung_Opacity="1", Sex="")]
    own = write(tmp_path / "mine.csv", rows)
    visit(desktop, address, "Dataset")
    chosen(desktop, "A CSV of mine")
    desktop.set_input_files('input[type="file"]', str(own))
    desktop.get_by_role("tab", name="Audit").click()
    settled(desktop)
    said = desktop.get_by_text("2 rows of mine.csv").first.inner_text()
    assert "Errors: 0, warnings: 1, notes: 1" in said
    with desktop.expect_download() as download:
        csv_buttons(desktop).last.click()
    found = pd.read_csv(download.value.path())
    assert found["kind"].tolist() == ["finding whose parent is negative", "sex not stated"]
    assert found["Path"].tolist() == [film(1), film(2)]
