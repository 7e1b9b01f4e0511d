"""Films a second on one core, from disk to network input: `pytest tests/benchmarks -m benchmark -s`.

The peer is torchxrayvision's `CheX_Dataset` with the transforms of its documentation (crop to the centre,
resize to 224 px). Both sides give one channel of 224 px. Nothing here fails for being slow; what is asserted
is that both saw the same films.
"""

import warnings
from collections.abc import Callable, Iterable
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch
from timing import measured
from torchvision.io import ImageReadMode, decode_image
from torchvision.transforms import Compose
from torchvision.transforms.v2.functional import resize
from torchxrayvision.datasets import CheX_Dataset, XRayCenterCrop, XRayResizer

from chexmodel import images
from chexmodel.geometry import to_square8
from chexmodel.preprocessing import Preprocessing
from train.commands import PackConfig
from train.config import FitConfig
from train.dataset import Split, load_splits
from train.films import Films, augmentation
from train.packing import pack
from train.sampling import Draw

pytestmark = [pytest.mark.benchmark, pytest.mark.shared]
FILMS = 100
GREY = Preprocessing(size=224, mean=(0.5,), std=(0.5,))
RGB = Preprocessing(size=224, mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))
Load = Callable[[int], torch.Tensor]


@pytest.fixture(autouse=True)
def _one_core() -> None:
    torch.set_num_threads(1)
    if find_spec("cv2"):
        import cv2

        cv2.setNumThreads(1)


def folder(shared: Path, **options: object) -> FitConfig:
    """Read the shared films as `fit` does; the test split is all of valid.csv."""
    return FitConfig.model_validate(
        {"data": shared / "xrays", "out": Path("unused"), "contrast": 0, **options}
    )


def torchxrayvision(shared: Path, split: Split, engine: str) -> Load:
    """Load with its data set: (1, 224, 224) within ±1024."""
    peer = CheX_Dataset(
        imgpath=str(shared / "xrays"),
        csvpath=str(shared / "xrays" / "valid.csv"),
        views=["PA", "AP"],
        transform=Compose([XRayCenterCrop(), XRayResizer(224, engine)]),
        unique_patients=False,
    )
    row = {film: at for at, film in enumerate(peer.csv["Path"])}
    return lambda at: torch.from_numpy(peer[row[split.ids[at]]]["img"])


def race(what: str, ours: Load, shared: Path, split: Split) -> Load:
    """Print films a second of ours and of the peers; return torchxrayvision's way of loading."""
    loads: dict[str, Load] = {"here": ours, "torchxrayvision": torchxrayvision(shared, split, "skimage")}
    if find_spec("cv2"):
        loads["torchxrayvision with cv2"] = torchxrayvision(shared, split, "cv2")
    loads["torchvision, decode and resize alone"] = lambda at: resize(
        decode_image(str(split.sources[at]), ImageReadMode.GRAY), [224, 224]
    )
    seconds = dict.fromkeys(loads, float("inf"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        for _ in range(5):  # by turns: a machine's speed drifts
            for name, load in loads.items():
                taken, channels = measured(partial(_all, load), rounds=1)
                assert channels == FILMS
                seconds[name] = min(seconds[name], taken)
    print(f"\n{what}")
    for name, taken in seconds.items():
        print(f"    {FILMS / taken:,.0f} films/s {name}: ours is {taken / seconds['here']:.1f}×")
    return loads["torchxrayvision"]


def _all(load: Load) -> int:
    return sum(len(load(at)) for at in range(FILMS))  # nothing is kept, as nothing is in a training


def test_from_jpeg(shared: Path) -> None:
    """Whole films of 320 px, as validation and evaluation read a folder."""
    split = load_splits(folder(shared)).test
    films = Films(split, split.truth, GREY)
    theirs = race("from JPEG", lambda at: films[at][0], shared, split)
    for at in range(FILMS):
        difference = films[at][0] / 2 + 0.5 - (theirs(at) / 2048 + 0.5)
        assert float(difference.abs().mean()) < 0.02  # of the same film, resized with another kernel


def test_from_a_pack_with_random_crop(shared: Path, tmp_path: Path) -> None:
    """Random windows of 224 px of a pack of 256, seeded film by film, as `fit --augment crop` reads it."""
    packed = pack(PackConfig(data=shared / "xrays", out=tmp_path / "pack", size=256, workers=2))
    config = folder(shared, data=packed, augment="crop")
    split, files = load_splits(config).test, load_splits(folder(shared)).test
    films = Films(split, split.truth, GREY, augmentation(config))
    assert split.ids == files.ids
    race("from a pack, random crop", lambda at: films[Draw(at, seed=at)][0], shared, files)
    for at in range(0, FILMS, 10):
        window = ((films[Draw(at, seed=at)][0] / 2 + 0.5) * 255).round().to(torch.uint8)[0].numpy()
        whole = to_square8(images.read(Path(str(files.sources[at]))).grey, 256).numpy()
        windows = np.lib.stride_tricks.sliding_window_view(whole, window.shape)
        assert (windows[:, :, :8, :8] == window[:8, :8]).all((2, 3)).any()
        assert (windows[:, :, -8:, -8:] == window[-8:, -8:]).all((2, 3)).any()


@pytest.mark.parametrize("augment", ["affine", "crop", "none"])
def test_augmented_as_in_training(shared: Path, augment: str) -> None:
    """One loading process, from JPEG, with what `fit` changes by default."""
    config = folder(shared, augment=augment, contrast=0.15)
    split = load_splits(config).test
    films = Films(split, split.truth, RGB, augmentation(config))

    def shapes() -> Iterable[tuple[int, ...]]:
        return {tuple(films[Draw(at, seed=at)][0].shape) for at in range(FILMS)}

    seconds, found = measured(shapes, rounds=3)
    assert found == {(3, 224, 224)}
    print(f"\nfrom JPEG, --augment {augment}: {FILMS / seconds:,.0f} films/s a loading process")
