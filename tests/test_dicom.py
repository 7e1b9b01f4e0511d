from io import BytesIO
from pathlib import Path
from typing import Any

import gdcm
import numpy as np
import pytest
from dicom_files import RAMP, dataset, dicom, lut, transcoded, written
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom import dcmread
from pydicom.encaps import encapsulate
from pydicom.pixels import apply_windowing
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    EncapsulatedPDFStorage,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    RLELossless,
)

from chexmodel.dicom import read_dicom
from chexmodel.errors import ImageError
from chexmodel.images import read

SHARED = Path(__file__).resolve().parents[1].parent / "shared" / "data"


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian, ExplicitVRBigEndian])
def test_uncompressed_data_are_stretched_over_their_own_range(syntax: str) -> None:
    film = read(dicom(RAMP // 2 + 100, syntax))
    np.testing.assert_allclose(film.pixels, (RAMP // 2) / (4095 // 2), atol=1e-6)
    assert film.audit.transfer_syntax == syntax.name
    assert film.audit.bits == 12
    assert any("there is no window" in action for action in film.audit.actions)


@pytest.mark.parametrize("syntax", [RLELossless, JPEG2000Lossless])
def test_lossless_compression_by_pydicom_changes_nothing(syntax: str) -> None:
    ds = dataset(RAMP)
    ds.compress(syntax)
    film = read(written(ds))
    np.testing.assert_array_equal(film.pixels, read(dicom()).pixels)
    assert film.audit.transfer_syntax == syntax.name


@pytest.mark.parametrize(
    "name", ["JPEGLosslessProcess14_1", "JPEGLosslessProcess14", "JPEGLSLossless", "JPEG2000"]
)
def test_compression_by_gdcm_changes_nothing(name: str, tmp_path: Path) -> None:
    film = read(transcoded(dicom(), getattr(gdcm.TransferSyntax, name), tmp_path))
    np.testing.assert_allclose(film.pixels, read(dicom()).pixels, atol=1e-6 if name != "JPEG2000" else 0.01)


def test_eight_bits_without_window_are_shown_as_they_are(tmp_path: Path) -> None:
    values = (RAMP // 32 + 20).astype(np.uint8)
    np.testing.assert_allclose(read(dicom(values)).pixels, values / 255, atol=1e-6)
    jpeg = transcoded(dicom(values), gdcm.TransferSyntax.JPEGBaselineProcess1, tmp_path)
    np.testing.assert_allclose(read(jpeg).pixels, values / 255, atol=0.02)


def test_rescale_window_and_inversion_agree_with_pydicom() -> None:
    for function in ("LINEAR", "LINEAR_EXACT", "SIGMOID"):
        window = {"WindowCenter": [900, 5], "WindowWidth": [1500.5, 6], "VOILUTFunction": function}
        ds = dataset(RAMP, RescaleSlope=2, RescaleIntercept=-1024, **window)
        expected = (apply_windowing(RAMP * 2.0 - 1024, ds) + 1024) / (2 * 4095)
        film = read(written(ds))
        np.testing.assert_allclose(film.pixels, expected, atol=1e-5)
        assert film.audit.window.startswith("center 900, width 1500.5")
        assert "applied rescale slope 2 intercept -1024" in film.audit.actions
        inverted = read(
            dicom(RescaleSlope=2, RescaleIntercept=-1024, PhotometricInterpretation="MONOCHROME1", **window)
        )
        np.testing.assert_allclose(inverted.pixels, 1 - expected, atol=1e-5)
        assert "inverted MONOCHROME1" in inverted.audit.actions


def test_a_window_function_that_is_none_is_not_quoted() -> None:
    window = {"WindowCenter": 900, "WindowWidth": 1500}
    plain = read(dicom(**window))
    odd = read(dicom(**window, VOILUTFunction="![Jane Doe](http://a.example/p.png)"))
    assert odd.audit == plain.audit
    np.testing.assert_array_equal(odd.pixels, plain.pixels)


def test_signed_values_are_read_as_signed() -> None:
    film = read(dicom(RAMP.astype(np.int16) - 2048, WindowCenter=0, WindowWidth=4096))
    np.testing.assert_allclose(film.pixels, RAMP / 4095, atol=1e-6)


def test_an_invalid_window_is_ignored_with_a_warning() -> None:
    film = read(dicom(WindowCenter=0, WindowWidth=0))
    assert film.audit.window is None
    assert any("invalid" in warning for warning in film.audit.warnings)
    np.testing.assert_allclose(film.pixels, RAMP / 4095, atol=1e-6)


def test_lookup_tables_clamp_at_both_ends() -> None:
    table = np.arange(1000) ** 2 // 1000 * 4  # 12 bits
    film = read(dicom(VOILUTSequence=lut(table, 500, 12), WindowCenter=1, WindowWidth=1))
    np.testing.assert_allclose(film.pixels, table[np.clip(RAMP.astype(int) - 500, 0, 999)] / 4095, atol=1e-6)
    assert film.audit.window == "VOI LUT of 1000 entries"
    modality = read(
        dicom(ModalityLUTSequence=lut(np.arange(4096)[::-1], 0, 16), WindowCenter=2048, WindowWidth=4096)
    )
    np.testing.assert_allclose(modality.pixels, 1 - RAMP / 4095, atol=1e-6)


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian])
def test_a_lookup_table_may_begin_below_zero_though_pixels_are_unsigned(syntax: str) -> None:
    table = np.linspace(0, 4095, 4096).astype(np.uint16)
    voi = lut(table, 0, 12)
    voi[0].LUTDescriptor = [4096, -1024, 12]
    voi[0]["LUTDescriptor"].VR = "SS"
    film = read(dicom(syntax=syntax, RescaleSlope=1, RescaleIntercept=-1024, VOILUTSequence=voi))
    np.testing.assert_allclose(film.pixels, RAMP / 4095, atol=1e-3)


@pytest.mark.parametrize(("bits", "white"), [(12, 4095), (16, 1023), (8, 1023)])
def test_a_lookup_tables_white_is_that_of_its_bits(bits: int, white: int) -> None:
    """But where 16 are stated, as of tables of 12 bits too, or fewer than its entries take."""
    table = (np.arange(4096) // 8).astype(np.uint16)
    film = read(dicom(VOILUTSequence=lut(table, 0, bits)))
    assert film.pixels.max() == pytest.approx(511 / white)


def test_a_window_of_one_value_is_a_step() -> None:
    film = read(dicom(WindowCenter=2000.5, WindowWidth=1))
    np.testing.assert_array_equal(film.pixels, RAMP > 2000)


def test_bits_at_the_top_of_a_word_are_refused() -> None:
    with pytest.raises(ImageError, match="do not lie where the standard has them"):
        read(dicom(RAMP * 16, HighBit=15))
    assert read(dicom(HighBit=None)).audit.bits == 12


def test_padding_neither_widens_the_range_nor_shines() -> None:
    values = RAMP // 4 + 1000
    values[:, :8] = 4000
    film = read(dicom(values, PixelPaddingValue=4000, PhotometricInterpretation="MONOCHROME1"))
    assert (film.pixels[:, :8] == 0).all()
    real = values[:, 8:].astype(float)
    np.testing.assert_allclose(film.pixels[:, 8:], (real.max() - real) / np.ptp(real), atol=1e-6)


def test_colour_becomes_grey() -> None:
    grey = (RAMP // 16).astype(np.uint8)
    film = read(dicom(np.stack([grey] * 3, axis=-1)))
    np.testing.assert_allclose(film.pixels, grey / 255, atol=1e-6)
    assert film.audit.actions == ("converted RGB to grey",)
    ybr = np.stack([grey, np.full_like(grey, 128), np.full_like(grey, 128)], axis=-1)
    np.testing.assert_allclose(
        read(dicom(ybr, PhotometricInterpretation="YBR_FULL")).pixels, grey / 255, atol=0.01
    )
    palette = {
        f"{name}PaletteColorLookupTable{part}": value
        for name in ("Red", "Green", "Blue")
        for part, value in (
            ("Descriptor", [256, 0, 16]),
            ("Data", (np.arange(256)[::-1] * 257).astype("<u2").tobytes()),
        )
    }
    film = read(dicom(grey, PhotometricInterpretation="PALETTE COLOR", **palette))
    np.testing.assert_allclose(film.pixels, 1 - grey / 255, atol=1e-4)


def test_a_file_without_preamble_or_meta_header_is_read() -> None:
    whole = dicom()
    bare = whole[132:]
    np.testing.assert_array_equal(read(bare).pixels, read(whole).pixels)
    for syntax in (ExplicitVRLittleEndian, ImplicitVRLittleEndian):
        source = dicom(syntax=syntax)
        start = 132 + 12 + dcmread(BytesIO(source)).file_meta.FileMetaInformationGroupLength
        assert read(source[start:]).audit.transfer_syntax == syntax.name


@pytest.mark.parametrize(
    ("age", "years"), [("062Y", 62), ("62", 62), ("030M", 2), ("", None), ("old", None), ("414Y", None)]
)
def test_age_with_or_without_unit(age: str, years: int | None) -> None:
    assert read(dicom(PatientAge=age)).audit.age_years == years


def test_the_audit_warns_and_never_names_the_patient() -> None:
    film = read(dicom(ViewPosition="LL", BurnedInAnnotation="YES", PixelSpacing=[0.1, 0.2], Modality="CT"))
    text = " ".join(film.audit.warnings)
    assert film.audit.view == "LATERAL"
    assert all(word in text for word in ("lateral", "burned", "square", "CT"))
    assert "Secret" not in film.audit.model_dump_json()
    assert "4711" not in film.audit.model_dump_json()
    assert read(dicom(ViewPosition="PA")).audit.view == "PA"


def _deflated() -> bytes:
    return dicom(syntax=DeflatedExplicitVRLittleEndian)


def _lying_stream() -> bytes:
    """A JPEG 2000 stream that claims 60000×60000 in a header of 48×64."""
    ds = dataset(RAMP)
    ds.compress(JPEG2000Lossless)
    at = ds.PixelData.index(b"\xff\x4f\xff\x51") + 8
    ds.PixelData = ds.PixelData[:at] + (60000).to_bytes(4) * 2 + ds.PixelData[at + 8 :]
    return written(ds)


def _run_length_bomb() -> bytes:
    ds = dataset(RAMP)
    ds.compress(RLELossless)
    ds.PixelData = encapsulate([b"\x02" + bytes(63) + b"\x81\0" * 20_000])
    return written(ds)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (lambda: dicom(NumberOfFrames=2), "can't be decoded"),  # two are claimed, one is there
        (lambda: dicom(PixelData=None, SOPClassUID=EncapsulatedPDFStorage), "Encapsulated PDF"),
        (lambda: dicom(Rows=20000, Columns=20000), "20000×20000"),
        (lambda: dicom(Rows=None), "lacks Rows"),
        (lambda: dicom(Rows=4000), "can't be decoded"),
        (lambda: dicom(PhotometricInterpretation="CMYK"), "colour coding"),
        (lambda: dicom(RescaleSlope="1e38", RescaleIntercept=0), "not finite"),
        (
            lambda: dicom(syntax="1.2.840.10008.1.2.4.100", PixelData=encapsulate([bytes(99)])),
            "not read here",
        ),
        (lambda: dicom(syntax=JPEGBaseline8Bit, PixelData=encapsulate([bytes(99)])), "size the header says"),
        (_lying_stream, "size the header says"),
        (_run_length_bomb, "size the header says"),
        (_deflated, "deflated"),
        (lambda: b"\x08\0\5\0" + bytes(200), "holds no picture|can't be decoded"),
    ],
)
def test_what_is_no_single_film_is_refused_with_its_reason(source: Any, message: str) -> None:
    with pytest.raises(ImageError, match=message) as caught:
        read_dicom(source())
    assert "Secret" not in str(caught.value)


@pytest.fixture(scope="module")
def samples(tmp_path_factory: pytest.TempPathFactory) -> list[bytes]:
    small = RAMP[:40, :40]
    rle, j2k = dataset(small), dataset(small)
    rle.compress(RLELossless)
    j2k.compress(JPEG2000Lossless)
    folder = tmp_path_factory.mktemp("fuzz")
    kinds = ("JPEGLosslessProcess14_1", "JPEGLSLossless")
    recoded = [transcoded(dicom(small), getattr(gdcm.TransferSyntax, kind), folder) for kind in kinds]
    return [
        dicom(small, WindowCenter=9, WindowWidth=9, PatientAge="62"),
        written(rle),
        written(j2k),
        *recoded,
    ]


@pytest.mark.filterwarnings("ignore")
@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_damaged_files_give_a_film_or_an_image_error(samples: list[bytes], data: st.DataObject) -> None:
    damaged = bytearray(data.draw(st.sampled_from(samples)))
    places = st.integers(0, len(damaged) - 1) | st.integers(128, min(1500, len(damaged) - 1))
    for at, value in data.draw(st.lists(st.tuples(places, st.integers(0, 255)), max_size=12)):
        damaged[at] = value
    try:
        film = read_dicom(bytes(damaged[: data.draw(st.integers(0, len(damaged)) | st.just(len(damaged)))]))
    except ImageError:
        return
    assert film.pixels.dtype == np.float32
    assert 0 <= film.pixels.min() <= film.pixels.max() <= 1


@pytest.mark.parametrize(
    ("name", "frame"), [("JPEGLosslessProcess14_1", b"\xff\xc3"), ("JPEGLSLossless", b"\xff\xf7")]
)
def test_a_decoder_that_aborts_does_not_take_the_reader_along(
    name: str, frame: bytes, tmp_path: Path
) -> None:
    damaged = bytearray(transcoded(dicom(RAMP[:40, :40]), getattr(gdcm.TransferSyntax, name), tmp_path))
    damaged[damaged.rindex(frame) + 4] = 200  # bits per sample: GDCM ends its process over it
    with pytest.raises(ImageError, match="can't be decoded"):
        read_dicom(bytes(damaged))


@pytest.mark.shared
def test_both_codings_of_one_film_show_the_same_picture() -> None:
    folder = SHARED / "dicom"
    if not folder.is_dir():
        pytest.skip(f"{folder} is missing")
    two, one = (read(folder / f"{name}.dcm") for name in ("mono2_jpeg", "mono1_uncompressed"))
    np.testing.assert_allclose(one.pixels, two.pixels, atol=1e-6)
    assert (one.audit.photometric, two.audit.photometric) == ("MONOCHROME1", "MONOCHROME2")
    assert one.audit.view == two.audit.view == "PA"
    assert one.audit.age_years == two.audit.age_years == 62
