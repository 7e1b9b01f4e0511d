"""The findings as the viewer lists them: order, words, the operating point and where it was measured."""

import dataclasses
import json
import math
import shutil
from pathlib import Path

import numpy as np
import pytest
from tiny_bundle import RARE, UNTRAINED

from chexmodel import phantom
from chexmodel.errors import BundleError
from chexmodel.explain import EXACT
from chexmodel.labels import OBSERVATIONS
from chexmodel.language import using
from chexmodel.predictor import Prediction, Predictor
from chexmodel.ui.findings import Finding, findings

CALLED, UNSURE, QUIET = OBSERVATIONS[3], OBSERVATIONS[5], OBSERVATIONS[8]


ORDER = ("above", "indeterminate", "below", "untrained")


@pytest.fixture(scope="module")
def predictor(tiny_bundle: Path) -> Predictor:
    return Predictor.from_bundle(tiny_bundle)


@pytest.fixture(scope="module")
def prediction(predictor: Predictor) -> Prediction:
    """A reading with one score well above its threshold, one within its band and one well below."""
    read = predictor.predict(phantom.png(size=64))
    scores, bands = read.probabilities.copy(), read.bands.copy()
    for name, score in ((CALLED, 0.9876), (UNSURE, 0.5), (QUIET, 0.0)):
        k = OBSERVATIONS.index(name)
        scores[k] = score
        bands[k] = (0.4, 0.6)
    decisions = tuple(
        None if np.isnan(p) else bool(p >= t) for p, t in zip(scores, read.thresholds, strict=True)
    )
    return dataclasses.replace(read, probabilities=scores, bands=bands, decisions=decisions)


def row(rows: list[Finding], observation: str) -> Finding:
    return next(finding for finding in rows if finding.observation == observation)


def test_above_threshold_comes_first_and_untrained_last(predictor: Predictor, prediction: Prediction) -> None:
    rows = findings(prediction, predictor.bundle)
    assert sorted(finding.observation for finding in rows) == sorted(OBSERVATIONS)
    ranks = [ORDER.index(finding.state) for finding in rows]
    assert ranks == sorted(ranks)
    for state in ORDER[:3]:
        scores = [finding.score for finding in rows if finding.state == state]
        assert scores == sorted(scores, reverse=True)
    assert row(rows, CALLED).state == "above"
    assert row(rows, UNSURE).state == "indeterminate"
    assert row(rows, QUIET).state == "below"
    assert rows[-1].observation == UNTRAINED


def test_the_words_are_the_agreed_ones(predictor: Predictor, prediction: Prediction) -> None:
    rows = findings(prediction, predictor.bundle, where={CALLED: "upper third"})
    called, unsure, quiet = (row(rows, name) for name in (CALLED, UNSURE, QUIET))
    assert called.said == f"score for {CALLED}: 0.99"
    assert called.side == f"at or above threshold {called.threshold:.2f}"
    assert (called.where, unsure.where) == ("upper third", "")
    assert unsure.side == "indeterminate (0.40–0.60)"
    assert quiet.side == f"below threshold {quiet.threshold:.2f}"
    assert called.caption == f"How well {EXACT} marks {CALLED}: not measured."
    every = " ".join(" ".join((f.said, f.side, f.operating, f.caption, *f.remarks)) for f in rows).lower()
    assert not any(word in every for word in ("normal", "ruled out", "diagnosis", "nan"))


def test_an_untrained_observation_has_no_number(predictor: Predictor, prediction: Prediction) -> None:
    last = row(findings(prediction, predictor.bundle), UNTRAINED)
    assert last.side == "not trained in this model"
    assert last.said == last.operating == last.caption == ""
    assert last.remarks == (prediction.not_trained[UNTRAINED],)
    assert all(math.isnan(value) for value in (last.score, last.threshold, *last.band))


def test_a_small_threshold_keeps_a_third_decimal(predictor: Predictor, prediction: Prediction) -> None:
    k = OBSERVATIONS.index(CALLED)
    points = list(predictor.bundle.thresholds)
    points[k] = points[k].model_copy(update={"value": 0.041})
    scores, cuts = prediction.probabilities.copy(), prediction.thresholds.copy()
    scores[k], cuts[k] = 0.039, 0.041
    read = dataclasses.replace(
        prediction,
        probabilities=scores,
        thresholds=cuts,
        bands=np.full((14, 2), np.nan),
        decisions=tuple(False if decision is not None else None for decision in prediction.decisions),
    )
    found = row(findings(read, dataclasses.replace(predictor.bundle, thresholds=points)), CALLED)
    assert (found.said, found.side) == (f"score for {CALLED}: 0.039", "below threshold 0.041")


def test_the_operating_point_is_that_of_the_test_films(predictor: Predictor, prediction: Prediction) -> None:
    judged = next(s for s in predictor.bundle.metrics().splits["test"].scores if s.observation == CALLED)
    said = row(findings(prediction, predictor.bundle), CALLED).operating
    recall, specificity = judged.recall, judged.specificity
    assert said == (
        f"Sensitivity {recall.value:.2f} ({recall.low:.2f}–{recall.high:.2f}), specificity "
        f"{specificity.value:.2f} ({specificity.low:.2f}–{specificity.high:.2f}); test films: "
        f"{judged.positives} with the finding, {judged.negatives} without."
    )
    rare = row(findings(prediction, predictor.bundle), RARE)
    assert rare.operating.startswith("Sensitivity and specificity undefined: 0 test films with the finding, ")
    assert any("default" in remark for remark in rare.remarks)
    assert any("Uncalibrated" in remark for remark in rare.remarks)


@pytest.mark.parametrize("spoilt", ["missing", "other weights", "other threshold"])
def test_else_the_films_of_the_fit_are_named(
    tiny_bundle: Path, prediction: Prediction, tmp_path: Path, spoilt: str
) -> None:
    copy = Path(shutil.copytree(tiny_bundle, tmp_path / "tiny"))
    file = copy / "metrics.json"
    metrics = json.loads(file.read_text())
    if spoilt == "missing":
        file.unlink()
    elif spoilt == "other weights":
        file.write_text(json.dumps(metrics | {"weights_sha256": "0" * 64}))
    else:
        metrics["splits"]["test"]["scores"][OBSERVATIONS.index(CALLED)]["threshold"] = 0.123
        file.write_text(json.dumps(metrics))
    bundle = Predictor.from_bundle(copy).bundle
    point = bundle.thresholds[OBSERVATIONS.index(CALLED)]
    said = row(findings(prediction, bundle), CALLED).operating
    assert said.startswith(f"Sensitivity {point.sensitivity.value:.2f} (")
    assert "on the films that set the threshold, which flatters it" in said
    assert said.endswith(f"{point.positives} with the finding, {point.negatives} without.")


def test_a_default_that_nobody_judged_has_no_figure(
    tiny_bundle: Path, prediction: Prediction, tmp_path: Path
) -> None:
    copy = Path(shutil.copytree(tiny_bundle, tmp_path / "tiny"))
    (copy / "metrics.json").unlink()
    bundle = Predictor.from_bundle(copy).bundle
    assert row(findings(prediction, bundle), RARE).operating == "Sensitivity and specificity not measured."
    (copy / "metrics.json").write_text("{")
    with pytest.raises(BundleError, match=r"metrics\.json"):
        findings(prediction, bundle)


def test_numbers_are_written_in_the_readers_language(predictor: Predictor, prediction: Prediction) -> None:
    with using("fr"):
        assert "0,99" in row(findings(prediction, predictor.bundle), CALLED).said
