"""What all exports share: rows, operating points, and what must not leave."""

import math
import shutil
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
from reports import FILE, WORD, film_dicom, rejected, reported
from tiny_bundle import RARE, UNTRAINED

from chexmodel import phantom
from chexmodel.errors import ChexError
from chexmodel.labels import OBSERVATIONS
from chexmodel.language import using
from chexmodel.predictor import Predictor
from chexmodel.report import audit_actions, audit_facts, called, model_facts
from chexmodel.report_rows import band_words, by_weight, with_interval
from chexmodel.scores import UNKNOWN, Estimate


@pytest.fixture(scope="module")
def predictor(tiny_bundle: Path) -> Predictor:
    return Predictor.from_bundle(tiny_bundle)


@pytest.fixture(scope="module")
def film() -> bytes:
    return phantom.png(size=96)


def test_rows_say_what_the_prediction_says(predictor: Predictor, film: bytes) -> None:
    report = reported(predictor, film)
    prediction, rows = report.prediction, report.rows()
    assert [row.observation for row in rows] == list(OBSERVATIONS)
    for k, row in enumerate(rows):
        if row.observation == UNTRAINED:
            assert row.decision == "not_trained"
            assert row.not_trained == prediction.not_trained[UNTRAINED]
            assert all(map(math.isnan, (row.probability, row.threshold, row.low, row.high, row.logit)))
            assert row.peak is None
            assert row.place == ""
            continue
        assert (row.probability, row.threshold) == (prediction.probabilities[k], prediction.thresholds[k])
        assert (row.decision == "indeterminate") == prediction.indeterminate[k]
        assert row.words == prediction.frame()["decision"][k]
        assert row.verdict == WORD.of(row.observation)
        assert (row.peak is None) == (prediction.heatmaps[k].max() <= 0)
    rare = rows[OBSERVATIONS.index(RARE)]
    assert rare.default is not None
    assert rare.default in " ".join(rare.notes)
    assert band_words(rare) == "0.50"
    assert called(prediction) == tuple(row.observation for row in rows if row.decision == "at_or_above")


def test_the_operating_point_is_that_of_the_test_films_where_there_are_any(
    predictor: Predictor, film: bytes
) -> None:
    tested = {score.observation: score for score in predictor.bundle.metrics().splits["test"].scores}
    for row in reported(predictor, film).rows():
        if row.not_trained is not None:
            assert (row.point.films, row.point.undefined) == ("none", "not trained in this model")
            continue
        score = tested[row.observation]
        assert row.point.films == "test"
        assert row.point.specificity == score.specificity or math.isnan(score.specificity.value)
        assert (row.point.positives, row.point.negatives) == (score.positives, score.negatives)
    rare = reported(predictor, film).rows()[OBSERVATIONS.index(RARE)]
    assert math.isnan(rare.point.sensitivity.value)
    assert "0 positives" in rare.point.undefined
    assert rare.point.scarce


@pytest.mark.parametrize("spoilt", ["missing", "other weights"])
def test_without_a_test_of_these_weights_it_is_that_of_the_fit(
    predictor: Predictor, film: bytes, tmp_path: Path, spoilt: str
) -> None:
    path = Path(shutil.copytree(predictor.bundle.path, tmp_path / "tiny"))
    metrics = path / "metrics.json"
    if spoilt == "missing":
        metrics.unlink()
    else:
        metrics.write_text(metrics.read_text().replace(predictor.bundle.manifest.weights_sha256, "f" * 64))
    bundle = replace(predictor.bundle, path=path)
    report = replace(reported(predictor, film), bundle=bundle)
    for row, fitted in zip(report.rows(), bundle.thresholds, strict=True):
        if row.not_trained is None and row.default is None:
            assert (row.point.films, row.point.split) == ("fit", "validation")
            assert row.point.sensitivity == fitted.sensitivity
    rare = report.rows()[OBSERVATIONS.index(RARE)]
    assert (rare.point.films, rare.point.undefined) == ("none", rare.default)


def test_damaged_metrics_are_a_sentence(predictor: Predictor, film: bytes, tmp_path: Path) -> None:
    path = Path(shutil.copytree(predictor.bundle.path, tmp_path / "tiny"))
    (path / "metrics.json").write_text("{")
    with pytest.raises(ChexError, match=r"metrics\.json"):
        replace(reported(predictor, film), bundle=replace(predictor.bundle, path=path)).rows()


def test_reading_order_puts_what_is_called_first(predictor: Predictor, film: bytes) -> None:
    rows = by_weight(reported(predictor, film).rows())
    order = [row.decision for row in rows]
    assert order == sorted(order, key=["at_or_above", "indeterminate", "below", "not_trained"].index)
    for one, next_ in pairwise(rows):
        assert one.decision != next_.decision or not one.probability < next_.probability


def test_a_withheld_reading_is_exported_only_on_insistence(predictor: Predictor, film: bytes) -> None:
    prediction = rejected(predictor.predict(film))
    assert prediction.withheld
    with pytest.raises(ChexError, match="withheld"):
        reported(predictor, film, prediction=prediction)
    report = reported(predictor, film, prediction=prediction, insisted=True)
    assert "insistence" in report.insistence
    assert report.insistence.endswith("The film lies on its side.")
    assert reported(predictor, film).insistence == ""


def test_overlays_must_have_a_heatmap(predictor: Predictor, film: bytes) -> None:
    with pytest.raises(ChexError, match="not trained"):
        reported(predictor, film, overlays=(UNTRAINED,))
    with pytest.raises(ChexError, match="no observation “Fever”"):
        reported(predictor, film, overlays=("Fever",))


def test_facts_name_the_age_only_with_the_identity(predictor: Predictor) -> None:
    data = film_dicom()
    anonymous, named = reported(predictor, data), reported(predictor, data, name=FILE)
    assert "Patient's age" not in audit_facts(anonymous)
    assert audit_facts(named)["Patient's age"] == "62 years"
    assert audit_facts(anonymous)["Size"] == "96 × 96 px"
    assert audit_actions(anonymous)[-1].endswith("64×64 px for the network")
    assert predictor.bundle.manifest.weights_sha256 in model_facts(predictor.bundle).values()


def test_figures_are_written_the_language_s_way() -> None:
    estimate = Estimate(value=0.5, low=0.25, high=0.75)
    assert with_interval(estimate) == "0.50 (0.25–0.75)"
    assert with_interval(UNKNOWN) == "—"
    with using("fr"):
        assert with_interval(estimate) == "0,50 (0,25–0,75)"


def test_the_stamp_has_the_zone(predictor: Predictor, film: bytes) -> None:
    assert reported(predictor, film).stamp == "2026-11-25 14:32 (UTC+00:00)"
