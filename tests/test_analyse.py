"""The Analyse page: what it shows of a film, and what it says when it can't."""

import dataclasses
import hashlib
import io
from pathlib import Path

import numpy as np
import pytest
from apps import ran
from PIL import Image
from streamlit.testing.v1 import AppTest
from tiny_bundle import UNTRAINED, write_tiny_bundle

from chexmodel import examples, phantom
from chexmodel.labels import OBSERVATIONS
from chexmodel.predictor import Prediction, Predictor
from chexmodel.ui.components import MODEL_KEY
from chexmodel.ui.film import film_figure, grey_image
from chexmodel.ui.findings import decision_words, findings_html, ranked

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_bundle(tmp_path_factory.mktemp("made") / "tiny")


@pytest.fixture(scope="module")
def prediction(made: Path) -> Prediction:
    return Predictor.from_bundle(made).predict(phantom.png(size=128))


def opened(chosen: Path, monkeypatch: pytest.MonkeyPatch) -> AppTest:
    monkeypatch.setenv("CHEXMODEL_RUNS", str(chosen.parent))
    at = AppTest.from_file(str(ROOT / "app.py"), default_timeout=60)
    at.session_state[MODEL_KEY] = str(chosen)
    return ran(at)


def upload(at: AppTest, name: str, data: bytes) -> AppTest:
    at.file_uploader(key="upload").set_value((name, data, "application/octet-stream"))
    return ran(at)


def test_a_fresh_page_asks_for_a_film(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    at = opened(made, monkeypatch)
    assert "upload a film" in at.info[0].value
    assert "Not a medical device" in at.caption[0].value
    assert not at.get("plotly_chart")


def test_an_upload_is_read_and_explained(
    made: Path, prediction: Prediction, monkeypatch: pytest.MonkeyPatch
) -> None:
    at = upload(opened(made, monkeypatch), "film.png", phantom.png(size=128))
    finding = next(box for box in at.selectbox if box.label == "Finding to explain")
    assert len(finding.options) == len(OBSERVATIONS) - len(prediction.not_trained)
    assert finding.value == ranked(prediction)[0]
    assert decision_words(prediction, finding.value) in finding.options[0]
    assert len(at.get("plotly_chart")) == 2
    assert any("not trained in this model" in html.proto.body for html in at.get("html"))
    finding.select_index(2)
    ran(at)
    assert any(ranked(prediction)[2] in text.value for text in at.markdown)
    method = next(box for box in at.selectbox if box.label == "Method")
    method.set_value("LayerCAM")
    ran(at)
    assert any("LayerCAM is relative" in text.value for text in at.caption)


def test_a_file_that_is_no_film_is_a_sentence(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    at = upload(opened(made, monkeypatch), "letter.txt", b"Dear colleague")
    assert len(at.error) == 1
    assert "PNG" in at.error[0].value
    assert not at.get("plotly_chart")


def test_the_phantom_is_always_there_and_labelled(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    at = opened(made, monkeypatch)
    next(button for button in at.button if "phantom" in button.label).click()
    ran(at)
    assert any("Synthetic phantom" in text.value for text in at.caption)
    assert len(at.get("plotly_chart")) == 2


def test_an_example_without_network_is_a_sentence(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def offline(*_: object, **__: object) -> None:
        raise OSError("no route to host")

    monkeypatch.setattr(examples, "urlopen", offline)
    at = opened(made, monkeypatch)
    next(button for button in at.button if "Cardiomegaly" in button.label).click()
    ran(at)
    assert "offline" in at.error[0].value


def test_an_example_that_arrives_is_shown_with_its_labels(
    made: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    film = phantom.png(size=128)
    real = examples.EXAMPLES[0]
    known = dataclasses.replace(real, sha256=hashlib.sha256(film).hexdigest())
    monkeypatch.setattr(examples, "urlopen", lambda *_, **__: io.BytesIO(film))
    monkeypatch.setattr(examples, "EXAMPLES", (known,))
    at = opened(made, monkeypatch)
    next(button for button in at.button if real.labels in button.label).click()
    ran(at)
    assert any(f"report-mined labels: {real.labels}" in text.value for text in at.caption)
    assert len(at.get("plotly_chart")) == 2


@pytest.mark.parametrize("spoilt", ["bundle.json", "model.safetensors", "thresholds.json"])
def test_a_damaged_model_is_a_sentence(
    made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, spoilt: str
) -> None:
    copy = write_tiny_bundle(tmp_path / "runs" / "spoilt")
    (copy / spoilt).write_bytes(b"{")
    at = opened(copy, monkeypatch)
    next(button for button in at.button if "phantom" in button.label).click()
    ran(at)
    assert len(at.error) == 1
    assert "spoilt" in at.error[0].value


def test_findings_are_ranked_and_untrained_ones_have_no_number(prediction: Prediction) -> None:
    order = ranked(prediction)
    values = [prediction.probabilities[OBSERVATIONS.index(name)] for name in order]
    assert values == sorted(values, reverse=True)
    assert UNTRAINED not in order
    for name in order:
        k = OBSERVATIONS.index(name)
        if prediction.indeterminate[k]:
            low, high = prediction.bands[k]
            assert decision_words(prediction, name) == (
                f"{prediction.probabilities[k]:.2f} · indeterminate ({low:.2f}–{high:.2f})"
            )
            continue
        side = "at or above" if prediction.probabilities[k] >= prediction.thresholds[k] else "below"
        assert decision_words(prediction, name) == (
            f"{prediction.probabilities[k]:.2f} · {side} {prediction.thresholds[k]:.2f}"
        )


def test_findings_list_is_escaped_and_complete(made: Path, prediction: Prediction) -> None:
    html = findings_html(prediction, Predictor.from_bundle(made).bundle.calibrations)
    assert html.count('role="listitem"') == len(OBSERVATIONS)
    assert html.count("not trained in this model") == len(prediction.not_trained)
    assert "nan" not in html.lower()
    assert "uncalibrated" in html
    assert html.count('class="band"') == np.isfinite(prediction.bands[:, 0]).sum() > 0
    assert html.count("◇") == html.count("indeterminate") == sum(prediction.indeterminate)


def test_figures_keep_the_film_at_its_proportions() -> None:
    film = np.linspace(0, 1, 40 * 90, dtype=np.float32).reshape(40, 90)
    picture = grey_image(film)
    assert np.abs(np.asarray(picture) / 255 - film).max() <= 0.5 / 255 + 1e-6
    figure = film_figure(picture, height=300)
    assert tuple(figure.layout.xaxis.range) == (0, 90)
    assert tuple(figure.layout.yaxis.range) == (40, 0)
    assert figure.layout.yaxis.scaleanchor == "x"
    wide = film_figure(Image.new("L", (3000, 1500)), height=300, scale=(2.5, "raw log-odds"))
    assert tuple(wide.layout.xaxis.range) == (0, 3000)
    assert wide.data[0].marker.cmax == 2.5
    assert wide.data[0].marker.colorbar.title.text == "raw log-odds"
