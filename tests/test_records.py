"""Records: the numbers that are saved are those of the files, and none is rounded."""

import math

import numpy as np
from browsing import ROOT
from pydantic import BaseModel

from chexmodel import records
from chexmodel.bundle import load
from chexmodel.comparison import Judged, compare_judged
from chexmodel.labels import OBSERVATIONS
from chexmodel.scores import Average, Estimate

DEMO = load(ROOT / "assets" / "models" / "demo")
TEST = DEMO.metrics().splits["test"]


class Row(BaseModel):
    name: str
    score: Estimate
    parts: dict[str, Average]
    bins: tuple[int, ...]


def test_estimates_and_averages_become_columns() -> None:
    score = Estimate(value=1 / 3, low=math.nan, high=0.5)
    row = Row(
        name="a",
        score=score,
        parts={"f1": Average(value=0.1, low=0.0, high=0.2, observations=3)},
        bins=(1, 2),
    )
    frame = records.records([row])
    assert frame.columns.tolist() == [
        *("name", "score", "score_low", "score_high"),
        *("parts_f1", "parts_f1_low", "parts_f1_high", "parts_f1_observations"),
    ]
    assert frame.loc[0, "score"] == 1 / 3
    assert math.isnan(frame.loc[0, "score_low"])


def test_averages_are_those_of_the_file() -> None:
    frame = records.averages(TEST).set_index("metric")
    for metric, average in TEST.macro.items():
        assert frame.loc[metric, "macro"] == average.value
        assert frame.loc[metric, "macro_observations"] == average.observations
    assert frame.loc["auroc", "macro_lift_high"] == TEST.macro_lift["auroc"].high
    assert math.isnan(frame.loc["auroc", "micro"])  # rankings of two observations do not compare


def test_reliability_and_thresholds_are_those_of_the_files() -> None:
    rows = DEMO.reliability()
    frame = records.records(rows)
    assert frame["after_ece"].tolist() == [row.after.ece for row in rows]
    assert frame["gain_low"].tolist() == [row.gain.low for row in rows]
    points = records.records(DEMO.thresholds)
    np.testing.assert_array_equal(points["low"], [point.low for point in DEMO.thresholds])


def test_runs_beside_each_other() -> None:
    both = {"a": TEST, "b": TEST}
    runs = records.runs(both).set_index("run")
    assert runs.loc["b", "macro_f1"] == TEST.macro["f1"].value
    aurocs = records.aurocs(both)
    assert len(aurocs) == 2 * len(OBSERVATIONS)
    np.testing.assert_array_equal(
        aurocs.loc[aurocs["run"] == "a", "auroc"], [score.auroc.value for score in TEST.scores]
    )


def test_differences_have_their_averages_last() -> None:
    rng = np.random.default_rng(0)
    ids = np.array([f"film{i}" for i in range(40)], dtype=object)
    targets = rng.integers(0, 2, (40, 14)).astype(float)
    first, second = (
        Judged(name, ids, ids, targets, rng.random((40, 14)), np.full(14, 0.5))
        for name in ("first", "second")
    )
    found = compare_judged(first, second, bootstrap=20, seed=0)
    frame = records.differences(found).set_index("observation")
    assert frame.index.tolist() == [*OBSERVATIONS, "mean", "mean, equivalent as one"]
    assert frame.loc["Edema", "auroc"] == found.observations[5].metrics["auroc"].value
    assert frame.loc["mean", "f1_low"] == found.macro["f1"].low


def test_answers_are_those_of_the_reference_protocol() -> None:
    found = DEMO.reference_protocol()
    assert found is not None
    frame = records.answers(found.reference, found.ours)
    model = frame[(frame["answer"] == "model") & (frame["way"] == "ours")].iloc[0]
    assert model["macro_f1"] == found.ours.answer("model").macro["f1"].value
    scores = records.judged(found.ours)
    assert len(scores) == len(OBSERVATIONS) * len(found.ours.answers)
    edema = scores[(scores["observation"] == "Edema") & (scores["answer"] == "model")].iloc[0]
    assert edema["f1"] == found.ours.answer("model").scores["f1"][5].value
