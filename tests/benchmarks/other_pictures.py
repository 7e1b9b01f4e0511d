"""Gather pictures that are no chest films, for `python -m train gate … --others`; none of them is committed.

    python tests/benchmarks/other_pictures.py /tmp/others
    python -m train gate runs/demo --data DIR --others /tmp/others/choosing /tmp/others/unseen

`choosing` helped to choose how the gate works; the rates to quote are those on `unseen`. Each source is a folder
with a SOURCE.txt that says what it is. Needs apt-get (Debian 12's packages), pip, and Chromium with playwright.
"""

import gzip
import shutil
import subprocess
import sys
import tarfile
import tempfile
import textwrap
from collections.abc import Callable, Iterable
from importlib.metadata import version
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from scipy import ndimage

ROOT: Final = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))  # run as a program, it stands beside no package

from chexmodel import images, phantom  # noqa: E402
from chexmodel.errors import ImageError  # noqa: E402
from chexmodel.geometry import to_square  # noqa: E402

PHOTOS: Final = (".jpg", ".jpeg", ".png")
WALLPAPERS: Final = (
    *("gnome-backgrounds", "mate-backgrounds", "plasma-workspace-wallpapers"),
    *("lomiri-wallpapers-16.04", "lomiri-wallpapers-20.04"),
)
STAMPS: Final = "tuxpaint-stamps-default"
SKULL: Final = "invesalius-examples"
NILEARN: Final = "nilearn==0.14.1"
WIDE, TALL = (1280, 800), (420, 900)


def _debian(package: str, into: Path) -> tuple[list[Path], str]:
    """Unpack a package without installing it: its photos, and its name with the version."""
    subprocess.run(["apt-get", "download", package], cwd=into, check=True, stdout=subprocess.DEVNULL)
    (archive,) = into.glob(f"{package}_*.deb")
    root = into / package
    subprocess.run(["dpkg-deb", "-x", archive, root], check=True)
    found = sorted(path for path in root.rglob("*") if path.suffix.lower() in PHOTOS and path.is_file())
    return found, " ".join(archive.name.split("_")[:2]).replace("%3a", ":")


def _copy(files: Iterable[Path], folder: Path) -> None:
    for number, file in enumerate(files):
        shutil.copyfile(file, folder / f"{number:03d}{file.suffix.lower()}")


def stamps(folder: Path, start: int) -> str:
    """Photographs and drawings of animals, plants, things and people, on transparent ground; one in eight."""
    with tempfile.TemporaryDirectory() as place:
        found, name = _debian(STAMPS, Path(place))
        _copy(found[start::8], folder)
    return f"every eighth picture, from number {start}, of Debian's {name}"


def wallpapers(folder: Path) -> str:
    """Photographs and drawings for desktops: the largest file of each folder of a wallpaper in several sizes."""
    chosen: list[Path] = []
    with tempfile.TemporaryDirectory() as place:
        names = []
        for package in WALLPAPERS:
            found, name = _debian(package, Path(place))
            names.append(name)
            sized: dict[Path, list[Path]] = {}
            for file in found:
                several = file.parent.name in ("images", "images_dark")
                sized.setdefault(file.parent if several else file, []).append(file)
            chosen += [max(files, key=lambda file: file.stat().st_size) for files in sized.values()]
        _copy(chosen, folder)
    return f"wallpapers of Debian's {', '.join(names)}"


def packaged(folder: Path) -> str:
    """The photographs that scikit-image, scikit-learn and matplotlib are shipped with."""
    import matplotlib as mpl
    import skimage
    import sklearn

    places = (
        Path(skimage.__file__).parent / "data",
        Path(sklearn.__file__).parent / "datasets" / "images",
        Path(mpl.__file__).parent / "mpl-data" / "sample_data",
    )
    _copy([p for place in places for p in sorted(place.iterdir()) if p.suffix in PHOTOS], folder)
    names = ", ".join(f"{name} {version(name)}" for name in ("scikit-image", "scikit-learn", "matplotlib"))
    return f"the pictures shipped with {names}"


def dicom(folder: Path) -> str:
    """CT, MR, ultrasound, plans and test patterns: pydicom's own files of one frame, each picture once."""
    from pydicom.data import get_testdata_files

    seen: list[NDArray[np.float32]] = []
    for number, file in enumerate(sorted({Path(path) for path in get_testdata_files("*.dcm")})):
        try:
            film = images.read(file).pixels
        except ImageError:  # plans and series: nothing that a gate would come to see
            continue
        small = to_square(film, 24).numpy()
        if all(np.abs(small - other).mean() > 0.02 for other in seen):  # the same in another encoding
            seen.append(small)
            shutil.copyfile(file, folder / f"{number:03d}.dcm")
    return f"DICOM test files shipped with pydicom {version('pydicom')}; none is a chest radiograph"


def skull(folder: Path) -> str:
    """A CT of a head: slices in three planes, and projections through it, as a radiograph of a skull is one."""
    with tempfile.TemporaryDirectory() as place:
        _, name = _debian(SKULL, Path(place))
        with tarfile.open(next((Path(place) / SKULL).rglob("Cranium.inv3"))) as archive:
            member = next(item for item in archive if item.name.endswith("matrix.dat"))
            stored = archive.extractfile(member)
            content = stored.read() if stored else b""
    volume = np.frombuffer(content, "<i2").reshape(108, 256, 256)[::-1].astype(np.float32)
    volume = ndimage.zoom(volume, (1.57, 1, 1), order=1)  # slices of 1.5 mm, pixels of 0.957 mm
    _planes(np.clip((volume + 160) / 400, 0, 1), folder, 8)
    for angle in range(0, 180, 15):
        turned = ndimage.rotate(np.maximum(volume + 1000, 0), angle, axes=(1, 2), reshape=False, order=1)
        path = turned.mean(axis=2)  # attenuation along parallel rays, bone white as on a film
        _save((path / np.percentile(path, 99.5)) ** 0.8, folder / f"projection-{angle:03d}.png")
    return f"a head CT of Debian's {name}: slices, and projections as in a radiograph of the skull"


def brains(folder: Path) -> str:
    """Slices of the average brain by MRI (T1), in three planes."""
    with tempfile.TemporaryDirectory() as place:
        pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "-d", place, NILEARN]
        subprocess.run(pip, check=True)
        (wheel,) = Path(place).glob("*.whl")
        shutil.unpack_archive(wheel, Path(place) / "wheel", "zip")
        (file,) = (Path(place) / "wheel").rglob("mni_icbm152_t1*.nii.gz")
        content = gzip.decompress(file.read_bytes())
    shape = tuple(np.frombuffer(content, "<i2", 4, 40)[1:])
    kind = {2: "<u1", 4: "<i2", 16: "<f4"}[int(np.frombuffer(content, "<i2", 1, 70)[0])]
    start = int(np.frombuffer(content, "<f4", 1, 108)[0])
    volume = np.frombuffer(content, kind, int(np.prod(shape)), start).reshape(shape, order="F").astype(float)
    _planes(np.clip(volume / np.percentile(volume, 99.8), 0, 1), folder, 16)
    return f"slices of the ICBM 152 average brain (MRI) shipped with {NILEARN.replace('==', ' ')}"


def _planes(volume: NDArray[np.floating], folder: Path, count: int) -> None:
    """Save `count` slices of (z, y, x) or (x, y, z) in [0, 1] in each of three planes."""
    for axis in range(3):
        for share in np.linspace(0.25, 0.75, count):
            plane = np.take(volume, int(share * volume.shape[axis]), axis=axis)
            _save(plane, folder / f"plane-{axis}-{share:.2f}.png")


def _save(values: NDArray[np.floating], file: Path) -> None:
    picture = Image.fromarray(np.uint8(255 * np.clip(values, 0, 1)))
    picture.resize((2 * picture.width, 2 * picture.height)).save(file)


def screenshots(folder: Path) -> str:
    """Pages of the browser itself and documents of Python packages in it, wide and narrow, light and dark."""
    from playwright.sync_api import sync_playwright

    internal = ("version", "flags", "downloads", "history", "bookmarks", "about", "credits", "system")
    shown = [f"chrome://{name}" for name in internal] + [_page(k) for k in range(12)]
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    with sync_playwright() as driver, tempfile.TemporaryDirectory() as profile:
        for size, scheme in ((WIDE, "light"), (TALL, "light"), (WIDE, "dark")):
            browser = driver.chromium.launch_persistent_context(
                profile,  # the browser's own pages are to be had in a profile alone
                executable_path=chromium,
                args=["--no-sandbox"],
                viewport={"width": size[0], "height": size[1]},
                color_scheme=scheme,
            )
            page = browser.pages[0]
            for number, address in enumerate(shown):
                if address.startswith("chrome:"):
                    page.goto(address)
                else:
                    page.goto("about:blank")
                    page.set_content(address)
                page.wait_for_timeout(300)
                page.screenshot(path=folder / f"{number:02d}-{size[0]}-{scheme}.png")
            name = f"Chromium {browser.browser.version}" if browser.browser else "Chromium"
            browser.close()
    return f"screenshots by {name}: its own pages ({', '.join(internal)}), and tables, forms and charts drawn here"


def _page(number: int) -> str:
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


def phantoms(folder: Path) -> str:
    """This project's synthetic chest film, which a gate may take for a film or not."""
    for seed in range(20):
        (folder / f"{seed:02d}.png").write_bytes(phantom.png(size=512, seed=seed))
    return "this project's synthetic phantom, 20 seeds: an imitation of a chest film, counted apart"


SOURCES: Final[dict[str, Callable[[Path], str]]] = {
    "choosing/stamps": lambda folder: stamps(folder, 0),
    "choosing/packaged": packaged,
    "choosing/text": text,
    "choosing/drawn": drawn,
    "unseen/stamps": lambda folder: stamps(folder, 4),
    "unseen/wallpapers": wallpapers,
    "unseen/dicom": dicom,
    "unseen/brains": brains,
    "unseen/skull": skull,
    "unseen/screenshots": screenshots,
    "phantom/phantom": phantoms,
}


def main(out: Path) -> None:
    """Fill `out` anew; a source that can't be had is told and left out."""
    for name, gather in SOURCES.items():
        folder = out / name
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        try:
            said = gather(folder)
        except (OSError, subprocess.CalledProcessError, ImportError) as error:
            shutil.rmtree(folder)
            print(f"{name}: left out ({type(error).__name__}: {error})", file=sys.stderr)
            continue
        count = len(list(folder.iterdir()))
        (folder / "SOURCE.txt").write_text(f"{said}\n", encoding="utf-8")
        print(f"{name}: {count} pictures: {said}", file=sys.stderr)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
