"""Structured report and secondary capture, read back, compared, and held against dciodvfy."""

import math
import shutil
import subprocess
import warnings
from io import BytesIO
from pathlib import Path

import highdicom
import numpy as np
import pytest
from pydicom import Dataset, dcmread
from pydicom.sr.codedict import codes
from pydicom.uid import ComprehensiveSRStorage, SecondaryCaptureImageStorage
from reports import ACCESSION, COMMENT, FILE, MADE, NAME, PATIENT, film_dicom, rejected, reported
from tiny_bundle import RARE, UNTRAINED

from chexmodel import phantom
from chexmodel.errors import ChexError
from chexmodel.labels import OBSERVATIONS
from chexmodel.language import tr, using
from chexmodel.predictor import Predictor
from chexmodel.report import NOTICE, Report
from chexmodel.report_codes import SCHEME, observation_code
from chexmodel.report_dicom import refused, secondary_capture, structured_report
from chexmodel.report_filing import REFERRED, filing, identity, repaired
from chexmodel.verdicts import Word

DCIODVFY = shutil.which("dciodvfy")
needs_dciodvfy = pytest.mark.skipif(DCIODVFY is None, reason="dicom3tools' dciodvfy is not installed")


@pytest.fixture(scope="module")
def predictor(tiny_bundle: Path) -> Predictor:
    return Predictor.from_bundle(tiny_bundle)


@pytest.fixture(scope="module")
def source() -> bytes:
    return film_dicom()


@pytest.fixture(scope="module")
def named(predictor: Predictor, source: bytes) -> Report:
    return reported(predictor, source, name=FILE)


def errors(data: bytes, folder: Path) -> set[str]:
    """What dciodvfy calls an error, line by line."""
    file = folder / "checked.dcm"
    file.write_bytes(data)
    said = subprocess.run([str(DCIODVFY), str(file)], capture_output=True, text=True, check=False)
    return {line for line in said.stderr.splitlines() if line.startswith("Error")}


def items(dataset: Dataset, name: str) -> list[Dataset]:
    """Items of the content tree, at any depth, that a code of our scheme names."""
    found = []
    for item in dataset.get("ContentSequence", []):
        concept = item.ConceptNameCodeSequence[0]
        if (concept.CodingSchemeDesignator, concept.CodeValue) == (SCHEME, name):
            found.append(item)
        found += items(item, name)
    return found


def groups(dataset: Dataset) -> list[Dataset]:
    """The measurement groups of a report."""
    (container,) = (
        item
        for item in dataset.ContentSequence
        if item.ConceptNameCodeSequence[0].CodeValue == codes.DCM.ImagingMeasurements.value
    )
    return list(container.ContentSequence)


def figure(group: Dataset, name: str) -> float:
    """A number of a group; NaN where it has none."""
    found = items(group, name)
    return float(found[0].MeasuredValueSequence[0].NumericValue) if found else math.nan


def test_the_report_says_what_the_prediction_says(named: Report) -> None:
    read = dcmread(BytesIO(structured_report(named)))
    assert read.SOPClassUID == ComprehensiveSRStorage
    assert read.ContentTemplateSequence[0].TemplateIdentifier == "1500"
    assert (read.CompletionFlag, read.PreliminaryFlag, read.VerificationFlag) == (
        "COMPLETE",
        "PRELIMINARY",
        "UNVERIFIED",
    )
    rows = [row for row in named.rows() if row.not_trained is None]
    for row, group in zip(rows, groups(read), strict=True):
        assert group.ContentSequence[0].TextValue == f"Score for {row.observation}"
        numbers = {
            "SCORE": row.probability,
            "THRESHOLD": row.threshold,
            "BAND_LOW": row.low,
            "SENSITIVITY": row.point.sensitivity.value,
            "SPECIFICITY": row.point.specificity.value,
        }
        for name, value in numbers.items():
            assert figure(group, name) == pytest.approx(value, abs=1e-6, nan_ok=True)
        (said,) = (
            item.ConceptCodeSequence[0].CodeMeaning
            for item in group.ContentSequence
            if item.ConceptNameCodeSequence[0].CodeMeaning == row.observation
        )
        assert said == row.words
        answers = [item.ConceptCodeSequence[0].CodeValue for item in items(group, "VERDICT")]
        assert answers == ([row.verdict.answer.upper()] if row.verdict else [])
    corrected = groups(read)[[row.observation for row in rows].index("Pneumonia")]
    assert items(corrected, "STATED")[0].ConceptCodeSequence[0].CodeMeaning == "uncertain"
    assert items(corrected, "READER_COMMENT")[0].TextValue == COMMENT
    texts = {name: [item.TextValue for item in items(read, name)] for name in ("NOTICE", "NOT_TRAINED")}
    assert texts["NOTICE"] == [NOTICE]
    assert UNTRAINED in texts["NOT_TRAINED"][0]
    remarks = " ".join(item.TextValue for item in items(read, "REMARK"))
    assert all(warning in remarks for warning in named.prediction.warnings)
    assert RARE in remarks
    assert "diagnos" not in str(read).lower()


def test_highdicom_reads_it_as_a_measurement_report(named: Report, tmp_path: Path) -> None:
    file = tmp_path / "sr.dcm"
    file.write_bytes(structured_report(named))
    read = highdicom.sr.srread(file)
    assert isinstance(read.content, highdicom.sr.MeasurementReport)
    (observer,) = read.content.get_observer_contexts()
    manifest = named.bundle.manifest
    device = observer.observer_identifying_attributes
    assert (device.model_name, device.serial_number) == (manifest.name, manifest.weights_sha256)
    assert device.uid.startswith("2.25.")
    found = read.content.get_image_measurement_groups()
    assert len(found) == len(OBSERVATIONS) - 1
    assert read.CodingSchemeIdentificationSequence[0].CodingSchemeDesignator == SCHEME


def test_both_refer_to_the_film_and_lie_in_its_study(named: Report, source: bytes) -> None:
    film = dcmread(BytesIO(source))
    report = dcmread(BytesIO(structured_report(named)))
    capture = dcmread(BytesIO(secondary_capture(named, "Edema")))
    (evidence,) = report.CurrentRequestedProcedureEvidenceSequence
    (series,) = evidence.ReferencedSeriesSequence
    assert evidence.StudyInstanceUID == film.StudyInstanceUID
    assert series.SeriesInstanceUID == film.SeriesInstanceUID
    references = [series.ReferencedSOPSequence[0], capture.SourceImageSequence[0]]
    references += [
        item.ReferencedSOPSequence[0]
        for group in groups(report)
        for item in group.ContentSequence
        if "ReferencedSOPSequence" in item
    ]
    assert len(references) == 2 + len(OBSERVATIONS) - 1
    for reference in references:
        assert reference.ReferencedSOPInstanceUID == film.SOPInstanceUID
        assert reference.ReferencedSOPClassUID == film.SOPClassUID
    for made in (report, capture):
        assert made.StudyInstanceUID == film.StudyInstanceUID
        assert made.SeriesInstanceUID != film.SeriesInstanceUID
        assert (made.PatientName, made.PatientID, made.AccessionNumber) == (NAME, PATIENT, ACCESSION)
        assert (made.PatientAge, made.StudyDate, made.PatientSex) == ("062Y", "20261124", "F")
        assert "InstitutionName" not in made
        assert made.ReferringPhysicianName == ""
        assert FILE not in str(made)
    assert len({report.SOPInstanceUID, capture.SOPInstanceUID, film.SOPInstanceUID}) == 3
    assert structured_report(named) == structured_report(named)


def test_of_several_frames_the_one_that_was_read_is_referred_to(predictor: Predictor, tmp_path: Path) -> None:
    pixels = phantom.draw(size=96)
    several = np.stack([pixels, pixels // 2]).astype("<u2").tobytes()
    source = film_dicom(NumberOfFrames=2, PixelData=several)
    made = []
    for frame in (0, 1):
        prediction = predictor.predict(source, frame=frame)
        report = reported(predictor, source, prediction=prediction, name=FILE)
        read = dcmread(BytesIO(structured_report(report)))
        capture = dcmread(BytesIO(secondary_capture(report, "Edema")))
        references = [
            item.ReferencedSOPSequence[0]
            for group in groups(read)
            for item in group.ContentSequence
            if "ReferencedSOPSequence" in item
        ]
        assert references
        for reference in (*references, capture.SourceImageSequence[0]):
            assert reference.ReferencedFrameNumber == frame + 1
        made += [read.SOPInstanceUID, capture.SOPInstanceUID]
        made += [item.UID for group in groups(read) for item in group.ContentSequence if "UID" in item]
    assert len(set(made)) == len(made)


def test_texts_are_written_as_dicom_wants_them(predictor: Predictor) -> None:
    source = film_dicom(
        PatientID=["A", "B"],
        StudyDescription=["chest", "bed"],
        LossyImageCompression="01",
        LossyImageCompressionRatio=["10", "2.5"],
        LossyImageCompressionMethod=["ISO_10918_1", "ISO_15444_1"],
    )
    word = Word(comment="first\nsecond\a 👍 عربي")
    report = reported(predictor, source, word=word, name=FILE)
    read = dcmread(BytesIO(structured_report(report)))
    assert items(read, "READER_COMMENT")[0].TextValue == "first\r\nsecond 👍 عربي"
    assert (read.PatientID, read.StudyDescription) == (["A", "B"], ["chest", "bed"])
    assert identity(source)["PatientID"] == "A\\B"
    capture = dcmread(BytesIO(secondary_capture(report, "Edema")))
    assert capture.LossyImageCompressionMethod == ["ISO_10918_1", "ISO_15444_1"]
    assert capture.LossyImageCompressionRatio == [10, 2.5]
    assert capture.ConversionType == "WSD"


def test_the_capture_is_the_overlay_over_a_bar(named: Report) -> None:
    read = dcmread(BytesIO(secondary_capture(named, "Edema")))
    assert read.SOPClassUID == SecondaryCaptureImageStorage
    assert (read.PhotometricInterpretation, read.BurnedInAnnotation) == ("RGB", "YES")
    assert "PixelSpacing" not in read
    pixels = read.pixel_array
    left = (pixels.shape[1] - 96) // 2
    overlay = np.asarray(named.prediction.overlay("Edema", 0.55))
    assert np.array_equal(pixels[:96, left : left + 96], overlay)
    assert (pixels[96:] == 255).any()
    k = OBSERVATIONS.index("Edema")
    assert f"Edema: score {named.prediction.probabilities[k]:.2f}" in read.DerivationDescription
    assert NOTICE in read.DerivationDescription
    other = dcmread(BytesIO(secondary_capture(named, "Pneumonia")))
    assert other.SeriesInstanceUID == read.SeriesInstanceUID
    assert other.SOPInstanceUID != read.SOPInstanceUID
    with pytest.raises(ChexError, match="not trained"):
        secondary_capture(named, UNTRAINED)


def test_an_insisted_reading_is_marked(predictor: Predictor, source: bytes) -> None:
    prediction = rejected(predictor.predict(source))
    report = reported(predictor, source, prediction=prediction, insisted=True, name=FILE)
    (mark,) = items(dcmread(BytesIO(structured_report(report))), "INSISTED")
    assert mark.TextValue == report.insistence
    usual = reported(predictor, source, name=FILE)
    capture, plain = (dcmread(BytesIO(secondary_capture(made, "Edema"))) for made in (report, usual))
    assert capture.DerivationDescription.startswith(report.insistence)
    assert capture.Rows > plain.Rows
    assert items(dcmread(BytesIO(structured_report(usual))), "INSISTED") == []


def test_texts_are_in_the_language_and_codes_are_not(named: Report) -> None:
    with using("fr"):
        read = dcmread(BytesIO(structured_report(named)))
        words = tr("Score for {name}", name=tr("Edema"))
    assert read.SpecificCharacterSet == "ISO_IR 192"
    assert read.ContentSequence[0].ConceptCodeSequence[0].CodeValue == "fr"
    assert words in [group.ContentSequence[0].TextValue for group in groups(read)]
    assert len(items(read, "SCORE")) == len(OBSERVATIONS) - 1


def test_every_observation_has_a_code_of_its_own() -> None:
    found = [observation_code(name) for name in OBSERVATIONS]
    assert len({(code.value, code.scheme_designator) for code in found}) == len(OBSERVATIONS)
    assert all(len(code.value) <= 16 for code in found)
    known = {code.meaning: code.value for code in found if code.scheme_designator == "SCT"}
    # Where pydicom's copy of the standard's dictionary has the concept, it is the same one.
    assert known["Pneumothorax"] == codes.SCT.Pneumothorax.value
    assert known["Edema"] == codes.SCT.PulmonaryEdema.value
    assert codes.SCT.PleuralEffusion.value in known.values()


@pytest.mark.parametrize("keyword", REFERRED)
def test_a_film_that_can_not_be_referred_to_is_a_sentence(
    predictor: Predictor, source: bytes, keyword: str
) -> None:
    film = dcmread(BytesIO(source))
    film.file_meta.MediaStorageSOPClassUID = film.SOPClassUID
    film.file_meta.MediaStorageSOPInstanceUID = film.SOPInstanceUID
    delattr(film, keyword)
    stream = BytesIO()
    film.save_as(stream)
    report = reported(predictor, source, name=FILE, source=stream.getvalue())
    with pytest.raises(ChexError, match=keyword):
        structured_report(report)
    assert keyword in refused(report)


def test_without_the_identity_or_a_dicom_there_is_none(predictor: Predictor, source: bytes) -> None:
    anonymous = reported(predictor, source)
    assert "include the identity" in refused(anonymous)
    for make in (structured_report, lambda report: secondary_capture(report, "Edema")):
        with pytest.raises(ChexError, match="include the identity"):
            make(anonymous)
    picture = reported(predictor, phantom.png(size=96), name="film.png")
    assert "a PNG file" in refused(picture)
    with pytest.raises(ChexError, match="a PNG file"):
        structured_report(picture)
    assert refused(reported(predictor, source, name=FILE)) == ""


@pytest.mark.parametrize(
    ("keyword", "value", "expected"),
    [
        ("PatientAge", "62", "062Y"),
        ("PatientAge", "18m", "018M"),
        ("PatientAge", "062Y", "062Y"),
        ("PatientAge", "old", ""),
        ("StudyDate", "2026.11.24", "20261124"),
        ("StudyDate", "yesterday", ""),
        ("StudyTime", "09:30", "0930"),
        ("StudyTime", "093000.25", "093000.25"),
        ("StudyTime", "noon", ""),
        ("PatientSex", "Female", "F"),
        ("PatientSex", "?", ""),
        ("PatientID", "  any thing", "  any thing"),
    ],
)
def test_flawed_values_are_repaired_or_left_empty(keyword: str, value: str, expected: str) -> None:
    assert repaired(keyword, value) == expected


def test_no_value_of_the_header_is_printed(
    predictor: Predictor, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    """pydicom and highdicom warn of values that they doubt, and quote them."""
    source = film_dicom(PatientName="Solitary", StudyDescription="x" * 70)
    report = reported(predictor, source, name=FILE)
    caplog.clear()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        identity(source)
        structured_report(report)
        secondary_capture(report, "Edema")
    assert [str(warning.message) for warning in caught] == []
    assert caplog.text == ""
    assert capfd.readouterr() == ("", "")


@needs_dciodvfy
@pytest.mark.parametrize(
    "elements",
    [
        {},
        {"BodyPartExamined": "CHEST"},
        {"PatientName": "Müller^Émile", "SpecificCharacterSet": "ISO_IR 192"},
    ],
)
def test_dciodvfy_finds_no_error_that_the_source_lacks(
    predictor: Predictor, tmp_path: Path, elements: dict[str, str]
) -> None:
    source = film_dicom(**elements)
    report = reported(predictor, source, name=FILE)
    assert any("Patient's Age" in line for line in errors(source, tmp_path))
    for made in (structured_report(report), secondary_capture(report, "Edema")):
        assert errors(made, tmp_path) == set()
        assert dcmread(BytesIO(made)).PatientName == elements.get("PatientName", NAME)


@needs_dciodvfy
@pytest.mark.shared
@pytest.mark.parametrize("name", ["mono2_jpeg.dcm", "mono1_uncompressed.dcm"])
def test_dciodvfy_finds_none_in_those_of_a_real_film(
    predictor: Predictor, shared: Path, tmp_path: Path, name: str
) -> None:
    source = (shared / "dicom" / name).read_bytes()
    report = reported(predictor, source, name=name)
    assert errors(source, tmp_path)  # its age has no unit
    made = [structured_report(report), secondary_capture(report, "Edema")]
    with using("fr"):
        made.append(structured_report(report))
    for data in made:
        assert errors(data, tmp_path) == set()
        assert dcmread(BytesIO(data)).PatientAge == "062Y"
    lossy = dcmread(BytesIO(made[1])).get("LossyImageCompression")
    assert lossy == ("01" if name.startswith("mono2") else lossy)


def test_filing_reads_nothing_else(source: bytes) -> None:
    found = filing(source)
    assert "InstitutionName" not in found
    assert "ReferringPhysicianName" not in found
    assert "PixelData" not in found
    assert found.PatientAge == "062Y"
    assert MADE.isoformat() not in str(found)
