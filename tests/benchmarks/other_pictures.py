"""Gather pictures that are no chest films, for `python -m train gate … --others`; none of them is committed.

    python tests/benchmarks/other_pictures.py /tmp/others
    python -m train gate runs/demo --data DIR --others /tmp/others/choosing /tmp/others/unseen

`choosing` helped to choose how the gate works; the rates to quote are those on `unseen`. Each source is a
folder with a SOURCE.txt that says what it is. Needs apt-get (Debian 12's packages), pip, and Chromium with
playwright.
"""

import gzip
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Callable, Iterable
from importlib.metadata import version
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # run as a program, it stands in no package

from drawn_pictures import drawn, text, web_page

from chexmodel import images, phantom
from chexmodel.errors import ImageError
from chexmodel.geometry import to_square

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
    """Photographs and drawings for desktops: of a wallpaper in several sizes the largest file."""
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
            film = images.read(file, any_class=True).pixels
        except ImageError:  # plans and series: nothing that a gate would come to see
            continue
        small = to_square(film, 24).numpy()
        if all(np.abs(small - other).mean() > 0.02 for other in seen):  # the same in another encoding
            seen.append(small)
            shutil.copyfile(file, folder / f"{number:03d}.dcm")
    return f"DICOM test files shipped with pydicom {version('pydicom')}; none is a chest radiograph"


def skull(folder: Path) -> str:
    """A CT of a head: slices in three planes, and projections, as a radiograph of a skull is one."""
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
    shown = [f"chrome://{name}" for name in internal] + [web_page(k) for k in range(12)]
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
    own = ", ".join(internal)
    return f"screenshots by {name}: its own pages ({own}), and tables, forms and charts drawn here"


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
