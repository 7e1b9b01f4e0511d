import io
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageFile, ImageOps

from chexmodel import film
from chexmodel.errors import ImageError
from chexmodel.images import read

ROOT = Path(__file__).resolve().parents[1]
SHARED = ROOT.parent / "shared" / "data"
GREY = np.add.outer(np.arange(48) * 2, np.arange(64) * 2).astype(np.uint8)  # 0 … 220, (48, 64)
DEEP = GREY.astype(np.uint16) * 290  # 0 … 63800: all 16 bits


def encoded(image: Image.Image, kind: str, **options: Any) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def png(values: np.ndarray, **options: Any) -> bytes:
    return encoded(Image.fromarray(values), "PNG", **options)


def jpeg(values: np.ndarray, **options: Any) -> bytes:
    return encoded(Image.fromarray(values), "JPEG", quality=98, **options)


def tiff(values: np.ndarray, **options: Any) -> bytes:
    stream = io.BytesIO()
    tifffile.imwrite(stream, values, **{"photometric": "minisblack", **options})
    return stream.getvalue()


def orientation(number: int) -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = number
    return exif


@pytest.mark.parametrize("encode", [png, tiff])
@pytest.mark.parametrize("values", [GREY, DEEP], ids=["8 bit", "16 bit"])
def test_lossless_grey_is_read_exactly(encode: Callable[..., bytes], values: np.ndarray) -> None:
    film_, white = read(encode(values)), np.iinfo(values.dtype).max
    np.testing.assert_allclose(film_.pixels, values / white, atol=1e-7)
    assert film_.pixels.dtype == np.float32
    assert film_.audit.bits == values.dtype.itemsize * 8
    assert (film_.audit.width, film_.audit.height) == (64, 48)
    assert film_.audit.actions == ()


def test_jpeg_is_read_and_colour_judged() -> None:
    grey = read(jpeg(GREY))
    np.testing.assert_allclose(grey.pixels, GREY / 255, atol=0.02)
    assert (grey.audit.format, grey.audit.photometric, grey.audit.actions) == ("JPEG", "grayscale", ())
    neutral = read(jpeg(np.stack([GREY] * 3, axis=-1)))
    np.testing.assert_allclose(neutral.pixels, GREY / 255, atol=0.02)
    assert neutral.audit.actions == ("converted RGB to grey",)
    assert not any("colour" in warning for warning in neutral.audit.warnings)
    colourful = read(jpeg(np.stack([GREY, GREY[::-1], GREY // 3], axis=-1)))
    assert any("colour" in warning for warning in colourful.audit.warnings)


def test_cmyk_jpeg_agrees_with_pillow() -> None:
    data = encoded(Image.fromarray(np.stack([GREY] * 3, axis=-1)).convert("CMYK"), "JPEG", quality=98)
    expected = np.asarray(Image.open(io.BytesIO(data)).convert("L")) / 255
    np.testing.assert_allclose(read(data).pixels, expected, atol=0.01)
    assert read(data).audit.photometric == "CMYK"


@pytest.mark.parametrize("number", range(1, 9))
def test_exif_orientation_is_obeyed_by_every_format(number: int) -> None:
    turned = ImageOps.exif_transpose(Image.open(io.BytesIO(png(GREY, exif=orientation(number)))))
    expected = np.asarray(turned) / 255
    deep = encoded(Image.fromarray(DEEP), "TIFF", tiffinfo={274: number})
    for data, tolerance in (
        (jpeg(GREY, exif=orientation(number)), 0.02),
        (png(GREY, exif=orientation(number)), 1e-6),
        (deep, 0.01),
    ):
        film_ = read(data)
        scale = 65535 / (290 * 255) if data is deep else 1
        np.testing.assert_allclose(film_.pixels * scale, expected, atol=tolerance)
        assert film_.audit.width == expected.shape[1]
        assert bool(film_.audit.actions) == (number > 1)


@pytest.mark.parametrize("values", [GREY, DEEP, GREY > 100], ids=["8 bit", "16 bit", "1 bit"])
@pytest.mark.parametrize("compression", [None, "zlib"])
def test_tiff_min_is_white_is_inverted_at_every_depth(values: np.ndarray, compression: str | None) -> None:
    if values.dtype == bool and compression is None:
        data = encoded(Image.fromarray(values), "TIFF", tiffinfo={262: 0})
        expected = values.astype(float)  # Pillow stores the inverse, so that the picture stays
    else:
        data = tiff(values, photometric="miniswhite", compression=compression)
        expected = 1 - values / (np.iinfo(values.dtype).max if values.dtype != bool else 1)
    film_ = read(data)
    np.testing.assert_allclose(film_.pixels, expected, atol=1e-6)
    assert "inverted MinIsWhite" in film_.audit.actions


@pytest.mark.parametrize("order", ["<", ">"])
def test_sixteen_bit_tiff_of_either_byte_order(order: str) -> None:
    np.testing.assert_allclose(read(tiff(DEEP, byteorder=order)).pixels, DEEP / 65535, atol=1e-6)


@pytest.mark.parametrize(
    ("maximum", "white"), [(255, 255), (900, 1023), (4000, 4095), (9000, 16383), (20000, 65535)]
)
def test_sixteen_bit_containers_are_scaled_by_the_depth_they_use(maximum: int, white: int) -> None:
    values = np.linspace(0, maximum, GREY.size).astype(np.uint16).reshape(GREY.shape)
    for source in (png(values), tiff(values), values):
        film_ = read(source)
        np.testing.assert_allclose(film_.pixels, values / white, atol=1e-6)
        assert bool(film_.audit.actions) == (white != 65535)


def test_unusual_modes_become_grey() -> None:
    rgb = np.stack([GREY] * 3, axis=-1)
    palette = encoded(Image.fromarray(GREY).convert("P"), "PNG")
    np.testing.assert_allclose(read(palette).pixels, GREY / 255, atol=0.01)
    assert read(palette).audit.photometric == "palette"
    one_bit = png(GREY > 100)
    assert read(one_bit).audit.bits == 1
    np.testing.assert_array_equal(read(one_bit).pixels, GREY > 100)
    half = np.dstack([rgb, np.full_like(GREY, 128)])
    film_ = read(png(half))
    np.testing.assert_allclose(film_.pixels, GREY / 255 * 128 / 255, atol=0.01)
    assert film_.audit.actions == ("composited its transparency on black",)
    with_alpha = encoded(Image.fromarray(GREY).convert("LA"), "PNG")
    np.testing.assert_allclose(read(with_alpha).pixels, GREY / 255, atol=0.01)
    np.testing.assert_allclose(read(tiff(GREY.astype(np.float32) / 255)).pixels, GREY / 255, atol=1e-6)
    deep_rgb = read(tiff(np.stack([DEEP] * 3, axis=-1), photometric="rgb"))
    assert deep_rgb.audit.actions == ("converted 16-bit RGB to grey at 8 bits",)
    np.testing.assert_allclose(deep_rgb.pixels, DEEP / 65535, atol=0.01)


def test_arrays_are_taken_by_their_type() -> None:
    np.testing.assert_allclose(read(GREY).pixels, GREY / 255, atol=1e-7)
    np.testing.assert_allclose(read(DEEP).pixels, DEEP / 65535, atol=1e-7)
    np.testing.assert_allclose(read(GREY / 255).pixels, GREY / 255, atol=1e-7)
    np.testing.assert_allclose(read(DEEP.astype(">u2")).pixels, DEEP / 65535, atol=1e-7)
    assert read(GREY).audit.format == "array"


@pytest.mark.parametrize(
    "values",
    [
        np.stack([GREY] * 3, axis=-1),
        GREY.astype(np.int32),
        GREY > 9,
        GREY.astype(float),
        np.where(GREY > 9, np.nan, 0.5),
        GREY / 255 - 0.1,
        GREY[:4],
        np.empty((0, 0), np.uint8),
        GREY.astype(str),
    ],
    ids=["rgb", "int32", "bool", "0…255 floats", "nan", "negative", "tiny", "empty", "text"],
)
def test_other_arrays_are_refused(values: np.ndarray) -> None:
    with pytest.raises(ImageError):
        read(values)


def _archive() -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("film.png", png(GREY))
    return stream.getvalue()


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "empty"),
        (b"%PDF-1.7 ...", "PDF"),
        (b"GIF89a....", "GIF"),
        (b"RIFF\0\0\0\0WEBPVP8 ", "WebP"),
        (b"\0\0\0\x18ftypheic\0\0\0\0", "HEIC"),
        (b"\0\0\0\x18ftypisom\0\0\0\0", "video"),
        (_archive(), "ZIP"),
        (b"hello, this is no picture", "no PNG, JPEG, TIFF or DICOM"),
        (png(GREY)[:60], "PNG can't be decoded"),
        (jpeg(GREY)[:700], "JPEG can't be decoded"),
        (tiff(GREY)[:300], "TIFF can't be decoded"),
        (png(GREY[:20]), "at least 32"),
        (tiff(np.stack([GREY] * 3), photometric="minisblack"), "several pictures"),
        (png(GREY, save_all=True, append_images=[Image.fromarray(GREY[::-1])]), "several pictures"),
        (tiff(GREY.astype(np.float32)), r"\[0, 1\]"),
        (tiff(GREY.astype(np.int16) - 50), "-50 to"),
        (tiff(GREY.astype(np.uint32) * 1000), "0 to 220000"),
    ],
)
def test_refusals_name_the_reason(data: bytes, message: str) -> None:
    with pytest.raises(ImageError, match=message):
        read(data)


def test_limits_hold_before_decoding(monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: object, **__: object) -> None:
        raise AssertionError("decoded")

    files = [encoded(Image.new("1", (9000, 8000)), kind) for kind in ("JPEG", "PNG", "TIFF")]
    strip = encoded(Image.new("L", (12000, 40)), "JPEG")
    monkeypatch.setattr(ImageFile.ImageFile, "load", never)
    for data in files:
        with pytest.raises(ImageError, match="9000×8000"):
            read(data)
    with pytest.raises(ImageError, match="longest side"):
        read(strip)


def test_a_decompression_bomb_is_refused_by_its_header_where_the_reader_is_loaded() -> None:
    """In a process of its own: pytest puts the filters of warnings back before each test."""
    program = f"""
import io
from PIL import Image
from chexmodel import images
from chexmodel.errors import ImageError
assert Image.MAX_IMAGE_PIXELS == {film.MAX_PIXELS}
for size in ((9000, 8000), (13000, 13000)):
    stream = io.BytesIO()
    Image.new("1", size).save(stream, "PNG")
    for look in (lambda: Image.open(stream), lambda: images.read(stream.getvalue())):
        try:
            look()
        except (Image.DecompressionBombWarning, Image.DecompressionBombError, ImageError) as error:
            print(error)
"""
    run = [sys.executable, "-c", program]
    done = subprocess.run(run, cwd=ROOT, capture_output=True, text=True, check=True)
    said = done.stdout.splitlines()
    assert len(said) == 4
    assert sum("larger than 64 million pixels: reduce it" in line for line in said) == 2


def test_files_above_the_byte_limit_are_not_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(film, "MAX_BYTES", 2 * 2**20)
    with pytest.raises(ImageError, match="3 MB; the limit is 2 MB"):
        read(bytes(3 * 2**20))
    (tmp_path / "huge.png").write_bytes(bytes(3 * 2**20))
    with pytest.raises(ImageError, match=r"huge\.png.*3 MB"):
        read(tmp_path / "huge.png")


def test_paths_give_what_their_bytes_give_and_errors_name_them(tmp_path: Path) -> None:
    path = tmp_path / "film.jpg"  # a wrong suffix does not matter
    path.write_bytes(png(GREY))
    np.testing.assert_array_equal(read(path).pixels, read(png(GREY)).pixels)
    for bad in (tmp_path / "none.png", tmp_path, Path("nul\0byte")):
        with pytest.raises(ImageError, match="can't be opened"):
            read(bad)
    with pytest.raises(ImageError, match="not str"):
        read(str(path))  # type: ignore[arg-type]


def test_flat_and_small_films_are_warned_of() -> None:
    text = " ".join(read(np.full((300, 100), 0.5)).audit.warnings)
    assert "hardly any contrast" in text
    assert "100×300" in text
    assert read(np.random.default_rng(0).random((300, 300))).audit.warnings == ()


@pytest.mark.parametrize("encode", [png, jpeg, tiff, np.asarray])
def test_eight_bit_films_stay_at_eight_bits(encode: Callable[..., bytes]) -> None:
    film_ = read(encode(GREY))
    assert film_.grey.dtype == np.uint8
    assert film_.grey.flags.writeable  # torch warns of memory that is not
    np.testing.assert_array_equal(film_.pixels, np.divide(film_.grey, 255, dtype=np.float32))
    assert not np.shares_memory(film_.grey, GREY)


SAMPLES = [png(GREY), png(DEEP), jpeg(GREY), jpeg(np.stack([GREY] * 3, axis=-1)), tiff(GREY), tiff(DEEP)]


@pytest.mark.filterwarnings("ignore")
@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_damaged_files_give_a_film_or_an_image_error(data: st.DataObject) -> None:
    damaged = bytearray(data.draw(st.sampled_from(SAMPLES)))
    places = st.integers(0, len(damaged) - 1) | st.integers(0, 60)
    for at, value in data.draw(st.lists(st.tuples(places, st.integers(0, 255)), max_size=8)):
        damaged[at] = value
    source = bytes(damaged[: data.draw(st.integers(0, len(damaged)) | st.just(len(damaged)))])
    try:
        film_ = read(source)
    except ImageError:
        return
    assert film_.pixels.shape == (film_.audit.height, film_.audit.width)
    assert 0 <= film_.pixels.min() <= film_.pixels.max() <= 1


@pytest.mark.filterwarnings("ignore")
@given(
    st.sampled_from(
        [b"", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"II*\0", b"MM\0*", bytes(128) + b"DICM", b"\x08\0\5\0"]
    ),
    st.binary(max_size=600),
)
def test_random_bytes_give_an_image_error(magic: bytes, rest: bytes) -> None:
    with pytest.raises(ImageError):
        read(magic + rest)


@pytest.mark.shared
def test_real_films_are_read_without_complaint() -> None:
    paths = sorted((SHARED / "xrays" / "valid").rglob("*.jpg"))[:20]
    if not paths:
        pytest.skip(f"{SHARED / 'xrays'} is missing")
    for path in paths:
        film_ = read(path)
        assert film_.pixels.shape == (320, 320)
        assert film_.audit.warnings == ()
