"""No page shows a string that is not translated: under a language whose letters English has not, it shows."""

import json
import re
import shutil
from pathlib import Path

import pandas as pd
import pytest
from apps import ran
from chexpert_rows import film, row, write
from pseudo import Pseudo, plain, wide
from streamlit.testing.v1 import AppTest
from tiny_bundle import tiny_config

from chexmodel import language
from chexmodel.bundle import read_manifest
from chexmodel.explain import METHODS
from chexmodel.ui.bundles import MODEL_KEY, MODELS
from chexmodel.ui.evaluation import SECTIONS
from chexmodel.ui.languages import LANGUAGE_KEY
from chexmodel.ui.problems import KINDS_KEY

PAGES = Path(__file__).resolve().parents[1] / "chexmodel" / "ui"


def words(*texts: str) -> set[str]:
    return set(re.findall(r"[A-Za-z]{2,}", " ".join(texts)))


FORMATS = words("SVG", "PNG", "CSV")
NAMES = words("demo", "tiny", "other", "runs", "AUROC", "SHA", "CheXpert", *METHODS)
"""Of models, methods and the data set, and signs that are the same in every language."""
CODES = words("AP", "PA", "LL", "RL", "pos_weight")
"""What a CheXpert table calls a projection, and an option's own name."""
POLICIES = words("ignore", "negative", "float16")
"""Values of the options that a manifest records, as they are given on the command line."""


@pytest.fixture(autouse=True)
def wide_letters(monkeypatch: pytest.MonkeyPatch) -> None:
    catalogue = Pseudo()
    monkeypatch.setattr(language, "_catalogue", lambda _: catalogue)


def opened(page: str, chosen: Path | None = None, **state: object) -> AppTest:
    at = AppTest.from_file(str(PAGES / f"{page}.py"), default_timeout=120)
    at.session_state[LANGUAGE_KEY] = "fr"
    if chosen is not None:
        at.session_state[MODEL_KEY] = str(chosen)
    for key, value in state.items():
        at.session_state[key] = value
    return ran(at)


def left(at: AppTest, *known: set[str], data: str = "") -> dict[str, str]:
    """Words in plain letters but for these."""
    return {word: text for word, text in plain(at, data=data).items() if word not in set().union(*known)}


def test_a_forgotten_string_is_found() -> None:
    def page() -> None:
        import pandas
        import streamlit

        from chexmodel.language import tr

        streamlit.caption(tr("Films"))
        streamlit.selectbox("Forgotten label", [tr("Films"), "option"], help="advice")
        streamlit.dataframe(pandas.DataFrame({"heading": ["cell"]}))
        streamlit.expander("folded").metric(tr("Films"), "5", help=tr("Never marked for extraction"))

    found = plain(ran(AppTest.from_function(page)))
    assert set(found) == words(
        "Forgotten label option advice heading cell folded Never marked for extraction"
    )
    assert wide("{n:,} films of `train`") == "{n:,} ｆｉｌｍｓ ｏｆ `train`"


# --------------------------------------------------------------------------------------------- Evaluation


@pytest.mark.parametrize("section", SECTIONS)
def test_evaluation_of_the_shipped_model(section: str) -> None:
    at = opened("evaluation", MODELS / "demo", **{"evaluation-section": section})
    assert not left(at, FORMATS, NAMES)


@pytest.mark.parametrize("section", SECTIONS)
def test_evaluation_of_a_bundle_that_lacks_files(section: str, tiny: Path) -> None:
    for name in ("subgroups.json", "localisation.json", "reference_protocol.json", "reliability.json"):
        (tiny / name).unlink(missing_ok=True)
    at = opened("evaluation", tiny, **{"evaluation-section": section, "evaluation-split": "validation"})
    assert not left(at, FORMATS, NAMES)


def test_evaluation_without_scores(tiny: Path) -> None:
    (tiny / "metrics.json").unlink()
    at = opened("evaluation", tiny)
    assert at.error
    assert not left(at, FORMATS, NAMES, words(str(tiny), "metrics.json"))


def test_two_models_on_the_same_films(tiny: Path) -> None:
    shutil.copytree(tiny, tiny.parent / "other")
    at = opened("evaluation", tiny, **{"evaluation-section": "Two models"})
    at.selectbox(key="evaluation-other").set_value("runs/other")
    ran(at)
    assert len(at.dataframe) == 3
    assert not left(at, FORMATS, NAMES)


# --------------------------------------------------------------------------------------- Training, Model


def test_training_of_several_runs(tiny: Path) -> None:
    shutil.copytree(tiny, tiny.parent / "other")
    at = opened("training", tiny, **{"training-runs": ["runs/tiny", "runs/other"]})
    options = words(json.dumps([tiny_config(tiny, seed=0).model_dump(mode="json"), "other"]))
    changes = words(*pd.concat([table.value for table in at.dataframe]).get("changes", pd.Series()).dropna())
    assert len(at.dataframe) == 5
    assert not left(at, FORMATS, NAMES, options, changes)


def test_training_without_a_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHEXMODEL_RUNS", str(tmp_path))
    monkeypatch.setattr("chexmodel.ui.bundles.MODELS", tmp_path / "models")
    at = opened("training")
    assert not left(
        at,
        FORMATS,
        words(
            "loss bce asl pos_weight off uncertain ones sampler shuffle ema backbone tf_efficientnet_lite1"
        ),
    )


def made_up(path: Path) -> set[str]:
    """Why the tiny bundle has an untrained observation: no version of the program gives this reason."""
    reasons = read_manifest(path).not_trained.values() if path.name == "tiny" else ()
    return words(*reasons)


@pytest.mark.parametrize("shipped", [True, False])
def test_model(tiny: Path, shipped: bool) -> None:
    path = MODELS / "demo" if shipped else tiny
    at = opened("model", path)
    assert not left(at, NAMES, POLICIES, made_up(path), data=(path / "card.md").read_text())


def test_model_without_a_card(tiny: Path) -> None:
    (tiny / "card.md").unlink()
    at = opened("model", tiny)
    assert at.info
    assert not left(at, NAMES, POLICIES, made_up(tiny), words(str(tiny), "card.md"))


# ------------------------------------------------------------------------------------------------ Dataset


def test_dataset_as_shipped() -> None:
    at = opened("dataset")
    assert not left(at, FORMATS, NAMES, CODES)


@pytest.mark.parametrize(
    ("uncertain", "blank"), [("ones", "ignore"), ("smooth", "negative"), ("mixed", "negative")]
)
def test_dataset_with_other_policies(uncertain: str, blank: str) -> None:
    at = opened(
        "dataset", **{"policy-uncertain": uncertain, "policy-blank": blank, "policy-pos-weight": "off"}
    )
    assert not left(at, FORMATS, NAMES, CODES)


def test_dataset_of_an_upload_that_breaks_rules(tmp_path: Path) -> None:
    rows = [
        row(film(1), No_Finding="1", Edema="1"),
        row(film(1), Cardiomegaly="1", Enlarged_Cardiomediastinum="0", Sex="Unknown", Age="0"),
        row(film(2), Cardiomegaly="1", Age="130", Edema="7"),
        row(film(3), Cardiomegaly="1", Enlarged_Cardiomediastinum="-1", Age="101") | {"AP/PA": "LL"},
        row(film(4, view="lateral"), Age="12") | {"Sex": "Male"},
        row(film(4)),
    ]
    data = write(tmp_path / "mine.csv", rows).read_bytes()
    at = opened("dataset", **{"dataset-source": "A CSV of mine"})
    assert not left(at, FORMATS, NAMES, words("Path Sex Age Frontal Lateral AP PA"))
    at.file_uploader(key="dataset-upload").set_value([("mine.csv", data, "text/csv")])
    ran(at)
    cells = words(
        "mine csv Female Male Path Sex Age Edema Frontal Lateral Unknown patient train study view CheXpert",
        *CODES,
    )
    kinds = at.multiselect(key=KINDS_KEY).options
    assert len(kinds) > 8
    assert not left(at, FORMATS, NAMES, cells, words(*(str(cell) for cell in at.dataframe[-1].value["Path"])))


def test_dataset_of_a_folder_and_its_films(copied_data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    films = sorted(copied_data.rglob("*.jpg"))
    films[0].unlink()
    shutil.copyfile(films[2], films[1])
    monkeypatch.setenv("CHEXMODEL_DATA", str(copied_data))
    at = opened("dataset", **{"dataset-source": "The data folder"})
    next(button for button in at.button if button.label == wide("Check the films too")).click()
    ran(at)
    cells = [str(cell) for name in ("Path", "patient", "file") for cell in at.dataframe[-1].value[name]]
    assert {"missing film", "identical films"} <= set(at.dataframe[-1].value["kind"].map(str)) | {
        option for option in ("missing film", "identical films") if wide(option) in at.multiselect[-1].options
    }
    assert not left(at, FORMATS, CODES, words(*cells))
