"""The fast engine can't be made, the disk is full: PyTorch reads on, nothing is left half written."""

import hashlib
import shutil
import stat
import threading
from pathlib import Path

import numpy as np
import pytest
from apps import ran
from faults import (
    FILM,
    FILMS,
    Events,
    full_disk,
)
from reports import reported
from stopped_runs import assert_same_run, config, resumed
from streamlit.testing.v1 import AppTest

from chexmodel import bundle, command_line, onnx_export, onnx_file
from chexmodel.__main__ import main
from chexmodel.errors import BundleError, ChexError
from chexmodel.predictor import Predictor
from chexmodel.report_formats import FORMATS
from chexmodel.ui import bundles, service
from train.fit import fit


@pytest.fixture
def slow(tiny_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Predictor:
    """A predictor without model.onnx, and a cache of its own that is empty."""
    monkeypatch.setenv(onnx_file.CACHE, str(tmp_path / "cache"))
    return Predictor.from_bundle(shutil.copytree(tiny_bundle, tmp_path / "plain"))


def test_the_fast_engine_is_made_once_for_all_who_want_it(
    slow: Predictor, monkeypatch: pytest.MonkeyPatch, events: Events
) -> None:
    other = Predictor(slow.bundle)  # of another path with the same weights, or loaded anew meanwhile
    made: list[Path] = []
    export = service._export
    monkeypatch.setattr(service, "_export", lambda path: made.append(path) or export(path))
    before = slow.predict(FILM[1])
    threads = [threading.Thread(target=service.make_fast, args=(one,)) for one in (slow, other)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == 1
    assert [(one.engine[:4], one.engine_note) for one in (slow, other)] == [("ONNX", "")] * 2
    assert [event["outcome"] for event in events("engine")] == ["made"]
    np.testing.assert_allclose(slow.predict(FILM[1]).logits, before.logits, atol=1e-4)


def test_a_bundle_that_goes_while_its_fast_engine_is_made(slow: Predictor, events: Events) -> None:
    shutil.rmtree(slow.bundle.path)
    service.make_fast(slow)
    assert slow.engine.startswith("PyTorch")
    assert not service.being_made(slow)
    (event,) = events("engine")
    assert event["outcome"] == "failed"
    assert f"{slow.bundle.path} is no directory" in event["message"]
    assert np.isfinite(slow.predict(FILM[1]).logits).any()


@pytest.mark.parametrize(
    ("program", "said"),
    [
        ("#!/bin/sh\nkill -9 $$\n", "the program that makes it was ended"),
        ("#!/bin/sh\necho 'Traceback' >&2; echo 'The disk is full.' >&2; exit 2\n", "The disk is full."),
        (None, "No such file or directory"),
    ],
)
def test_a_program_that_fails_to_make_it_leaves_torch_and_its_reason(
    slow: Predictor,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    events: Events,
    program: str | None,
    said: str,
) -> None:
    fake = tmp_path / "python"
    if program is not None:
        fake.write_text(program)
        fake.chmod(0o755)
    monkeypatch.setattr(service.sys, "executable", str(fake))
    for _ in range(2):  # and the next one may try again
        service.make_fast(slow)
        assert slow.engine.startswith("PyTorch")
        assert said in events("engine")[-1]["message"]


def test_a_file_that_onnx_runtime_does_not_take_stands_in_no_other_ones_way(
    slow: Predictor, events: Events
) -> None:
    """As another version of it may have written: the record is right, the file is not for this one."""
    path, data = slow.bundle.path, b"for another version"
    record = _record().model_copy(
        update={
            "sha256": hashlib.sha256(data).hexdigest(),
            "weights_sha256": slow.bundle.manifest.weights_sha256,
        }
    )
    onnx_file.write(path, data, record)
    predictor = Predictor.from_bundle(path)
    assert "does not take model.onnx" in predictor.engine_note
    service.make_fast(predictor)
    assert [event["outcome"] for event in events("engine")] == ["made"]
    assert predictor.engine.startswith("ONNX Runtime")
    assert Predictor.from_bundle(path).engine.startswith("ONNX Runtime")


def test_the_page_says_in_the_readers_language_that_it_is_being_made(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(onnx_file.CACHE, str(tmp_path / "cache"))
    monkeypatch.setattr(service, "load", Predictor.from_bundle)  # which finds none, and makes none
    monkeypatch.setattr(service, "being_made", lambda _: True)
    assert any("is being made" in said for said in _model_page(tiny, "en"))
    monkeypatch.setattr(service, "being_made", lambda _: False)
    said = _model_page(tiny, "fr")
    assert any("le journal du serveur dit pourquoi" in caption for caption in said)
    assert not any(str(tmp_path) in caption for caption in said)


def _model_page(chosen: Path, language: str) -> list[str]:
    """The captions of the Model page."""
    at = AppTest.from_file(str(Path(__file__).resolve().parents[1] / "app.py"), default_timeout=60)
    at.session_state[bundles.MODEL_KEY] = str(chosen)
    at.query_params["lang"] = language
    at.switch_page("chexmodel/ui/model.py")
    return [caption.value for caption in ran(at).caption]


def test_a_cache_that_can_not_be_looked_into_stops_no_reading(
    tiny_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(onnx_file.CACHE, str(tmp_path / ("x" * 300)))  # a name that no disk takes
    predictor = Predictor.from_bundle(tiny_bundle)
    assert predictor.engine.startswith("PyTorch")
    assert "can't be looked for in" in predictor.engine_note
    with pytest.raises(BundleError, match="File name too long"):
        Predictor.from_bundle(tiny_bundle, engine="onnx")


# ------------------------------------------------------------------------------------ a full disk


def test_a_full_disk_while_model_onnx_is_made_or_written(
    tiny: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    before = {file.name: file.read_bytes() for file in tiny.iterdir()}
    monkeypatch.setattr(onnx_export.torch.onnx, "export", _export)
    with full_disk():
        assert main(["export", str(tiny)]) == 2
    assert "make room where temporary files are written" in capsys.readouterr().err
    monkeypatch.setattr(onnx_export, "make", lambda *_, **__: (bytes(5000), _record()))
    with full_disk(room=1000):
        assert main(["export", str(tiny)]) == 2
    assert "can't be written: [Errno 27]" in capsys.readouterr().err
    assert {file.name: file.read_bytes() for file in tiny.iterdir()} == before
    assert [file.name for file in tiny.parent.iterdir()] == [tiny.name]


def _export(_network: object, _images: object, file: Path, **_: object) -> None:
    file.write_bytes(bytes(5000))


def _record() -> onnx_file.Record:
    apart = onnx_file.Distance(logits=0, cells=0, maps=0, features=0)
    parity = onnx_file.Parity(films=1, source="", real=False, distance=apart)
    return onnx_file.Record(sha256="", weights_sha256="", opset=20, torch="", onnxruntime="", parity=parity)


def test_reports_need_no_disk_and_no_half_of_one_is_left(tiny_bundle: Path, tmp_path: Path) -> None:
    made = reported(Predictor.from_bundle(tiny_bundle), FILM[1])
    with full_disk():
        data = {kind: form.write(made) for kind, form in FORMATS.items() if not form.dicom}
    assert all(map(len, data.values()))
    file = tmp_path / "report.pdf"
    with full_disk(room=1000), pytest.raises(ChexError, match=r"report.pdf can't be written \(File too"):
        command_line.write(file, data["pdf"])
    assert list(tmp_path.iterdir()) == []
    if Path("/dev/full").exists():
        with pytest.raises(ChexError, match="No space left on device"):
            command_line.write(Path("/dev/full"), data["pdf"])
        assert stat.S_ISCHR(Path("/dev/full").stat().st_mode)
    command_line.write(file, data["pdf"])
    assert file.read_bytes() == data["pdf"]
    link = tmp_path / "link.pdf"
    link.symlink_to(file)
    with full_disk(room=1000), pytest.raises(ChexError, match="can't be written"):
        command_line.write(link, bytes(5000))
    assert file.read_bytes() == data["pdf"]  # the former report is not lost
    command_line.write(link, b"new")
    assert (link.is_symlink(), file.read_bytes()) == (True, b"new")


def test_overlays_on_a_full_disk_are_a_sentence_and_the_run_goes_on(
    tiny_bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    films = tmp_path / "films"
    films.mkdir()
    for name, data in FILMS:
        (films / name).write_bytes(data)
    command = ["read", str(films), "--model", str(tiny_bundle), "--overlays", "Edema", "--out"]
    assert main([*command, str(tmp_path / "straight")]) == 0
    with full_disk(room=2000):
        assert main([*command, str(tmp_path / "out")]) == 2
    assert "can't be written (File too large)" in capsys.readouterr().err.strip().splitlines()[-1]
    assert main([*command, str(tmp_path / "out")]) == 0
    found = [_files(tmp_path / out) for out in ("out", "straight")]
    assert found[0] == found[1]


def _files(out: Path) -> dict[str, bytes]:
    """Tables and overlays."""
    paths = [*out.glob("scores.*"), *(out / "overlays").rglob("*")]
    return {str(path.relative_to(out)): path.read_bytes() for path in paths if path.is_file()}


@pytest.mark.usefixtures("dropping")
def test_a_full_disk_when_a_trained_model_is_written(
    tiny_data: Path, tmp_path: Path, straight: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = config(tiny_data, tmp_path / "run")
    plain = bundle.save

    def full(path: Path, files: dict[str, bytes]) -> None:
        with full_disk(room=1000):
            plain(path, files)

    monkeypatch.setattr(bundle, "save", full)
    with pytest.raises(ChexError, match=r"can't be written.*--resume"):
        fit(wanted)
    monkeypatch.setattr(bundle, "save", plain)
    assert not (wanted.out / bundle.MANIFEST).exists()
    fit(resumed(wanted))
    assert_same_run(wanted.out, straight)
