"""What the tests of the exports share: readings of phantoms, as PNG and as DICOM, and reports of them."""

from dataclasses import replace
from datetime import UTC, datetime
from io import BytesIO
from types import SimpleNamespace
from typing import Any

from pydicom import Dataset, FileMetaDataset, dcmwrite
from pydicom.config import disable_value_validation
from pydicom.uid import DigitalXRayImageStorageForPresentation, ExplicitVRLittleEndian, generate_uid

from chexmodel import phantom
from chexmodel.predictor import Prediction, Predictor
from chexmodel.report import Report
from chexmodel.verdicts import Verdict, Word

FILE = "Mueller_4711.dcm"
NAME, PATIENT, ACCESSION = "Secret^Name", "ID-4711", "ACC-0815"
MADE = datetime(2026, 11, 25, 14, 32, 5, tzinfo=UTC)
COMMENT = "Opacity <b>≥ 2 cm</b> & effusion"
WORD = Word(
    verdicts={
        "Edema": Verdict(answer="rejected"),
        "Pneumonia": Verdict(answer="corrected", presence="uncertain", comment=COMMENT),
        "Atelectasis": Verdict(answer="accepted"),
    },
    comment="=Taken at the bedside",
)
REJECTED = SimpleNamespace(accepted=False, reason="The film lies on its side.", correction=None)
"""What a gate says of a film that it rejects."""


def film_dicom(**elements: Any) -> bytes:
    """A phantom as DX DICOM of a named patient, its age without unit; `elements` override (None removes)."""
    with disable_value_validation():
        return _written(elements)


def _written(elements: dict[str, Any]) -> bytes:
    pixels = phantom.draw(size=96)
    ds = Dataset()
    ds.SOPClassUID, ds.SOPInstanceUID = DigitalXRayImageStorageForPresentation, generate_uid()
    ds.StudyInstanceUID, ds.SeriesInstanceUID = generate_uid(), generate_uid()
    ds.Modality, ds.PatientName, ds.PatientID, ds.AccessionNumber = "DX", NAME, PATIENT, ACCESSION
    ds.PatientSex, ds.PatientBirthDate, ds.StudyDate, ds.StudyTime = "F", "", "20261124", "093000"
    ds.StudyID, ds.ReferringPhysicianName, ds.InstitutionName = "7", "Referring^Doctor", "Secret Hospital"
    ds.add_new(0x00101010, "AS", "62")
    ds.Rows, ds.Columns, ds.SamplesPerPixel = *pixels.shape, 1
    ds.PhotometricInterpretation, ds.PixelRepresentation = "MONOCHROME2", 0
    ds.BitsAllocated, ds.BitsStored, ds.HighBit = 16, 16, 15
    ds.PixelData = pixels.astype("<u2").tobytes()
    ds["PixelData"].VR = "OW"
    for keyword, value in elements.items():
        if value is None:
            delattr(ds, keyword)
        else:
            setattr(ds, keyword, value)
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    stream = BytesIO()
    dcmwrite(stream, ds, enforce_file_format=True)
    return stream.getvalue()


def reported(predictor: Predictor, data: bytes, **changes: Any) -> Report:
    """Read a film and report on it, anonymous unless `name` is given."""
    prediction = changes.pop("prediction", None) or predictor.predict(data)
    usual: dict[str, Any] = {
        "word": WORD,
        "overlays": ("Edema", "Pneumonia"),
        "insisted": False,
        "made": MADE,
        "source": data if prediction.audit.format == "DICOM" else None,
    }
    return Report(prediction, predictor.bundle, **usual | changes)


def rejected(prediction: Prediction) -> Prediction:
    """The same reading by a bundle whose gate rejects the film."""
    return replace(prediction, gate=REJECTED)
