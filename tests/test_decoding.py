"""Reading in worker processes: the same films and sentences, and what becomes of a worker that is lost."""

import gc
import io
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import gdcm
import numpy as np
import pytest
from dicom_files import RAMP, dataset, dicom, transcoded, written
from PIL import ExifTags, Image
from pydicom.uid import JPEG2000Lossless, RLELossless

from chexmodel import decoding, decoding_process, images, phantom
from chexmodel.decoding import Decoders
from chexmodel.errors import ImageError
from chexmodel.language import using

pytestmark = pytest.mark.skipif(
    not Path("/proc/self/fd").is_dir(), reason="what processes hold is read from /proc"
)
ROOT = Path(__file__).resolve().parents[1]
PNG = phantom.png(size=64)
PATIENCE = 60.0
"""Seconds until something that ought to happen is taken to have failed."""


@pytest.fixture(scope="module")
def decoders() -> Iterator[Decoders]:
    with Decoders(2) as made:
        yield made


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> list[bytes]:
    """Files of every kind and depth, some of them for GDCM."""
    deep = phantom.draw(size=96, seed=2)[:80]
    shallow = (deep >> 8).astype(np.uint8)
    colour = np.stack([shallow, shallow // 2, 255 - shallow], axis=-1)
    pictures = [
        encoded(values, kind)
        for values in (deep, shallow, colour)
        for kind in ("PNG", "TIFF", "JPEG")
        if values.dtype == np.uint8 or kind != "JPEG"
    ]
    compressed = []
    for syntax in (RLELossless, JPEG2000Lossless):
        ds = dataset(RAMP)
        ds.compress(syntax)
        compressed.append(written(ds))
    folder = tmp_path_factory.mktemp("recoded")
    kinds = ("JPEGLosslessProcess14_1", "JPEGLSLossless", "JPEG2000")
    recoded = [transcoded(dicom(), getattr(gdcm.TransferSyntax, kind), folder) for kind in kinds]
    return [*pictures, dicom(), *compressed, *recoded]


def encoded(values: np.ndarray, kind: str) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(values).save(stream, kind)
    return stream.getvalue()


def assert_same(one: images.Film, other: images.Film) -> None:
    assert one.audit == other.audit
    assert one.grey.dtype == other.grey.dtype
    np.testing.assert_array_equal(one.grey, other.grey)


def eventually(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.01)


def alive(pid: int) -> bool:
    """Whether a process runs; one that has ended and was not waited for is a zombie, and counts."""
    return Path(f"/proc/{pid}").exists()


def state(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def handles() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def kill(pid: int) -> None:
    """Kill a worker, and wait until it has ended: nobody has waited for it yet."""
    os.kill(pid, signal.SIGKILL)
    eventually(lambda: state(pid) == "Z")


def test_the_film_is_the_one_of_this_process(decoders: Decoders, films: list[bytes], tmp_path: Path) -> None:
    for data in films:
        assert_same(decoders.read(data), images.read(data))
    path = tmp_path / "Zoë 1.png"
    path.write_bytes(PNG)
    assert_same(decoders.read(path), images.read(path))
    values = phantom.draw(size=64)
    assert_same(decoders.read(values), images.read(values))
    frames = dicom(RAMP, NumberOfFrames=2, PixelData=np.stack([RAMP, RAMP[::-1]]).tobytes())
    assert_same(decoders.read(frames, frame=1), images.read(frames, frame=1))


@pytest.mark.parametrize("language", ["en", "fr"])
def test_refusals_are_the_same_sentences_in_the_language_in_use(
    decoders: Decoders, tmp_path: Path, language: str
) -> None:
    odd = tmp_path / os.fsdecode(b"odd\xff.png")  # no text, but a path
    odd.write_bytes(b"text")
    sources = [b"", b"%PDF-1.7", PNG[:99], tmp_path / "none.png", Path("nul\0byte"), tmp_path, odd]
    with using(language):
        for source in sources:
            said = []
            for read in (images.read, decoders.read):
                with pytest.raises(ImageError) as caught:
                    read(source)
                said.append(str(caught.value).encode(errors="backslashreplace").decode())
            assert said[0] == said[1]
        with pytest.raises(ImageError, match="2"):
            decoders.read(PNG, frame=1)


def test_many_threads_get_their_own_films(decoders: Decoders, films: list[bytes]) -> None:
    own = [images.read(data) for data in films]
    order = np.random.default_rng(0).integers(len(films), size=200)
    with ThreadPoolExecutor(8) as threads:
        read = list(threads.map(lambda k: decoders.read(films[k]), order))
    for k, film in zip(order, read, strict=True):
        assert_same(film, own[k])
    assert len(decoders.pids) <= 3  # two at work and the spare one


def test_a_worker_killed_in_the_middle_of_a_file_costs_that_file_alone() -> None:
    with Decoders(1) as decoders:
        assert_same(decoders.read(PNG), images.read(PNG))
        worker = decoders.pids[-1]
        os.kill(worker, signal.SIGSTOP)  # it holds the file, and does not answer
        with ThreadPoolExecutor(1) as thread:
            lost = thread.submit(decoders.read, PNG)
            eventually(lambda: decoders.pids[0] == worker)
            os.kill(worker, signal.SIGKILL)
            with pytest.raises(ImageError, match=r"ended the program.*Export it anew"):
                lost.result(PATIENCE)
        assert_same(decoders.read(PNG), images.read(PNG))
        assert not alive(worker)


def test_a_file_that_hangs_is_given_up(tmp_path: Path) -> None:
    with Decoders(1, seconds=1) as decoders:
        decoders.read(PNG)
        for source, message in (
            (PNG, "^Reading this file took more than 1 s"),
            (tmp_path / "a.png", "a.png: "),
        ):
            worker = decoders.pids[-1]
            os.kill(worker, signal.SIGSTOP)
            with pytest.raises(ImageError, match=message):
                decoders.read(source)
            assert not alive(worker)
            decoders.read(PNG)
        # More than a pipe holds: the sending must not wait for ever either.
        os.kill(decoders.pids[-1], signal.SIGSTOP)
        with pytest.raises(ImageError, match="more than 1 s"):
            decoders.read(PNG + bytes(10 * 2**20))


def test_a_film_within_the_limits_that_takes_too_much_memory_is_a_sentence(decoders: Decoders) -> None:
    stream = io.BytesIO()
    turned = Image.Exif()
    turned[ExifTags.Base.Orientation] = 6  # a copy more
    Image.new("RGBA", (7900, 7900)).save(stream, "PNG", compress_level=1, exif=turned)
    before = set(decoders.pids)
    with pytest.raises(ImageError, match="more memory than a film may have: reduce it"):
        decoders.read(stream.getvalue())
    assert set(decoders.pids) == before
    assert_same(decoders.read(PNG), images.read(PNG))


@pytest.mark.parametrize(
    ("name", "frame"), [("JPEGLosslessProcess14_1", b"\xff\xc3"), ("JPEGLSLossless", b"\xff\xf7")]
)
def test_a_decoder_that_aborts_costs_its_file_alone(
    decoders: Decoders, name: str, frame: bytes, tmp_path: Path
) -> None:
    damaged = bytearray(transcoded(dicom(RAMP[:40, :40]), getattr(gdcm.TransferSyntax, name), tmp_path))
    damaged[damaged.rindex(frame) + 4] = 200  # bits per sample: GDCM ends its process over it
    with pytest.raises(ImageError, match="ended the program"):
        decoders.read(bytes(damaged))
    assert_same(decoders.read(PNG), images.read(PNG))


def test_an_idle_worker_that_is_lost_costs_no_file() -> None:
    with Decoders(1) as decoders:
        decoders.read(PNG)
        for worker in decoders.pids:
            kill(worker)
        assert_same(decoders.read(PNG), images.read(PNG))


def test_fifty_kills_leave_nothing_behind() -> None:
    killed = set[int]()

    def strike() -> None:
        """Kill workers at any moment: most of them while they start, as that takes longest."""
        for pause in np.random.default_rng(0).uniform(0, 0.1, 40):
            time.sleep(pause)
            worker = decoders.pids[0]
            killed.add(worker)
            with suppress(ProcessLookupError):
                os.kill(worker, signal.SIGKILL)

    with Decoders(1) as decoders:
        decoders.read(PNG)
        held, running = handles(), threading.active_count()
        for _ in range(10):  # that are ready
            killed.add(decoders.pids[-1])
            kill(decoders.pids[-1])
            decoders.read(PNG)
        assert len(killed) == 10
        with ThreadPoolExecutor(1) as thread:
            striking = thread.submit(strike)
            while not striking.done():
                with suppress(ImageError):
                    decoders.read(PNG)
            striking.result()
        assert_same(decoders.read(PNG), images.read(PNG))
        assert len(killed) > 25  # one may be struck twice
        assert not any(map(alive, killed - set(decoders.pids)))
        assert (handles(), threading.active_count()) == (held, running)


def test_workers_end_with_the_object_that_has_them() -> None:
    decoders = Decoders(1)
    decoders.read(PNG)
    pids = decoders.pids
    assert pids
    del decoders
    gc.collect()
    eventually(lambda: not any(map(alive, pids)))


def test_workers_are_replaced_after_some_files(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoding, "MAX_FILES", 2)
    with Decoders(1) as decoders:
        used = set[int]()
        for _ in range(3):
            decoders.read(PNG)
            used.update(decoders.pids)
        assert len(used) >= 3
        assert sum(map(alive, used)) == len(decoders.pids) <= 2


def test_a_worker_that_can_not_start_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoding_process, "_COMMAND", (sys.executable, "-c", "raise SystemExit(3)"))
    with Decoders(1) as decoders, pytest.raises(ImageError, match="can't be started"):
        decoders.read(PNG)


def test_no_room_for_a_process_is_a_sentence_and_leaves_none_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    popen = subprocess.Popen

    def refused(*_: object, **__: object) -> None:
        raise BlockingIOError(11, "Resource temporarily unavailable")

    with Decoders(1) as decoders:
        decoders.read(PNG)
        monkeypatch.setattr(subprocess, "Popen", refused)
        started = decoders.pids
        for worker in started[:-1]:
            kill(worker)
        for _ in range(2):  # with the last one, and no spare one beside it
            assert_same(decoders.read(PNG), images.read(PNG))
        kill(started[-1])
        with pytest.raises(ImageError, match="can't be started"):
            decoders.read(PNG)
        assert not any(map(alive, started))
        monkeypatch.setattr(subprocess, "Popen", popen)
        assert_same(decoders.read(PNG), images.read(PNG))


def test_a_worker_that_is_struck_as_it_replies_gets_no_other_file(monkeypatch: pytest.MonkeyPatch) -> None:
    """The signal is on its way: the process may seem to run for a moment."""
    with Decoders(1) as decoders:
        decoders.read(PNG)
        worker, fill, kill = decoders.pids[-1], decoding_process.fill, subprocess.Popen.kill

        def filled(stream: object, body: object) -> object:
            done = fill(stream, body)
            time.sleep(1.5)
            return done

        monkeypatch.setattr(decoding_process, "fill", filled)
        main = threading.current_thread()
        monkeypatch.setattr(
            subprocess.Popen, "kill", lambda one: kill(one) if threading.current_thread() is main else None
        )
        decoders._seconds = 1
        assert_same(decoders.read(PNG), images.read(PNG))
        monkeypatch.undo()
        assert worker not in decoders.pids


def test_looks_at_headers_do_not_wait_for_slow_films() -> None:
    with Decoders(1) as decoders, ThreadPoolExecutor(1) as thread:
        decoders.peek(dicom())
        worker = decoders.pids[-1]
        os.kill(worker, signal.SIGSTOP)
        slow = thread.submit(decoders.read, PNG)
        eventually(lambda: decoders.pids[0] == worker)
        assert decoders.peek(dicom()).picture
        assert not slow.done()
        os.kill(worker, signal.SIGCONT)
        assert_same(slow.result(PATIENCE), images.read(PNG))


def test_workers_end_with_the_process_that_made_them() -> None:
    program = f"""
import os, sys, time
from chexmodel import phantom
from chexmodel.decoding import Decoders
decoders = Decoders(1)
decoders.read(phantom.png(size=64))
print(*decoders.pids, flush=True)
time.sleep({PATIENCE})
"""
    server = subprocess.Popen([sys.executable, "-c", program], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    workers = [int(pid) for pid in server.stdout.readline().split()]
    assert len(workers) == 2
    assert all(map(alive, workers))
    server.kill()
    server.communicate()
    # Whoever inherits them may not wait for them: a zombie has ended as well.
    eventually(lambda: not any(alive(pid) and state(pid) != "Z" for pid in workers))


def test_a_worker_loads_no_network_and_writes_no_file(decoders: Decoders) -> None:
    resource = pytest.importorskip("resource")
    decoders.read(PNG)
    worker = decoders.pids[-1]
    loaded = Path(f"/proc/{worker}/maps").read_text()
    assert "pydicom" in loaded or "PIL" in loaded
    assert not any(name in loaded for name in ("libtorch", "libcuda", "streamlit"))
    assert resource.prlimit(worker, resource.RLIMIT_FSIZE) == (0, 0)
    assert resource.prlimit(worker, resource.RLIMIT_CORE) == (0, 0)
    assert 0 < resource.prlimit(worker, resource.RLIMIT_AS)[0] < 2 * 2**30
