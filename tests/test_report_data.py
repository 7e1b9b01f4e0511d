"""JSON, CSV and PNG, read back and compared with the reading."""

import csv
import io
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from reports import ACCESSION, COMMENT, FILE, NAME, PATIENT, film_dicom, rejected, reported
from tiny_bundle import RARE, UNTRAINED

from chexmodel import phantom
from chexmodel.errors import ChexError
from chexmodel.labels import OBSERVATIONS
from chexmodel.language import using
from chexmodel.predictor import Predictor
from chexmodel.report_data import to_csv, to_json, to_png
from chexmodel.report_schema import SCHEMA_VERSION, ReadingOut, json_schema

SECRETS = (FILE, "Secret", PATIENT, ACCESSION, "20261124", "Referring", "Hospital")


@pytest.fixture(scope="module")
def predictor(tiny_bundle: Path) -> Predictor:
    return Predictor.from_bundle(tiny_bundle)


@pytest.fixture(scope="module")
def film() -> bytes:
    return phantom.png(size=96)


@pytest.fixture(scope="module")
def source() -> bytes:
    return film_dicom()


def test_json_says_what_the_prediction_says(predictor: Predictor, film: bytes) -> None:
    report = reported(predictor, film)
    prediction = report.prediction
    read = json.loads(to_json(report))
    assert read["schema_version"] == SCHEMA_VERSION
    assert read["made"] == "2026-11-25T14:32:05+00:00"
    assert read["model"]["weights_sha256"] == predictor.bundle.manifest.weights_sha256
    assert (read["identity"], read["insisted"], read["gate"]) == (None, False, None)
    assert read["warnings"] == list(prediction.warnings)
    assert [finding["observation"] for finding in read["findings"]] == list(OBSERVATIONS)
    for k, finding in enumerate(read["findings"]):
        if finding["observation"] == UNTRAINED:
            numbers = ("probability", "raw_logit", "threshold", "band_low", "band_high", "heatmap_peak")
            assert [finding[key] for key in numbers] == [None] * 6
            assert finding["not_trained"]
            continue
        assert finding["probability"] == prediction.probabilities[k]
        assert finding["raw_logit"] == prediction.logits[k]
        assert finding["words"] == prediction.frame()["decision"][k]
    rare = read["findings"][OBSERVATIONS.index(RARE)]
    assert rare["band_low"] is None
    assert rare["threshold_default"]
    assert rare["operating_point"]["sensitivity"] == {"value": None, "low": None, "high": None}
    assert rare["operating_point"]["undefined"]
    corrected = read["findings"][OBSERVATIONS.index("Pneumonia")]["verdict"]
    assert corrected == {
        "answer": "corrected",
        "presence": "uncertain",
        "comment": COMMENT,
        "words": "corrected: uncertain",
    }
    assert read["comment"] == "=Taken at the bedside"


def test_json_is_what_its_schema_says(predictor: Predictor, source: bytes) -> None:
    jsonschema = pytest.importorskip("jsonschema", reason="jsonschema is not installed")
    schema = json_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    for changes in ({}, {"name": FILE}):
        made = json.loads(to_json(reported(predictor, source, **changes)))
        jsonschema.validate(made, schema)
        ReadingOut.model_validate(made)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(made | {"diagnosis": "none"}, schema)


def test_codes_stay_english_and_words_do_not(predictor: Predictor, film: bytes) -> None:
    english = json.loads(to_json(report := reported(predictor, film)))
    with using("fr"):
        french = json.loads(to_json(report))
    assert french["language"] == "fr"
    for one, other in zip(english["findings"], french["findings"], strict=True):
        for key in ("observation", "decision", "probability", "threshold_rule"):
            assert one[key] == other[key]
        points = [finding["operating_point"] | {"undefined": ""} for finding in (one, other)]
        assert points[0] == points[1]


def test_the_schema_asks_for_every_key() -> None:
    schema = json_schema()
    for part in (schema, *schema["$defs"].values()):
        assert part["required"] == list(part["properties"])


def test_csv_is_the_frame_and_more(predictor: Predictor, film: bytes) -> None:
    report = reported(predictor, film)
    read = pd.read_csv(io.BytesIO(to_csv(report)), keep_default_na=True)
    frame = report.prediction.frame()
    pd.testing.assert_frame_equal(read[list(frame.columns)], frame, check_exact=False, rtol=1e-12)
    rows = list(csv.DictReader(io.StringIO(to_csv(report).decode())))
    said = {row["observation"]: row for row in rows}
    assert said["Pneumonia"]["verdict_comment"] == COMMENT
    assert (said["Pneumonia"]["verdict"], said["Pneumonia"]["verdict_presence"]) == ("corrected", "uncertain")
    assert said[UNTRAINED]["not_trained"]
    assert said[UNTRAINED]["probability"] == ""
    assert {row["comment"] for row in rows} == {"'=Taken at the bedside"}  # no formula for a spreadsheet
    assert {row["weights_sha256"] for row in rows} == {predictor.bundle.manifest.weights_sha256}
    assert {row["file"] for row in rows} == {""}
    for row, expected in zip(rows, report.rows(), strict=True):
        value = expected.point.specificity.value
        assert row["specificity"] == ("" if np.isnan(value) else str(value))


def test_nothing_names_the_file_or_the_patient_unless_asked(predictor: Predictor, source: bytes) -> None:
    anonymous, named = reported(predictor, source), reported(predictor, source, name=FILE)
    for made in (to_json(anonymous), to_csv(anonymous), to_png(anonymous, "Edema")):
        for secret in SECRETS:
            assert secret.encode() not in made
    identity = json.loads(to_json(named))["identity"]
    assert identity == {
        "file": FILE,
        "age_years": 62,
        "patient_name": NAME,
        "patient_id": PATIENT,
        "accession_number": ACCESSION,
        "study_date": "20261124",
    }
    assert {row["file"] for row in csv.DictReader(io.StringIO(to_csv(named).decode()))} == {FILE}


def test_png_is_the_overlay_without_metadata(predictor: Predictor, film: bytes) -> None:
    report = reported(predictor, film)
    picture = Image.open(io.BytesIO(to_png(report, "Edema")))
    assert picture.info == {}
    assert np.array_equal(np.asarray(picture), np.asarray(report.prediction.overlay("Edema", 0.55)))
    with pytest.raises(ChexError, match="not trained"):
        to_png(report, UNTRAINED)


def test_an_insisted_reading_is_marked_in_each(predictor: Predictor, film: bytes) -> None:
    prediction = rejected(predictor.predict(film))
    report = reported(predictor, film, prediction=prediction, insisted=True)
    read = json.loads(to_json(report))
    assert read["insisted"] is True
    assert read["insistence"].endswith("The film lies on its side.")
    assert read["gate"] == {"accepted": False, "reason": "The film lies on its side."}
    rows = list(csv.DictReader(io.StringIO(to_csv(report).decode())))
    assert {(row["insisted"], row["insistence"]) for row in rows} == {("True", report.insistence)}
    marked = np.asarray(Image.open(io.BytesIO(to_png(report, "Edema"))))
    assert marked.shape[1] == 360  # the bar that says so is wider than the film
    plain = np.asarray(prediction.overlay("Edema", 0.55))
    left = (360 - 96) // 2
    assert np.array_equal(marked[:96, left : left + 96], plain)
    assert (marked[96:] > 200).any()


def test_the_age_of_a_child_is_told_with_the_identity_alone(predictor: Predictor) -> None:
    source = film_dicom(PatientAge="007Y")
    bare = json.loads(to_json(reported(predictor, source)))
    assert any("an age under 18" in warning for warning in bare["warnings"])
    assert not any("7" in warning for warning in bare["warnings"] if "age" in warning)
    assert json.loads(to_json(reported(predictor, source, name=FILE)))["identity"]["age_years"] == 7
