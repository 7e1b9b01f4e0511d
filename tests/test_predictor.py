import io
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from networks import lively
from PIL import Image
from scipy.special import expit
from tiny_bundle import UNTRAINED, write_tiny_bundle
from torch import nn
from torch.nn import functional as F

import chexmodel
from chexmodel import Predictor, bundle
from chexmodel import predictor as predictor_module
from chexmodel.correction import Correction
from chexmodel.errors import BundleError, ChexError, ImageError
from chexmodel.explain import EXACT, METHODS, paint
from chexmodel.gate import PLACINGS, Gate, GateFit, GateResult
from chexmodel.geometry import to_square8
from chexmodel.labels import OBSERVATIONS
from chexmodel.network import Network
from chexmodel.predictor import NO_GATE

SHAPE = (90, 140)
NAN = float("nan")
FILM = np.random.default_rng(0).integers(0, 256, SHAPE, dtype=np.uint8)
OTHER = OBSERVATIONS.index(UNTRAINED)
TRAINED = np.arange(14) != OTHER


@pytest.fixture(scope="module")
def predictor(tmp_path_factory: pytest.TempPathFactory) -> Predictor:
    """The tiny bundle, with livelier weights and a calibration that moves every score."""
    loaded = bundle.load(write_tiny_bundle(tmp_path_factory.mktemp("runs") / "tiny"))
    calibrations = [
        row.model_copy(update={"method": "platt", "slope": 0.5 + k / 10, "intercept": k / 5 - 1})
        for k, row in enumerate(loaded.calibrations)
    ]
    return Predictor(replace(loaded, network=lively("test_resnet"), calibrations=calibrations))


def png(film: np.ndarray) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(film).save(stream, "PNG")
    return stream.getvalue()


def test_it_is_imported_when_asked_for() -> None:
    code = "import sys, chexmodel, chexmodel.labels; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).resolve().parents[1])
    assert chexmodel.Predictor is predictor_module.Predictor
    with pytest.raises(AttributeError, match="Reader"):
        _ = chexmodel.Reader


def test_from_bundle(tmp_path: Path) -> None:
    path = write_tiny_bundle(tmp_path / "tiny")
    for given in (path, str(path)):
        predictor = Predictor.from_bundle(given)
        assert predictor.bundle.path == path
        assert np.isfinite(predictor.predict(FILM).logits[TRAINED]).all()
    with pytest.raises(BundleError, match="no bundle"):
        Predictor.from_bundle(tmp_path / "nothing")


def test_every_field_has_fourteen(predictor: Predictor) -> None:
    prediction = predictor.predict(FILM)
    assert prediction.observations == OBSERVATIONS
    for values in (prediction.logits, prediction.probabilities, prediction.thresholds):
        assert values.shape == (14,)
    assert len(prediction.decisions) == 14
    assert prediction.heatmaps.shape == (14, 2, 2)
    assert prediction.gate is None
    np.testing.assert_array_equal(prediction.film, np.float32(FILM) / np.float32(255))
    assert (prediction.audit.format, prediction.audit.width, prediction.audit.height) == ("array", 140, 90)
    assert prediction.warnings == (*prediction.audit.warnings, NO_GATE)


def test_the_numbers_follow_from_each_other(predictor: Predictor) -> None:
    prediction, loaded = predictor.predict(FILM), predictor.bundle
    slopes = np.array([row.slope for row in loaded.calibrations])
    intercepts = np.array([row.intercept for row in loaded.calibrations])
    np.testing.assert_allclose(
        prediction.probabilities, expit(slopes * prediction.logits + intercepts), rtol=1e-12
    )
    np.testing.assert_array_equal(prediction.thresholds, [point.value for point in loaded.thresholds])
    for k in np.flatnonzero(TRAINED):
        assert prediction.decisions[k] is bool(prediction.probabilities[k] >= prediction.thresholds[k])
    assert len({prediction.decisions[k] for k in np.flatnonzero(TRAINED)}) == 2
    added_up = prediction.heatmaps.mean(axis=(1, 2)) + loaded.network.head.bias.numpy()
    np.testing.assert_allclose(added_up[TRAINED], prediction.logits[TRAINED], atol=1e-4)
    with torch.no_grad():
        logits, _ = loaded.network(loaded.manifest.preprocessing.tensor(prediction.film)[None])
    np.testing.assert_allclose(prediction.logits[TRAINED], logits[0].numpy()[TRAINED], atol=1e-5)


def test_a_decision_at_the_threshold_is_positive(predictor: Predictor) -> None:
    prediction = predictor.predict(FILM)
    for step, called in ((0, True), (1, False)):
        points = [
            point.model_copy(update={"value": float(np.nextafter(value, value + step)) if trained else 0.5})
            for point, value, trained in zip(
                predictor.bundle.thresholds, prediction.probabilities, TRAINED, strict=True
            )
        ]
        again = Predictor(replace(predictor.bundle, thresholds=points)).predict(FILM)
        assert {again.decisions[k] for k in np.flatnonzero(TRAINED)} == {called}


def test_what_was_not_trained_has_no_number(predictor: Predictor) -> None:
    prediction = predictor.predict(FILM)
    assert prediction.not_trained == predictor.bundle.manifest.not_trained
    assert list(prediction.not_trained) == [UNTRAINED]
    assert prediction.decisions[OTHER] is None
    for values in (prediction.logits, prediction.probabilities, prediction.heatmaps):
        assert np.isnan(values[OTHER]).all()
        assert np.isfinite(values[TRAINED]).all()
    row = prediction.frame().set_index("observation").loc[UNTRAINED]
    assert row["decision"] == "not trained in this model"
    assert np.isnan([row["probability"], row["raw_logit"]]).all()


@pytest.mark.parametrize("method", METHODS)
def test_the_untrained_and_the_unknown_have_no_map(predictor: Predictor, method: str) -> None:
    prediction = predictor.predict(FILM)
    with pytest.raises(ChexError, match=f"{UNTRAINED} was not trained in this model .*0 positives"):
        prediction.heat(UNTRAINED, method=method)
    with pytest.raises(ChexError, match=r"no observation 'edema': choose one of .*Edema"):
        prediction.overlay("edema", method=method)


@pytest.mark.parametrize("alpha", [-0.01, 1.01, NAN])
def test_an_opacity_out_of_range(predictor: Predictor, alpha: float) -> None:
    with pytest.raises(ChexError, match="must lie between 0 and 1"):
        predictor.predict(FILM).overlay("Edema", alpha)


def test_an_unknown_method_lists_the_others(predictor: Predictor) -> None:
    with pytest.raises(ChexError, match=r"no method 'ScoreCAM': choose one of Grad-CAM, Grad-CAM\+\+"):
        predictor.predict(FILM).overlay("Edema", method="ScoreCAM")


def test_the_frame_says_it_in_words(predictor: Predictor) -> None:
    prediction = predictor.predict(FILM)
    frame = prediction.frame()
    assert list(frame.columns) == [
        *("observation", "probability", "threshold", "band_low", "band_high", "decision", "raw_logit")
    ]
    assert tuple(frame["observation"]) == OBSERVATIONS
    np.testing.assert_array_equal(frame["probability"], prediction.probabilities)
    words = {True: "at or above threshold", False: "below threshold", None: "not trained in this model"}
    assert frame["decision"].tolist() == [
        "indeterminate" if unsure else words[called]
        for called, unsure in zip(prediction.decisions, prediction.indeterminate, strict=True)
    ]


def test_a_score_within_the_band_of_its_threshold_is_indeterminate(predictor: Predictor) -> None:
    probs = predictor.predict(FILM).probabilities
    for low, high, expected in (
        (0.0, 0.0, True),
        (-0.01, -0.005, False),
        (0.005, 0.01, False),
        (-0.1, 0.1, True),
    ):
        points = [
            point.model_copy(update={"low": p + low, "high": p + high})
            for point, p in zip(predictor.bundle.thresholds, probs, strict=True)
        ]
        again = Predictor(replace(predictor.bundle, thresholds=points)).predict(FILM)
        assert [again.indeterminate[k] for k in np.flatnonzero(TRAINED)] == [expected] * 13
        assert not again.indeterminate[OTHER]
        assert again.decisions == predictor.predict(FILM).decisions
        assert ("indeterminate" in again.frame()["decision"].tolist()) == expected


def test_a_default_threshold_is_never_indeterminate(predictor: Predictor) -> None:
    points = [point.model_copy(update={"low": NAN, "high": NAN}) for point in predictor.bundle.thresholds]
    prediction = Predictor(replace(predictor.bundle, thresholds=points)).predict(FILM)
    assert not any(prediction.indeterminate)


def test_thresholds_of_other_weights_are_said_to_be(predictor: Predictor) -> None:
    assert not any("other weights" in remark for remark in predictor.predict(FILM).warnings)
    points = [point.model_copy(update={"weights_sha256": "0" * 64}) for point in predictor.bundle.thresholds]
    stale = Predictor(replace(predictor.bundle, thresholds=points)).predict(FILM)
    assert any("fitted to other weights" in remark for remark in stale.warnings)


@pytest.mark.parametrize(
    "film",
    [FILM, FILM.astype(np.uint16) * 257, FILM / 255, (FILM / 255).astype(np.float32), png(FILM), "path"],
    ids=["uint8", "uint16", "float64", "float32", "PNG", "path"],
)
def test_the_same_film_in_any_form_reads_the_same(predictor: Predictor, film, tmp_path: Path) -> None:
    if isinstance(film, str):
        film = tmp_path / "film.png"
        film.write_bytes(png(FILM))
    prediction, expected = predictor.predict(film), predictor.predict(FILM)
    np.testing.assert_allclose(prediction.logits, expected.logits, atol=1e-5)
    overlay = prediction.overlay("Edema", 0.7)
    assert (overlay.size, overlay.mode) == ((140, 90), "RGB")
    np.testing.assert_allclose(np.asarray(overlay), np.asarray(expected.overlay("Edema", 0.7)), atol=1)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("shape", [(70, 33), (33, 70)])
def test_overlays_have_the_films_size(predictor: Predictor, method: str, shape: tuple[int, int]) -> None:
    prediction = predictor.predict(FILM[: shape[0], : shape[1]])
    heat = prediction.heat("Cardiomegaly", method=method)
    assert (heat.shape, heat.dtype) == (shape, np.float32)
    assert prediction.overlay("Cardiomegaly", method=method).size == shape[::-1]
    if method != EXACT:
        assert heat.min() >= 0
        assert heat.max() <= 1


def test_overlays_of_one_film_share_one_scale(predictor: Predictor) -> None:
    """The finding with the strongest evidence is painted fully; no other is stretched to look as strong."""
    prediction = predictor.predict(FILM)
    grey = np.asarray(prediction.overlay("Edema", 0.0)).astype(int)
    np.testing.assert_array_equal(grey, np.repeat(FILM[..., None], 3, axis=2))
    peaks = prediction.heatmaps.max(axis=(1, 2))
    order = [k for k in np.argsort(-peaks) if TRAINED[k]]
    scale = np.nanmax(prediction.heatmaps)
    for k in (order[0], order[-1]):
        painted = np.asarray(prediction.overlay(OBSERVATIONS[k], 1.0))
        heat = prediction.heat(OBSERVATIONS[k])
        np.testing.assert_array_equal(painted, paint(prediction.film, heat / scale, alpha=1.0))
    assert peaks[order[-1]] < 0.7 * scale
    cold = prediction.heat(OBSERVATIONS[order[-1]]) <= 0
    painted = np.asarray(prediction.overlay(OBSERVATIONS[order[-1]], 1.0))
    np.testing.assert_array_equal(painted[cold], grey[cold])


@pytest.mark.parametrize(
    "film",
    [b"", b"no film", np.zeros((40, 40, 3), np.uint8), np.full((40, 40), 3.0), "film.png", Path("nowhere")],
)
def test_what_is_no_film_is_an_image_error(predictor: Predictor, film) -> None:
    with pytest.raises(ImageError):
        predictor.predict(film)


def test_many_threads_read_alike(predictor: Predictor) -> None:
    """Readings, exact maps and maps by hooks all at once, each as if it were alone."""
    films = [np.roll(FILM, 20 * k, axis=1) for k in range(4)]
    jobs = [(which, method) for which in range(4) for method in METHODS]

    def run(job: tuple[int, str]) -> list[np.ndarray]:
        which, method = job
        prediction = predictor.predict(films[which])
        heat = prediction.heat("Lung Opacity", method=method)
        return [prediction.logits, prediction.probabilities, prediction.heatmaps, heat]

    alone = [run(job) for job in jobs]
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(run, jobs))
    for found, expected in zip(together, alone, strict=True):
        for a, b in zip(found, expected, strict=True):
            np.testing.assert_allclose(a, b, atol=1e-5)
    assert not np.allclose(alone[0][0][TRAINED], alone[-1][0][TRAINED], atol=1e-4)


def test_a_prediction_is_its_own(predictor: Predictor) -> None:
    first = predictor.predict(FILM)
    first.thresholds[:] = 7
    first.not_trained.clear()
    second = predictor.predict(FILM)
    assert (second.thresholds <= 1).all()
    assert UNTRAINED in second.not_trained


class Brightness(nn.Module):
    """A backbone whose map is the mean brightness of each cell of 16 px."""

    def forward_features(self, images: torch.Tensor) -> torch.Tensor:
        return F.avg_pool2d(images, 16)


@pytest.fixture(scope="module")
def watcher(predictor: Predictor) -> Predictor:
    """A reader of 224 px films (14 × 14 cells) that answers every question with the brightness."""
    network = Network(Brightness(), 3, 14).requires_grad_(False).eval()
    nn.init.constant_(network.head.weight, 1 / 3)
    manifest = predictor.bundle.manifest
    preprocessing = manifest.preprocessing.model_copy(
        update={"size": 224, "mean": (0.0, 0.0, 0.0), "std": (1.0, 1.0, 1.0)}
    )
    manifest = manifest.model_copy(update={"preprocessing": preprocessing})
    return Predictor(replace(predictor.bundle, network=network, manifest=manifest))


@pytest.mark.parametrize("method", [EXACT, "HiResCAM", "LayerCAM"])
@pytest.mark.parametrize("shape", [(400, 250), (250, 400), (333, 333), (512, 97)])
@pytest.mark.parametrize("place", [(0.1, 0.9), (0.5, 0.5), (0.85, 0.2)])
def test_a_mark_is_painted_where_it_is(
    watcher: Predictor, shape: tuple[int, int], place: tuple[float, float], method: str
) -> None:
    film = np.zeros(shape, np.uint8)
    row, column = (round(at * (length - 6)) for at, length in zip(place, shape, strict=True))
    film[row : row + 6, column : column + 6] = 255
    prediction = watcher.predict(film)
    heat = prediction.heat("Lung Lesion", method=method)
    peak = np.array(np.unravel_index(heat.argmax(), shape))
    cell = max(shape) / 14
    assert (np.abs(peak - (row + 2.5, column + 2.5)) <= cell).all()
    change = np.asarray(prediction.overlay("Lung Lesion", 1.0, method=method)).astype(int) - film[..., None]
    away = np.maximum(np.abs(np.arange(shape[0]) - row)[:, None], np.abs(np.arange(shape[1]) - column))
    assert (change[away > 3 * cell] == 0).all()
    assert np.abs(change).max() > 20


def test_the_watcher_sees_what_the_geometry_gives(watcher: Predictor) -> None:
    prediction = watcher.predict(FILM)
    square = to_square8(prediction.film, 224) / 255
    expected = F.avg_pool2d(square[None], 16)[0].numpy()
    np.testing.assert_allclose(prediction.heatmaps[0], expected, atol=1e-6)


UPRIGHT = np.repeat(np.array([[20], [220]], np.uint8), 40, axis=0).repeat(80, axis=1)


@pytest.fixture(scope="module")
def gated(predictor: Predictor) -> Predictor:
    """The tiny reader with a gate that takes whatever is darker in its upper half for upright."""
    network = Network(Brightness(), 3, 14).requires_grad_(False).eval()
    placed = torch.zeros(8, 3, 2, 2)
    for k, one in enumerate(PLACINGS):
        wanted = one.inverse().apply(np.array([[0.0, 0.0], [1.0, 1.0]]))
        placed[k] = torch.from_numpy(wanted - 0.5) / 3
    biases = torch.zeros(9)
    biases[4:8] = -9  # an inverted film looks like a turned one here
    placed[4:] = 0
    limits = {"farthest": 2, "least_upright": 0.1, "clearly_faced": -1, "least_faced": 0}
    fit = GateFit(weights_sha256="", films=2, patients=2, **limits)
    gate = Gate(fit, torch.ones(3), placed, torch.zeros(3, 2, 2), biases)
    return Predictor(replace(predictor.bundle, network=network, gate=gate))


def test_an_upright_film_is_accepted(gated: Predictor) -> None:
    prediction = gated.predict(UPRIGHT)
    assert prediction.gate == GateResult(True)
    assert not prediction.withheld
    assert prediction.correction is None
    assert prediction.warnings == prediction.audit.warnings


@pytest.mark.parametrize("turns", [1, 2, 3])
def test_a_turned_film_is_withheld_until_it_is_corrected(gated: Predictor, turns: int) -> None:
    needed = Correction(turns)
    turned = needed.inverse().apply(UPRIGHT)
    prediction = gated.predict(png(turned))
    assert prediction.withheld
    assert prediction.gate == GateResult(False, needed.complaint(), needed)
    assert prediction.gate.reason in prediction.warnings
    assert NO_GATE not in prediction.warnings
    assert np.isfinite(prediction.probabilities[TRAINED]).all()  # for who insists
    again = gated.predict(png(turned), correction=prediction.gate.correction)
    assert again.gate == GateResult(True)
    assert again.correction == needed
    assert again.audit.actions[-1] == f"corrected on request: {needed.words()}"
    np.testing.assert_array_equal(again.film, np.float32(UPRIGHT) / np.float32(255))
    np.testing.assert_array_equal(again.logits, gated.predict(UPRIGHT).logits)


def test_what_is_no_film_has_no_correction(gated: Predictor) -> None:
    prediction = gated.predict(np.full((60, 70), 128, np.uint8))
    assert prediction.withheld
    assert prediction.gate.correction is None
    assert "does not look like" in prediction.gate.reason


def test_many_threads_judge_alike(gated: Predictor) -> None:
    films = [Correction(k % 4).apply(UPRIGHT) for k in range(16)]
    alone = [gated.predict(film).gate for film in films]
    with ThreadPoolExecutor(8) as pool:
        assert [p.gate for p in pool.map(gated.predict, films)] == alone


def test_a_correction_needs_no_gate(predictor: Predictor) -> None:
    made = Correction(1, mirror=True, invert=True)
    prediction = predictor.predict(FILM, correction=made)
    expected = predictor.predict(made.apply(FILM))
    np.testing.assert_allclose(prediction.logits, expected.logits, atol=1e-6)
    assert (prediction.audit.width, prediction.audit.height) == SHAPE
    assert (prediction.gate, prediction.withheld, prediction.correction) == (None, False, made)
    assert prediction.overlay("Edema").size == SHAPE
    untouched = predictor.predict(FILM, correction=Correction())
    assert untouched.correction is None
    assert untouched.audit == predictor.predict(FILM).audit
