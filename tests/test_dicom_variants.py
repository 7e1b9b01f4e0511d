"""DICOM as scanners and archives write it: depths, codings, frames, private elements, odd headers."""

import shutil
import subprocess
from io import BytesIO
from pathlib import Path
from typing import Any

import gdcm
import numpy as np
import pytest
from dicom_files import RAMP, dataset, dicom, lut, transcoded, written
from PIL import Image
from pydicom import Dataset, Sequence, dcmread, dcmwrite
from pydicom.encaps import encapsulate, encapsulate_extended
from pydicom.uid import (
    HTJ2K,
    MPEG2MPML,
    CTImageStorage,
    DigitalXRayImageStorageForProcessing,
    EnhancedMRImageStorage,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    HTJ2KLossless,
    HTJ2KLosslessRPCL,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEG2000MCLossless,
    JPEGExtended12Bit,
    MultiFrameSingleBitSecondaryCaptureImageStorage,
    RLELossless,
    UltrasoundImageStorage,
)

from chexmodel import dicom as reader
from chexmodel import dicom_header, phantom
from chexmodel.containers import open_uploads
from chexmodel.errors import ImageError
from chexmodel.images import read

LOSSLESS = ("JPEGLosslessProcess14_1", "JPEGLSLossless", "JPEG2000Lossless", "RLELossless")


@pytest.fixture(scope="module")
def film() -> np.ndarray:
    """A phantom in 16 bits, not square."""
    return phantom.draw(size=128, seed=3)[:96]


def deep(film: np.ndarray, bits: int, **elements: Any) -> Dataset:
    """The phantom in a depth."""
    return dataset(film >> (16 - bits), BitsStored=bits, HighBit=bits - 1, **elements)


@pytest.mark.parametrize("bits", [10, 12, 14, 15, 16])
def test_every_depth_reads_the_same_in_every_lossless_coding(
    film: np.ndarray, bits: int, tmp_path: Path
) -> None:
    plain = written(deep(film, bits))
    values = (film >> (16 - bits)).astype(float)
    expected = (values - values.min()) / np.ptp(values)
    assert read(plain).audit.bits == bits
    np.testing.assert_allclose(read(plain).pixels, expected, atol=1e-6)
    for coding in LOSSLESS:
        recoded = transcoded(plain, getattr(gdcm.TransferSyntax, coding), tmp_path)
        np.testing.assert_array_equal(read(recoded).pixels, read(plain).pixels, err_msg=coding)


@pytest.mark.parametrize(("syntax", "order"), [(HTJ2KLossless, "LRCP"), (HTJ2KLosslessRPCL, "RPCL")])
def test_high_throughput_jpeg_2000_changes_nothing(
    film: np.ndarray, syntax: str, order: str, tmp_path: Path
) -> None:
    ds = deep(film, 12)
    ds.PixelData = encapsulate(
        [high_throughput(film >> 4, tmp_path, "-reversible", "true", "-prog_order", order)]
    )
    ds.file_meta.TransferSyntaxUID = syntax
    coded = read(written(ds))
    np.testing.assert_array_equal(coded.pixels, read(written(deep(film, 12))).pixels)
    assert coded.audit.transfer_syntax == syntax.name


def test_lossy_high_throughput_jpeg_2000_is_close(film: np.ndarray, tmp_path: Path) -> None:
    ds = deep(film, 12, WindowCenter=2048, WindowWidth=4096)
    ds.PixelData = encapsulate([high_throughput(film >> 4, tmp_path, "-qstep", "0.001")])
    ds.file_meta.TransferSyntaxUID = HTJ2K
    plain = read(written(deep(film, 12, WindowCenter=2048, WindowWidth=4096)))
    np.testing.assert_allclose(read(written(ds)).pixels, plain.pixels, atol=0.01)


def high_throughput(values: np.ndarray, folder: Path, *options: str) -> bytes:
    """A codestream by OpenJPH; OpenJPEG, which decodes it, can't write one."""
    if shutil.which("ojph_compress") is None:
        pytest.skip("ojph_compress (Debian's openjph-tools) is not installed")
    height, width = values.shape
    source = folder / "film.pgm"
    source.write_bytes(b"P5 %d %d 4095\n" % (width, height) + values.astype(">u2").tobytes())
    command = ["ojph_compress", "-i", str(source), "-o", str(folder / "film.j2c"), *options]
    subprocess.run(command, check=True, capture_output=True)
    return (folder / "film.j2c").read_bytes()


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian, ExplicitVRBigEndian])
def test_private_elements_of_any_kind_are_passed_over(syntax: str) -> None:
    ds = dataset(RAMP, syntax)
    block = ds.private_block(0x0019, "ACME 1.1", create=True)
    block.add_new(0x10, "LO", "Secret^Name")
    block.add_new(0x11, "UN", bytes(range(256)) * 4)
    inner = Dataset()
    inner.private_block(0x0021, "ACME 2", create=True).add_new(0x01, "DS", "1.5")
    block.add_new(0x12, "SQ", Sequence([inner, Dataset()]))
    ds.add_new(0x00290010, "LO", "NOT A BLOCK")
    ds.add_new(0x00291001, "OB", b"\0\1")
    film = read(written(ds))
    np.testing.assert_array_equal(film.pixels, read(dicom(RAMP, syntax)).pixels)
    assert "Secret" not in film.audit.model_dump_json()


@pytest.mark.parametrize("first", [-1000, 0])
def test_lookup_tables_of_signed_and_of_eight_bit_entries(first: int) -> None:
    stored = RAMP.astype(np.int16) - 2048 if first else RAMP
    item = lut(np.arange(256), first, 8)[0]
    item.LUTData = bytes(range(256))
    item.LUTDescriptor = [256, first, 8]
    item["LUTDescriptor"].VR = "SS" if first else "US"
    film = read(dicom(stored, VOILUTSequence=Sequence([item]), PhotometricInterpretation="MONOCHROME1"))
    expected = 1 - np.clip(stored.astype(int) - first, 0, 255) / 255
    np.testing.assert_allclose(film.pixels, expected, atol=1e-6)


def frames(count: int = 3) -> np.ndarray:
    return np.stack([np.roll(RAMP, 7 * k, axis=1) for k in range(count)])


def plain_frames(syntax: str) -> bytes:
    ds = dataset(RAMP, NumberOfFrames=3)
    ds.PixelData = frames().tobytes()
    if syntax != ExplicitVRLittleEndian:
        ds.compress(syntax)
    return written(ds)


def fragmented_frames(coding: int, folder: Path, *, extended: bool) -> bytes:
    """Three frames that GDCM coded one by one."""
    ds = dataset(RAMP, NumberOfFrames=3)
    streams = []
    for frame in frames():
        coded = dcmread(BytesIO(transcoded(dicom(frame), coding, folder)))
        streams.append(coded.PixelData[16:])  # behind an empty offset table and the item's tag and length
        ds.file_meta.TransferSyntaxUID = coded.file_meta.TransferSyntaxUID
    if extended:
        ds.PixelData, ds.ExtendedOffsetTable, ds.ExtendedOffsetTableLengths = encapsulate_extended(streams)
    else:
        ds.PixelData = encapsulate(streams)
    return written(ds)


def sources(folder: Path) -> list[bytes]:
    lossless = gdcm.TransferSyntax.JPEGLosslessProcess14_1
    return [
        *map(plain_frames, (ExplicitVRLittleEndian, RLELossless, JPEG2000Lossless)),
        fragmented_frames(lossless, folder, extended=False),
        fragmented_frames(gdcm.TransferSyntax.JPEGLSLossless, folder, extended=True),
    ]


def test_one_frame_of_many_is_read_and_the_first_by_default(tmp_path: Path) -> None:
    for data in sources(tmp_path):
        for k, values in enumerate(frames()):
            film = read(data, frame=k)
            np.testing.assert_array_equal(film.pixels, read(dicom(values)).pixels)
            assert (film.audit.frame, film.audit.frames) == (k + 1, 3)
            assert f"frame {k + 1} of 3: the others are not looked at" in film.audit.warnings
        np.testing.assert_array_equal(read(data).pixels, read(data, frame=0).pixels)


def test_the_other_frames_are_not_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    decoded = []
    whole = reader.pixel_array
    monkeypatch.setattr(reader, "pixel_array", lambda *a, **k: decoded.append(k["index"]) or whole(*a, **k))
    ds = dcmread(BytesIO(plain_frames(RLELossless)))
    ds.PixelData = ds.PixelData[:-200] + bytes(200)  # the last frame is spoilt, the second is read
    film = read(written(ds), frame=1)
    assert decoded == [1]
    np.testing.assert_array_equal(film.pixels, read(dicom(frames()[1])).pixels)


def test_a_frame_that_is_not_there_is_a_sentence() -> None:
    with pytest.raises(ImageError, match="no frame 4: it holds 3"):
        read(plain_frames(ExplicitVRLittleEndian), frame=3)
    png = BytesIO()
    Image.fromarray(phantom.draw(size=64)).save(png, "PNG")
    for source in (png.getvalue(), phantom.draw(size=64)):
        with pytest.raises(ImageError, match="no frame 2: it holds one"):
            read(source, frame=1)


def view_code(meaning: str) -> Sequence:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = "1", "SCT", meaning
    return Sequence([item])


@pytest.mark.parametrize(
    ("elements", "view"),
    [
        ({"ViewPosition": "PA"}, "PA"),
        ({"ViewPosition": "LL"}, "LATERAL"),
        ({"ViewPosition": ""}, None),
        ({"ViewCodeSequence": view_code("postero-anterior")}, "PA"),
        ({"ViewCodeSequence": view_code("Antero-posterior")}, "AP"),
        ({"ViewCodeSequence": view_code("left lateral")}, "LATERAL"),
        ({"ViewCodeSequence": view_code("left posterior oblique")}, None),
        ({"PatientOrientation": ["A", "F"]}, "LATERAL"),
        ({"PatientOrientation": ["L", "F"]}, None),
        ({"PatientOrientation": ["A", "F"], "ViewPosition": "AP"}, "AP"),
    ],
)
def test_the_view_is_taken_from_where_the_header_has_it(elements: dict[str, Any], view: str | None) -> None:
    assert read(dicom(**elements)).audit.view == view


def test_a_code_that_is_not_spelled_as_one_is_not_told() -> None:
    film = read(dicom(Modality="Secret^Name", BodyPartExamined="O'Neill, Jane", PatientOrientation="JANE"))
    facts = film.audit.header
    assert (facts.modality, facts.body_part, facts.orientation) == (None, None, None)


def classless() -> bytes:
    """A data set alone, without its class, as tools leave it that strip headers."""
    stream = BytesIO()
    ds = dataset(RAMP, SOPClassUID=None)
    dcmwrite(stream, ds, implicit_vr=False, little_endian=True)
    return stream.getvalue()


@pytest.mark.parametrize("uid", dicom_header.SOP_CLASSES)
def test_classes_in_which_radiographs_come_are_read(uid: str) -> None:
    np.testing.assert_array_equal(read(dicom(SOPClassUID=uid)).pixels, read(dicom()).pixels)


@pytest.mark.parametrize(
    ("uid", "name"),
    [
        (CTImageStorage, "CT Image Storage"),
        (EnhancedMRImageStorage, "Enhanced MR Image Storage"),
        (UltrasoundImageStorage, "Ultrasound Image Storage"),
        (MultiFrameSingleBitSecondaryCaptureImageStorage, "Single Bit Secondary Capture"),
        ("1.2.3.4", "a private class"),
    ],
)
def test_other_classes_are_refused_by_name_unless_asked_for(uid: str, name: str) -> None:
    data = dicom(SOPClassUID=uid)
    with pytest.raises(ImageError, match=f"no radiograph.*{name}.*choose a film"):
        read(data)
    np.testing.assert_array_equal(read(data, any_class=True).pixels, read(dicom()).pixels)
    opened = open_uploads([("film", data)])
    assert not opened.films
    assert name in opened.refused[0].reason


def test_an_object_that_states_no_class_is_read() -> None:
    np.testing.assert_array_equal(read(classless()).pixels, read(dicom()).pixels)


@pytest.mark.parametrize("syntax", [JPEGExtended12Bit, JPEG2000MCLossless, MPEG2MPML])
def test_codings_that_are_not_listed_are_refused_before_decoding(syntax: str) -> None:
    with pytest.raises(ImageError, match=r"Pixels coded as .* are not read here"):
        read(dicom(syntax=syntax, PixelData=encapsulate([bytes(99)])))


@pytest.mark.parametrize("coding", ["JPEG2000Lossless", "JPEGLosslessProcess14_1", "JPEGLSLossless"])
def test_a_stream_of_more_samples_than_the_header_says_is_refused(coding: str, tmp_path: Path) -> None:
    grey = (RAMP >> 4).astype(np.uint8)
    syntax = getattr(gdcm.TransferSyntax, coding)
    ds = dcmread(BytesIO(transcoded(dicom(np.stack([grey] * 3, axis=-1)), syntax, tmp_path)))
    assert read(written(ds)).pixels.shape == grey.shape
    ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
    with pytest.raises(ImageError, match="not of the size"):
        read(written(ds))


def test_a_lookup_table_of_more_entries_than_it_says_is_cut() -> None:
    item = lut(np.arange(256), 0, 8)[0]
    item.LUTData = np.arange(256).astype("<u2").tobytes() + bytes(2 * 10**6)
    film = read(dicom(VOILUTSequence=Sequence([item])))
    assert film.audit.window == "VOI LUT of 256 entries"


def test_a_header_is_peeked_at_without_its_pixels() -> None:
    whole = dicom(ViewPosition="AP", NumberOfFrames=2, SOPClassUID=DigitalXRayImageStorageForProcessing)
    seen = dicom_header.peek(whole[: len(whole) - RAMP.nbytes + 10])
    assert (seen.view, seen.frames, seen.picture, seen.facts.for_processing) == ("AP", 2, True, True)
    assert not dicom_header.peek(whole[:400]).picture
    assert "For Processing" in seen.kind
    assert dicom_header.peek(dicom(SOPClassUID="1.2.3.4")).kind == "an object of a private class"
    assert dicom_header.peek(classless()).kind == "an object of no stated class"


@pytest.mark.parametrize("part", [0.5, 0.99])
def test_a_compressed_file_that_ends_too_early_is_called_incomplete(part: float, tmp_path: Path) -> None:
    whole = transcoded(dicom(), gdcm.TransferSyntax.RLELossless, tmp_path)
    with pytest.raises(ImageError, match=r"RLE Lossless.*damaged or incomplete"):
        read(whole[: int(part * len(whole))])
