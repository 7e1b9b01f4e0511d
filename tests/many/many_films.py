"""Films of every kind and what a run makes of them: the tables."""

import io
import zipfile
from pathlib import Path

import pandas as pd
from dicom_files import RAMP, dicom

from chexmodel import phantom

FILMS = {
    "a/one.png": phantom.png(size=96, seed=1),
    "a/two_lateral.png": phantom.png(size=96, seed=2),
    "b/=three.png": phantom.png(size=96, seed=3),
    "b/four": dicom(RAMP),
    "b/broken.png": phantom.png(size=64)[:900],
    "empty.png": b"",
    "letter.txt": b"Dear colleague",
}
JUNK = {".hidden.png": phantom.png(size=64), "a/Thumbs.db": b"1", "train.csv": b"Path\n"}


def zipped(members: dict[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return stream.getvalue()


STUDY = {"one.png": phantom.png(size=64, seed=7), "../../up.png": phantom.png(size=64, seed=8), "note": b"?"}


def scores(out: Path) -> pd.DataFrame:
    return pd.read_parquet(out / "scores.parquet").set_index("path")


def tables(out: Path) -> list[bytes]:
    return [(out / f"scores.{kind}").read_bytes() for kind in ("parquet", "csv")]
