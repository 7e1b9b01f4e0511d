"""Localisation on the pages: what is shown is what the files say, film by film."""

import shutil
from pathlib import Path

import evaluation_app
import numpy as np
import pandas as pd
import pytest
import torch
from analysing import panes, press
from apps import ran
from marked import rows
from PIL import Image
from streamlit.testing.v1 import AppTest
from tiny_bundle import write_tiny_bundle

from chexmodel import bundle, phantom
from chexmodel.boxes import Box
from chexmodel.localisation import CENTRE, MEAN_BOX, Localisation, summarise
from chexmodel.localisation_words import ELSEWHERE, summary
from chexmodel.regions import Region
from chexmodel.scores import interval
from chexmodel.ui.bundles import MODEL_KEY
from chexmodel.ui.outlines import CALLED, MARKED, SHOWN_SIDE, outlined

ROOT = Path(__file__).resolve().parents[1]
FINDING = "Lung Opacity"
FILMS = {
    "validation": [f"train/patient{i:05d}/study1/view1_frontal.jpg" for i in range(1, 5)],
    "test": [f"valid/patient{i:05d}/study1/view1_frontal.jpg" for i in range(5, 8)],
}
RATES = {"Grad-CAM": 0.9, "LayerCAM": 0.2, CENTRE: 0.1, MEAN_BOX: 0.5}


def measured() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    parts = []
    for split, films in FILMS.items():
        for method, rate in RATES.items():
            part = rows(
                method,
                (rng.random(len(films)) < rate).tolist(),
                rng.random(len(films)).tolist(),
                split=split,
                observation=FINDING,
                film=films,
            )
            if split == "validation":
                part["fold"] = pd.array([1, 2, 1, 2], dtype="Int64")
            parts.append(part)
    return pd.concat(parts, ignore_index=True)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = write_tiny_bundle(tmp_path_factory.mktemp("whole") / "tiny", members=2)
    films = measured()
    kept = Localisation(
        weights_sha256=bundle.read_manifest(path).weights_sha256,
        bootstrap=50,
        scores=summarise(films, bootstrap=50, seed=0),
    )
    films.to_parquet(path / "localisation_films.parquet", index=False)
    (path / "localisation.json").write_bytes(bundle.to_json(kept, Localisation))
    return path


@pytest.fixture
def tiny(whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy to spoil, the only run that the pages find; without films."""
    monkeypatch.setenv("CHEXMODEL_RUNS", str(tmp_path / "runs"))
    monkeypatch.delenv("CHEXMODEL_DATA", raising=False)
    return Path(shutil.copytree(whole, tmp_path / "runs" / "tiny"))


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("data")
    for split, films in (("train", FILMS["validation"]), ("valid", FILMS["test"])):
        pd.DataFrame({"Path": films}).to_csv(root / f"{split}.csv", index=False)
        box = {"finding": FINDING, "x": 20, "y": 20, "width": 30, "height": 30}
        pd.DataFrame([{"Path": film} | box for film in films]).to_csv(
            root / f"{split}_boxes.csv", index=False
        )
        for i, film in enumerate(films):
            (root / film).parent.mkdir(parents=True)
            pixels = (phantom.draw(size=96, seed=i) >> 8).astype(np.uint8)
            Image.fromarray(pixels).save(root / film)
    return root


def opened(chosen: Path) -> AppTest:
    return evaluation_app.opened(chosen, "Localisation")


def text(at: AppTest) -> str:
    kinds = (at.markdown, at.caption, at.subheader, at.info, at.warning, at.error)
    return "\n".join(element.value for kind in kinds for element in kind)


def table(at: AppTest) -> pd.DataFrame:
    return next(frame.value for frame in at.dataframe if "map" in frame.value)


def test_the_section_shows_what_the_file_says(tiny: Path) -> None:
    at = opened(tiny)
    found = bundle.load(tiny).localisation()
    for split in ("all", "test", "validation"):
        at.radio(key="localisation-split").set_value(split)
        ran(at)
        scores = found.of(FINDING, split)
        shown = table(at)
        assert shown["map"].tolist() == [score.method for score in scores]
        assert shown["hit rate (95 %)"].tolist() == [interval(score.hit) for score in scores]
        assert shown["mean IoU (95 %)"].tolist() == [interval(score.iou) for score in scores]
        margin = scores[0].hit_margin
        assert margin is not None
        assert shown[f"hit rate − {margin.baseline}"][0] == interval(margin.difference, signed=True)
        assert summary(scores, "hit") in text(at)
        assert summary(scores, "iou") in text(at)
        assert f"{scores[0].films} films of {scores[0].patients} patients" in text(at)
    assert ELSEWHERE in text(at)
    assert "**Not measured**" in text(at)
    assert "Pleural Other" not in text(at).split("**Not measured**")[1].split("\n")[0]  # not trained at all
    assert "CHEXMODEL_DATA" in text(at)


def test_films_are_shown_with_their_own_network(
    tiny: Path, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CHEXMODEL_DATA", str(data))
    at = opened(tiny)
    charts = len(at.get("plotly_chart"))
    films = measured()
    for method in ("Grad-CAM", "LayerCAM"):
        at.selectbox(key="localisation-method").set_value(method)
        ran(at)
        rows_of = films[films["method"] == method].set_index("film")
        assert (
            f"({int(rows_of['hit'].sum())} hits among {len(rows_of)})"
            in at.selectbox(key="localisation-film").label
        )
        for name in (FILMS["validation"][1], FILMS["test"][0]):
            at.selectbox(key="localisation-film").set_value(name)
            ran(at)
            assert not at.error
            row = rows_of.loc[name]
            assert f"**{'Hit' if row['hit'] else 'Miss'}**" in text(at)
            assert f"IoU {row['iou']:.2f} at a cut-off of 0.25" in text(at)
            assert ("by member 2 of 2" in text(at)) == (name == FILMS["validation"][1])
            assert len(at.get("plotly_chart")) == charts
    at.selectbox(key="localisation-order").set_value("highest IoU first")
    ran(at)
    at.radio(key="localisation-split").set_value("test")
    assert "among 3)" in ran(at).selectbox(key="localisation-film").label


def test_another_folder_is_a_sentence(tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "train.csv").write_text("Path\n")
    for place in (tmp_path, tmp_path / "nowhere"):
        monkeypatch.setenv("CHEXMODEL_DATA", str(place))
        at = opened(tiny)
        assert len(at.error) == 1
        assert str(place) in at.error[0].value


def test_a_bundle_without_localisation_says_how_to_measure_it(tiny: Path) -> None:
    (tiny / "localisation.json").unlink()
    at = opened(tiny)
    assert "lacks localisation.json" in text(at)
    assert "python -m train evaluate" in text(at)
    assert not at.error
    assert not any("map" in frame.value for frame in at.dataframe)


def test_no_marked_film_says_how_to_mark_some(tiny: Path) -> None:
    (tiny / "localisation.json").write_bytes(bundle.to_json(Localisation(), Localisation))
    at = opened(tiny)
    assert "valid_masks.json" in text(at)
    assert "lacks" not in text(at)
    assert not at.error


def test_a_bundle_of_a_former_version_shows_what_it_has(tiny: Path) -> None:
    (tiny / "localisation_films.parquet").unlink()
    (tiny / "localisation.json").write_text(
        '[{"observation": "Lung Opacity", "split": "test", "films": 18, "patients": 14, "centre": 0.1,'
        ' "rate": {"value": 0.5, "low": 0.3, "high": 0.7}}]'
    )
    at = opened(tiny)
    assert table(at)["hit rate (95 %)"].tolist() == ["0.50 (0.30–0.70)", "0.10"]
    assert table(at)["mean IoU (95 %)"].tolist() == ["—", "—"]
    assert "evaluate the bundle again" in text(at)
    assert "a former version wrote it" in text(at)


@pytest.mark.parametrize("name", ["localisation.json", "localisation_films.parquet"])
def test_a_damaged_file_is_a_sentence(tiny: Path, name: str) -> None:
    (tiny / name).write_bytes(b"{")
    at = opened(tiny)
    assert len(at.error) == 1
    assert name in at.error[0].value


def test_figures_of_other_weights_are_marked(tiny: Path) -> None:
    kept = bundle.load(tiny).localisation().model_copy(update={"weights_sha256": "0" * 64})
    (tiny / "localisation.json").write_bytes(bundle.to_json(kept, Localisation))
    assert "other weights" in opened(tiny).error[0].value


def test_analyse_says_how_well_the_chosen_method_marks_the_finding(tiny: Path) -> None:
    at = AppTest.from_file(str(ROOT / "app.py"), default_timeout=60)
    at.session_state[MODEL_KEY] = str(tiny)
    ran(at)
    press(press(at, "phantom"), "Show the model's reading")
    found = bundle.load(tiny).localisation()
    for name in ("Grad-CAM", "LayerCAM", "EigenCAM"):
        at.selectbox(key="method").set_value(name)
        ran(at)
        score = found.widest(FINDING, name)
        expected = "not measured" if score is None else f"{score.hit.value:.0%} ({score.hit.low:.0%} to"
        (row,) = (row for row in panes(at)[0]["findings"] if row["observation"] == FINDING)
        assert row["caption"].startswith(f"How well {name} marks {FINDING}: ")
        assert expected in row["caption"]
    (tiny / "localisation.json").write_bytes(b"{")
    at.selectbox(key="method").set_value("Grad-CAM")
    ran(at)
    assert "localisation.json" in at.error[0].value
    (film,) = panes(at)
    assert not film["findings"]


def test_outlines_are_where_region_and_map_are() -> None:
    film = np.zeros((96, 48), np.float32)
    region = Region("a/b/c.jpg", FINDING, (Box(FINDING, 10, 20, 30, 60),))
    grid = torch.zeros(4, 4)
    grid[1, 2] = 3.0
    plain = np.asarray(outlined(film, grid, region, cutoff=0.5, alpha=0.0))
    assert plain.shape == (SHOWN_SIDE, SHOWN_SIDE // 2, 3)
    marked = np.argwhere((plain == MARKED).all(axis=2))
    scale = SHOWN_SIDE / 96
    assert marked.min(axis=0).tolist() == [20 * scale, 10 * scale]
    assert (marked.max(axis=0) + 1).tolist() == [60 * scale, 30 * scale]
    assert not (plain == CALLED).all(axis=2).any()
    drawn = np.asarray(outlined(film, grid, region, cutoff=0.5, alpha=0.5))
    assert (drawn == CALLED).all(axis=2).any()
    silent = np.asarray(outlined(film, -grid, region, cutoff=0.5, alpha=0.5))
    assert np.array_equal(silent, plain)  # nothing positive: no cross, no outline, no heat
