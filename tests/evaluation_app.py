"""The page Evaluation, run without a browser."""

import json
from pathlib import Path
from typing import Any

from apps import ran
from streamlit.testing.v1 import AppTest

from chexmodel.ui.bundles import MODEL_KEY

PAGE = Path(__file__).resolve().parents[1] / "chexmodel" / "ui" / "evaluation.py"


def opened(chosen: Path, section: str = "Overview") -> AppTest:
    at = AppTest.from_file(str(PAGE), default_timeout=60)
    at.session_state[MODEL_KEY] = str(chosen)
    at.session_state["evaluation-section"] = section
    return ran(at)


def metrics(at: AppTest) -> dict[str, str]:
    return {metric.label: metric.value for metric in at.metric}


def text(at: AppTest) -> str:
    return "\n".join(element.value for kind in (at.markdown, at.caption, at.subheader) for element in kind)


def spec(at: AppTest, place: int) -> list[dict[str, Any]]:
    drawn: list[dict[str, Any]] = json.loads(at.get("plotly_chart")[place].proto.spec)["data"]
    return drawn
