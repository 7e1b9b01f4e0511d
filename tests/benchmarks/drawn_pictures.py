"""Pictures drawn by the program that are no chest films: print, patterns, and pages for a browser."""

import textwrap
from pathlib import Path
from typing import Final

import numpy as np
from PIL import Image, ImageDraw, ImageFont

ROOT: Final = Path(__file__).resolve().parents[2]


def web_page(number: int) -> str:
    """A page with a table, a form, a chart or paragraphs, by turns, for light and dark browsers."""
    rng = np.random.default_rng(number)
    words = _words()
    bars = "".join(
        f'<rect x="{20 * k}" y="{200 - h}" width="16" height="{h}" fill="hsl({30 * number},70%,50%)"/>'
        for k, h in enumerate(rng.integers(10, 200, 30))
    )
    rows = "".join(
        "<tr>" + "".join(f"<td>{value:.3f}</td>" for value in rng.normal(size=7)) + "</tr>" for _ in range(24)
    )
    field = '<p><label>{}<br><input value="{}"></label> <button>Save</button></p>'
    fields = "".join(field.format(words[rng.integers(len(words))], k) for k in range(9))
    text = "".join(f"<p>{' '.join(rng.permutation(words)[:90])}</p>" for _ in range(8))
    bodies = (f"<table border=1>{rows}</table>", fields, f'<svg width="640" height="220">{bars}</svg>', text)
    return (
        f'<meta name="color-scheme" content="light dark"><body style="font:15px sans-serif;margin:40px">'
        f"<h1>{' '.join(words[number : number + 3])}</h1>{bodies[number % 4]}{bodies[(number + 1) % 4]}"
    )


def _words() -> list[str]:
    return (ROOT / "LICENSE").read_text(encoding="utf-8").split()


def text(folder: Path) -> str:
    """Pages of print: black on white, white on black, grey; several sizes of type, upright and turned."""
    rng = np.random.default_rng(1)
    words = _words()
    for number in range(40):
        ink, paper = ((0, 255), (255, 0), (60, 200), (30, 240))[number % 4]
        size = int(rng.integers(14, 44))
        lines = textwrap.wrap(" ".join(rng.permutation(words)), width=int(1100 / size))
        page = Image.new("L", ((850, 1100), (1100, 850))[number % 3 == 0], paper)
        font = ImageFont.load_default(size)
        ImageDraw.Draw(page).multiline_text((60, 60), "\n".join(lines[: 960 // size]), fill=ink, font=font)
        page.rotate(90 * (number % 5 == 0), expand=True).save(folder / f"{number:02d}.png")
    return "pages of print drawn with Pillow from this project's LICENSE"


def drawn(folder: Path) -> str:
    """Noise of several grains, gradients, flat grey, stripes, boards and ellipses."""
    rng = np.random.default_rng(2)
    y, x = np.mgrid[-1:1:512j, -1:1:512j]
    for number in range(15):
        cells = 2 ** (2 + number % 5 + 2)
        noise = Image.fromarray(rng.integers(0, 256, (cells, cells)).astype(np.uint8)).resize((512, 512))
        angle = rng.uniform(0, 2 * np.pi)
        ramp = 0.5 + 0.35 * (np.cos(angle) * x + np.sin(angle) * y)
        stripes = 0.5 + 0.5 * np.sin(rng.uniform(5, 80) * (np.cos(angle) * x + np.sin(angle) * y))
        board = (np.floor(x * (number + 2)) + np.floor(y * (number + 2))) % 2
        ellipse = ((x / rng.uniform(0.2, 0.9)) ** 2 + (y / rng.uniform(0.2, 0.9)) ** 2 < 1) * 0.8
        noise.save(folder / f"noise-{number:02d}.png")
        kinds = {"ramp": ramp, "stripes": stripes, "board": board, "ellipse": ellipse}
        for kind, values in kinds.items():
            Image.fromarray(np.uint8(255 * np.clip(values, 0, 1))).save(folder / f"{kind}-{number:02d}.png")
    for grey in (0, 64, 128, 192, 255):
        Image.new("L", (512, 512), grey).save(folder / f"flat-{grey:03d}.png")
    return "noise, gradients, stripes, boards, ellipses and flat grey, drawn with NumPy"
