"""Many films: a result each whatever becomes of the others, their CSV, their overlays, the page."""

import dataclasses
import io
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pytest
from apps import ran
from dicom_files import RAMP, dicom
from PIL import Image
from streamlit.testing.v1 import AppTest

from chexmodel import batch, batch_pictures, phantom
from chexmodel.batch import CALLED, overlays, read_films, seconds_left, to_csv, zipped
from chexmodel.containers import Refusal, open_uploads
from chexmodel.errors import ChexError
from chexmodel.labels import OBSERVATIONS
from chexmodel.predictor import Prediction, Predictor

APP = str(Path(__file__).resolve().parent / "many_app.py")
BROKEN = phantom.png(size=64)[:900]
FILMS = [
    ("a.png", phantom.png(size=128, seed=1)),
    ("broken.png", BROKEN),
    ("b_lateral.png", phantom.png(size=160, seed=2)),
    ("c", dicom(RAMP, ViewPosition="LL")),
    ("letter.txt", b"Dear colleague"),
]
UPLOAD = open_uploads(FILMS)


class Gate(NamedTuple):
    accepted: bool
    reason: str


@pytest.fixture(scope="module")
def predictor(tiny_bundle: Path) -> Predictor:
    return Predictor.from_bundle(tiny_bundle)


@pytest.fixture(scope="module")
def results(predictor: Predictor) -> list[batch.Result]:
    return list(read_films(predictor, UPLOAD.films))


def test_one_bad_film_never_stops_the_rest(predictor: Predictor, results: list[batch.Result]) -> None:
    assert [result.status for result in results] == ["read", "not read", "read", "read"]
    assert "PNG can't be decoded" in results[1].reason
    assert np.isnan(results[1].probabilities).all()
    for result, (_, data) in zip(results[::2], FILMS[::2], strict=False):
        whole = predictor.predict(data)
        np.testing.assert_array_equal(result.probabilities, whole.probabilities)
        assert result.decisions == tuple(whole.frame()["decision"])
    assert any("lateral" in warning for warning in results[2].warnings)
    assert sum("lateral" in warning for warning in results[3].warnings) == 1


def test_what_holds_for_all_readings_of_a_model_is_told_of_each(
    predictor: Predictor, results: list[batch.Result]
) -> None:
    assert predictor.remarks()  # it has no check of the input
    assert all(set(predictor.remarks()) <= set(result.warnings) for result in results[::2])
    table = pd.read_csv(io.BytesIO(to_csv(results, (), predictor)))
    assert predictor.remarks()[0] in table["warnings"][0]


def test_of_a_film_a_thumbnail_is_kept_and_no_pixels(results: list[batch.Result]) -> None:
    picture = Image.open(io.BytesIO(results[3].thumbnail))
    assert (picture.size, picture.mode, picture.info) == ((64, 48), "L", {})
    assert max(Image.open(io.BytesIO(results[0].thumbnail)).size) == batch_pictures.THUMBNAIL
    assert results[1].thumbnail == b""
    kept = [value for value in vars(results[0]).values() if isinstance(value, np.ndarray)]
    assert [array.shape for array in kept] == [(14,)]


class Faulty(Predictor):
    def predict(self, *arguments: Any, **options: Any) -> Prediction:
        raise ZeroDivisionError("Secret^Name")


def test_a_defect_of_ours_is_a_row_too(predictor: Predictor) -> None:
    (result,) = read_films(Faulty(predictor.bundle), UPLOAD.films[:1])
    assert result.status == "not read"
    assert "ZeroDivisionError" in result.reason
    assert "Secret" not in result.reason


class Gated(Predictor):
    """Rejects what is not square."""

    def predict(self, *arguments: Any, **options: Any) -> Prediction:
        read = super().predict(*arguments, **options)
        square = read.film.shape[0] == read.film.shape[1]
        return dataclasses.replace(read, gate=Gate(square, "" if square else "This is no chest film."))


def test_a_rejected_film_has_its_reason_and_no_scores(predictor: Predictor) -> None:
    gated = Gated(predictor.bundle)
    read, withheld = read_films(gated, [UPLOAD.films[0], UPLOAD.films[3]])
    assert (read.status, read.gated, read.reason) == ("read", True, "")
    assert (withheld.status, withheld.reason) == ("withheld", "This is no chest film.")
    assert np.isnan(withheld.probabilities).all()
    assert withheld.thumbnail
    table = pd.read_csv(io.BytesIO(to_csv([read, withheld], [], gated)))
    assert table["gate"].tolist() == ["accepted", "rejected"]
    assert table.filter(like="probability ").iloc[1].isna().all()
    assert list(overlays(gated, [withheld], finding=OBSERVATIONS[2])) == [[]]


def test_the_table_has_a_row_per_film_and_per_other_file(
    predictor: Predictor, results: list[batch.Result]
) -> None:
    table = pd.read_csv(io.BytesIO(to_csv(results, UPLOAD.refused, predictor)))
    assert table["file"].tolist() == ["a.png", "broken.png", "b_lateral.png", "c", "letter.txt"]
    assert table["status"].tolist() == ["read", "not read", "read", "read", "not read"]
    assert table["view"].tolist()[2:4] == ["LATERAL", "LATERAL"]
    assert table["gate"].isna().all()  # this model has none
    assert len(table.columns) == 11 + 2 * 14
    for name, probability, decision in zip(
        OBSERVATIONS, results[0].probabilities, results[0].decisions, strict=True
    ):
        np.testing.assert_allclose(table[f"probability {name}"][0], probability)
        assert table[f"decision {name}"][0] == decision
    assert set(table["weights_sha256"]) == {predictor.bundle.manifest.weights_sha256}


def test_a_name_is_no_formula(predictor: Predictor, results: list[batch.Result]) -> None:
    refused = [Refusal("@SUM(1).txt", "It is no film."), Refusal("a-b.txt", "It is no film.")]
    named = dataclasses.replace(results[0].entry, name="=HYPERLINK(1).png")
    written = to_csv([dataclasses.replace(results[0], entry=named)], refused, predictor)
    table = pd.read_csv(io.BytesIO(written))
    assert table["file"].tolist() == ["'=HYPERLINK(1).png", "'@SUM(1).txt", "a-b.txt"]


def chunks(png: bytes) -> Iterator[bytes]:
    """Types of a PNG's chunks."""
    at = 8
    while at < len(png):
        yield png[at + 4 : at + 8]
        at += 12 + int.from_bytes(png[at : at + 4])


def test_overlays_are_those_of_the_reading_and_carry_nothing_else(
    predictor: Predictor, results: list[batch.Result]
) -> None:
    painted = list(overlays(predictor, results, finding="Edema"))
    assert [len(some) for some in painted] == [1, 0, 1, 1]
    archive = zipfile.ZipFile(io.BytesIO(zipped(painted)))
    assert archive.namelist() == ["001-a-edema.png", "003-b_lateral-edema.png", "004-c-edema.png"]
    data = archive.read("001-a-edema.png")
    picture = Image.open(io.BytesIO(data))
    expected = predictor.predict(FILMS[0][1]).overlay("Edema", 0.55)
    np.testing.assert_array_equal(np.asarray(picture), np.asarray(expected))
    assert picture.info == {}
    assert set(chunks(data)) == {b"IHDR", b"IDAT", b"IEND"}
    called = [len(some) for some in overlays(predictor, results)]
    assert called == [len(result.with_decision(CALLED)) for result in results]
    assert sum(called) > 0


def test_large_overlays_are_reduced_and_too_many_are_refused(
    predictor: Predictor, results: list[batch.Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batch_pictures, "OVERLAY_SIDE", 50)
    ((_, data),) = next(overlays(predictor, results, finding="Edema"))
    assert Image.open(io.BytesIO(data)).size == (50, 50)
    monkeypatch.setattr(batch, "MAX_OVERLAYS", 1000)
    with pytest.raises(ChexError, match="choose one finding"):
        zipped([[("a.png", bytes(2000))]])


def test_the_time_left_follows_the_last_films(results: list[batch.Result]) -> None:
    assert np.isnan(seconds_left([], 5))
    slow = [dataclasses.replace(results[0], seconds=seconds) for seconds in [100.0] + [2.0] * 20]
    assert seconds_left(slow, 5) == 10


@pytest.fixture
def page(tiny_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AppTest:
    monkeypatch.setenv("CHEXMODEL_TEST_BUNDLE", str(tiny_bundle))
    monkeypatch.setenv("CHEXMODEL_TEST_FILMS", str(tmp_path / "films"))
    (tmp_path / "films").mkdir()
    for name, data in FILMS:
        (tmp_path / "films" / name).write_bytes(data)
    return ran(AppTest.from_file(APP, default_timeout=60))


def press(page: AppTest, label: str) -> AppTest:
    next(button for button in page.button if label in button.label).click()
    return ran(page)


def test_the_page_reads_all_films_when_asked(page: AppTest) -> None:
    table = page.dataframe[0].value
    assert set(table["status"]) == {"waiting", "not read"}
    table = press(page, "Read all 4 films").dataframe[0].value
    assert dict(zip(table["name"], table["status"], strict=True)) == {
        "a.png": "read",
        "b_lateral.png": "read",
        "broken.png": "not read",
        "c": "read",
        "letter.txt": "not read",
    }
    assert table["picture"].str.startswith("data:image/png;base64,").sum() == 3
    assert "PNG can't be decoded" in table["remarks"][2]
    assert table["score"].notna().sum() == 3
    assert any("All 4 films are done" in text.value for text in page.caption)


def test_the_page_shows_another_score_and_opens_a_film(page: AppTest) -> None:
    first = press(page, "Read all").dataframe[0].value["score"]
    page.selectbox(key="many-finding").set_value("Edema")
    assert not ran(page).dataframe[0].value["score"].equals(first)
    next(box for box in page.selectbox if box.label == "Film to open").set_value(3)
    press(page, "Open this film")
    assert [text.value for text in page.markdown] == ["opened: c"]
    assert not ran(page).markdown


def upload(folder: Path, files: dict[str, bytes]) -> None:
    for file in folder.iterdir():
        file.unlink()
    for name, data in files.items():
        (folder / name).write_bytes(data)


def test_what_was_asked_of_one_upload_is_not_done_to_the_next(page: AppTest, tmp_path: Path) -> None:
    page.session_state["many-reading"] = "of another upload"
    assert set(ran(page).dataframe[0].value["status"]) == {"waiting", "not read"}
    chosen = page.dataframe[0].proto.id
    upload(tmp_path / "films", {"x.png": phantom.png(size=96), "y.png": phantom.png(size=64)})
    assert ran(page).dataframe[0].proto.id != chosen  # a row picked there is none here


def test_a_film_goes_by_the_name_it_came_under(page: AppTest, tmp_path: Path) -> None:
    press(page, "Read all")
    upload(tmp_path / "films", {"again.png": FILMS[0][1], "once more.png": FILMS[0][1]})
    table = ran(page).dataframe[0].value
    assert table["status"].tolist() == ["read", "read"]
    (kept,) = page.session_state["many-results"].values()
    assert kept.entry.name == "once more.png"  # the bytes of the former upload are let go
    assert any("All 2 films are done" in text.value for text in page.caption)


def test_the_page_makes_the_overlays_when_asked(page: AppTest, tmp_path: Path) -> None:
    press(page, "Read all")
    labels = {button.proto.label for button in page.get("download_button")}
    assert labels == {"All findings (CSV)"}
    press(page, "Make the overlays")
    labels = {button.proto.label for button in page.get("download_button")}
    assert labels == {"All findings (CSV)", "Overlays (ZIP)"}
    upload(tmp_path / "films", {f"renamed {name}": data for name, data in FILMS[::2][:2]})
    labels = {button.proto.label for button in ran(page).get("download_button")}
    assert "Overlays (ZIP)" not in labels  # the former names are in it


def test_the_page_says_once_what_holds_for_the_model(page: AppTest, predictor: Predictor) -> None:
    assert [predictor.remarks()[0] in warning.value for warning in page.warning] == [True]
