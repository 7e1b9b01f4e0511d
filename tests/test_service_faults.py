"""What happens to a server while it serves: the model goes, the disk fills, a process or a visitor is lost.

It goes on, and says on the page and in the log what happened.
"""

import gc
import os
import shutil
import signal
import stat
import threading
import weakref
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from analysing import header, press, upload
from apps import ran
from browsing import served
from reports import reported
from stopped_runs import assert_same_run, config, resumed
from streamlit.runtime.scriptrunner import RerunData, get_script_run_ctx
from streamlit.testing.v1 import AppTest
from test_decoding import eventually, handles
from test_journal import opened
from tiny_bundle import write_tiny_bundle

from chexmodel import atomic, bundle, command_line, onnx_file, phantom
from chexmodel.__main__ import main
from chexmodel.errors import BundleError, ChexError
from chexmodel.predictor import Prediction, Predictor
from chexmodel.report_formats import FORMATS
from chexmodel.ui import components, service
from chexmodel.ui.decoder import decoders
from train.fit import fit

FILM = ("film.png", phantom.png(size=96, seed=1))
FILMS = [(f"{k}.png", phantom.png(size=64 + k, seed=k)) for k in range(5)]
READ_ALL = f"Read all {len(FILMS)} films"
RESTARTS = int(os.environ.get("CHEXMODEL_RESTARTS", "2"))
"""How often the server is killed and started; `CHEXMODEL_RESTARTS=100` for the whole."""

pytestmark = pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="it looks into /proc")
Events = Callable[..., list[dict[str, Any]]]


@contextmanager
def full_disk(room: int = 0) -> Iterator[None]:
    """No file of this process can grow beyond so many bytes: the kernel refuses to write them."""
    resource = pytest.importorskip("resource")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.fixture
def during(monkeypatch: pytest.MonkeyPatch) -> Callable[[int, Callable[[], None]], list[bytes]]:
    """Do something in the k-th reading from now, counted from 1; gives what is read, film by film."""

    def arrange(reading: int, act: Callable[[], None]) -> list[bytes]:
        given: list[bytes] = []

        def predict(self: Predictor, image: bytes, **options: Any) -> Prediction:
            given.append(image)
            if len(given) == reading:
                act()
            return plain(self, image, **options)

        monkeypatch.setattr(Predictor, "predict", predict)
        return given

    plain = Predictor.predict
    return arrange


def leave() -> None:
    """End the session that runs, as the server does when its browser has gone."""
    get_script_run_ctx().script_requests.request_stop()


def click(at: AppTest | None = None) -> None:
    """Have the script that runs start anew, with the widgets of a page as they were set since."""
    states = None if at is None else at._tree.get_widget_states()
    get_script_run_ctx().script_requests.request_rerun(RerunData(widget_states=states))


def assert_no_turn_is_held() -> None:
    assert service.turns().waiting == 0
    with ExitStack() as held:
        for _ in range(service.share().readings):
            held.enter_context(service.turns().turn(lambda _: pytest.fail("a turn was not given back")))


def scores(at: AppTest) -> list[float]:
    """The scores on the page of one film, lowest first, asked for where they are not shown."""
    if not header(at)["panes"][0]["findings"]:
        press(at, "Show the model's reading")
    return numbers(at, "score")


def numbers(at: AppTest, kind: str) -> list[float]:
    found = [finding[kind] for finding in header(at)["panes"][0]["findings"]]
    return sorted(number for number in found if number is not None)


def statuses(at: AppTest) -> list[str]:
    return at.dataframe[0].value["status"].tolist()


def whole(path: Path, film: bytes = FILM[1]) -> list[float]:
    """What a bundle, as it lies there now, says of a film, lowest first."""
    found = Predictor.from_bundle(path).predict(film).probabilities
    return sorted(found[np.isfinite(found)].tolist())


# ------------------------------------------------------------------------------- the model's files


def _without_thresholds(path: Path) -> None:
    (path / "thresholds.json").unlink()


def _cut(path: Path) -> None:
    weights = path / bundle.WEIGHTS
    weights.write_bytes(weights.read_bytes()[:-1000])


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (shutil.rmtree, "The chosen model is not there any more"),
        (_cut, "a file is damaged or was replaced"),
        (_without_thresholds, "lacks thresholds.json"),
    ],
)
def test_a_model_that_is_spoilt_while_serving_is_told_and_one_that_is_put_back_reads_on(
    tiny: Path, tiny_bundle: Path, events: Events, spoil: Callable[[Path], None], said: str
) -> None:
    at = upload(opened(tiny), FILM)
    before = scores(at)
    spoil(tiny)
    (error,) = ran(at).error
    assert said in error.value
    assert not header(at)
    assert events("model")[-1] | {"outcome": "refused", "exception": "BundleError"} == events("model")[-1]
    shutil.copytree(tiny_bundle, tiny, dirs_exist_ok=True)
    assert scores(ran(at)) == before
    assert not at.error


def test_many_films_go_on_with_the_model_that_is_loaded(tiny: Path, during: Any, events: Events) -> None:
    at = upload(opened(tiny), *FILMS)
    away = tiny.parent / ".away"
    given = during(2, lambda: tiny.rename(away))
    press(at, READ_ALL)
    assert len(given) == len(FILMS)
    assert events("batch")[0] | {"films": len(FILMS), "read": len(FILMS)} == events("batch")[0]
    assert ["not there any more" in error.value for error in at.error] == [True]
    away.rename(tiny)
    assert statuses(ran(at)) == ["read"] * len(FILMS)
    assert_no_turn_is_held()


def test_a_model_that_is_replaced_while_serving_is_read_with_at_once(tiny: Path, tmp_path: Path) -> None:
    at = upload(opened(tiny), FILM)
    before = scores(at)
    other = write_tiny_bundle(tmp_path / "other", seed=1)
    bundle.save(tiny, {file.name: file.read_bytes() for file in other.iterdir()})
    after = scores(ran(at))
    assert after == pytest.approx(whole(other))
    assert after != pytest.approx(before)


@pytest.mark.parametrize("weights_too", [True, False])
def test_nothing_is_read_with_half_of_a_model_and_half_of_another(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, events: Events, weights_too: bool
) -> None:
    """It is replaced after its thresholds were read and before its weights are."""
    other = write_tiny_bundle(tmp_path / "other", seed=1)
    loaded = bundle.load(other)
    names = [file.name for file in other.iterdir()] if weights_too else ["calibration.json"]
    plain, calls = bundle.load_network, iter(range(100))

    def replacing(path: Path, manifest: bundle.Manifest) -> Any:
        if path == tiny and next(calls) == 0:
            bundle.save(tiny, {name: (other / name).read_bytes() for name in names})
        return plain(path, manifest)

    monkeypatch.setattr(bundle, "load_network", replacing)
    at = upload(opened(tiny), FILM)
    assert next(calls) == 2  # loaded once more, and kept
    assert not at.error
    assert [event["outcome"] for event in events("model")] == ["loaded"]
    assert scores(at) == pytest.approx(whole(tiny))
    assert bundle.load(tiny).calibrations == loaded.calibrations


def test_a_model_that_never_stands_still_is_a_sentence(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = service.load

    def moving(path: str) -> Predictor:
        (tiny / "card.md").write_bytes((tiny / "card.md").read_bytes() + b"\n")
        return plain(path)

    monkeypatch.setattr(service, "load", moving)
    at = upload(opened(tiny), FILM)
    assert ["was replaced while it was being loaded" in error.value for error in at.error] == [True]
    monkeypatch.undo()
    monkeypatch.setenv("CHEXMODEL_RUNS", str(tiny.parent))
    assert scores(ran(at))


def test_a_file_that_goes_while_the_others_are_looked_at(tiny: Path) -> None:
    (tiny / "gone.txt").symlink_to(tiny / "nothing")
    at = upload(opened(tiny), FILM)
    assert scores(at)
    state = components._state(str(tiny))
    (tiny / "thresholds.json").touch()
    assert components._state(str(tiny)) != state
    assert components._state(str(tiny / "nowhere")) == ()


def test_another_member_of_an_ensemble_is_another_model(tmp_path: Path) -> None:
    path = write_tiny_bundle(tmp_path / "two", members=2)
    state = components._state(str(path))
    member = path / "members" / "01.safetensors"
    kept = member.stat()
    shutil.copyfile(member, fresh := member.with_suffix(".fresh"))
    os.utime(fresh, ns=(kept.st_atime_ns, kept.st_mtime_ns))  # and as old, as `cp -p` leaves it
    fresh.replace(member)
    assert components._state(str(path)) != state


def test_what_a_bundle_is_built_in_is_no_model_to_choose(tiny: Path) -> None:
    before = components.bundle_choices()
    for name in (".tiny.new-x1", ".tiny.old"):
        shutil.copytree(tiny, tiny.parent / name)
    assert tiny in before
    assert components.bundle_choices() == before


def test_two_who_replace_one_directory_wait_for_each_other(tmp_path: Path) -> None:
    path, versions = tmp_path / "cache" / "weights", [b"a" * 1000, b"b" * 1000]
    failed: list[OSError] = []

    def work(data: bytes) -> None:
        for _ in range(30):
            try:
                atomic.replace_directory(path, {"model": data, "record": data})
            except OSError as error:
                failed.append(error)

    workers = [threading.Thread(target=work, args=(data,)) for data in versions]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert failed == []
    model, record = (path / "model").read_bytes(), (path / "record").read_bytes()
    assert model == record
    assert model in versions
    assert [file.name for file in path.parent.iterdir()] == ["weights"]


# -------------------------------------------------------------------------------- the fast engine


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
    assert "could not be made, PyTorch goes on reading: " in slow.engine_note
    assert f"{slow.bundle.path} is no directory" in slow.engine_note
    (event,) = events("engine")
    assert (event["outcome"], event["message"]) == ("failed", slow.engine_note)
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
    slow: Predictor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, program: str | None, said: str
) -> None:
    fake = tmp_path / "python"
    if program is not None:
        fake.write_text(program)
        fake.chmod(0o755)
    monkeypatch.setattr(service.sys, "executable", str(fake))
    for _ in range(2):  # and the next one may try again
        service.make_fast(slow)
        assert slow.engine.startswith("PyTorch")
        assert said in slow.engine_note


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
    monkeypatch.setattr(onnx_file.torch.onnx, "export", _export)
    with full_disk():
        assert main(["export", str(tiny)]) == 2
    assert "make room where temporary files are written" in capsys.readouterr().err
    monkeypatch.setattr(onnx_file, "make", lambda *_, **__: (bytes(5000), _record()))
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


# ---------------------------------------------------------------------- a worker, a visitor is lost


def test_a_killed_worker_costs_one_film_of_the_page(tiny: Path, during: Any, events: Events) -> None:
    at = upload(opened(tiny), *FILMS)

    def strike() -> None:
        worker = decoders().pids[-1]
        os.kill(worker, signal.SIGSTOP)  # it will hold the film, and not answer
        threading.Thread(target=kill_at_work, args=(worker,)).start()

    def kill_at_work(worker: int) -> None:
        eventually(lambda: decoders().pids[0] == worker)
        os.kill(worker, signal.SIGKILL)

    during(2, strike)
    press(at, READ_ALL)
    table = at.dataframe[0].value
    assert table["status"].tolist() == ["read", "not read", "read", "read", "read"]
    assert "ended the program that decodes it" in table["remarks"][1]
    outcomes = [event["outcome"] for event in events("reading")]
    assert outcomes == ["read", "refused", "read", "read", "read"]
    assert any("chexmodel/decoding.py" in place for place in events("reading")[1]["frames"])
    upload(at, FILMS[1])  # the same film, and a worker that lives
    assert scores(at) == pytest.approx(whole(tiny, FILMS[1][1]))


def test_who_leaves_in_the_middle_of_many_films_has_no_more_of_them_read(tiny: Path, during: Any) -> None:
    at = upload(opened(tiny), *FILMS)
    given = during(2, leave)
    press(at, READ_ALL)
    assert len(given) == 2
    assert_no_turn_is_held()
    other = upload(opened(tiny), FILM)
    assert scores(other)


def test_a_click_in_the_middle_reads_each_film_once(tiny: Path, during: Any) -> None:
    at = upload(opened(tiny), *FILMS)
    given = during(2, click)
    press(at, READ_ALL)
    assert sorted(given) == sorted(data for _, data in FILMS)
    assert statuses(at) == ["read"] * len(FILMS)
    assert_no_turn_is_held()


def test_who_leaves_the_line_is_not_waited_for(
    tiny: Path, monkeypatch: pytest.MonkeyPatch, during: Any
) -> None:
    at = upload(opened(tiny), *FILMS)
    told, place = [0], service.Place.__call__

    def leaving(self: service.Place, before: int) -> None:
        told.append(before)
        leave()
        place(self, before)

    monkeypatch.setattr(service.Place, "__call__", leaving)
    given = during(1, lambda: None)
    with ExitStack() as held:
        for _ in range(service.share().readings):
            held.enter_context(service.turns().turn())
        press(at, READ_ALL)
        assert (given, told) == ([], [0, 0])
        assert service.turns().waiting == 0
    assert_no_turn_is_held()


# ------------------------------------------------------------------------------ another model


@pytest.fixture
def two(tiny: Path) -> tuple[Path, Path]:
    return tiny, write_tiny_bundle(tiny.parent / "other", seed=1)


def choose(at: AppTest, model: Path) -> AppTest:
    next(box for box in at.sidebar.selectbox if box.label == "Model").set_value(str(model))
    return at


def shown_by(at: AppTest) -> tuple[list[float], list[float]]:
    """Scores and thresholds on the page of one film."""
    return scores(at), numbers(at, "threshold")


def test_a_model_chosen_while_a_film_is_read_shows_its_own_reading(two: Any, during: Any) -> None:
    alone = [shown_by(upload(opened(path), FILM)) for path in two]
    assert alone[0] != alone[1]
    at = opened(two[0])
    given = during(1, lambda: click(choose(at, two[1])))
    upload(at, FILM)
    assert len(given) == 2  # by each of them
    assert shown_by(at) == alone[1]
    assert shown_by(ran(choose(at, two[0]))) == alone[0]
    assert shown_by(ran(choose(at, two[1]))) == alone[1]


def test_a_model_chosen_while_many_films_are_read_starts_its_own_table(two: Any, during: Any) -> None:
    at = upload(opened(two[0]), *FILMS)
    during(3, lambda: click(choose(at, two[1])))
    press(at, READ_ALL)

    def assert_read_by(model: Path, count: int) -> None:
        predictor = Predictor.from_bundle(model)
        table = at.dataframe[0].value
        done = table[table["status"] == "read"]
        assert len(done) == count
        named = at.selectbox(key="many-finding").value
        for name, score in zip(done["name"], done["score"], strict=True):
            frame = predictor.predict(dict(FILMS)[name]).frame().set_index("observation")
            assert score == pytest.approx(frame.loc[named, "probability"])

    assert_read_by(two[1], len(FILMS))
    ran(choose(at, two[0]))
    assert_read_by(two[0], 3)  # the third was read when the other one was chosen
    assert_no_turn_is_held()


# ------------------------------------------------------------------------------------- restarts


def _resident() -> int:
    """Bytes that this process holds in memory."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def test_a_hundred_loads_answer_alike_and_leave_nothing_behind(tiny_bundle: Path) -> None:
    film = phantom.draw(size=96, seed=1)
    first = Predictor.from_bundle(tiny_bundle).predict(film)
    before: tuple[int, ...] = ()
    for k in range(100):
        found = Predictor.from_bundle(tiny_bundle).predict(film)
        np.testing.assert_array_equal(found.logits, first.logits)
        np.testing.assert_array_equal(found.heatmaps, first.heatmaps)
        if k == 9:  # what is loaded and kept at first is loaded
            gc.collect()
            before = handles(), threading.active_count(), _resident()
    gc.collect()
    assert (handles(), threading.active_count()) == before[:2]
    assert _resident() - before[2] < 50 * 2**20


def test_a_model_replaced_over_and_over_leaves_the_last_few_in_memory(tiny: Path) -> None:
    networks = list[weakref.ref[Any]]()
    for k in range(12):
        os.utime(tiny / "card.md", (k, k))
        networks.append(weakref.ref(components._as_it_is(str(tiny)).bundle.network))
    gc.collect()
    assert networks[-1]() is not None
    assert sum(network() is not None for network in networks) == 4  # as many as are kept by design


def _answers(url: str) -> bool:
    """Be a visitor: whether the first page comes, whole."""
    from streamlit.proto.BackMsg_pb2 import BackMsg
    from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
    from websockets.sync.client import connect

    with connect(f"{url.replace('http', 'ws')}/_stcore/stream", max_size=None) as visit:
        ask = BackMsg()
        ask.rerun_script.query_string = ""
        visit.send(ask.SerializeToString())
        while True:
            told = ForwardMsg.FromString(visit.recv(timeout=60))
            if told.delta.new_element.HasField("exception"):
                return False
            if told.WhichOneof("type") == "script_finished":
                return told.script_finished == ForwardMsg.FINISHED_SUCCESSFULLY


def test_a_killed_server_starts_again(tmp_path: Path) -> None:
    pytest.importorskip("websockets", reason="websockets, with which a visit is made, is not installed")
    for _ in range(RESTARTS):
        with served(tmp_path / "runs") as (url, server):
            assert _answers(url)
            server.kill()
            server.wait(20)
