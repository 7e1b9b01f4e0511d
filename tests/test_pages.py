"""The pages Evaluation, Training and Model: what they show is what the files say."""

import ast
import json
import shutil
from pathlib import Path

import pytest
from apps import ran
from streamlit.testing.v1 import AppTest
from tiny_bundle import HISTORY, RARE, UNTRAINED, tiny_config

from chexmodel import bundle
from chexmodel.ui.bundles import MODEL_KEY
from train.config import MACHINE, FitConfig

ROOT = Path(__file__).resolve().parents[1]
PAGES = ROOT / "chexmodel" / "ui"


def opened(page: str, chosen: Path | None = None) -> AppTest:
    at = AppTest.from_file(str(PAGES / f"{page}.py"), default_timeout=60)
    if chosen is not None:
        at.session_state[MODEL_KEY] = str(chosen)
    return ran(at)


def metrics(at: AppTest) -> dict[str, str]:
    return {metric.label: metric.value for metric in at.metric}


def text(at: AppTest) -> str:
    return "\n".join(element.value for kind in (at.markdown, at.caption, at.subheader) for element in kind)


def charts(at: AppTest) -> int:
    return len(at.get("plotly_chart"))


# -------------------------------------------------------------------------------------------- Training


def test_training_shows_best_epoch_and_options(tiny: Path) -> None:
    at = opened("training", tiny)
    best = at.dataframe[0].value.iloc[0]
    assert (best["run"], best["best epoch"], best["of"]) == ("runs/tiny", "2", 3)
    assert best["Mean AUROC"] == "0.750"
    assert best["validation loss"] == "0.250"
    assert charts(at) == 8 + 1  # the study's
    loss = json.loads(at.get("plotly_chart")[0].proto.spec)["data"]
    assert loss[0]["y"] == HISTORY["train_loss"].tolist()


def test_training_compares_runs_finished_or_not(tiny: Path) -> None:
    going = tiny.parent / "going"
    going.mkdir()
    HISTORY.head(1).drop(columns="val_f1").to_csv(going / "history.csv", index=False)
    (going / "config.json").write_text(tiny_config(going, seed=7).model_dump_json())
    at = opened("training", tiny)
    at.multiselect(key="training-runs").set_value(["runs/going", "runs/tiny"])
    ran(at)
    best = at.dataframe[0].value.set_index("run")
    assert best.loc["runs/going", "Mean AUROC"] == "0.550"
    assert best.loc["runs/going", "Macro F1"] == "—"
    options = at.dataframe[1].value
    assert options.index.tolist() == ["seed"]
    assert options.loc["seed"].to_dict() == {"runs/going": "7", "runs/tiny": "0"}
    same = len(FitConfig.model_fields) - len(MACHINE) - len(("seed", "description"))
    assert f"{same} further options" in text(at)


def test_training_without_a_run_says_how_to_get_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHEXMODEL_RUNS", str(tmp_path))
    monkeypatch.setattr("chexmodel.ui.bundles.MODELS", tmp_path / "models")
    at = opened("training")
    assert "python -m train fit" in at.info[0].value


@pytest.mark.parametrize(
    "content", [b"", b"epoch\n", b"a,b\n1,2\n", b"epoch,val_auroc\n1,x\n", b"\xff\xfe\0"]
)
def test_a_damaged_history_is_a_sentence_beside_the_others(tiny: Path, content: bytes) -> None:
    other = Path(shutil.copytree(tiny, tiny.parent / "other"))
    (other / "history.csv").write_bytes(content)
    at = opened("training", tiny)
    at.multiselect(key="training-runs").set_value(["runs/other", "runs/tiny"])
    ran(at)
    assert "history.csv" in at.error[0].value
    assert at.dataframe[0].value["run"].tolist() == ["runs/tiny"]


def test_unreadable_options_do_not_hide_the_curves(tiny: Path) -> None:
    (tiny / "bundle.json").unlink()
    (tiny / "config.json").write_text("{")
    at = opened("training", tiny)
    assert charts(at) == 8 + 1  # the study's
    assert "runs/tiny" in next(line.value for line in at.caption if line.value.startswith("No options"))


# ----------------------------------------------------------------------------------------------- Model


@pytest.mark.parametrize("page", sorted(path.stem for path in PAGES.glob("*.py")))
def test_a_page_has_no_bare_string(page: str) -> None:
    # Streamlit would print it: a constant of a page is explained by a comment.
    body = ast.parse((PAGES / f"{page}.py").read_text()).body
    drawn = [node.value for node in body[1:] if isinstance(node, ast.Expr)]
    calls = [isinstance(value, ast.Call) for value in drawn]
    assert all(calls) or not any(calls)  # modules that are no page call nothing


def test_model_puts_use_and_limits_first(tiny: Path) -> None:
    at = opened("model", tiny)
    headings = [heading.value for heading in at.subheader]
    assert headings[:3] == ["tiny", "Intended use", "Limits"]
    manifest = bundle.read_manifest(tiny)
    assert manifest.weights_sha256 in text(at)
    assert f"{UNTRAINED}: {manifest.not_trained[UNTRAINED]}" in text(at)
    assert [expander.label for expander in at.expander][:2] == ["Data", "Training"]


def test_model_shows_the_calibration_of_the_file(tiny: Path) -> None:
    calibrations, thresholds = (
        element.value.set_index("observation") for element in opened("model", tiny).dataframe
    )
    loaded = bundle.load(tiny)
    assert UNTRAINED not in calibrations.index
    assert len(calibrations) == len(thresholds) == len(loaded.calibrations) - 1
    for calibration, point in zip(loaded.calibrations, loaded.thresholds, strict=True):
        if calibration.observation != UNTRAINED:
            shown = calibrations.loc[calibration.observation]
            assert (shown["slope"], shown["method"]) == (calibration.slope, calibration.method)
            assert thresholds.loc[point.observation, "threshold"] == f"{point.value:.3f}"
    assert "10 of each are needed" in calibrations.loc[RARE, "why a default"]


# ------------------------------------------------------------------------------- what lacks, what broke


@pytest.mark.parametrize(
    ("page", "lacking"),
    [("evaluation", "metrics.json"), ("model", "card.md")],
)
def test_a_lacking_file_is_a_sentence(tiny: Path, page: str, lacking: str) -> None:
    (tiny / lacking).unlink()
    at = opened(page, tiny)
    said = [element.value for element in (*at.error, *at.info) if lacking in element.value]
    assert len(said) == 1
    assert "python -m train evaluate" in said[0]
    # What does not need that file is still shown.
    assert at.dataframe or page == "evaluation"


def test_without_scores_the_sections_with_files_of_their_own_stand(tiny: Path) -> None:
    (tiny / "metrics.json").unlink()
    at = opened("evaluation", tiny)
    sections = at.button_group(key="evaluation-section-own-files")
    assert sections.options == ["Subgroups", "Localisation", "Reference protocol"]
    at.session_state["evaluation-section-own-files"] = "Reference protocol"
    ran(at)
    assert [error.value for error in at.error if "metrics.json" not in error.value] == []
    assert "constant yes" in at.dataframe[0].value.index


@pytest.mark.parametrize(
    ("page", "damaged"),
    [
        *((page, name) for page in ("evaluation", "model") for name in ("bundle.json", "model.safetensors")),
        *(("evaluation", name) for name in ("metrics.json", "thresholds.json")),
        ("training", "bundle.json"),
    ],
)
def test_a_damaged_file_is_a_sentence(tiny: Path, page: str, damaged: str) -> None:
    (tiny / damaged).write_bytes(b"\0 not what it was")
    at = opened(page, tiny)
    assert len(at.error) == 1
    assert "bundle" in at.error[0].value


@pytest.mark.parametrize("page", ["evaluation", "model"])
def test_no_model_is_a_sentence(tmp_path: Path, page: str) -> None:
    at = opened(page, tmp_path / "gone")
    assert "The chosen model is not there any more" in at.error[0].value
