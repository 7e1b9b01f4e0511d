"""The two engines: model.onnx is made, compared, found, refused; readings are the same with both."""

import json
import shutil
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_bundle import write_tiny_bundle

from chexmodel import Predictor, bundle, machine, onnx_export, onnx_file, phantom
from chexmodel.__main__ import main
from chexmodel.engine import Distance, OnnxEngine, Pass, TorchEngine, Trial, distance, farthest
from chexmodel.errors import BundleError, ChexError
from chexmodel.explain import METHODS
from chexmodel.gate import GateResult
from chexmodel.onnx_file import MODEL, RECORD
from chexmodel.predictor import Prediction

FILM = phantom.draw(size=96, seed=3)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle of two members with its model.onnx, made from the command line."""
    path = write_tiny_bundle(tmp_path_factory.mktemp("fast") / "tiny", members=2)
    assert main(["export", str(path)]) == 0
    return path


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of this test's own."""
    monkeypatch.setenv(onnx_file.CACHE, str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def written(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The ONNX file of these weights is not written anew: what is tested comes after it."""
    data = (made / MODEL).read_bytes()
    monkeypatch.setattr(onnx_export, "to_onnx", lambda _: data)


@pytest.fixture
def spoilt(made: Path, tmp_path: Path) -> Path:
    """A copy of it to spoil."""
    return Path(shutil.copytree(made, tmp_path / "spoilt"))


def test_both_engines_give_the_same_reading(made: Path) -> None:
    fast, slow = Predictor.from_bundle(made, engine="onnx"), Predictor.from_bundle(made, engine="torch")
    assert fast.engine.startswith("ONNX Runtime")
    assert slow.engine.startswith("PyTorch")
    one, other = fast.predict(FILM), slow.predict(FILM)
    assert (one.engine, other.engine) == (fast.engine, slow.engine)
    np.testing.assert_allclose(one.logits, other.logits, atol=1e-4)
    np.testing.assert_allclose(one.heatmaps, other.heatmaps, atol=1e-4)
    assert one.decisions == other.decisions
    bias = fast.bundle.network.head.bias.detach().numpy()
    np.testing.assert_allclose(one.heatmaps.mean((1, 2)) + bias, one.logits, atol=1e-4)
    assert set(one.seconds) == {"read", "network", "check"}


def test_the_record_tells_what_was_compared(made: Path, capsys: pytest.CaptureFixture[str]) -> None:
    record = onnx_file.Record.model_validate_json((made / RECORD).read_bytes())
    assert record.weights_sha256 == bundle.read_manifest(made).weights_sha256
    assert (record.parity.films, record.parity.real) == (20, False)
    assert record.parity.distance.tolerable
    assert record.parity.distance.logits > 0  # two computations, not one shown twice


@pytest.mark.usefixtures("written")
def test_films_to_compare_on(made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    films = tmp_path / "films"
    films.mkdir()
    (films / "a.png").write_bytes(phantom.png(size=64))
    (films / "notes.txt").write_text("no film")
    assert main(["export", str(made), "--cache", "--films", str(films), str(films / "a.png")]) == 0
    assert "on 2 films of films, a.png" in capsys.readouterr().out
    place = onnx_file.cache_directory(bundle.read_manifest(made).weights_sha256)
    assert onnx_file.Record.model_validate_json((place / RECORD).read_bytes()).parity.real
    assert main(["export", str(made), "--cache", "--films", str(films / "notes.txt")]) == 2
    assert main(["export", str(films / "a.png"), "--cache"]) == 2
    assert "is no directory" in capsys.readouterr().err


@pytest.mark.usefixtures("written")
def test_the_cache_serves_a_bundle_without_the_file(made: Path, tmp_path: Path, cache: Path) -> None:
    plain = write_tiny_bundle(tmp_path / "plain", members=2)
    assert bundle.read_manifest(plain).weights_sha256 == bundle.read_manifest(made).weights_sha256
    predictor = Predictor.from_bundle(plain)
    assert predictor.engine.startswith("PyTorch")
    assert "python -m chexmodel export" in predictor.engine_note
    assert main(["export", str(plain), "--cache"]) == 0
    assert not (plain / MODEL).exists()
    assert predictor.find_onnx()
    assert (predictor.engine[:4], predictor.engine_note) == ("ONNX", "")


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (
            lambda path: (path / MODEL).write_bytes(b"x" + (path / MODEL).read_bytes()),
            "not the file that was",
        ),
        (lambda path: (path / MODEL).unlink(), "lacks model.onnx"),
        (lambda path: (path / RECORD).write_text("{"), "onnx.json .* damaged"),
        (lambda path: _rewrite(path, weights_sha256="0" * 64), "other weights"),
        (lambda path: _forge(path), "does not take model.onnx"),
    ],
)
def test_a_file_that_is_not_the_compared_one_is_not_run(spoilt: Path, spoil, told: str) -> None:
    spoil(spoilt)
    predictor = Predictor.from_bundle(spoilt)
    assert predictor.engine.startswith("PyTorch")
    with pytest.raises(BundleError, match=told):
        Predictor.from_bundle(spoilt, engine="onnx")
    assert np.isfinite(predictor.predict(FILM).logits[0])


def _rewrite(path: Path, **changes: str) -> None:
    record = json.loads((path / RECORD).read_bytes())
    (path / RECORD).write_text(json.dumps(record | changes))


def _forge(path: Path) -> None:
    import hashlib

    (path / MODEL).write_bytes(b"no model")
    _rewrite(path, sha256=hashlib.sha256(b"no model").hexdigest())


def test_without_onnx_runtime_torch_reads(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    predictor = Predictor.from_bundle(made)
    assert predictor.engine.startswith("PyTorch")
    assert "pip install" in predictor.engine_note


@pytest.mark.usefixtures("written")
def test_nothing_is_written_where_they_differ(
    spoilt: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    before = (spoilt / MODEL).read_bytes()
    run = OnnxEngine.run
    monkeypatch.setattr(OnnxEngine, "run", lambda engine, image: _off(run(engine, image), 2e-4))
    assert main(["export", str(spoilt)]) == 2
    assert "PyTorch goes on reading" in capsys.readouterr().err
    assert (spoilt / MODEL).read_bytes() == before


def _off(result: Pass, by: float) -> Pass:
    return Pass(result.logits + np.float32(by), result.maps, result.features)


def test_an_engine_on_trial_that_differs_is_left(made: Path) -> None:
    sure = TorchEngine(bundle.load(made).network)

    class Wrong:
        name, runs = "wrong", 0

        def run(self, image: torch.Tensor) -> Pass:
            self.runs += 1
            return _off(sure.run(image), 1.0)

    class Right(Wrong):
        name = "right"

        def run(self, image: torch.Tensor) -> Pass:
            self.runs += 1
            return sure.run(image)

    image = torch.rand(3, 64, 64)
    wrong, right = Wrong(), Right()
    trial = Trial(wrong, sure)
    for _ in range(5):
        np.testing.assert_allclose(trial.run(image).logits, sure.run(image).logits, atol=1e-6)
    assert (trial.name, wrong.runs) == (f"{sure.name} (wrong differed)", 1)
    trial = Trial(right, sure)
    for _ in range(5):
        trial.run(image)
    assert (trial.name, right.runs) == ("right", 5)
    assert compared(trial, image)  # five pictures, but nobody said that one was a film
    for _ in range(3):
        assert compared(trial, image)
        trial.passed()
    assert not compared(trial, image)


def compared(trial: Trial, image: torch.Tensor) -> bool:
    """Whether the second engine runs too."""
    sure, trial._sure = trial._sure, Counting(0)
    trial.run(image)
    runs, trial._sure, trial._used = trial._sure.runs, sure, trial._fast
    return runs > 0


@pytest.mark.parametrize(("accepted", "left"), [(True, 0), (False, 3)])
def test_only_films_count_for_a_trial(
    made: Path, monkeypatch: pytest.MonkeyPatch, accepted: bool, left: int
) -> None:
    predictor = Predictor.from_bundle(made)
    assert isinstance(predictor._engine, Trial)
    monkeypatch.setattr(Predictor, "_gated", lambda *_: GateResult(accepted, "" if accepted else "no film"))
    object.__setattr__(predictor.bundle, "gate", object())
    for _ in range(3):
        predictor.predict(FILM)
    assert predictor._engine._left == left


def test_films_read_at_once_with_the_first_are_compared_too() -> None:
    sure = Counting(0)
    fast, wrong = Counting(0, wait=threading.Barrier(6, timeout=30)), Counting(1)
    image = torch.zeros(3, 8, 8)
    trial = Trial(fast, sure)
    with ThreadPoolExecutor(6) as threads:
        list(threads.map(trial.run, [image] * 6))
    assert (fast.runs, sure.runs) == (6, 6)
    fast.wait = None
    for _ in range(3):
        trial.passed()
    trial.run(image)
    assert (fast.runs, sure.runs) == (7, 6)
    trial = Trial(wrong, sure)
    assert [float(trial.run(image).logits[0]) for _ in range(3)] == [0, 0, 0]


class Counting:
    """An engine that gives a number, when as many as a barrier wants are at it."""

    name = "counting"

    def __init__(self, value: float, wait: threading.Barrier | None = None) -> None:
        self.value, self.wait, self.runs, self.lock = value, wait, 0, threading.Lock()

    def run(self, image: torch.Tensor) -> Pass:
        if self.wait is not None:
            self.wait.wait()
        with self.lock:
            self.runs += 1
        return Pass(*(np.full(shape, self.value, "f4") for shape in ((2,), (2, 3, 3), (4, 3, 3))))


def test_the_engine_changes_while_eight_threads_read(made: Path, tmp_path: Path) -> None:
    """Each reading is whole, by the engine that it names; the next ones are by the new engine."""
    fast, slow = Predictor.from_bundle(made, engine="onnx"), Predictor.from_bundle(made, engine="torch")
    films = [phantom.draw(size=64, seed=seed) for seed in range(8)]
    alone = {engine.engine: [engine.predict(film) for film in films] for engine in (fast, slow)}
    found, changed = list[tuple[int, Prediction]](), threading.Event()
    reader = Predictor.from_bundle(made, engine="torch", threads=1)

    def work(k: int) -> None:
        while not changed.is_set():
            found.append((k, reader.predict(films[k])))
        found.append((k, reader.predict(films[k])))

    threads = [threading.Thread(target=work, args=(k,)) for k in range(8)]
    for thread in threads:
        thread.start()
    while len(found) < 40:
        assert any(thread.is_alive() for thread in threads)
        time.sleep(0.01)
    assert reader.find_onnx(required=True)
    changed.set()
    for thread in threads:
        thread.join()
    assert {prediction.engine for _, prediction in found} == set(alone)
    assert {prediction.engine for prediction in dict(found).values()} == {fast.engine}  # each one's last
    for k, prediction in found:
        wanted = alone[prediction.engine][k]
        np.testing.assert_allclose(prediction.logits, wanted.logits, atol=1e-6)
        np.testing.assert_allclose(prediction.heatmaps, wanted.heatmaps, atol=1e-5)
        assert prediction.decisions == wanted.decisions


def test_distances_are_by_size_and_know_nan() -> None:
    ones = Pass(np.ones(2, "f4"), np.full((2, 3, 3), 10, "f4"), np.ones((4, 3, 3), "f4"))
    off = Pass(ones.logits + np.float32(5e-5), ones.maps + np.float32(5e-4), ones.features)
    apart = distance(ones, off)
    assert apart.cells == pytest.approx(5e-4, rel=1e-2)
    assert apart.maps == pytest.approx(5e-5, rel=1e-2)
    assert apart.tolerable
    assert not distance(ones, _off(ones, 2e-4)).tolerable
    assert not distance(ones, Pass(ones.logits[:1], ones.maps, ones.features)).tolerable
    broken = Distance(logits=float("nan"), cells=0, maps=0, features=0)
    assert not farthest([apart, broken, apart]).tolerable
    assert farthest([apart, distance(ones, ones)]) == apart


def test_cores_are_those_that_the_container_allows(tmp_path: Path) -> None:
    quota = tmp_path / "cpu.max"
    board = machine.cores(quota)
    assert board >= 1
    for text, expected in (
        ("max 100000", board),
        ("50000 100000", 1),
        ("nonsense", board),
        ("9900000 100000", board),
    ):
        quota.write_text(text)
        assert machine.cores(quota) == min(board, expected)
    assert [tuple(machine.share(n)) for n in (1, 2, 4, 8, 13)] == [(1, 1), (2, 1), (4, 1), (4, 2), (4, 3)]


@pytest.mark.parametrize(("engine", "each"), [("onnx", 200), ("torch", 25)])
def test_many_threads_give_what_one_gives(made: Path, engine: str, each: int) -> None:
    """Eight threads read `each` of 200 films, all at once and each in its own order."""
    predictor = Predictor.from_bundle(made, engine=engine, threads=1)
    films = [phantom.draw(size=64, seed=seed) for seed in range(200)]
    wanted = [_reading(predictor, films, k) for k in range(len(films))]
    found: list[tuple[int, list[np.ndarray]]] = []

    def work(thread: int) -> None:
        for k in np.random.default_rng(thread).permutation(len(films))[:each]:
            found.append((k, _reading(predictor, films, k)))  # noqa: PERF401 – from eight threads

    threads = [threading.Thread(target=work, args=(thread,)) for thread in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8 * each
    for k, parts in found:
        for one, other in zip(wanted[k], parts, strict=True):
            np.testing.assert_allclose(other, one, atol=1e-6)


def _reading(predictor: Predictor, films: list[np.ndarray], k: int) -> list[np.ndarray]:
    """Scores, exact maps, and the map of one observation by each method in turn."""
    prediction = predictor.predict(films[k])
    names = [name for name in prediction.observations if name not in prediction.not_trained]
    method = METHODS[k % len(METHODS)]
    return [
        prediction.probabilities,
        prediction.heatmaps,
        prediction.heat(names[k % len(names)], method=method),
    ]


def test_an_unknown_backbone_layer_is_a_sentence(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(*_: object, **__: object) -> None:
        raise RuntimeError("no such operator")

    monkeypatch.setattr(torch.onnx, "export", failing)
    with pytest.raises(ChexError, match="PyTorch goes on reading"):
        onnx_export.to_onnx(bundle.load(made))
