"""Radiologists' boxes: reading them, on the square, through augmentation, and the loss that follows them."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from chexmodel.boxes import Box, read_boxes
from chexmodel.errors import DatasetError
from chexmodel.geometry import box_on_square, to_square8
from chexmodel.labels import OBSERVATIONS
from train.config import FitConfig
from train.dataset import load_splits
from train.films import Films, augmentation
from train.losses import pointing_loss
from train.pointing import GRID, Region, draw, load_regions, on_grid
from train.run import train_network
from train.sampling import Draw

OPACITY = OBSERVATIONS.index("Lung Opacity")


def write_boxes(path: Path, **columns: object) -> Path:
    row = {"Path": "a.jpg", "finding": "Lung Opacity", "x": 10, "y": 20, "width": 30, "height": 40}
    pd.DataFrame([row | columns]).to_csv(path / "train_boxes.csv", index=False)
    return path / "train.csv"


def test_boxes_are_read_by_film(tmp_path: Path) -> None:
    assert read_boxes(write_boxes(tmp_path)) == {"a.jpg": [Box("Lung Opacity", 10, 20, 40, 60)]}
    assert read_boxes(tmp_path / "valid.csv") == {}


@pytest.mark.parametrize("wrong", [{"finding": "Lung"}, {"width": 0}, {"x": -1}, {"y": "left"}])
def test_other_boxes_are_a_sentence(tmp_path: Path, wrong: dict[str, object]) -> None:
    with pytest.raises(DatasetError, match=r"train_boxes\.csv holds no boxes in the columns Path, finding"):
        read_boxes(write_boxes(tmp_path, **wrong))


@given(st.integers(40, 200), st.integers(40, 200))
def test_a_box_lies_on_the_square_where_its_pixels_do(height: int, width: int) -> None:
    film = np.zeros((height, width), np.uint8)
    film[height // 4 : height // 2, width // 4 : width // 2] = 255
    box = (width // 4, height // 4, width // 2, height // 2)
    side = 64
    region = Region(OPACITY, *box_on_square(box, film.shape))
    drawn, seen = draw([region], side)[0].bool(), to_square8(film, side) > 127
    assert (drawn != seen).sum() <= 2 * side // 4 + 4  # at most its outline


def test_regions_of_an_observation_are_joined_and_others_stay_unknown() -> None:
    regions = [Region(OPACITY, 0, 0, 0.5, 0.5), Region(OPACITY, 0, 0, 0.5, 0.25), Region(0, 0, 0, 1, 1)]
    grid = on_grid(regions, draw(regions, 2 * GRID))
    assert torch.equal(grid[OPACITY].sum(), torch.tensor(GRID * GRID / 4))
    assert (grid[0] == 1).all()
    assert torch.isnan(grid[[k for k in range(14) if k not in (0, OPACITY)]]).all()


def test_pointing_loss_is_the_share_of_the_softmax_inside() -> None:
    torch.manual_seed(0)
    maps = torch.randn(3, 14, 7, 7, dtype=torch.float64, requires_grad=True)
    inside = torch.full((3, 14, GRID, GRID), torch.nan, dtype=torch.float64)
    inside[1, OPACITY] = 0
    inside[1, OPACITY, :8, 4:12] = 1  # the cells 0–1 × 1–2 of a 7 × 7 map
    loss = pointing_loss(maps, inside)
    softmax = torch.softmax(maps[1, OPACITY].flatten(), 0).view(7, 7)
    assert loss.item() == pytest.approx(-torch.log(softmax[:2, 1:3].sum()).item(), rel=1e-5)
    loss.backward()
    assert maps.grad is not None
    others = maps.grad.clone()
    others[1, OPACITY] = 0
    assert (others == 0).all()
    assert (maps.grad[1, OPACITY, :2, 1:3] < 0).all()
    assert (maps.grad[1, OPACITY, 2:] > 0).all()


def test_pointing_loss_without_boxes_is_zero_with_a_zero_gradient() -> None:
    maps = torch.randn(2, 14, 3, 3, requires_grad=True)
    off_film = torch.full((2, 14, GRID, GRID), torch.nan)
    off_film[0, OPACITY] = 0  # moved off by augmentation
    for inside in (torch.full_like(off_film, torch.nan), off_film):
        maps.grad = None
        loss = pointing_loss(maps, inside)
        loss.backward()
        assert loss.item() == 0
        assert maps.grad is not None
        assert (maps.grad == 0).all()


@pytest.fixture
def boxed(tiny_data: Path, tmp_path: Path) -> FitConfig:
    """Give every opaque film of the tiny data a box, in a directory of its own."""
    table = pd.read_csv(tiny_data / "train.csv")
    (tmp_path / "train").symlink_to(tiny_data / "train")
    table.to_csv(tmp_path / "train.csv", index=False)
    opaque = table.loc[table["Lung Opacity"] == 1, "Path"]
    frame = pd.DataFrame(
        {"Path": opaque, "finding": "Lung Opacity", "x": 24, "y": 24, "width": 48, "height": 48}
    )
    frame.to_csv(tmp_path / "train_boxes.csv", index=False)
    small = {"backbone": "test_resnet", "weights": "none", "image_size": 64, "batch_size": 8, "workers": 0}
    return FitConfig(
        data=tmp_path, out=tmp_path / "run", epochs=1, validation=0.3, test=0.2, box_weight=0.5, seed=3,
        accelerator="cpu", **small,  # type: ignore[arg-type]
    )  # fmt: skip


def test_a_box_moves_with_its_film(boxed: FitConfig) -> None:
    pair = load_splits(boxed).pairs[0]
    regions = load_regions(pair.train, boxed.data)
    position = next(i for i, name in enumerate(pair.train.ids) if name in regions)
    from chexmodel.preprocessing import Preprocessing

    preprocessing = Preprocessing(size=64, mean=(0.5,), std=(0.5,))
    turned = boxed.model_copy(update={"shift": 0.4, "rotation": 0.0, "zoom": 0.0, "contrast": 0.0})
    films = Films(pair.train, pair.train.targets, preprocessing, augmentation(turned), regions)
    plain = films[position]
    assert plain[2].shape == (14, GRID, GRID)
    assert float(plain[2][OPACITY].mean()) == pytest.approx(0.25, abs=0.02)
    moved = [films[Draw(position, seed)] for seed in range(6)]
    centres = {tuple(np.argwhere(sample[2][OPACITY].numpy() > 0.5).mean(axis=0).round()) for sample in moved}
    assert len(centres) > 3
    without = Films(pair.train, pair.train.targets, preprocessing, augmentation(turned))
    for seed, sample in enumerate(moved):  # the mask changes nothing in what the network is shown
        assert torch.equal(without[Draw(position, seed)][0], sample[0])
    assert torch.isnan(films[Draw(position, 1, masked=True)][2]).all()


def test_training_with_boxes_changes_the_weights(boxed: FitConfig) -> None:
    pair = load_splits(boxed).pairs[0]
    heads = []
    for weight in (0.0, 5.0):
        config = boxed.model_copy(update={"box_weight": weight, "out": boxed.out / str(weight)})
        heads.append(train_network(config, pair, kept="last")[0].head.weight.detach())
    difference = (heads[0] - heads[1]).abs()
    assert difference[OPACITY].max() > 0
    assert torch.isfinite(difference).all()


def test_boxes_that_are_not_there_are_a_sentence(boxed: FitConfig) -> None:
    (boxed.data / "train_boxes.csv").unlink()
    with pytest.raises(DatasetError, match=r"--box-weight needs boxes.*leave the option out"):
        load_regions(load_splits(boxed).pairs[0].train, boxed.data)
