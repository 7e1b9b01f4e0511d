"""Masks in CheXlocalize's format, and boxes and masks as one kind of region."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from pycocotools import mask as coco

from chexmodel.boxes import Box
from chexmodel.errors import DatasetError
from chexmodel.masks import Mask, decode_runs, image_id, read_masks
from chexmodel.regions import Region, Regions, read_regions

FILM = "CheXpert-v1.0-small/valid/patient64622/study1/view1_frontal.jpg"
IMAGE = "patient64622_study1_view1_frontal"


def encoded(inside: np.ndarray) -> dict[str, object]:
    found = coco.encode(np.asfortranarray(inside.astype(np.uint8)))
    return {"size": list(found["size"]), "counts": found["counts"].decode()}


def write(directory: Path, films: object) -> Path:
    (directory / "valid_masks.json").write_text(json.dumps(films))
    return directory / "valid.csv"


def rectangle(shape: tuple[int, int], top: int, bottom: int, left: int, right: int) -> np.ndarray:
    inside = np.zeros(shape, bool)
    inside[top:bottom, left:right] = True
    return inside


def test_runs_by_hand() -> None:
    # Rows 1 and 2 of columns 2, 3 and 4, read column by column: 11 outside, 2 inside, 3 out, 2, 3, 2, 12.
    assert decode_runs(";230009") == (11, 2, 3, 2, 3, 2, 12)
    mask = Mask("Edema", (5, 7), decode_runs(";230009"))
    assert np.array_equal(mask.pixels(), rectangle((5, 7), 1, 3, 2, 5))


@given(arrays(bool, array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=60)))
def test_masks_are_those_that_pycocotools_encodes(inside: np.ndarray) -> None:
    found = encoded(inside)
    runs = decode_runs(str(found["counts"]))
    assert np.array_equal(Mask("Edema", inside.shape, runs).pixels(), inside)


@given(st.integers(1, 3000), st.integers(0, 3000))
def test_long_runs_are_read(height: int, outside: int) -> None:
    inside = np.zeros((height, 4), bool)
    inside[outside % height :] = True
    runs = decode_runs(str(encoded(inside)["counts"]))
    assert np.array_equal(Mask("Edema", (height, 4), runs).pixels(), inside)


def test_masks_are_read_by_image(tmp_path: Path) -> None:
    there, nothing = encoded(rectangle((50, 40), 5, 10, 5, 10)), encoded(np.zeros((50, 40), bool))
    csv = write(
        tmp_path, {IMAGE: {"img_size": [50, 40], "Airspace Opacity": there, "Edema": nothing}, "b": {}}
    )
    found = read_masks(csv)
    assert list(found) == [IMAGE] == [image_id(FILM)]
    assert [(mask.finding, mask.size) for mask in found[IMAGE]] == [("Lung Opacity", (50, 40))]
    assert read_masks(tmp_path / "train.csv") == {}


@pytest.mark.parametrize(
    "films",
    [
        [],
        {IMAGE: {"Lung": {"size": [5, 7], "counts": ";230009"}}},
        {IMAGE: {"Edema": {"size": [5, 7], "counts": ";23000"}}},  # cut short
        {IMAGE: {"Edema": {"size": [5, 7], "counts": ""}}},
        {IMAGE: {"Edema": {"size": [5, 7], "counts": ";230009P"}}},  # ends within a number
        {IMAGE: {"Edema": {"size": [5, 7], "counts": "é"}}},
        {IMAGE: {"Edema": {"size": [5, 7], "counts": "@o"}}},  # a negative run
        {IMAGE: {"Edema": {"size": [0, 7], "counts": "0"}}},
        {IMAGE: {"Edema": {"size": [5, 7], "counts": [11, 2]}}},
    ],
)
def test_other_masks_are_a_sentence(tmp_path: Path, films: object) -> None:
    with pytest.raises(DatasetError, match=r"valid_masks\.json holds no masks in the format of CheXlocalize"):
        read_masks(write(tmp_path, films))


def test_boxes_and_masks_of_the_same_pixels_are_the_same_region() -> None:
    inside = rectangle((50, 40), 5, 20, 10, 31)
    mask = Mask("Edema", (50, 40), decode_runs(str(encoded(inside)["counts"])))
    masked = Region(FILM, "Edema", mask=mask)
    boxed = Region(FILM, "Edema", (Box("Edema", 10, 5, 25, 20), Box("Edema", 20, 5, 31, 20)))
    for shape in ((50, 40), (100, 80), (17, 13), (128, 128)):
        assert np.array_equal(masked.drawn((50, 40), shape), boxed.drawn((50, 40), shape))
    assert np.array_equal(boxed.drawn((50, 40), (50, 40)), inside)
    # The film at hand may be a smaller copy of the picture that the mask was drawn on.
    smaller = Region(FILM, "Edema", (Box("Edema", 5, 2.5, 15.5, 10),))
    assert np.array_equal(masked.drawn((25, 20), (25, 20)), smaller.drawn((25, 20), (25, 20)))


def test_the_edges_of_a_box_belong_to_one_side() -> None:
    left = Region(FILM, "Edema", (Box("Edema", 0, 0, 2.5, 4),)).drawn((4, 6), (4, 6))
    right = Region(FILM, "Edema", (Box("Edema", 2.5, 0, 6, 4),)).drawn((4, 6), (4, 6))
    assert np.array_equal(left, ~right)
    assert left[:, :2].all()
    assert not left[:, 2:].any()


def test_a_region_between_the_cells_is_the_cell_that_it_lies_in() -> None:
    thin = Region(FILM, "Edema", (Box("Edema", 30.1, 70.1, 30.4, 70.4),))
    assert np.argwhere(thin.drawn((100, 100), (10, 10))).tolist() == [[7, 3]]
    speck = np.zeros((100, 100), bool)
    speck[71, 39] = True
    mask = Mask("Edema", (100, 100), decode_runs(str(encoded(speck)["counts"])))
    assert np.argwhere(Region(FILM, "Edema", mask=mask).drawn((100, 100), (10, 10))).tolist() == [[7, 3]]


def test_what_does_not_fit_the_film_is_a_sentence() -> None:
    with pytest.raises(DatasetError, match=r"box of Edema on .*view1_frontal\.jpg does not lie on the film"):
        Region(FILM, "Edema", (Box("Edema", 400, 5, 450, 20),)).drawn((320, 320), (320, 320))
    mask = Mask("Edema", (50, 40), decode_runs(str(encoded(rectangle((50, 40), 0, 9, 0, 9))["counts"])))
    with pytest.raises(DatasetError, match="50 × 40 px, the film 320 × 320: it is of another picture"):
        Region(FILM, "Edema", mask=mask).drawn((320, 320), (320, 320))
    rounded = Region(FILM, "Edema", mask=mask).drawn((399, 320), (399, 320))
    assert rounded.any()


def test_boxes_and_masks_beside_both_tables_are_joined(tmp_path: Path) -> None:
    (tmp_path / "train.csv").touch()
    (tmp_path / "valid.csv").touch()
    first = {"Path": "x/train/p/s/v.jpg", "finding": "Edema", "x": 1, "y": 2, "width": 3, "height": 4}
    pd.DataFrame([first]).to_csv(tmp_path / "train_boxes.csv", index=False)
    rows = [first | {"Path": FILM, "finding": name} for name in ("Pneumothorax", "Edema", "Edema")]
    pd.DataFrame(rows).to_csv(tmp_path / "valid_boxes.csv", index=False)
    write(tmp_path, {IMAGE: {"Edema": encoded(rectangle((50, 40), 5, 20, 10, 30))}})
    regions = read_regions(tmp_path)
    assert len(regions) == 2
    assert [region.boxes for region in regions.of("x/train/p/s/v.jpg")] == [(Box("Edema", 1, 2, 4, 6),)]
    edema, pneumothorax = regions.of(FILM)  # in the order of the observations
    assert edema.mask is not None
    assert edema.boxes == ()  # the mask is finer, and stands in for them
    assert pneumothorax.mask is None
    assert len(pneumothorax.boxes) == 1
    assert regions.of("another.jpg") == Regions().of(FILM) == []
