"""Packs of data directories, and the films that they are made from."""

from pathlib import Path
from typing import Any

from chexmodel.table import csv_files, image_paths, read_table
from train.commands import PackConfig
from train.packing import pack


def packed(data: Path, out: Path, **options: Any) -> Path:
    return pack(PackConfig(data=data, out=out, **({"size": 64, "workers": 1} | options)))


def all_paths(data: Path) -> list[Path]:
    tables = [csv for csv in csv_files(data) if csv is not None]
    return [path for csv in tables for path in image_paths(read_table(csv), csv)]
