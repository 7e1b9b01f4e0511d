"""Measuring maps on marked films: who draws them, where cut-offs come from, and what `evaluate` writes."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from networks import lively
from PIL import Image

from chexmodel import bundle, phantom
from chexmodel.boxes import Box
from chexmodel.labels import OBSERVATIONS
from chexmodel.localisation import CENTRE, FILM_COLUMNS, MEAN_BOX, summarise
from chexmodel.methods import METHODS
from chexmodel.network import Network
from chexmodel.overlap import CUTOFFS
from chexmodel.preprocessing import Preprocessing
from chexmodel.regions import Regions
from train.commands import EvaluateConfig
from train.config import FitConfig
from train.dataset import Split
from train.evaluate import evaluate
from train.fit import fit
from train.localise import Part, localise

OPACITY = "Lung Opacity"
SIDE = 96
PREPROCESSING = Preprocessing(size=64, mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))


@pytest.fixture(scope="module")
def network() -> Network:
    return lively("test_resnet")


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    root = tmp_path_factory.mktemp("films")
    paths = []
    for i in range(10):
        path = root / f"patient{i}" / "study1" / "view1_frontal.png"
        path.parent.mkdir(parents=True)
        Image.fromarray((phantom.draw(size=SIDE, seed=i) >> 8).astype(np.uint8)).save(path)
        paths.append(path)
    return paths


def split(films: list[Path]) -> Split:
    nothing = np.zeros((len(films), len(OBSERVATIONS)), np.float32)
    patients = [film.parts[-3] for film in films]
    return Split(list(films), [str(film) for film in films], patients, nothing, nothing)


def boxes(films: list[Path]) -> Regions:
    """A box per film, each elsewhere."""
    return Regions(
        {str(film): [Box(OPACITY, 8 + 5 * (i % 5), 30, 40 + 5 * (i % 5), 70)] for i, film in enumerate(films)}
    )


def measured(network: Network, films: list[Path], regions: Regions, **options: object) -> pd.DataFrame:
    """Films 0 to 2 and 3 to 5 are two folds, 6 to 9 the test split."""
    folds = [split(films[:3]), split(films[3:6])]
    parts = [Part(network, fold, "validation", number) for number, fold in enumerate(folds, start=1)]
    chosen = {"not_trained": [], "methods": ["Grad-CAM", "EigenCAM"]} | options
    return localise(
        [*parts, Part(network, split(films[6:]), "test")],
        folds[::-1],
        regions,
        PREPROCESSING,
        **chosen,  # type: ignore[arg-type]
    )


def test_every_marked_film_is_measured_by_every_method(network: Network, films: list[Path]) -> None:
    found = measured(network, films, boxes(films[1:]))
    assert list(found.columns) == list(FILM_COLUMNS)
    assert found.groupby("method").size().to_dict() == dict.fromkeys(
        ("Grad-CAM", "EigenCAM", CENTRE, MEAN_BOX), 9
    )
    assert str(films[0]) not in set(found["film"])
    assert found.loc[found["split"] == "validation", "fold"].dropna().unique().tolist() == [1, 2]
    assert found.loc[found["split"] == "test", "fold"].isna().all()
    assert set(found["cutoff"]) <= set(CUTOFFS)
    assert measured(network, films, boxes(films), not_trained=[OPACITY]).empty
    assert measured(network, films, Regions()).empty
    assert summarise(measured(network, films, Regions()), bootstrap=10, seed=0) == ()


def test_a_film_s_own_boxes_do_not_move_its_cutoff(network: Network, films: list[Path]) -> None:
    regions = boxes(films)
    found = measured(network, films, regions)
    for i in (1, 4, 7):
        own = str(films[i])
        moved = measured(network, films, Regions(regions.boxes | {own: [Box(OPACITY, 60, 60, 90, 90)]}))
        pairs = [(frame[frame["film"] == own], frame[frame["film"] != own]) for frame in (found, moved)]
        assert pairs[0][0]["cutoff"].tolist() == pairs[1][0]["cutoff"].tolist()
        assert pairs[0][0]["iou"].tolist() != pairs[1][0]["iou"].tolist()
        # Nor does a film of the test split move anything of another film.
        if i == 7:
            pd.testing.assert_frame_equal(pairs[0][1], pairs[1][1])


def test_the_mean_box_is_that_of_other_folds(network: Network, films: list[Path]) -> None:
    """Where all other films share a box, the mean box peaks in it, wherever the film's own is."""
    here, there = [Box(OPACITY, 10, 10, 40, 40)], [Box(OPACITY, 60, 60, 90, 90)]
    regions = Regions({str(film): there if i < 3 else here for i, film in enumerate(films)})
    found = measured(network, films, regions)
    mean = found[found["method"] == MEAN_BOX].set_index("film")
    assert not mean.loc[[str(film) for film in films[:3]], "hit"].any()  # fold 1 is shown fold 2's
    assert not mean.loc[[str(film) for film in films[3:6]], "hit"].any()
    assert (mean.loc[[str(film) for film in films[:6]], "iou"] == 0).all()
    assert len(set(mean.loc[[str(film) for film in films[6:]], "hit"])) == 1  # all are shown the same


def test_regions_learnt_from_make_a_mean_box_where_no_other_film_is_marked(
    network: Network, films: list[Path]
) -> None:
    regions = boxes(films[:4])
    part = Part(network, split(films[:1]), "validation")
    options = {"not_trained": [], "methods": ["Grad-CAM"]}
    found = localise([part], [split(films[1:])], regions, PREPROCESSING, **options)  # type: ignore[arg-type]
    assert set(found["method"]) == {"Grad-CAM", CENTRE, MEAN_BOX}
    assert found["cutoff"].isna().all()
    assert found["iou"].isna().all()
    alone = localise([part], [split(films[4:])], regions, PREPROCESSING, **options)  # type: ignore[arg-type]
    assert set(alone["method"]) == {"Grad-CAM", CENTRE}


def test_a_map_that_is_nowhere_positive_counts_as_a_miss(network: Network, films: list[Path]) -> None:
    silent = lively("test_resnet")
    with torch.no_grad():
        silent.head.weight.copy_(-silent.head.weight.abs())
        features = silent(torch.zeros(1, 3, 64, 64))[1]
    assert (features >= 0).all()
    regions = Regions({str(film): [Box(OPACITY, 0, 0, SIDE, SIDE)] for film in films})
    found = measured(silent, films, regions, methods=["Grad-CAM"])
    cam = found[found["method"] == "Grad-CAM"]
    assert not cam["positive"].any()
    assert not cam["hit"].any()
    assert (cam["iou"] == 0).all()
    score = next(s for s in summarise(found, bootstrap=10, seed=0) if s.split == "all")
    assert (score.nowhere, score.hit.value, score.iou.value) == (10, 0, 0)


@pytest.mark.slow
def test_evaluate_measures_and_writes_it(tiny_data: Path, tmp_path: Path) -> None:
    for name in ("train", "valid"):
        (tmp_path / name).symlink_to(tiny_data / name)
        table = pd.read_csv(tiny_data / f"{name}.csv")
        table.to_csv(tmp_path / f"{name}.csv", index=False)
        opaque = table.loc[table["Lung Opacity"] == 1, "Path"]
        frame = pd.DataFrame(
            {"Path": opaque, "finding": OPACITY, "x": 24, "y": 24, "width": 40, "height": 40}
        )
        frame.to_csv(tmp_path / f"{name}_boxes.csv", index=False)
    small = {"backbone": "test_resnet", "weights": "none", "image_size": 64, "batch_size": 8, "workers": 0}
    run = fit(
        FitConfig(data=tmp_path, out=tmp_path / "run", epochs=1, folds=2, accelerator="cpu", **small)  # type: ignore[arg-type]
    )
    evaluate(EvaluateConfig(bundle=run, data=tmp_path, bootstrap=20, workers=0))
    done = bundle.load(run)
    found, films = done.localisation(), done.localised_films()
    assert found.weights_sha256 == done.manifest.weights_sha256
    assert {score.method for score in found.scores} == {*METHODS, CENTRE, MEAN_BOX}
    assert summarise(films, bootstrap=20, seed=0) == found.scores
    predictions = done.predictions().set_index("id")
    folds = films[films["split"] == "validation"].drop_duplicates("film").set_index("film")["fold"]
    assert folds.equals(predictions.loc[folds.index, "fold"].rename_axis("film"))
    marked = sum(len(pd.read_csv(tmp_path / f"{name}_boxes.csv")) for name in ("train", "valid"))
    assert films["film"].nunique() == marked
    assert "mean box" in done.card()
    assert "hit rate" in done.card()

    evaluate(
        EvaluateConfig(
            bundle=run, data=tmp_path, bootstrap=0, workers=0, cam_methods=("HiResCAM", "LayerCAM")
        )
    )
    again = bundle.load(run)
    assert {score.method for score in again.localisation().scores} == {
        "HiResCAM",
        "LayerCAM",
        CENTRE,
        MEAN_BOX,
    }
    assert "--cam-methods HiResCAM LayerCAM" in again.metrics().command
