"""The viewer with a film of 3000 px: `pytest tests/benchmarks/test_viewer_speed.py -m benchmark -s`.

Milliseconds of script per drawn frame, and between frames while the reader's hand moves: 16.7 is a screen of
60 Hz. Chromium has no graphics card here; nothing fails for being slow.
"""

from collections.abc import Iterator

import numpy as np
import pytest
from browsing import CHROMIUM, ROOT, session, settled, started
from timing import measured
from viewer_app import current, maps

from chexmodel.payload import Sheet, pack

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
SIDE = 3000

pytestmark = [
    pytest.mark.benchmark,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine"),
]

FRAMES = """async (act) => {
    const find = (node) => node.querySelector?.(".viewer") ?? [...node.querySelectorAll("*")]
        .map((inner) => inner.shadowRoot?.querySelector(".viewer")).find(Boolean);
    const viewer = find(document);
    const [level] = viewer.querySelectorAll("#level");
    const canvas = viewer.querySelector("canvas");
    const box = canvas.getBoundingClientRect();
    const place = { clientX: box.left + box.width / 2, clientY: box.top + box.height / 2, bubbles: true };
    const hands = {
        window: (k) => { level.value = 30 + (k % 40); level.dispatchEvent(new Event("input")); },
        zoom: (k) => canvas.dispatchEvent(
            new WheelEvent("wheel", { ...place, deltaY: k % 40 < 20 ? -60 : 60, cancelable: true })),
        pan: (k) => viewer.dispatchEvent(
            new KeyboardEvent("keydown", { key: ["ArrowRight", "ArrowLeft"][k % 2], cancelable: true })),
    };
    const script = [], between = [];
    let last = null;
    for (let k = 0; k < 80; k++) {
        await new Promise((done) => {
            let begun;
            requestAnimationFrame((now) => {
                begun = performance.now();
                if (last !== null) between.push(now - last);
                last = now;
            });
            hands[act](k);
            requestAnimationFrame(() => { script.push(performance.now() - begun); done(); });
        });
    }
    return [script, between];
}"""


@pytest.fixture(scope="module")
def page(
    browser: "playwright.Browser", tmp_path_factory: pytest.TempPathFactory
) -> Iterator["playwright.Page"]:
    script = ROOT / "tests" / "viewer_app.py"
    with started(tmp_path_factory.mktemp("runs"), script) as url, session(browser, 1440) as opened:
        opened.goto(f"{url}?side={SIDE}")
        opened.locator(".viewer canvas").first.wait_for()
        settled(opened)
        yield opened


def test_packing() -> None:
    film = current(SIDE)
    seconds, data = measured(lambda: pack([Sheet(film, maps(0), {})], {}), rounds=5)
    print(f"\n{film.shape[1]} × {film.shape[0]}, 16 bits: {len(data) / 1e6:.1f} MB packed in {seconds:.2f} s")


def test_frames(page: "playwright.Page") -> None:
    print()
    for what, keys in (("film alone", ""), ("film and heat", "m"), ("film and contours", "v")):
        page.locator(".stage").focus()
        page.keyboard.press("f")
        if keys:
            page.keyboard.press(keys)
        for act in ("window", "zoom", "pan"):
            if act == "pan":
                page.get_by_role("button", name="One film pixel on one screen pixel").click()
            script, between = (np.array(times) for times in page.evaluate(FRAMES, act))
            print(
                f"{what}, {act}: script {np.median(script):.1f} ms (95 %: {np.quantile(script, 0.95):.1f}), "
                f"between frames {np.median(between):.1f} ms (95 %: {np.quantile(between, 0.95):.1f})"
            )
    assert len(script) == len(between) + 1
