"""The PDF, its text extracted and compared with the reading."""

import io
import re
from dataclasses import replace
from pathlib import Path

import pytest
from pypdf import PdfReader
from reports import ACCESSION, COMMENT, FILE, PATIENT, WORD, film_dicom, rejected, reported

from chexmodel import phantom
from chexmodel.errors import ChexError
from chexmodel.language import number, using
from chexmodel.localisation_words import trust
from chexmodel.methods import EXACT
from chexmodel.predictor import Predictor
from chexmodel.report import NOTICE, Report
from chexmodel.report_capture import label
from chexmodel.report_pdf import pdf
from chexmodel.report_rows import band_words, with_interval
from chexmodel.verdicts import LONGEST, Verdict, Word


@pytest.fixture(scope="module")
def predictor(tiny_bundle: Path) -> Predictor:
    return Predictor.from_bundle(tiny_bundle)


@pytest.fixture(scope="module")
def film() -> bytes:
    return phantom.png(size=96)


@pytest.fixture(scope="module")
def source() -> bytes:
    return film_dicom()


def plain(text: str) -> str:
    """Text without its line breaks: a PDF breaks lines where they are full."""
    return re.sub(r"\s+", "", text)


def read(made: bytes) -> tuple[PdfReader, str]:
    reader = PdfReader(io.BytesIO(made))
    return reader, plain(" ".join(page.extract_text() for page in reader.pages))


def test_every_figure_of_the_reading_is_in_the_text(predictor: Predictor, film: bytes) -> None:
    report = reported(predictor, film)
    reader, text = read(pdf(report))
    for row in report.rows():
        if row.not_trained is not None:
            assert plain(f"{row.name} ({row.not_trained})") in text
            continue
        points = (with_interval(row.point.sensitivity), with_interval(row.point.specificity))
        dagger = "†" if row.point.scarce else ""
        verdict = row.verdict.words() if row.verdict else "—"
        figures = (row.figure(row.probability), band_words(row), row.words, *points)
        line = [f"{row.name}{dagger}", *figures, verdict]
        assert plain("".join(line)) in text
    assert predictor.bundle.manifest.weights_sha256 in text
    assert "Pneumonia–corrected:uncertain." in text
    assert plain(COMMENT) in text  # as it was typed, markup and all
    assert plain(WORD.comment) in text
    assert plain("96 × 96 px") in text
    for warning in report.prediction.warnings:
        assert plain(warning) in text
    measured = trust(predictor.bundle.localisation(), "Edema", EXACT)
    assert plain(f"How well {EXACT} marks Edema: {measured}") in text
    assert text.count(plain("Where the score came from, not an outline of disease.")) == 2
    for k, page in enumerate(reader.pages, 1):
        shown = plain(page.extract_text())
        assert plain(NOTICE) in shown
        assert f"{k}/{len(reader.pages)}" in shown
    assert not re.search(r"diagnos|ruled out|\bnormal\b", text, re.IGNORECASE)


@pytest.mark.parametrize("overlays", [(), ("Edema",), ("Edema", "Pneumonia", "Fracture", "Atelectasis")])
def test_the_film_and_each_chosen_heatmap_are_pictures(
    predictor: Predictor, film: bytes, overlays: tuple[str, ...]
) -> None:
    reader, text = read(pdf(reported(predictor, film, overlays=overlays)))
    pictures = [image.image for page in reader.pages for image in page.images]
    assert [picture.mode for picture in pictures] == ["L"] + ["RGB"] * len(overlays)
    assert all(picture.size == (96, 96) for picture in pictures)
    assert (plain("No heatmap was chosen") in text) == (overlays == ())
    assert text.count("rawlog-odds") == len(overlays) + bool(overlays)


def test_nothing_names_the_file_or_the_patient_unless_asked(predictor: Predictor, source: bytes) -> None:
    made = pdf(reported(predictor, source))
    reader, text = read(made)
    secrets = (FILE, "Secret", PATIENT, ACCESSION, "20261124", "2026-11-24", "Referring", "62years")
    for secret in secrets:
        assert secret not in text
        assert secret.encode() not in made
        assert secret not in str(reader.metadata)
    _, named = read(pdf(reported(predictor, source, name=FILE)))
    for shown in (FILE, "SecretName", PATIENT, ACCESSION, "2026-11-24", "62years"):
        assert shown in named
    for never in ("Referring", "Hospital"):
        assert never not in named


def test_its_properties_name_the_document_alone(predictor: Predictor, film: bytes) -> None:
    made = pdf(reported(predictor, film))
    reader, _ = read(made)
    properties = reader.metadata
    assert properties is not None
    assert properties.title == "Chest X-ray: scores of a model"
    assert properties.author == ""
    assert properties.creator == "chexmodel"
    assert properties["/CreationDate"] == "D:20261125143205+00'00'"
    assert reader.root_object["/Lang"] == "en"
    assert made == pdf(reported(predictor, film))


def test_french_has_its_language_and_its_commas(predictor: Predictor, film: bytes) -> None:
    report = reported(predictor, film)
    with using("fr"):
        reader, text = read(pdf(report))
        row = report.rows()[0]
        assert plain(f"{number(row.probability)}{band_words(row)}") in text
        assert "," in number(row.probability)
    assert reader.root_object["/Lang"] == "fr"


def test_an_insisted_reading_is_marked(predictor: Predictor, film: bytes) -> None:
    prediction = rejected(predictor.predict(film))
    _, text = read(pdf(reported(predictor, film, prediction=prediction, insisted=True)))
    assert plain("had withheld this reading. The film lies on its side.") in text
    _, usual = read(pdf(reported(predictor, film)))
    assert "withheld" not in usual


def test_the_longest_word_is_broken_over_pages(predictor: Predictor, film: bytes) -> None:
    name = "Edema"
    word = Word(verdicts={name: Verdict(answer="rejected", comment="x" * LONGEST)}, comment="y" * LONGEST)
    reader, text = read(pdf(reported(predictor, film, word=word)))
    assert text.count("x") >= LONGEST
    assert text.count("y") >= LONGEST
    assert 2 <= len(reader.pages) <= 4
    _, silent = read(pdf(reported(predictor, film, word=Word())))
    assert plain("The reader gave no verdict and no comment.") in silent


@pytest.mark.parametrize(
    ("comment", "whole"),
    [("Épanchement ≥ 2 cm\n– à revoir", True), ("👍", False), ("山田", False), ("שלום", False)],
)
def test_what_is_not_printed_as_written_is_told(
    predictor: Predictor, film: bytes, comment: str, whole: bool
) -> None:
    verdict = Verdict(answer="accepted", comment=comment)
    for word in (Word(comment=comment), Word(verdicts={"Edema": verdict})):
        _, text = read(pdf(reported(predictor, film, word=word)))
        assert (plain("the JSON export has the text whole") in text) != whole


def test_a_name_that_is_not_printed_as_written_is_told(predictor: Predictor) -> None:
    source = film_dicom(PatientName="Yamada^Tarou=山田^太郎", SpecificCharacterSet="ISO_IR 192")
    for name, told in (("", False), (FILE, True)):
        _, text = read(pdf(reported(predictor, source, name=name)))
        assert (plain("the JSON export has the text whole") in text) == told


def test_a_small_score_and_its_threshold_are_told_apart(predictor: Predictor, film: bytes) -> None:
    prediction = predictor.predict(film)
    k = prediction.observations.index("Edema")
    scores, thresholds, bands = (
        array.copy() for array in (prediction.probabilities, prediction.thresholds, prediction.bands)
    )
    scores[k], thresholds[k], bands[k] = 0.0312, 0.0341, (0.033, 0.036)
    decisions = tuple(False if i == k else said for i, said in enumerate(prediction.decisions))
    small = replace(prediction, probabilities=scores, thresholds=thresholds, bands=bands, decisions=decisions)
    report = reported(predictor, film, prediction=small)
    assert plain("0.031 0.034 (0.033–0.036) below threshold") in read(pdf(report))[1]
    assert label(report.rows()[k]) == "Edema: score 0.031, below threshold (0.034)"


def test_a_tall_film_fits(predictor: Predictor) -> None:
    strip = replace(predictor.predict(phantom.png(size=96)))
    tall = replace(strip, grey=strip.grey[:, :40])
    reader, _ = read(pdf(reported(predictor, b"", prediction=tall)))
    assert reader.pages[0].images[0].image.size == (40, 96)


def test_an_unreadable_source_is_a_sentence(predictor: Predictor, source: bytes) -> None:
    report: Report = reported(predictor, source, name=FILE)
    at = source.index(b"Secret^Name")
    damaged = source[: at - 4] + b"ZZ\xff\xff" + source[at:]
    with pytest.raises(ChexError, match="header") as caught:
        pdf(replace(report, source=damaged))
    assert "Secret" not in str(caught.value)
