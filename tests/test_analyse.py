"""The Analyse page: what it shows of films, when, and what it says when it can't."""

import dataclasses
import hashlib
import io
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from analysing import panes, press, upload
from apps import ran
from PIL import Image
from streamlit.testing.v1 import AppTest
from tiny_bundle import UNTRAINED, write_tiny_bundle

from chexmodel import examples, phantom
from chexmodel.labels import OBSERVATIONS
from chexmodel.predictor import Prediction, Predictor
from chexmodel.ui.bundles import MODEL_KEY
from chexmodel.ui.film import film_figure

ROOT = Path(__file__).resolve().parents[1]
FILM = phantom.png(size=128)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_bundle(tmp_path_factory.mktemp("made") / "tiny")


@pytest.fixture(scope="module")
def prediction(made: Path) -> Prediction:
    return Predictor.from_bundle(made).predict(FILM)


def opened(chosen: Path, monkeypatch: pytest.MonkeyPatch) -> AppTest:
    monkeypatch.setenv("CHEXMODEL_RUNS", str(chosen.parent))
    at = AppTest.from_file(str(ROOT / "app.py"), default_timeout=60)
    at.session_state[MODEL_KEY] = str(chosen)
    return ran(at)


def texts(elements: Sequence[Any]) -> str:
    return " ".join(element.value for element in elements)


def test_a_fresh_page_asks_for_a_film(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    at = opened(made, monkeypatch)
    assert "upload a film" in at.info[0].value
    assert "Not a medical device" in at.caption[0].value
    assert not panes(at)


def test_the_film_comes_first_and_the_reading_on_request(
    made: Path, prediction: Prediction, monkeypatch: pytest.MonkeyPatch
) -> None:
    at = upload(opened(made, monkeypatch), ("film.png", FILM))
    (film,) = panes(at)
    assert (film["width"], film["height"]) == (128, 128)
    assert not film["findings"]
    assert not film["maps"]
    assert "film.png" not in texts(at.markdown)
    press(at, "Show the model's reading")
    (film,) = panes(at)
    assert [row["observation"] for row in film["findings"]] != list(OBSERVATIONS)
    assert {row["observation"] for row in film["findings"]} == set(OBSERVATIONS)
    assert set(film["maps"]) == set(OBSERVATIONS) - set(prediction.not_trained)
    press(at, "Hide the model's reading")
    assert not panes(at)[0]["findings"]


def test_scores_of_the_list_are_the_readings(
    made: Path, prediction: Prediction, monkeypatch: pytest.MonkeyPatch
) -> None:
    at = press(upload(opened(made, monkeypatch), ("film.png", FILM)), "Show the model's reading")
    rows = {row["observation"]: row for row in panes(at)[0]["findings"]}
    for k, name in enumerate(OBSERVATIONS):
        if name == UNTRAINED:
            assert rows[name]["score"] is None
            assert "not trained" in rows[name]["side"]
        elif name not in prediction.not_trained:
            assert rows[name]["score"] == pytest.approx(prediction.probabilities[k])


def test_another_method_has_other_maps_and_says_so(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    at = press(upload(opened(made, monkeypatch), ("film.png", FILM)), "Show the model's reading")
    exact = panes(at)[0]
    at.selectbox(key="method").set_value("LayerCAM")
    ran(at)
    other = panes(at)[0]
    assert other["scale"] == 1.0 != exact["scale"]
    assert other["maps"] != exact["maps"]
    assert "LayerCAM is relative" in texts(at.caption)


def test_a_reading_stays_with_its_film(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    at = press(upload(opened(made, monkeypatch), ("film.png", FILM)), "Show the model's reading")
    upload(at, ("other.png", phantom.png(size=128, seed=3)))
    assert not panes(at)[0]["findings"], "another film's reading was not asked for"
    upload(at, ("film.png", FILM))
    assert panes(at)[0]["findings"], "this one's was"


def test_the_readers_word_is_kept_with_the_film(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    at = press(upload(opened(made, monkeypatch), ("film.png", FILM)), "Show the model's reading")
    answer = next(group for group in at.get("button_group") if "answer-" in str(group.key))
    answer.set_value("rejected")
    ran(at)
    at.text_area[0].set_value("Rotated film.")
    ran(at)
    (case,) = at.session_state["cases"].values()
    assert case.word.comment == "Rotated film."
    ((_, verdict),) = case.word.ordered()
    assert verdict.answer == "rejected"


def test_a_prior_film_is_shown_beside_with_the_change(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    at = press(upload(opened(made, monkeypatch), ("film.png", FILM)), "Show the model's reading")
    upload(at, ("before.png", phantom.png(size=96, seed=5)), key="prior-upload")
    current, prior = panes(at)
    assert (current["title"], prior["title"]) == ("Current film", "Prior film")
    assert prior["findings"]
    assert "not a measurement of progression" in texts(at.caption)
    press(at, "Put the prior film away")
    assert len(panes(at)) == 1


def test_a_prior_film_that_is_none_is_a_sentence(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    at = upload(opened(made, monkeypatch), ("film.png", FILM))
    upload(at, ("letter.txt", b"Dear colleague"), key="prior-upload")
    assert "PNG" in texts(at.error)
    assert len(panes(at)) == 1


def test_the_networks_input_and_the_audit_are_a_click_away(
    made: Path, prediction: Prediction, monkeypatch: pytest.MonkeyPatch
) -> None:
    at = upload(opened(made, monkeypatch), ("film.png", FILM))
    side = prediction.network_input().shape[0]
    assert any("What the model saw" in expander.label for expander in at.expander)
    assert f"resized to {side}×{side}" in texts(at.markdown)
    assert len(at.get("image")) == 1


def test_a_file_that_is_no_film_is_a_sentence(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    at = upload(opened(made, monkeypatch), ("letter.txt", b"Dear colleague"))
    assert len(at.error) == 1
    assert "PNG" in at.error[0].value
    assert not panes(at)


def test_one_bad_file_among_films_is_named_and_the_others_open(
    made: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    at = upload(opened(made, monkeypatch), ("letter.txt", b"Dear colleague"), ("film.png", FILM))
    assert "letter.txt" in at.error[0].value
    assert len(panes(at)) == 1


def test_a_film_that_is_there_twice_stops_nothing(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one, other = phantom.png(size=64, seed=1), phantom.png(size=64, seed=2)
    at = upload(opened(made, monkeypatch), ("a.png", one), ("b.png", one), ("c.png", other))
    choice = next(box for box in at.selectbox if box.label.startswith("Film (of"))
    choice.select_index(2)
    assert len(ran(at).error) == 0
    assert len(panes(at)) == 1


def test_films_of_a_zip_are_listed_and_one_is_opened(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as packed:
        for seed in range(2):
            packed.writestr(f"folder/film{seed}", phantom.png(size=96, seed=seed))
    at = upload(opened(made, monkeypatch), ("study.zip", archive.getvalue()))
    choice = next(box for box in at.selectbox if box.label.startswith("Film (of 2)"))
    assert not panes(at), "the table of all comes first"
    choice.select_index(2)
    ran(at)
    assert len(panes(at)) == 1


def test_the_phantom_is_always_there_and_labelled(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    at = press(opened(made, monkeypatch), "phantom")
    assert "Synthetic phantom" in texts(at.caption)
    assert len(panes(at)) == 1


def test_an_example_without_network_is_a_sentence(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def offline(*_: object, **__: object) -> None:
        raise OSError("no route to host")

    monkeypatch.setattr(examples, "urlopen", offline)
    at = press(opened(made, monkeypatch), "Cardiomegaly")
    assert "offline" in at.error[0].value


def test_an_example_that_arrives_is_shown_with_its_labels(
    made: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = examples.EXAMPLES[0]
    known = dataclasses.replace(real, sha256=hashlib.sha256(FILM).hexdigest())
    monkeypatch.setattr(examples, "urlopen", lambda *_, **__: io.BytesIO(FILM))
    monkeypatch.setattr(examples, "EXAMPLES", (known,))
    monkeypatch.setattr("chexmodel.ui.opening.EXAMPLES", (known,))
    at = press(opened(made, monkeypatch), real.labels)
    assert f"report-mined labels: {real.labels}" in texts(at.caption)
    assert len(panes(at)) == 1


@pytest.mark.parametrize("spoilt", ["bundle.json", "model.safetensors", "thresholds.json"])
def test_a_damaged_model_is_a_sentence(
    made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, spoilt: str
) -> None:
    copy = write_tiny_bundle(tmp_path / "runs" / "spoilt")
    (copy / spoilt).write_bytes(b"{")
    at = press(opened(copy, monkeypatch), "phantom")
    assert len(at.error) == 1
    assert "spoilt" in at.error[0].value


def test_figures_keep_the_film_at_its_proportions() -> None:
    figure = film_figure(Image.new("L", (90, 40)), height=300)
    assert tuple(figure.layout.xaxis.range) == (0, 90)
    assert tuple(figure.layout.yaxis.range) == (40, 0)
    assert figure.layout.yaxis.scaleanchor == "x"
    wide = film_figure(Image.new("L", (3000, 1500)), height=300, scale=(2.5, "raw log-odds"))
    assert tuple(wide.layout.xaxis.range) == (0, 3000)
    assert wide.data[0].marker.cmax == 2.5
    assert wide.data[0].marker.colorbar.title.text == "raw log-odds"
