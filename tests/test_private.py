"""What must not leave the session: no name, tag or pixel in logs, no telemetry, nothing on disk."""

import ast
import asyncio
import logging
import tomllib
import warnings
import zipfile
from collections.abc import AsyncGenerator, Callable
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory

import gdcm
import pytest
from dicom_files import RAMP, dataset, dicom, transcoded, written
from pydicom.uid import DeflatedExplicitVRLittleEndian, JPEG2000Lossless
from starlette.datastructures import Headers
from starlette.formparsers import MultiPartParser
from test_architecture import imported

from chexmodel.batch import read_films
from chexmodel.containers import open_uploads
from chexmodel.errors import ChexError
from chexmodel.images import read
from chexmodel.predictor import Predictor
from chexmodel.ui import server

ROOT = Path(__file__).resolve().parents[1]
SECRETS = ("Secret", "4711", "Jane")
CONSOLE = ("__main__.py", "read_command.py", "export_command.py")


def odd_header() -> bytes:
    """Values that pydicom warns of, quoting them."""
    odd = {"PatientAge": "Jane Doe", "Modality": "Jane^Doe", "BodyPartExamined": "JANE, DOE; Jane"}
    return dicom(**odd, PixelSpacing=[0, 1], NumberOfFrames=1)


def isolated() -> bytes:
    with TemporaryDirectory() as folder:
        coded = transcoded(dicom(RAMP[:40, :40]), gdcm.TransferSyntax.JPEGLSLossless, Path(folder))
    damaged = bytearray(coded)
    damaged[damaged.rindex(b"\xff\xf7") + 4] = 200
    return bytes(damaged)


def spoilt_stream() -> bytes:
    ds = dataset(RAMP)
    ds.compress(JPEG2000Lossless)
    ds.PixelData = ds.PixelData[:-500] + bytes(500)
    return written(ds)


SOURCES: dict[str, Callable[[], bytes]] = {
    "a good film": dicom,
    "a header of odd values": odd_header,
    "an unknown character set": lambda: dicom(SpecificCharacterSet="JANE DOE SECRET"),
    "a truncated film": lambda: dicom()[:-3000],
    "a header cut short": lambda: dicom()[:420],
    "a deflated film": lambda: dicom(syntax=DeflatedExplicitVRLittleEndian),
    "a film without pixels": lambda: dicom(PixelData=None),
    "a spoilt codestream": spoilt_stream,
    "one that stops the decoder": isolated,
}


@pytest.mark.parametrize("kind", SOURCES)
def test_nothing_of_a_patient_is_printed_logged_or_warned_of(
    kind: str, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture, tiny_bundle: Path
) -> None:
    data = SOURCES[kind]()
    predictor = Predictor.from_bundle(tiny_bundle)
    capfd.readouterr()
    caplog.set_level(logging.DEBUG)
    told = []
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        try:
            told.append(read(data).audit.model_dump_json())
        except ChexError as error:
            told.append(str(error))
        opened = open_uploads([("Jane Doe.dcm", data)])
        results = list(read_films(predictor, opened.films))
    told += [reason for _, reason in opened.refused]
    told += [text for result in results for text in (result.reason, *result.warnings)]
    out, err = capfd.readouterr()
    for text in (out, err, caplog.text, *(str(warning.message) for warning in warned), *told):
        assert not any(secret in text for secret in SECRETS), text
    assert len(results) + len(opened.refused) == 1


def test_the_core_neither_prints_nor_logs() -> None:
    for file in ROOT.glob("chexmodel/**/*.py"):
        tree = ast.parse(file.read_text())
        logs = {"logging", "loguru"} & {name.partition(".")[0] for name in imported(file)}
        assert not logs or file.name == "journal.py", file  # tests/test_journal.py
        calls = [node.func for node in ast.walk(tree) if isinstance(node, ast.Call)]
        names = {function.id for function in calls if isinstance(function, ast.Name)}
        assert "print" not in names or file.name in CONSOLE, file


def test_the_app_sends_no_telemetry() -> None:
    settings = tomllib.loads((ROOT / ".streamlit" / "config.toml").read_text())
    assert settings["browser"]["gatherUsageStats"] is False


@pytest.mark.parametrize("megabytes", [0.5, 3])
def test_what_is_being_uploaded_is_not_spooled_to_the_disk(megabytes: float) -> None:
    server.begin()
    content = bytes(int(megabytes * 2**20))
    head = b'--x\r\nContent-Disposition: form-data; name="file"; filename="film.png"\r\n\r\n'

    async def received() -> AsyncGenerator[bytes, None]:
        yield head + content + b"\r\n--x--\r\n"

    async def parsed() -> None:
        headers = Headers({"content-type": "multipart/form-data; boundary=x"})
        form = await MultiPartParser(headers, received()).parse()
        (upload,) = form.values()
        assert await upload.read() == content
        assert upload.file._rolled is False

    asyncio.run(parsed())


def test_an_upload_leaves_nothing_on_the_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []
    plain = open

    def watching(file: object, mode: str = "r", *arguments: object, **options: object) -> object:
        if set(mode) & set("wax+"):
            opened.append(str(file))
        return plain(file, mode, *arguments, **options)  # type: ignore[call-overload]

    monkeypatch.setattr("builtins.open", watching)
    monkeypatch.setattr("io.open", watching)
    stream = BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("film", dicom())
    (entry,), _ = open_uploads([("study.zip", stream.getvalue())])
    read(entry.data)
    assert opened == []
