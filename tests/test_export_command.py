"""`python -m chexmodel export` and `schema`: the report without a browser."""

import io
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pydicom import dcmread
from pypdf import PdfReader
from reports import FILE, NAME, film_dicom
from tiny_bundle import UNTRAINED

from chexmodel import phantom
from chexmodel.__main__ import main
from chexmodel.predictor import Predictor
from chexmodel.report import called
from chexmodel.report_schema import json_schema

ANY = ["report.csv", "report.json", "report.pdf", "report.png"]


@pytest.fixture
def film(tmp_path: Path) -> Path:
    file = tmp_path / "film.png"
    file.write_bytes(phantom.png(size=96))
    return file


@pytest.fixture
def source(tmp_path: Path) -> Path:
    file = tmp_path / FILE
    file.write_bytes(film_dicom())
    return file


def names(folder: Path) -> list[str]:
    return sorted(file.name for file in folder.iterdir())


def test_all_formats_of_a_picture(
    tiny_bundle: Path, film: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["export", str(film), "--out", str(tmp_path / "out"), "--model", str(tiny_bundle)]) == 0
    assert names(tmp_path / "out") == ANY
    assert "this film is a PNG file" in capsys.readouterr().err
    prediction = Predictor.from_bundle(tiny_bundle).predict(film)
    read = json.loads((tmp_path / "out" / "report.json").read_text())
    found = [np.nan if row["probability"] is None else row["probability"] for row in read["findings"]]
    assert np.allclose(found, prediction.probabilities, equal_nan=True)
    assert read["identity"] is None
    shown = called(prediction)[0] if called(prediction) else None
    if shown is not None:
        picture = np.asarray(Image.open(tmp_path / "out" / "report.png"))
        assert np.array_equal(picture, np.asarray(prediction.overlay(shown, 0.55)))


def test_a_dicom_is_filed_only_with_its_identity(
    tiny_bundle: Path, source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    export = ["export", str(source), "--model", str(tiny_bundle), "--out"]
    assert main([*export, str(tmp_path / "anonymous")]) == 0
    assert names(tmp_path / "anonymous") == ANY
    assert "include the identity first" in capsys.readouterr().err
    assert main([*export, str(tmp_path / "named"), "--identity", "--language", "fr"]) == 0
    assert names(tmp_path / "named") == sorted([*ANY, "report-sr.dcm", "report-sc.dcm"])
    assert capsys.readouterr().err == ""
    assert dcmread(tmp_path / "named" / "report-sr.dcm").PatientName == NAME
    assert PdfReader(tmp_path / "named" / "report.pdf").root_object["/Lang"] == "fr"
    assert json.loads((tmp_path / "named" / "report.json").read_text())["identity"]["file"] == FILE


def test_single_formats_go_where_they_are_told(tiny_bundle: Path, film: Path, tmp_path: Path) -> None:
    table, picture = tmp_path / "a" / "t.csv", tmp_path / "p.png"
    asked = ["--csv", str(table), "--png", str(picture), "--finding", "Edema", "Pneumonia"]
    assert main(["export", str(film), "--model", str(tiny_bundle), *asked]) == 0
    overlay = Predictor.from_bundle(tiny_bundle).predict(film).overlay("Edema", 0.55)
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(picture.read_bytes()))), np.asarray(overlay))
    assert table.is_file()
    assert names(tmp_path) == ["a", "film.png", "p.png"]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ([], "nothing to write"),
        (["--sr", "s.dcm"], "this film is a PNG file"),
        (["--pdf", "o.pdf", "--finding", UNTRAINED], "was not trained"),
        (["--pdf", "/dev/null/o.pdf"], "can't be written"),
    ],
)
def test_what_can_not_be_done_is_a_sentence(
    tiny_bundle: Path, film: Path, arguments: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["export", str(film), "--model", str(tiny_bundle), *arguments]) == 2
    message = capsys.readouterr().err
    assert sentence in message
    assert "Traceback" not in message


def test_what_can_not_be_made_leaves_nothing(tiny_bundle: Path, film: Path, tmp_path: Path) -> None:
    asked = ["--pdf", str(tmp_path / "a.pdf"), "--sr", str(tmp_path / "a.dcm")]
    assert main(["export", str(film), "--model", str(tiny_bundle), *asked]) == 2
    assert names(tmp_path) == ["film.png"]


@pytest.mark.parametrize(
    "option",
    [
        ["--out", "o"],
        ["--pdf", "o.pdf"],
        ["--finding", "Edema"],
        ["--identity"],
        ["--insist"],
        ["--model", "x"],
        ["--language", "fr"],
    ],
)
def test_options_of_a_film_are_not_for_a_bundle(
    tiny_bundle: Path, option: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def never(*_: object, **__: object) -> None:
        raise AssertionError("exported")

    monkeypatch.setattr("chexmodel.export_command._export_onnx", never)
    assert main(["export", str(tiny_bundle), *option]) == 2
    assert "are for a film" in capsys.readouterr().err


def test_schema_is_that_of_the_model(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["schema"]) == 0
    assert json.loads(capsys.readouterr().out) == json_schema()
