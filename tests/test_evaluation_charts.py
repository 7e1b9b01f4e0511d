"""Figures and tables of an evaluation show its numbers, and leave out what is undefined."""

import re
from xml.etree import ElementTree

import numpy as np
import pytest
from scores import random_scores
from sklearn.metrics import auc, average_precision_score, roc_auc_score
from test_reliability import judged as reliability_rows
from test_reliability import split as reliability_split

from chexmodel import canvas, evaluation_charts, operating_charts
from chexmodel.evaluation_tables import (
    WORDS,
    averages_table,
    best_constant,
    reliability_table,
    scores_table,
)
from chexmodel.labels import OBSERVATIONS
from chexmodel.metrics import Evaluation, evaluate
from chexmodel.operating import Counts, Scored
from chexmodel.ribbons import Ribbon
from chexmodel.scores import interval
from chexmodel.ui.live import confusion_html, scores_svg


def scored(name: str = "Edema", *, seed: int = 0, threshold: float = 0.5) -> Scored:
    rng = np.random.default_rng(seed)
    labels = (rng.random(60) < 0.4).astype(float)
    probs = np.clip(0.3 * labels + 0.7 * rng.random(60), 0, 1)
    return Scored(name, labels, probs, threshold, np.arange(60).astype(str).astype(object))


@pytest.fixture(scope="module")
def evaluation() -> Evaluation:
    return evaluate(*random_scores(), thresholds=0.5, bootstrap=50)


def test_roc_has_the_area_that_scikit_learn_reports_and_marks_the_operating_point() -> None:
    given = scored()
    chance, line, point = operating_charts.roc([given]).data
    assert auc(line.x, line.y) == pytest.approx(roc_auc_score(given.labels, given.probs))
    assert list(chance.x) == list(chance.y) == [0, 1]
    rates = given.at(0.5).rates()
    assert point.x[0] == pytest.approx(1 - rates["Specificity"].value)
    assert point.y[0] == pytest.approx(rates["Sensitivity"].value)


def test_precision_recall_has_the_area_that_scikit_learn_reports() -> None:
    given = scored()
    share, line, point = operating_charts.precision_recall([given]).data
    # In steps: each precision holds on the way down to the next recall.
    area = -np.sum(np.diff(line.x) * np.asarray(line.y)[:-1])
    assert area == pytest.approx(average_precision_score(given.labels, given.probs))
    assert list(share.y) == [given.positives / 60] * 2
    assert point.y[0] == pytest.approx(given.at(0.5).rates()["PPV"].value)


def test_no_precision_without_a_called_film() -> None:
    traces = operating_charts.precision_recall([scored(threshold=1.0)]).data
    assert [trace.mode for trace in traces] == ["lines", "lines"]


def test_confusion_counts_and_undefined_rates() -> None:
    given = scored()
    low, high = given.at(0.0), given.at(1.1)
    assert low == Counts(tp=given.positives, fp=given.negatives, fn=0, tn=0)
    assert high == Counts(tp=0, fp=0, fn=given.positives, tn=given.negatives)
    assert np.isnan(high.rates()["PPV"].value)
    assert high.rates()["PPV"].reason == "no film is called positive"
    assert low.rates()["Sensitivity"] == (1.0, given.positives, "")
    cells = confusion_html(Counts(tp=3, fp=1, fn=2, tn=1_994))
    assert '<td style="--shade:30%"><b>3</b><br>true positive</td>' in cells
    assert '<td style="--shade:20%"><b>2</b><br>false negative</td>' in cells
    assert "<b>1,994</b><br>true negative" in cells
    assert '<td style="--shade:0%"><b>0</b><br>true positive</td>' in confusion_html(Counts(0, 1, 0, 1))


def test_no_line_stands_by_its_colour_alone() -> None:
    lines = operating_charts.roc(
        [scored(seed=i, name=OBSERVATIONS[i]) for i in range(canvas.MAX_SERIES)]
    ).data
    assert len({line.line.dash for line in lines if line.name}) == canvas.MAX_SERIES


def test_a_ribbon_goes_up_along_the_low_and_back_along_the_high_bound() -> None:
    x = np.array([0.0, 0.5, 1.0])
    ribbon = Ribbon(x, np.array([np.nan, 0.2, 0.6]), np.array([np.nan, 0.7, 1.0]))
    drawn = operating_charts.roc([scored()], [ribbon]).data[1]
    assert list(drawn.x) == [0.5, 1.0, 1.0, 0.5]
    assert list(drawn.y) == [0.2, 0.6, 1.0, 0.7]


def test_the_picture_of_scores_has_line_and_band_where_they_are() -> None:
    given = scored()
    top = 1.05 * given.probs.max()
    picture = ElementTree.fromstring(scores_svg(given, 0.4, (0.3, 0.6)))
    kinds = {element.get("class"): element for element in picture if element.get("class")}
    assert float(kinds["cut"].get("x1")) == pytest.approx(600 * 0.4 / min(1, top), abs=0.1)
    assert float(kinds["band"].get("x")) == pytest.approx(600 * 0.3 / min(1, top), abs=0.1)
    assert float(kinds["band"].get("width")) == pytest.approx(600 * 0.3 / min(1, top), abs=0.2)
    negative, positive = (element for element in picture if element.tag.endswith("path"))
    assert negative.get("stroke-dasharray") is None
    assert positive.get("stroke-dasharray")
    assert f"{given.negatives} negative and {given.positives} positive films" in picture.get("aria-label")
    assert "band" not in scores_svg(given, 0.4, (np.nan, np.nan))


def test_the_heights_of_the_picture_are_shares_of_the_class() -> None:
    labels, probs = np.repeat([0.0, 1.0], [4, 2]), np.array([0.0, 0.0, 0.0, 0.9, 0.9, 0.9])
    given = Scored("Edema", labels, probs, 0.5, np.arange(6).astype(str).astype(object))
    negative, _ = re.findall(r'd="(M[^"]+)"', scores_svg(given, 0.5, (np.nan, np.nan)))
    heights = [float(step.split(",")[1]) for step in negative.split()[1:-1:2]]
    floor = float(negative.split()[0].split(",")[1])
    shares = [(floor - height) / floor for height in heights]  # 1 is the highest: all positives in one step
    assert shares[0] == pytest.approx(0.75, abs=0.01)
    assert sum(shares) == pytest.approx(1, abs=0.02)


@pytest.mark.parametrize("metric", [name for name in WORDS if name != "f1_constant_yes"])
def test_the_forest_has_every_defined_value_with_its_interval(evaluation: Evaluation, metric: str) -> None:
    constants, model = evaluation_charts.forest(evaluation, metric).data
    defined = [s for s in evaluation.scores if not np.isnan(getattr(s, metric).value)]
    averages = [evaluation.macro[metric], evaluation.macro_distinct[metric]]
    averages += [evaluation.micro[metric]] if metric in evaluation.micro else []
    values = sorted((getattr(s, metric).value for s in defined), reverse=metric not in ("brier", "ece"))
    assert list(model.x) == values + [average.value for average in averages]
    assert len(constants.x) == len(defined)
    for place, text in zip(model.customdata[: len(defined)], model.text, strict=False):
        score = next(s for s in defined if f"({s.positives}+ / {s.negatives}−)" in place)
        assert any(interval(getattr(s, metric), digits=3) == text for s in defined), score
    highs = [x + up for x, up in zip(model.x, model.error_x.array, strict=True)]
    assert max(highs) <= 1 + 1e-9


def test_the_diamond_is_the_best_constant_answer(evaluation: Evaluation) -> None:
    score = evaluation.scores[4]
    share = score.positives / (score.positives + score.negatives)
    assert best_constant(score, "f1") == pytest.approx(2 * share / (1 + share))
    assert best_constant(score, "accuracy") == pytest.approx(max(share, 1 - share))
    assert best_constant(score, "brier") == pytest.approx(share * (1 - share))
    assert np.isnan(best_constant(evaluation.scores[13], "f1"))


def test_the_table_says_what_the_evaluation_says(evaluation: Evaluation) -> None:
    table = scores_table(evaluation)
    assert len(table) == len(OBSERVATIONS)
    for score, row in zip(evaluation.scores, table.to_dict("records"), strict=True):
        assert row["observation"].removesuffix(" †") == score.observation
        assert row["AUROC (95 %)"] == interval(score.auroc)
        assert row["Brier (95 %)"] == interval(score.brier, digits=3)
        assert row["lift in F1"] == interval(score.lift["f1"], signed=True)
        assert (row["why undefined"] == "") == (score.undefined is None)
    assert "nan" not in table.to_string().lower()


def test_averages_say_over_how_many(evaluation: Evaluation) -> None:
    table = averages_table(evaluation).set_index("metric")
    assert table["over"].unique().tolist() == [12]
    assert table.loc["AUROC", "micro"] == "—"
    assert table.loc["F1", "micro"] == interval(evaluation.micro["f1"])
    assert table.loc["Brier score", "macro lift over the best constant"] == interval(
        evaluation.macro_lift["brier"], signed=True
    )


def test_the_reliability_diagram_has_the_bins_of_the_file() -> None:
    row = reliability_rows(*reliability_split())[0]
    diagonal, before, after = evaluation_charts.reliability(row).data
    assert list(diagonal.x) == [0, 1]
    for line, quality in ((before, row.before), (after, row.after)):
        assert list(line.x) == [b.probability for b in quality.bins]
        assert list(line.y) == [b.share for b in quality.bins]
        assert [y + up for y, up in zip(line.y, line.error_y.array, strict=True)] == pytest.approx(
            [b.high for b in quality.bins]
        )
    (bars,) = evaluation_charts.bin_counts(row).data
    assert sum(bars.y) == row.positives + row.negatives
    table = reliability_table([row])
    assert table.loc[0, "ECE after"] == row.after.ece
    assert table.loc[0, "gain (95 %)"] == interval(row.gain, signed=True)
