"""What the tests of the Analyse page share: hands on it, and what its viewer is sent."""

import json
import struct
from typing import Any

from apps import ran
from streamlit.testing.v1 import AppTest
from streamlit.testing.v1.element_tree import Button

from chexmodel.payload import MAGIC


def upload(at: AppTest, *files: tuple[str, bytes], key: str = "upload") -> AppTest:
    given = [(name, data, "application/octet-stream") for name, data in files]
    at.file_uploader(key=key).set_value(given if key == "upload" else given[0])
    return ran(at)


def button(at: AppTest, label: str) -> Button:
    return next(found for found in at.button if label in found.label)


def press(at: AppTest, label: str) -> AppTest:
    button(at, label).click()
    return ran(at)


def header(at: AppTest) -> dict[str, Any]:
    """What the viewer is sent but for pixels and maps; nothing where there is no viewer."""
    for shown in at.get("bidi_component"):
        data = shown.proto.bytes
        if data.startswith(MAGIC):
            (length,) = struct.unpack("<I", data[4:8])
            found: dict[str, Any] = json.loads(data[8 : 8 + length])
            return found
    return {}


def panes(at: AppTest) -> list[dict[str, Any]]:
    """What the viewer's header says of each film; none where there is no viewer."""
    found: list[dict[str, Any]] = header(at).get("panes", [])
    return found
