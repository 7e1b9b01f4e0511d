import hashlib
from collections.abc import Iterator
from http.client import IncompleteRead
from pathlib import Path

import pytest

from chexmodel import examples
from chexmodel.errors import ImageError
from chexmodel.examples import EXAMPLES, Example, fetch

DATA = b"not really a film"
WANTED = Example("a film, spaced.png", "none", hashlib.sha256(DATA).hexdigest())


@pytest.fixture
def served(tmp_path: Path) -> Iterator[str]:
    """Address of a directory that has the example."""
    (tmp_path / WANTED.file).write_bytes(DATA)
    return f"{tmp_path.as_uri()}/"


def test_the_right_bytes_arrive(served: str) -> None:
    assert fetch(WANTED, base=served) == DATA


def test_other_bytes_are_not_shown(served: str, tmp_path: Path) -> None:
    (tmp_path / WANTED.file).write_bytes(DATA + b"!")
    with pytest.raises(ImageError, match=r"not the published one.*synthetic phantom"):
        fetch(WANTED, base=served)


@pytest.mark.parametrize(
    "base", ["file:///nowhere/", "http://127.0.0.1:1/", "http://[bad/", "no address", ""]
)
def test_out_of_reach_it_says_so_kindly(base: str) -> None:
    with pytest.raises(ImageError, match=r"could not be fetched.*offline.*synthetic phantom"):
        fetch(WANTED, base=base)


@pytest.mark.parametrize("error", [IncompleteRead(b"half"), TimeoutError(), ConnectionResetError()])
def test_a_transfer_that_breaks_off(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    class Broken:
        def __enter__(self) -> "Broken":
            return self

        def __exit__(self, *exception: object) -> None: ...

        def read(self, limit: int) -> bytes:
            raise error

    monkeypatch.setattr(examples, "urlopen", lambda *_, **__: Broken())
    with pytest.raises(ImageError, match="could not be fetched"):
        fetch(WANTED)


def test_the_examples_are_pinned() -> None:
    assert len({example.file for example in EXAMPLES}) == len(EXAMPLES) == 3
    for example in EXAMPLES:
        assert len(bytes.fromhex(example.sha256)) == 32
        assert example.file.startswith("0000000")
        assert example.labels.split(", ")[0] in example.file
