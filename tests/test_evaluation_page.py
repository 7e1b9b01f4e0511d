"""The page Evaluation: what it shows is what the files say."""

import json
from pathlib import Path

import numpy as np
import pytest
from apps import ran
from evaluation_app import metrics, opened, spec, text
from streamlit.testing.v1 import AppTest
from tiny_bundle import RARE, UNTRAINED, write_tiny_bundle

from chexmodel import bundle
from chexmodel.bundle import Bundle
from chexmodel.comparison import compare_judged
from chexmodel.comparison_tables import differences_table
from chexmodel.evaluation_tables import reliability_table
from chexmodel.labels import OBSERVATIONS
from chexmodel.ribbons import predictive_values
from chexmodel.runs import read_finished
from chexmodel.scores import interval

# -------------------------------------------------------------------------------------------- Overview


def test_it_shows_the_scores_of_the_file(tiny: Path) -> None:
    at = opened(tiny)
    scores = bundle.load(tiny).metrics().splits["test"]
    table = at.dataframe[0].value.set_index("observation")
    assert metrics(at)["Films"] == str(scores.films)
    assert metrics(at)["Bootstrap resamples"] == "50"
    for score in scores.scores:
        shown = table.loc[score.observation]
        assert (shown["positives"], shown["negatives"], shown["masked"]) == (
            score.positives,
            score.negatives,
            score.masked,
        )
        if score.undefined is None:
            assert shown["AUROC (95 %)"] == interval(score.auroc)
            assert shown["F1 (95 %)"] == interval(score.f1)
            assert shown["lift in F1"] == interval(score.lift["f1"], signed=True)
            assert shown["F1 of the best constant"] == f"{score.f1_constant_yes:.2f}"
    assert len(at.get("plotly_chart")) == 1
    assert not at.warning


def test_a_dash_and_the_reason_where_undefined(tiny: Path) -> None:
    at = opened(tiny)
    table = at.dataframe[0].value.set_index("observation")
    for name, reason in ((UNTRAINED, "not trained"), (RARE, "0 positives")):
        assert table.loc[name, "AUROC (95 %)"] == table.loc[name, "F1 (95 %)"] == "—"
        assert reason in table.loc[name, "why undefined"]
        assert f"{name} ({reason}" in text(at)
    macro = at.dataframe[1].value.set_index("metric")
    assert macro.loc["AUROC", "over"] == len(OBSERVATIONS) - 2


def test_the_split_that_was_fitted_on_is_marked(tiny: Path) -> None:
    at = opened(tiny)
    at.radio(key="evaluation-split").set_value("validation")
    assert "fitted on these films" in ran(at).warning[0].value
    assert metrics(at)["Films"] == "120"


def test_the_metric_of_the_chart_is_chosen(tiny: Path) -> None:
    at = opened(tiny)
    at.selectbox(key="evaluation-metric").set_value("brier")
    ran(at)
    brier = bundle.load(tiny).metrics().splits["test"].macro["brier"].value
    assert spec(at, 0)[1]["x"][-2] == pytest.approx(brier)


def test_other_weights_are_called_out(tiny: Path) -> None:
    document = json.loads((tiny / "metrics.json").read_text())
    (tiny / "metrics.json").write_text(json.dumps(document | {"weights_sha256": "0" * 64}))
    assert "other weights" in opened(tiny).error[0].value


def test_an_evaluation_of_a_former_version_says_what_to_do(tiny: Path) -> None:
    document = json.loads((tiny / "metrics.json").read_text())
    for split in document["splits"].values():
        del split["micro"], split["macro_lift"]
        for score in split["scores"]:
            for name in ("npv", "balanced_accuracy", "brier", "ece", "prevalence", "constants", "lift"):
                del score[name]
        for averages in (split["macro"], split["macro_distinct"]):
            for name in ("npv", "balanced_accuracy", "brier", "ece"):
                del averages[name]
    (tiny / "metrics.json").write_text(json.dumps(document))
    at = opened(tiny)
    assert "python -m train evaluate" in at.info[0].value
    assert "no NPV" not in text(at)
    assert at.dataframe[0].value.loc[0, "Brier (95 %)"] == "—"


# ------------------------------------------------------------------------------- Curves and threshold


def explored(tiny: Path, name: str = "Edema") -> AppTest:
    at = opened(tiny, "Curves and threshold")
    at.selectbox(key="evaluation-observation").set_value(name)
    return ran(at)


def test_what_is_undefined_has_no_curve(tiny: Path) -> None:
    at = opened(tiny, "Curves and threshold")
    assert not {UNTRAINED, RARE} & set(at.selectbox(key="evaluation-observation").options)


def test_the_slider_starts_at_the_threshold_and_moves_the_counts(tiny: Path) -> None:
    at = explored(tiny)
    loaded: Bundle = bundle.load(tiny)
    score = next(s for s in loaded.metrics().splits["test"].scores if s.observation == "Edema")
    assert at.slider[0].value == pytest.approx(score.threshold, abs=5e-4)
    assert metrics(at)["Sensitivity"] == f"{score.recall.value:.2f}"
    assert metrics(at)["PPV"] == f"{score.precision.value:.2f}"  # at the films' own share of positives
    point = loaded.thresholds[OBSERVATIONS.index("Edema")]
    assert f"{point.positives} positives and {point.negatives} negatives" in text(at)
    assert f"between {point.low:.3f} and {point.high:.3f}" in text(at)
    at.slider[0].set_value(1.0)
    assert metrics(ran(at))["Sensitivity"] == "0.00"
    assert metrics(at)["PPV"] == "—"
    assert "PPV is undefined: no film is called positive." in text(at)


def test_predictive_values_follow_the_prevalence(tiny: Path) -> None:
    at = explored(tiny)
    score = next(s for s in bundle.load(tiny).metrics().splits["test"].scores if s.observation == "Edema")
    at.slider[1].set_value(2.0)
    ran(at)
    rates = (np.array([score.recall.value]), np.array([score.specificity.value]))
    ppv, npv = predictive_values(*rates, 0.02)
    assert metrics(at)["PPV"] == f"{ppv[0]:.2f}"
    assert metrics(at)["NPV"] == f"{npv[0]:.2f}"
    assert "Of 1,000 films at 2.0 % prevalence: 20 have the finding" in text(at)


def test_observations_are_compared_with_their_ribbons(tiny: Path) -> None:
    at = opened(tiny, "Curves and threshold")
    at.multiselect[0].set_value(["Edema", "Pneumonia"])
    ran(at)
    drawn = spec(at, 0)
    names = [str(line["name"]).split(" (")[0] for line in drawn if "(" in str(line.get("name", ""))]
    assert names == ["No Finding", "Edema", "Pneumonia"]
    assert len([line for line in drawn if line.get("fill") == "toself"]) == 3


# ---------------------------------------------------------------------------------------- Calibration


def test_calibration_shows_the_file(tiny: Path) -> None:
    at = opened(tiny, "Calibration")
    rows = [row for row in bundle.load(tiny).reliability() if row.split == "test"]
    shown = at.dataframe[0].value
    assert shown.to_dict("records") == reliability_table(rows).to_dict("records")
    assert spec(at, 0)[2]["x"] == [b.probability for b in rows[0].after.bins]
    assert interval(rows[0].gain, signed=True) in text(at)


# ----------------------------------------------------------------------------------------- Two models


@pytest.fixture
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No shipped model beside the runs."""
    monkeypatch.setattr("chexmodel.ui.bundles.MODELS", tmp_path / "models")


@pytest.mark.usefixtures("alone")
def test_one_model_alone_says_how_to_get_another(tiny: Path) -> None:
    assert "python -m train fit" in opened(tiny, "Two models").info[0].value


@pytest.mark.usefixtures("alone")
def test_two_models_are_compared_on_the_same_films(tiny: Path) -> None:
    other = write_tiny_bundle(tiny.parent / "other", seed=0)
    thresholds = json.loads((other / "thresholds.json").read_text())
    for point in thresholds:
        point["value"] = 0.5
    (other / "thresholds.json").write_text(json.dumps(thresholds))
    at = opened(tiny, "Two models")
    first, second = (read_finished(path, "test", name=path.name) for path in (tiny, other))
    expected = differences_table(compare_judged(first.judged, second.judged))
    assert at.dataframe[2].value.to_dict() == expected.to_dict()


@pytest.mark.usefixtures("alone")
def test_models_of_other_films_are_a_sentence(tiny: Path) -> None:
    other = write_tiny_bundle(tiny.parent / "other")
    predictions = bundle.load(other).predictions()
    predictions.assign(id=predictions["id"].astype(str) + "x").to_parquet(other / "predictions.parquet")
    assert "not judged on a single film in common" in opened(tiny, "Two models").error[0].value


# ------------------------------------------------------------------------------- what lacks, what broke


@pytest.mark.parametrize(
    ("section", "lacking"),
    [
        ("Curves and threshold", "predictions.parquet"),
        ("Calibration", "reliability"),
    ],
)
def test_a_lacking_file_is_a_sentence(tiny: Path, section: str, lacking: str) -> None:
    next(file for file in tiny.iterdir() if lacking in file.name).unlink()
    at = opened(tiny, section)
    said = [element.value for element in (*at.error, *at.info) if lacking in element.value]
    assert len(said) == 1
    assert "python -m train evaluate" in said[0]
    assert metrics(at)["Films"] == "80"  # what does not need that file is still shown
    assert opened(tiny).dataframe


@pytest.mark.parametrize(
    ("section", "damaged"),
    [("Curves and threshold", "predictions.parquet"), ("Calibration", "reliability.json")],
)
def test_a_damaged_file_is_a_sentence(tiny: Path, section: str, damaged: str) -> None:
    (tiny / damaged).write_bytes(b"\0 not what it was")
    at = opened(tiny, section)
    assert len(at.error) == 1
    assert damaged in at.error[0].value


def test_predictions_of_another_layout_are_a_sentence(tiny: Path) -> None:
    predictions = bundle.load(tiny).predictions()
    predictions.drop(columns="logit Edema").to_parquet(tiny / "predictions.parquet")
    assert "logit Edema" in opened(tiny, "Curves and threshold").error[0].value
    predictions[predictions["split"] == "validation"].to_parquet(tiny / "predictions.parquet")
    assert "films of the test split" in opened(tiny, "Curves and threshold").error[0].value
