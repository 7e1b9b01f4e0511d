"""Two models on the same films: the interval of their difference, and what is compared at all."""

import dataclasses

import numpy as np
import pytest
from scores import random_scores
from sklearn.metrics import average_precision_score, f1_score, roc_auc_score

from chexmodel.bootstrap import draw_weights
from chexmodel.comparison import (
    METRICS,
    NOT_COMPARED,
    Comparison,
    Judged,
    compare,
    compare_judged,
    differences,
    excludes_zero,
    options,
)
from chexmodel.comparison_tables import conditions, differences_table
from chexmodel.errors import DatasetError
from chexmodel.labels import OBSERVATIONS
from chexmodel.metrics import evaluate
from chexmodel.run_charts import forest
from chexmodel.scores import Estimate, interval
from train.config import MACHINE

NAN = np.nan
CUTS = np.linspace(0.2, 0.8, 14), np.linspace(0.7, 0.3, 14)
DEFINED = range(12)  # columns of `random_scores` with both classes


def two_models(films: int = 80) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Targets, and two models whose scores share most of their noise."""
    targets, first = random_scores(films)
    noise = np.random.default_rng(1).normal(scale=0.1, size=first.shape)
    return targets, first, np.clip(first + noise, 0, 1)


def compared(first: np.ndarray, second: np.ndarray, targets: np.ndarray, **more: object) -> Comparison:
    return compare(targets, first, second, **{"thresholds": CUTS, "bootstrap": 50, **more})


def values(comparison: Comparison) -> np.ndarray:
    """Every difference with its interval, (14, 3, 3)."""
    return np.array(
        [
            [[getattr(row.metrics[name], part) for part in ("value", "low", "high")] for name in METRICS]
            for row in comparison.observations
        ]
    )


def judged(name: str, targets: np.ndarray, probs: np.ndarray, cuts: np.ndarray, **changed: object) -> Judged:
    ids = np.array([f"film {i:03d}" for i in range(len(targets))], object)
    patients = np.array([f"p{i // 3}" for i in range(len(targets))], object)
    truth = np.where(np.isin(targets, (0, 1)), targets, NAN)
    return dataclasses.replace(Judged(name, ids, patients, truth, probs, cuts), **changed)


def take(model: Judged, rows: np.ndarray) -> Judged:
    arrays = {name: getattr(model, name)[rows] for name in ("ids", "patients", "targets", "probs")}
    return dataclasses.replace(model, **arrays)


def test_intervals_are_those_of_a_loop_over_the_same_resamples() -> None:
    targets, *probs = two_models()
    patients = (np.arange(len(targets)) // 3).astype(str)
    found = values(compared(*probs, targets, patients=patients, bootstrap=30, seed=7))
    groups = np.unique(patients, return_inverse=True)[1]
    weights = draw_weights(groups, resamples=30, rng=np.random.default_rng(7)).astype(float)
    for k in (0, 5, 11):
        known = np.isin(targets[:, k], (0, 1))
        y = targets[known, k]
        gains = []
        for weight in [np.ones(len(targets)), *weights]:
            w = weight[known]
            scores = [
                (
                    roc_auc_score(y, p[known, k], sample_weight=w),
                    average_precision_score(y, p[known, k], sample_weight=w),
                    f1_score(y, p[known, k] >= cuts[k], sample_weight=w),
                )
                for p, cuts in zip(probs, CUTS, strict=True)
            ]
            gains.append(np.subtract(scores[1], scores[0]))
        np.testing.assert_allclose(found[k, :, 0], gains[0], atol=1e-12)
        bounds = np.percentile(gains[1:], [2.5, 97.5], axis=0).T
        np.testing.assert_allclose(found[k, :, 1:], bounds, atol=1e-12)


def test_a_model_does_not_differ_from_itself() -> None:
    targets, probs, _ = two_models()
    same = compared(probs, probs, targets, thresholds=(CUTS[0], CUTS[0]))
    assert (values(same)[DEFINED] == 0).all()
    for average in (*same.macro.values(), *same.macro_distinct.values()):
        assert (average.value, average.low, average.high) == (0, 0, 0)
        assert not excludes_zero(average)


def test_the_other_way_round_it_is_the_negative() -> None:
    targets, first, second = two_models()
    there = compared(first, second, targets)
    back = compared(second, first, targets, thresholds=CUTS[::-1])
    np.testing.assert_allclose(values(back)[..., [0, 2, 1]], -values(there), atol=1e-12)
    for name in METRICS:
        a, b = there.macro[name], back.macro[name]
        assert (b.value, b.low, b.high) == pytest.approx((-a.value, -a.high, -a.low), abs=1e-12)


def test_values_are_differences_of_the_two_evaluations() -> None:
    targets, *probs = two_models()
    there = compared(*probs, targets)
    alone = [evaluate(targets, p, thresholds=cuts, bootstrap=0) for p, cuts in zip(probs, CUTS, strict=True)]
    for name in METRICS:
        for averages in ("macro", "macro_distinct"):
            a, b = (getattr(evaluation, averages)[name] for evaluation in alone)
            found = getattr(there, averages)[name]
            assert found.value == pytest.approx(b.value - a.value, abs=1e-12)
            assert found.observations == a.observations == 12


def test_pairing_narrows_the_interval_of_models_alike() -> None:
    targets, *probs = two_models(200)
    paired = compared(*probs, targets, bootstrap=200).macro["auroc"]
    widths = []
    for p, cuts in zip(probs, CUTS, strict=True):
        auroc = evaluate(targets, p, thresholds=cuts, bootstrap=200).macro["auroc"]
        widths.append(auroc.high - auroc.low)
    assert paired.high - paired.low < 0.7 * np.hypot(*widths)  # what independent intervals would add up to


def test_what_lies_under_the_mask_does_not_matter() -> None:
    targets, first, second = two_models()
    masked = ~np.isin(targets, (0, 1))
    other = np.where(masked, np.random.default_rng(2).random(first.shape), second)
    np.testing.assert_array_equal(
        values(compared(first, second, targets)), values(compared(first, other, targets))
    )


def test_undefined_says_why() -> None:
    targets, first, second = two_models()
    first[:, 3], first[:, 4], second[:, 4], second[:, 5] = NAN, NAN, NAN, NAN
    found = compared(first, second, targets, names=("a", "b"))
    reasons = [found.observations[k].undefined for k in (3, 4, 5, 12, 13, 6)]
    assert reasons == [
        "not trained in a",
        "not trained in a and b",
        "not trained in b",
        "0 positives and 0 negatives among these films",
        "0 positives and 80 negatives among these films",
        None,
    ]
    assert np.isnan(values(found)[[3, 4, 5, 12, 13]]).all()
    assert found.macro["auroc"].observations == 9
    table = differences_table(found)
    assert table.loc[OBSERVATIONS[3], "AUROC"] == "—"
    assert f"{OBSERVATIONS[3]} (not trained in a)" in conditions(found)
    assert table.index[-2:].tolist() == ["mean (9)", "mean, equivalent as one (9)"]


def test_no_resamples_leave_the_interval_undefined() -> None:
    targets, first, second = two_models()
    found = compared(first, second, targets, bootstrap=0)
    assert np.isnan(values(found)[..., 1:]).all()
    assert not np.isnan(values(found)[DEFINED, :, 0]).any()
    assert not excludes_zero(found.macro["auroc"])


def test_films_are_found_by_id_in_any_order() -> None:
    targets, first, second = two_models()
    a, b = judged("a", targets, first, CUTS[0]), judged("b", targets, second, CUTS[1])
    whole = compare_judged(a, b, bootstrap=50)
    mixed = compare_judged(take(a, np.random.default_rng(3).permutation(80)), b, bootstrap=50)
    np.testing.assert_array_equal(values(whole), values(mixed))
    part = compare_judged(take(a, np.arange(70)), take(b, np.arange(15, 80)), bootstrap=50)
    assert (part.films, part.left_out, whole.left_out) == (55, (15, 10), (0, 0))
    rows = np.arange(15, 70)
    direct = compared(first[rows], second[rows], targets[rows], patients=a.patients[rows])
    np.testing.assert_array_equal(values(part), values(direct))
    assert "left out: 15 of the baseline alone, 10 of the other run alone" in conditions(part)


def test_a_label_unknown_to_either_is_masked_in_both() -> None:
    targets, first, second = two_models()
    a, b = judged("a", targets, first, CUTS[0]), judged("b", targets, second, CUTS[1])
    hidden = np.random.default_rng(4).random(targets.shape) < 0.1
    both = np.where(hidden, NAN, targets)
    expected = values(compare_judged(judged("a", both, first, CUTS[0]), judged("b", both, second, CUTS[1])))
    for pair in ((judged("a", both, first, CUTS[0]), b), (a, judged("b", both, second, CUTS[1]))):
        np.testing.assert_array_equal(values(compare_judged(*pair)), expected)


def test_what_cannot_be_subtracted_is_refused() -> None:
    targets, first, second = two_models()
    a, b = judged("a", targets, first, CUTS[0]), judged("b", targets, second, CUTS[1])
    other = b.targets.copy()
    other[:2, 0] = 1 - other[:2, 0]
    with pytest.raises(DatasetError, match=r"2 of .* labels that both know differ between a and b"):
        compare_judged(a, dataclasses.replace(b, targets=other))
    with pytest.raises(DatasetError, match="not judged on a single film in common"):
        compare_judged(take(a, np.arange(40)), take(b, np.arange(40, 80)))


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [(0.1, 0.2, True), (-0.2, -0.1, True), (-0.1, 0.1, False), (0, 0.1, False), (NAN, NAN, False)],
)
def test_an_interval_excludes_zero_on_one_side_of_it(low: float, high: float, expected: bool) -> None:
    assert excludes_zero(Estimate(value=0.1, low=low, high=high)) is expected


def test_differences_have_a_sign_and_values_have_none() -> None:
    estimate = Estimate(value=-0.0123, low=-0.02, high=0.5)
    assert interval(estimate, signed=True) == "−0.012 (−0.020 to +0.500)"
    assert interval(Estimate(value=0.5, low=0.4, high=0.6)) == "0.50 (0.40–0.60)"
    assert interval(Estimate(value=0.5, low=NAN, high=NAN)) == "0.50"
    assert interval(Estimate(value=NAN, low=NAN, high=NAN), signed=True) == "—"


def test_options_that_differ() -> None:
    table = options(
        {
            "a": {"epochs": 3, "weights": "none", "pos_weight": True, "data": "/here"},
            "b": {"epochs": 4, "weights": "none", "data": "/there"},
        }
    )
    assert table.index.tolist() == ["epochs", "pos_weight", "weights"]
    assert differences(table).to_dict("index") == {
        "epochs": {"a": "3", "b": "4"},
        "pos_weight": {"a": "true", "b": "—"},
    }


def test_what_says_where_a_run_happens_is_not_compared() -> None:
    assert MACHINE | {"description"} == NOT_COMPARED


def test_the_forest_marks_what_excludes_zero_and_leaves_out_what_is_undefined() -> None:
    targets, first, second = two_models()
    worse = np.random.default_rng(5).random(first.shape)
    found = {"alike": compared(first, second, targets), "noise": compared(first, worse, targets)}
    figure = forest(found, "auroc")
    for line, comparison in zip(figure.data, found.values(), strict=True):
        rows = [comparison.observations[k].metrics["auroc"] for k in DEFINED]
        rows += [comparison.macro["auroc"], comparison.macro_distinct["auroc"]]
        assert list(line.x) == [row.value for row in rows]
        np.testing.assert_allclose(np.add(line.x, line.error_x.array), [row.high for row in rows])
        np.testing.assert_allclose(np.subtract(line.x, line.error_x.arrayminus), [row.low for row in rows])
        filled = [not symbol.endswith("-open") for symbol in line.marker.symbol]
        assert filled == [excludes_zero(row) for row in rows]
    assert any(not symbol.endswith("-open") for symbol in figure.data[1].marker.symbol)
    # Two runs share a row, each on its own side of the middle.
    assert np.round(figure.data[0].y).tolist() == np.round(figure.data[1].y).tolist()
    assert (np.asarray(figure.data[0].y) < np.asarray(figure.data[1].y)).all()
    assert figure.layout.yaxis.ticktext[-2] == "mean"
