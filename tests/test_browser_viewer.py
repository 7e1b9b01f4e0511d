"""The viewer in a real browser: hands on films and maps, no rerun, and the pixels that Python paints."""

import base64
import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from browsing import CHROMIUM, ROOT, session, settled, started, too_wide
from PIL import Image
from scipy.ndimage import distance_transform_edt
from viewer_app import current, maps, prior

from chexmodel.explain import paint, signed_palette, strength
from chexmodel.geometry import to_film
from chexmodel.labels import OBSERVATIONS

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe-core is not installed")

FIRST, SECOND, THIRD = OBSERVATIONS[:3]

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine"),
]


@pytest.fixture(scope="module")
def viewing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with started(tmp_path_factory.mktemp("runs"), ROOT / "tests" / "viewer_app.py") as url:
        yield url


@pytest.fixture
def page(browser: "playwright.Browser", viewing: str) -> Iterator["playwright.Page"]:
    with session(browser, 1440) as opened:
        yield shown(opened, viewing)


def shown(page: "playwright.Page", address: str) -> "playwright.Page":
    page.goto(address)
    page.locator(".viewer canvas").first.wait_for()
    settled(page)
    return page


def pixels(page: "playwright.Page", which: int = 0) -> np.ndarray:
    """(H, W, 4) RGBA of one of the visible canvases."""
    page.wait_for_timeout(150)  # a frame or two
    canvas = page.locator(".stage figure:not([hidden]) canvas").nth(which)
    encoded = canvas.evaluate("canvas => canvas.toDataURL('image/png')").partition(",")[2]
    with Image.open(io.BytesIO(base64.b64decode(encoded))) as picture:
        return np.asarray(picture.convert("RGBA"))


def film_part(picture: np.ndarray) -> tuple[slice, slice]:
    """Where on the canvas the film is: it is opaque."""
    rows, columns = np.flatnonzero(picture[..., 3].any(1)), np.flatnonzero(picture[..., 3].any(0))
    return slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)


def grey(page: "playwright.Page", which: int = 0) -> np.ndarray:
    picture = pixels(page, which)
    return picture[film_part(picture)][..., 0].astype(int)


def at_its_own_size(
    page: "playwright.Page", which: int, expected: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Show the film at 1:1 and find there what is expected of it.

    Returns what the canvas shows, (h, w, 3), and the part of `expected` (H, W, …) that should be there. The
    film's centre lies on the canvas's, to a pixel: a half may be rounded either way.
    """
    page.get_by_role("button", name="One film pixel on one screen pixel").click()
    seen = pixels(page, which)[..., :3].astype(int)
    inner = seen[2:-2, 2:-2]
    found = []
    for dy, dx in np.ndindex(3, 3):
        top, left = (
            (size - room) // 2 + 1 + by
            for size, room, by in zip(expected.shape, seen.shape[:2], (dy, dx), strict=False)
        )
        top, first = max(0, top), max(0, -top)
        left, start = max(0, left), max(0, -left)
        part = expected[top : top + inner.shape[0], left : left + inner.shape[1]]
        shown = inner[first : first + part.shape[0], start : start + part.shape[1]]
        part = part[: shown.shape[0], : shown.shape[1]]
        grey = part if part.ndim == 2 else part[..., 0]
        found.append((np.abs(shown[..., 0] - grey).mean(), dy, dx, shown, part))
    return min(found, key=lambda one: one[:3])[3:]


def pressed(page: "playwright.Page") -> list[str]:
    """Findings whose map is on."""
    rows = page.locator('.finding[aria-pressed="true"] .name').all_inner_texts()
    return [row.partition("score for ")[2].partition(":")[0] for row in rows]


def slider(page: "playwright.Page", name: str) -> "playwright.Locator":
    return page.get_by_role("slider", name=name)


def runs(page: "playwright.Page") -> str:
    return page.get_by_text("runs:").inner_text()


def test_the_film_comes_first_fitted_and_alone(page: "playwright.Page") -> None:
    assert page.locator(".stage figure:not([hidden])").count() == 1
    assert pressed(page) == []
    picture = pixels(page)
    rows, columns = film_part(picture)
    high, wide = rows.stop - rows.start, columns.stop - columns.start
    assert wide / high == pytest.approx(1200 / 960, rel=0.01)
    assert high >= picture.shape[0] - 1 or wide >= picture.shape[1] - 1
    assert (
        np.ptp(picture[rows, columns, :3].astype(int), axis=2).max() == 0
    )  # no colour before one is asked for


@pytest.mark.parametrize("which", [0, 1], ids=["deep", "8-bit"])
def test_grey_values_are_the_films_own(page: "playwright.Page", which: int) -> None:
    page.get_by_text("Prior", exact=True).click()
    settled(page)
    film = current() if which == 0 else prior() / 255
    # 1:1 is the first film's; the second is then close to it, and compared where it is fitted.
    if which == 0:
        seen, expected = at_its_own_size(page, 0, 255 * film)
        assert seen.shape[0] > 400
        assert np.abs(seen[..., 0] - expected).max() <= 0.51
        return
    seen = grey(page, 1)
    rows = ((np.arange(seen.shape[0]) + 0.5) * film.shape[0] / seen.shape[0]).astype(int)
    columns = ((np.arange(seen.shape[1]) + 0.5) * film.shape[1] / seen.shape[1]).astype(int)
    assert np.abs(seen - 255 * film[rows][:, columns]).mean() < 4


@pytest.mark.parametrize("view", ["Heat", "For and against"])
def test_a_map_is_painted_as_python_does(page: "playwright.Page", view: str) -> None:
    page.get_by_role("button", name=f"score for {SECOND}").click()
    page.get_by_role("button", name=view).click()
    film, grids = current(), maps(0)
    heat = to_film(torch.from_numpy(grids[SECOND]), film.shape).numpy()
    scale = strength(np.stack(list(grids.values())))
    if view == "Heat":
        expected = paint(film, heat / scale, alpha=0.55).astype(float)
    else:
        share = np.clip(heat / max(np.abs(grid).max() for grid in grids.values()), -1, 1)
        colour = signed_palette()[np.rint((share + 1) / 2 * 255).astype(int)]
        expected = 255 * (film[..., None] + (colour - film[..., None]) * (0.55 * np.abs(share))[..., None])
    seen, expected = at_its_own_size(page, 1, expected)
    assert np.abs(seen - expected).max() <= 2
    assert np.ptp(seen, axis=2).max() > 20  # there is colour
    assert np.ptp(pixels(page, 0)[..., :3].astype(int), axis=2).max() == 0  # and none on the film beside it


def test_contours_lie_where_the_map_crosses_its_levels(page: "playwright.Page") -> None:
    page.get_by_role("button", name=f"score for {SECOND}").click()
    page.get_by_role("button", name="Contours").click()
    film, grids = current(), maps(0)
    heat = to_film(torch.from_numpy(grids[SECOND]), film.shape).numpy()
    share = heat / strength(np.stack(list(grids.values())))
    seen, expected = at_its_own_size(page, 1, np.dstack([255 * film, share]))
    share = expected[..., 1]
    lined = np.ptp(seen, axis=2) > 40
    assert lined.any()
    crossed = np.zeros(share.shape, bool)
    for value in (0.25, 0.5, 0.75):
        above = share > value
        crossed[:-1] |= above[:-1] != above[1:]
        crossed[:, :-1] |= above[:, :-1] != above[:, 1:]
    # Lines are at most 4.5 px wide with their rim; the tip of a narrow wedge is lost to pixels or tracing.
    for one, other in ((lined, crossed), (crossed, lined)):
        assert (distance_transform_edt(~other)[one] < 4).mean() > 0.98
    assert "25 %" in page.locator(".legends").inner_text()


def test_wheel_zooms_at_the_pointer_and_dragging_moves(page: "playwright.Page") -> None:
    canvas = page.locator(".stage canvas").first
    box = canvas.bounding_box()
    x, y = box["x"] + 0.5 * box["width"] + 120, box["y"] + 0.5 * box["height"] - 60
    before = pixels(page)
    spot = (
        slice(int(y - box["y"]) - 2, int(y - box["y"]) + 3),
        slice(int(x - box["x"]) - 2, int(x - box["x"]) + 3),
    )
    page.mouse.move(x, y)
    page.mouse.wheel(0, -600)
    zoomed = pixels(page)
    assert page.locator(".zoomed").inner_text() == "246 %"
    assert abs(int(zoomed[spot][..., 0].mean()) - int(before[spot][..., 0].mean())) < 8
    assert np.abs(zoomed.astype(int) - before).mean() > 5
    page.mouse.down()
    page.mouse.move(x - 90, y + 40, steps=4)
    page.mouse.up()
    moved = pixels(page).astype(int)
    assert np.abs(moved[100:400, 100:500] - np.roll(zoomed, (40, -90), (0, 1))[100:400, 100:500]).mean() < 0.5
    page.mouse.wheel(0, 3000)
    assert page.locator(".zoomed").inner_text() == "100 %"
    np.testing.assert_array_equal(pixels(page), before)


def test_window_inversion_and_reset(page: "playwright.Page") -> None:
    before = grey(page)
    page.get_by_role("button", name="Invert").click()
    assert np.abs(255 - before - grey(page)).max() <= 1
    page.get_by_role("button", name="Invert").click()
    slider(page, "Width").fill("20")
    slider(page, "Level").fill("40")
    assert page.locator("output[for=width]").inner_text() == "20 %"
    film = current()
    seen, expected = at_its_own_size(page, 0, 255 * np.clip((film - 0.3) / 0.2, 0, 1))
    assert np.abs(seen[..., 0] - expected).max() <= 1
    page.get_by_role("button", name="Reset").click()
    np.testing.assert_array_equal(grey(page), before)
    canvas = page.locator(".stage canvas").first
    canvas.hover()
    page.mouse.down(button="right")
    box = canvas.bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2 - 100, box["y"] + box["height"] / 2 - 50, steps=3)
    page.mouse.up(button="right")
    assert int(slider(page, "Width").input_value()) < 95
    assert int(slider(page, "Level").input_value()) < 49
    assert grey(page).mean() > before.mean() + 5  # upwards is brighter


def test_everything_by_keyboard_and_nothing_reruns(page: "playwright.Page") -> None:
    assert runs(page) == "runs: 1"
    page.keyboard.press("n")
    assert pressed(page) == []  # the focus is elsewhere: the keys are not the viewer's
    page.locator(".stage").focus()
    fitted = pixels(page)
    for key, names in (("n", [FIRST]), ("n", [SECOND]), ("p", [FIRST]), ("m", []), ("m", [FIRST])):
        page.keyboard.press(key)
        assert pressed(page) == names
    announced = page.locator(".viewer [aria-live]").inner_text()
    assert announced.startswith(f"score for {FIRST}: 0.95, at or above threshold 0.75.")
    page.keyboard.press("v")
    assert page.get_by_role("button", name="Contours").get_attribute("aria-pressed") == "true"
    page.keyboard.press("<")
    assert slider(page, "Opacity").input_value() == "50"
    page.keyboard.press("m")
    for key in ("+", "+", "ArrowRight", "]", "{", "i"):
        page.keyboard.press(key)
    assert page.locator(".zoomed").inner_text() == "156 %"
    assert slider(page, "Level").input_value() == "52"
    assert slider(page, "Width").input_value() == "98"
    assert page.get_by_role("button", name="Invert").get_attribute("aria-pressed") == "true"
    page.keyboard.press("r")
    np.testing.assert_array_equal(pixels(page), fitted)
    settled(page)
    assert runs(page) == "runs: 1"  # streamlit's own "r" did not hear it
    for _ in range(5):
        page.keyboard.press("n")
    folded = page.locator(".findings details")
    assert folded.get_attribute("open") is not None  # the keys reach what is folded
    row = page.locator(".finding").nth(1)
    row.focus()
    page.keyboard.press("Enter")
    assert pressed(page) == [SECOND]
    page.keyboard.press("Enter")
    assert pressed(page) == []


def test_brackets_of_keyboards_that_type_them_with_altgr(page: "playwright.Page") -> None:
    page.locator(".stage").focus()
    press = """(node, options) => node.dispatchEvent(
        new KeyboardEvent("keydown", {bubbles: true, composed: true, cancelable: true, ...options}))"""
    for options in ({"key": "]", "altKey": True, "ctrlKey": True}, {"key": "]", "altKey": True}):
        page.locator(".stage").evaluate(press, options)
    assert slider(page, "Level").input_value() == "54"
    for options in (
        {"key": "]", "metaKey": True},
        {"key": "i", "altKey": True},
        {"key": "r", "ctrlKey": True},
    ):
        page.locator(".stage").evaluate(press, options)
    assert slider(page, "Level").input_value() == "54"
    assert page.get_by_role("button", name="Invert").get_attribute("aria-pressed") == "false"


def test_a_rerun_leaves_what_the_reader_set(page: "playwright.Page") -> None:
    page.get_by_role("button", name=f"score for {THIRD}").click()
    page.locator(".stage").focus()
    for key in ("+", "+", "ArrowLeft", "i"):
        page.keyboard.press(key)
    before = [pixels(page, k) for k in range(2)]
    page.get_by_role("button", name="Rerun").click()
    settled(page)
    assert runs(page) == "runs: 2"
    for k in range(2):
        np.testing.assert_array_equal(pixels(page, k), before[k])
    page.get_by_text("Read", exact=True).click()  # the film alone, before its reading is asked for
    settled(page)
    assert page.locator(".finding").count() == 0
    assert page.locator(".zoomed").inner_text() == "156 %"
    page.get_by_text("Read", exact=True).click()
    settled(page)
    assert page.locator(".zoomed").inner_text() == "156 %"
    assert pressed(page) == []


def test_two_films_move_together(page: "playwright.Page") -> None:
    page.get_by_text("Prior", exact=True).click()
    settled(page)
    page.get_by_role("button", name=f"score for {FIRST}").click()
    titles = page.locator(".stage figure:not([hidden]) figcaption").all_inner_texts()
    assert titles == ["Film", f"Film · {FIRST}", "Prior film", f"Prior film · {FIRST}"]
    before = [pixels(page, k).astype(int) for k in range(4)]
    page.locator(".stage canvas").nth(2).hover()
    page.mouse.wheel(0, -400)
    after = [pixels(page, k).astype(int) for k in range(4)]
    assert all(np.abs(a - b).mean() > 3 for a, b in zip(after, before, strict=True))
    assert f"Prior film: score for {FIRST}: 0.95" in page.locator(".finding").first.inner_text()


class Fingers:
    """Fingers on the screen: each call says where they are now; none lifts them."""

    def __init__(self, page: "playwright.Page") -> None:
        self.client, self.down = page.context.new_cdp_session(page), False

    def __call__(self, *points: tuple[float, float]) -> None:
        kind = "touchEnd" if not points else "touchMove" if self.down else "touchStart"
        self.down = bool(points)
        places = [{"x": x, "y": y, "id": k} for k, (x, y) in enumerate(points)]
        self.client.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": places})


def test_fingers_on_a_phone(browser: "playwright.Browser", viewing: str, pictures: Path) -> None:
    context = browser.new_context(viewport={"width": 420, "height": 900}, has_touch=True, is_mobile=True)
    page = shown(context.new_page(), viewing)
    assert not too_wide(page)
    canvas = page.locator(".stage canvas").first
    assert canvas.evaluate("canvas => canvas.style.touchAction") == "pan-x pan-y"  # the page scrolls
    canvas.scroll_into_view_if_needed()
    box = canvas.bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    fingers = Fingers(page)
    for apart in (40, 50, 70, 90, 100):
        fingers((x - apart, y), (x + apart, y))
    fingers()
    assert page.locator(".zoomed").inner_text() == "250 %"
    assert canvas.evaluate("canvas => canvas.style.touchAction") == "none"  # one finger moves the film now
    zoomed = pixels(page).astype(int)
    for step in (0, 10, 30, 60):
        fingers((x + step, y))
    fingers()
    assert np.abs(pixels(page) - zoomed).mean() > 2
    page.get_by_role("button", name="Fit").click()
    page.get_by_role("button", name=f"score for {FIRST}").click()
    figures = page.locator(".stage figure:not([hidden])")
    boxes = [figures.nth(k).bounding_box() for k in range(2)]
    assert boxes[1]["y"] >= boxes[0]["y"] + boxes[0]["height"]  # one below the other
    assert 0 <= boxes[1]["y"] <= 900 - boxes[1]["height"]  # and the map in sight, though the list is not
    assert not too_wide(page)
    page.screenshot(path=str(pictures / "viewer-phone.png"))
    context.close()


@pytest.mark.parametrize(("width", "scheme"), [(1440, "light"), (1440, "dark"), (420, "dark")])
def test_axe_finds_nothing(
    browser: "playwright.Browser", viewing: str, pictures: Path, width: int, scheme: str
) -> None:
    with session(browser, width, scheme) as opened:
        page = shown(opened, viewing)
        page.get_by_text("Prior", exact=True).click()
        settled(page)
        page.locator("summary").first.click()
        page.get_by_role("button", name=f"score for {FIRST}").click()
        page.locator(".help summary").click()
        found = axe.Axe().run(page, context={"include": [[".stBidiComponent"]]}, options={})
        assert len(found.response["passes"]) > 10
        faults = {
            rule["id"]: [node["html"] for node in rule["nodes"]] for rule in found.response["violations"]
        }
        assert faults == {}
        page.screenshot(path=str(pictures / f"viewer-{width}-{scheme}.png"))
        label = page.locator(".stage canvas").nth(1).get_attribute("aria-label")
        assert label == (
            f"Film with the map of {FIRST}. score for {FIRST}: 0.95, at or above threshold 0.75. Strongest "
            "evidence: middle third of the picture, viewer's left."
        )
