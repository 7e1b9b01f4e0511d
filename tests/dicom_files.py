"""DICOM files made in the tests: uncompressed, with tables, recoded by GDCM."""

from io import BytesIO
from pathlib import Path
from typing import Any

import gdcm
import numpy as np
from pydicom import Dataset, FileMetaDataset, Sequence, dcmwrite
from pydicom.uid import (
    DigitalXRayImageStorageForPresentation,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    generate_uid,
)

RAMP = np.linspace(0, 4095, 48 * 64).astype(np.uint16).reshape(48, 64)


def dataset(values: np.ndarray, syntax: str = ExplicitVRLittleEndian, **elements: Any) -> Dataset:
    """A 12-bit MONOCHROME2 DX object around `values`; `elements` override or add (None removes)."""
    ds = Dataset()
    ds.SOPClassUID, ds.SOPInstanceUID = DigitalXRayImageStorageForPresentation, generate_uid()
    ds.Modality, ds.PatientName, ds.PatientID = "DX", "Secret^Name", "ID-4711"
    ds.Rows, ds.Columns = values.shape[:2]
    ds.SamplesPerPixel = 3 if values.ndim == 3 else 1
    if values.ndim == 3:
        ds.PlanarConfiguration = 0
    ds.PhotometricInterpretation = "RGB" if values.ndim == 3 else "MONOCHROME2"
    ds.BitsAllocated = 8 * values.dtype.itemsize
    ds.BitsStored = 8 if values.dtype.itemsize == 1 else 12
    ds.HighBit, ds.PixelRepresentation = ds.BitsStored - 1, int(values.dtype.kind == "i")
    order = ">" if syntax == ExplicitVRBigEndian else "<"
    ds.PixelData = values.astype(values.dtype.newbyteorder(order)).tobytes()
    ds["PixelData"].VR = "OB" if values.dtype.itemsize == 1 else "OW"
    for keyword, value in elements.items():
        if value is None:
            delattr(ds, keyword)
        else:
            setattr(ds, keyword, value)
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = syntax
    return ds


def written(ds: Dataset) -> bytes:
    stream = BytesIO()
    dcmwrite(stream, ds, enforce_file_format=True)
    return stream.getvalue()


def dicom(values: np.ndarray = RAMP, syntax: str = ExplicitVRLittleEndian, **elements: Any) -> bytes:
    return written(dataset(values, syntax, **elements))


def lut(table: np.ndarray, first: int, bits: int) -> Sequence:
    item = Dataset()
    item.LUTDescriptor, item.LUTData = [len(table) % 65536, first, bits], table.astype("<u2").tobytes()
    item["LUTDescriptor"].VR, item["LUTData"].VR = "US", "OW"
    return Sequence([item])


def transcoded(source: bytes, syntax: int, folder: Path) -> bytes:
    """`source` recoded by GDCM."""
    (folder / "in.dcm").write_bytes(source)
    reader = gdcm.ImageReader()
    reader.SetFileName(str(folder / "in.dcm"))
    assert reader.Read()
    change = gdcm.ImageChangeTransferSyntax()
    change.SetTransferSyntax(gdcm.TransferSyntax(syntax))
    change.SetInput(reader.GetImage())
    assert change.Change()
    writer = gdcm.ImageWriter()
    writer.SetFileName(str(folder / "out.dcm"))
    writer.SetFile(reader.GetFile())
    writer.SetImage(change.GetOutput())
    assert writer.Write()
    return (folder / "out.dcm").read_bytes()
