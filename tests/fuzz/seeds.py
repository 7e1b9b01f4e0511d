"""Valid files to damage: all drawn here, from the phantom, in every format and coding that is read."""

import io
from pathlib import Path
from typing import NamedTuple

import gdcm
import numpy as np
import tifffile
from dicom_files import dataset, lut, transcoded, written
from PIL import Image
from pydicom import Dataset
from pydicom.uid import (
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    RLELossless,
)

from chexmodel import phantom


class Seed(NamedTuple):
    """A valid file and its kind, "PNG", "JPEG", "TIFF" or "DICOM"."""

    name: str
    kind: str
    data: bytes


def pictures(folder: Path) -> list[Seed]:
    """Films of some 100 px, and larger ones where size is what may hurt; `folder` is for GDCM's files."""
    return [*_plain(), *_dicom(folder)]


def _plain() -> list[Seed]:
    deep = phantom.draw(size=128, seed=5)[:96]
    grey = (deep >> 8).astype(np.uint8)
    colour = Image.merge("RGB", [Image.fromarray(np.roll(grey, k, 1)) for k in (0, 3, 9)])
    film, turned = Image.fromarray(grey), Image.Exif()
    turned[0x0112] = 6
    large = Image.fromarray((phantom.draw(size=1024, seed=6) >> 8).astype(np.uint8))
    by_pillow = [
        ("8 bit", "PNG", film, {}),
        ("16 bit", "PNG", Image.fromarray(deep), {}),
        ("colour", "PNG", colour, {}),
        ("palette", "PNG", colour.convert("P"), {}),
        ("transparent", "PNG", film.convert("LA"), {"exif": turned}),
        ("1 bit", "PNG", film.convert("1"), {}),
        ("large", "PNG", large, {}),
        ("grey", "JPEG", film, {"exif": turned}),
        ("colour", "JPEG", colour, {}),
        ("progressive", "JPEG", colour, {"progressive": True, "quality": 95}),
        ("CMYK", "JPEG", colour.convert("CMYK"), {}),
        ("large", "JPEG", large, {}),
        ("palette", "TIFF", colour.convert("P"), {}),
        ("CMYK", "TIFF", colour.convert("CMYK"), {}),
        ("fax", "TIFF", film.convert("1"), {"compression": "group4"}),
        ("JPEG inside", "TIFF", colour, {"compression": "jpeg"}),
        ("LZW", "TIFF", film, {"compression": "tiff_lzw"}),
        ("PackBits", "TIFF", film, {"compression": "packbits"}),
    ]
    found = []
    for name, kind, image, options in by_pillow:
        stream = io.BytesIO()
        image.save(stream, kind, **options)
        found.append(Seed(name, kind, stream.getvalue()))
    for name, values, options in (
        ("8 bit", grey, {}),
        ("16 bit", deep, {}),
        ("float", (deep / 65535).astype(np.float32), {}),
        ("deflated tiles", deep, {"compression": "zlib", "tile": (32, 32)}),
        ("MinIsWhite", deep, {"photometric": "miniswhite"}),
    ):
        stream = io.BytesIO()
        tifffile.imwrite(stream, values, **{"photometric": "minisblack", "byteorder": "<", **options})
        found.append(Seed(name, "TIFF", stream.getvalue()))
    return found


def _dicom(folder: Path) -> list[Seed]:
    film = phantom.draw(size=96, seed=7)[:80] >> 4
    shallow = (film >> 4).astype(np.uint8)
    named = {
        "explicit": unchanging(film, ExplicitVRLittleEndian, WindowCenter=2000, WindowWidth=3000),
        "implicit": unchanging(film, ImplicitVRLittleEndian, RescaleSlope=2, RescaleIntercept=-5),
        "big-endian": unchanging(film, ExplicitVRBigEndian),
        "VOI LUT": unchanging(film, VOILUTSequence=lut(np.arange(4096) // 2, 0, 12)),
        "modality LUT": unchanging(film, ModalityLUTSequence=lut(np.arange(4096)[::-1], 0, 16)),
        "padding": unchanging(film, PixelPaddingValue=0, PhotometricInterpretation="MONOCHROME1"),
        "colour": unchanging(np.stack([shallow] * 3, axis=-1)),
        "palette": unchanging(shallow, PhotometricInterpretation="PALETTE COLOR", **_palette()),
        "frames": unchanging(film, NumberOfFrames=2, PixelData=np.stack([film, film[::-1]]).tobytes()),
    }
    found = [Seed(name, "DICOM", written(ds)) for name, ds in named.items()]
    for name, syntax in (("RLE", RLELossless), ("JPEG 2000 by pydicom", JPEG2000Lossless)):
        ds: Dataset = unchanging(film)
        ds.compress(syntax, generate_instance_uid=False)
        found.append(Seed(name, "DICOM", written(ds)))
    for coding in ("JPEGLosslessProcess14_1", "JPEGLosslessProcess14", "JPEGLSLossless", "JPEG2000"):
        data = transcoded(written(unchanging(film)), getattr(gdcm.TransferSyntax, coding), folder)
        found.append(Seed(coding, "DICOM", data))
    baseline = transcoded(written(unchanging(shallow)), gdcm.TransferSyntax.JPEGBaselineProcess1, folder)
    return [*found, Seed("JPEG Baseline", "DICOM", baseline)]


def unchanging(values: np.ndarray, syntax: str = ExplicitVRLittleEndian, **elements: object) -> Dataset:
    """A DICOM whose identifiers and times are not made up anew, by pydicom or GDCM: the same in every run."""
    named = {f"{level}InstanceUID": f"1.2.3.{k}" for k, level in enumerate(("Study", "Series", "SOP"))}
    return dataset(values, syntax, **named, StudyDate="20260101", StudyTime="120000", **elements)


def _palette() -> dict[str, object]:
    table = (np.arange(256)[::-1] * 257).astype("<u2").tobytes()
    return {
        f"{colour}PaletteColorLookupTable{part}": value
        for colour in ("Red", "Green", "Blue")
        for part, value in (("Descriptor", [256, 0, 16]), ("Data", table))
    }
