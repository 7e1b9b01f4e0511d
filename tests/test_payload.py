"""The viewer's payload: what goes in comes out, aligned, at the bits and the size that it needs."""

import struct

import numpy as np
import pytest

from chexmodel import payload
from chexmodel.errors import ChexError
from chexmodel.payload import MAGIC, MAX_SIDE, Sheet, pack, quantised, unpack

RNG = np.random.default_rng(0)
EIGHT = RNG.integers(0, 256, (5, 7)).astype(np.uint8)
DEEP = RNG.random((6, 3)).astype(np.float32)
MAPS = {"Edema": RNG.normal(size=(7, 7)).astype(np.float32), "Fracture": np.zeros((3, 5), np.float32)}


def test_what_goes_in_comes_out() -> None:
    sheets = [Sheet(EIGHT, MAPS, {"title": "Œdème"}), Sheet(DEEP, {}, {"title": "prior"})]
    header, films, maps = unpack(pack(sheets, {"key": "reading", "words": {"fit": "Fit"}}))
    assert header["key"] == "reading"
    assert header["words"] == {"fit": "Fit"}
    assert [pane["title"] for pane in header["panes"]] == ["Œdème", "prior"]
    sizes = [(pane["width"], pane["height"], pane["bits"]) for pane in header["panes"]]
    assert sizes == [(7, 5, 8), (3, 6, 16)]
    np.testing.assert_array_equal(films[0], EIGHT)
    np.testing.assert_allclose(films[1] / 65535, DEEP, atol=0.5 / 65535 + 1e-7)
    assert list(maps[0]) == list(MAPS)
    for name, grid in MAPS.items():
        np.testing.assert_array_equal(maps[0][name], grid)
    assert maps[1] == {}


def test_every_block_lies_where_a_typed_array_can() -> None:
    data = pack([Sheet(EIGHT, MAPS, {}), Sheet(EIGHT[:3, :3], MAPS, {})], {"odd": "x"})
    magic, length = struct.unpack_from("<4sI", data)
    assert magic == MAGIC
    assert (8 + length) % 8 == 0
    assert len(data) % 8 == 0
    header, _, _ = unpack(data)
    offsets = [pane["pixels"] for pane in header["panes"]]
    offsets += [place[0] for pane in header["panes"] for place in pane["maps"].values()]
    assert len(set(offsets)) == 6
    assert all(offset % 8 == 0 for offset in offsets)


def test_the_same_film_gives_the_same_bytes() -> None:
    assert pack([Sheet(EIGHT, MAPS, {})], {}) == pack([Sheet(EIGHT.copy(), dict(MAPS), {})], {})


def test_the_digest_is_of_the_film_alone() -> None:
    def digest(pixels: np.ndarray, **about: object) -> str:
        header, _, _ = unpack(pack([Sheet(pixels, MAPS if about else {}, about)], about))
        return str(header["panes"][0]["digest"])

    assert digest(EIGHT) == digest(EIGHT, title="read")
    assert digest(EIGHT) != digest(EIGHT.reshape(7, 5))
    assert digest(EIGHT) != digest(EIGHT.T.copy())


@pytest.mark.parametrize(("levels", "kind"), [(256, np.uint8), (512, np.uint16), (4096, np.uint16)])
def test_eight_bits_are_sent_where_they_hold_the_film(levels: int, kind: type) -> None:
    film = (np.arange(levels, dtype=np.float32) / (levels - 1)).reshape(2, -1)
    sent = quantised(film)
    assert sent.dtype == kind
    assert len(np.unique(sent)) == levels  # no two grey values became one
    np.testing.assert_allclose(sent / np.iinfo(kind).max, film, atol=0.5 / np.iinfo(kind).max + 1e-7)


def test_a_huge_film_is_reduced_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(payload, "MAX_SIDE", 64)
    film = np.tile(np.array([[0, 1], [1, 0]], np.float32), (100, 50))  # a chessboard: grey once averaged
    header, films, _ = unpack(pack([Sheet(film, {}, {})], {}))
    pane = header["panes"][0]
    assert films[0].shape == (64, 32) == (pane["height"], pane["width"])
    assert pane["original"] == [100, 200]
    assert abs(films[0] / 65535 - 0.5).max() < 0.1
    assert MAX_SIDE >= 4096  # films of today's detectors, some 3000 px, are sent as they are


def test_nothing_else_is_taken_apart() -> None:
    for wrong in (b"", b"CXV", b"\x89PNG\r\n\x1a\n" + bytes(32)):
        with pytest.raises(ChexError, match="no payload"):
            unpack(wrong)
    with pytest.raises(ChexError, match="two dimensions"):
        pack([Sheet(np.zeros((2, 2, 3), np.uint8), {}, {})], {})


def test_an_undefined_number_is_no_json() -> None:
    with pytest.raises(ValueError, match="JSON"):
        pack([], {"score": float("nan")})
