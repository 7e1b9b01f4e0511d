"""Each hint on a film that deserves it, and silence on those that don't."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from dicom_files import dicom
from PIL import Image
from pydicom.uid import DigitalXRayImageStorageForProcessing

from chexmodel import phantom, quality
from chexmodel.film import Film, InputAudit
from chexmodel.images import read

PHANTOM = phantom.draw(size=256, seed=2)
SHALLOW = (PHANTOM >> 4).astype(np.uint16)  # 12 bits, as `dicom` stores


def spoken(film: Film) -> set[str]:
    """Names of the checks that speak on a film."""
    return {name for name, share in quality.rates([film]).items() if share}


def film_of(pixels: np.ndarray) -> Film:
    audit = InputAudit(format="array", width=1, height=1, bits=8, photometric="grayscale")
    return Film(pixels.astype(np.float32), audit)


@pytest.mark.parametrize(
    ("elements", "check", "words"),
    [
        ({"ViewPosition": "LL"}, "lateral view", "lateral view"),
        ({"PatientOrientation": ["P", "F"]}, "lateral view", "lateral view"),
        ({"PatientAge": "017Y"}, "under 18", "an age under 18"),
        ({"PatientAge": "011M"}, "under 18", "an age under 18"),
        ({"PatientOrientation": ["R", "F"]}, "orientation", "mirrored"),
        ({"PatientOrientation": ["R", "H"]}, "orientation", "upside down"),
        ({"PatientOrientation": ["F", "R"]}, "orientation", "turned or flipped"),
        ({"PatientOrientation": ["L", "H"]}, "orientation", "turned or flipped"),
        ({"Modality": "CT"}, "modality", "modality CT"),
        ({"BodyPartExamined": "HAND"}, "body part", "body part HAND"),
        ({"PresentationIntentType": "FOR PROCESSING"}, "raw detector picture", "for processing"),
        ({"SOPClassUID": DigitalXRayImageStorageForProcessing}, "raw detector picture", "for processing"),
        ({"PresentationLUTShape": "INVERSE"}, "contradictory tone", "contradicts itself"),
        ({"BurnedInAnnotation": "YES"}, "burned-in text", "burned into the picture"),
        ({"PixelSpacing": [0.1, 0.2]}, "not square", "0.50 times as high as wide"),
        ({"PixelAspectRatio": [3, 2]}, "not square", "1.50 times"),
    ],
)
def test_a_header_that_casts_doubt_is_told(elements: dict[str, Any], check: str, words: str) -> None:
    film = read(dicom(SHALLOW, **elements))
    assert spoken(film) == {check}
    assert len(film.audit.warnings) == 1
    assert words in film.audit.warnings[0]


@pytest.mark.parametrize(
    "elements",
    [
        {},
        {"ViewPosition": "PA", "PatientAge": "018Y", "PatientOrientation": ["L", "F"], "Modality": "CR"},
        {"BodyPartExamined": "CHEST", "PresentationIntentType": "FOR PRESENTATION"},
        {"PresentationLUTShape": "IDENTITY", "BurnedInAnnotation": "NO", "PixelSpacing": [0.143, 0.143]},
        {"PhotometricInterpretation": "MONOCHROME1", "PresentationLUTShape": "INVERSE"},
        {"PatientOrientation": ["LF", "FR"], "BodyPartExamined": "THORAX"},
    ],
)
def test_an_ordinary_header_gives_no_hint(elements: dict[str, Any]) -> None:
    assert read(dicom(SHALLOW, **elements)).audit.warnings == ()


def test_pixels_that_cast_doubt_are_told() -> None:
    plain = PHANTOM / 65535
    assert spoken(film_of(plain)) == set()
    assert spoken(film_of(plain * 0.1 + 0.4)) == {"low contrast"}
    assert spoken(film_of(np.full_like(plain, 0.5))) == {"low contrast"}
    assert spoken(film_of(np.clip(plain - 0.4, 0, 1))) == {"clipped black"}
    assert spoken(film_of(np.clip(plain * 2, 0, 1))) == {"clipped white"}
    assert spoken(film_of(plain[:200, :200])) == {"tiny"}
    collimated = plain.copy()
    collimated[:, :50] = collimated[:50] = 0
    assert spoken(film_of(collimated)) == set()
    percent = next(hint for hint in quality.hints(film_of(np.clip(plain * 2, 0, 1))))
    assert "% of the film's middle is plain white" in percent


def test_eight_bit_films_are_judged_as_deep_ones() -> None:
    for spoil in (lambda x: x, lambda x: x * 0.1 + 0.4, lambda x: np.clip(x * 2, 0, 1)):
        pixels = spoil(PHANTOM / 65535)
        shallow = Film(np.round(pixels * 255).astype(np.uint8), film_of(pixels).audit)
        assert spoken(shallow) == spoken(film_of(pixels))


def test_colour_and_exif_are_told() -> None:
    grey = (PHANTOM >> 8).astype(np.uint8)
    exif = Image.Exif()
    exif[0x0112] = 6
    stream = io.BytesIO()
    Image.fromarray(np.stack([grey, grey[::-1], grey // 3], axis=-1)).save(stream, "JPEG", exif=exif)
    assert spoken(read(stream.getvalue())) == {"colour", "turned by EXIF"}


def test_a_view_known_from_elsewhere_is_told_too() -> None:
    assert quality.view_hint("LATERAL") is not None
    assert quality.view_hint("PA") is quality.view_hint(None) is None


def test_rates_are_shares_and_undefined_without_a_film() -> None:
    films = [film_of(PHANTOM / 65535), film_of(np.full((300, 300), 0.5))]
    assert quality.rates(films)["low contrast"] == 0.5
    assert all(np.isnan(share) for share in quality.rates([]).values())


@pytest.mark.shared
def test_no_hint_about_pixels_on_real_films(shared: Path) -> None:
    paths = [
        *sorted((shared / "xrays/valid").rglob("*.jpg"))[:40],
        *sorted((shared / "external").rglob("*.jpg")),
    ]
    assert len(paths) > 100
    assert set(quality.rates(map(read, paths)).values()) == {0.0}
