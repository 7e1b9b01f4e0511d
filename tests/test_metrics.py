import warnings

import numpy as np
import pytest
from scipy.special import expit
from scores import random_scores
from sklearn.metrics import (
    accuracy_score,
    average_precision_score,
    balanced_accuracy_score,
    brier_score_loss,
    f1_score,
    precision_score,
    recall_score,
    roc_auc_score,
)

from chexmodel.binning import adaptive_bins
from chexmodel.bootstrap import draw_weights
from chexmodel.draws import DECIDED
from chexmodel.errors import DatasetError
from chexmodel.labels import OBSERVATIONS
from chexmodel.metrics import MACRO, Estimate, Evaluation, constant_yes_f1, equivalent_groups, evaluate

NAN = np.nan
CUTS = np.linspace(0.2, 0.8, 14)
DEFINED = range(12)  # columns of `random_scores` with both classes


def judged(targets: np.ndarray, probs: np.ndarray, **options: object) -> Evaluation:
    return evaluate(targets, probs, **{"thresholds": CUTS, "bootstrap": 50, **options})


def values(evaluation: Evaluation) -> np.ndarray:
    """Every estimate with its interval, (14, metrics, 3)."""
    return np.array(
        [
            [[getattr(getattr(score, name), part) for part in Estimate.model_fields] for name in MACRO]
            for score in evaluation.scores
        ]
    )


def calibration_error(labels: np.ndarray, probs: np.ndarray) -> float:
    """Weighted mean gap between share and probability, written out over the bins."""
    bins = adaptive_bins(probs)
    gaps = [abs((labels - probs)[bins == number].sum()) for number in np.unique(bins)]
    return sum(gaps) / len(labels)


def test_values_are_those_of_scikit_learn() -> None:
    targets, probs = random_scores()
    evaluation = judged(targets, probs)
    for k in DEFINED:
        known = np.isin(targets[:, k], (0, 1))
        y, p = targets[known, k], probs[known, k]
        score, calls = evaluation.scores[k], p >= CUTS[k]
        assert (score.observation, score.threshold, score.undefined) == (OBSERVATIONS[k], CUTS[k], None)
        assert (score.positives, score.negatives) == (y.sum(), (1 - y).sum())
        assert score.masked == (~known).sum()
        expected = {
            "auroc": roc_auc_score(y, p),
            "average_precision": average_precision_score(y, p),
            "precision": precision_score(y, calls),
            "recall": recall_score(y, calls),
            "specificity": recall_score(1 - y, ~calls),
            "f1": f1_score(y, calls),
            "accuracy": accuracy_score(y, calls),
            "npv": precision_score(1 - y, ~calls),
            "balanced_accuracy": balanced_accuracy_score(y, calls),
            "brier": brier_score_loss(y, p),
            "ece": calibration_error(y, p),
        }
        found = {name: getattr(score, name).value for name in MACRO}
        assert found == pytest.approx(expected, abs=1e-12)
        assert score.f1_constant_yes == pytest.approx(f1_score(y, np.ones_like(y)), abs=1e-12)


def test_intervals_are_percentiles_over_resampled_patients() -> None:
    targets, probs = random_scores()
    patients = np.arange(len(targets)) // 3
    evaluation = judged(targets, probs, patients=patients.astype(str), bootstrap=40, seed=7)
    assert evaluation.patients == len(np.unique(patients))
    groups = np.unique(patients.astype(str), return_inverse=True)[1]
    weights = draw_weights(groups, resamples=40, rng=np.random.default_rng(7))
    k = 5
    known = np.isin(targets[:, k], (0, 1))
    resamples = [
        roc_auc_score(targets[known, k], probs[known, k], sample_weight=weight[known].astype(float))
        for weight in weights
    ]
    found = evaluation.scores[k].auroc
    assert (found.low, found.high) == pytest.approx(np.percentile(resamples, [2.5, 97.5]), abs=1e-12)
    assert found.low < found.value < found.high


def test_what_lies_under_the_mask_does_not_matter() -> None:
    targets, probs = random_scores()
    masked = ~np.isin(targets, (0, 1))
    others = np.where(masked, np.random.default_rng(1).random(probs.shape), probs)
    swapped = np.where(masked, np.where(np.isnan(targets), -1, NAN), targets)
    np.testing.assert_array_equal(values(judged(targets, probs)), values(judged(swapped, others)))


def test_rows_may_come_in_any_order() -> None:
    targets, probs = random_scores()
    patients = np.array([f"p{k // 2}" for k in range(len(targets))])
    order = np.random.default_rng(3).permutation(len(targets))
    assert_same(
        judged(targets, probs, patients=patients),
        judged(targets[order], probs[order], patients=patients[order]),
    )
    # Without ids a film's place is its identity: the intervals may differ, the values may not.
    alone, shuffled = judged(targets, probs), judged(targets[order], probs[order])
    np.testing.assert_allclose(values(alone)[..., 0], values(shuffled)[..., 0], atol=1e-12)


def assert_same(a: Evaluation, b: Evaluation) -> None:
    """Equal but for the last bits of sums over films in another order."""
    np.testing.assert_allclose(values(a), values(b), atol=1e-12)
    for name in ("macro", "macro_distinct", "macro_lift", "micro"):
        pairs = [
            [list(average.model_dump().values()) for average in getattr(found, name).values()]
            for found in (a, b)
        ]
        np.testing.assert_allclose(*pairs, atol=1e-12)


def test_copies_of_a_patients_films_bring_no_certainty() -> None:
    targets, probs = random_scores(40)
    patients = np.arange(40).astype(str)
    doubled = [np.concatenate([array, array]) for array in (targets, probs, patients)]
    single = values(judged(targets, probs, patients=patients, bootstrap=200))
    by_patient = values(judged(doubled[0], doubled[1], patients=doubled[2], bootstrap=200))
    counted = np.array(MACRO) != "ece"  # whose bins get finer with the number of films
    np.testing.assert_allclose(by_patient[:, counted], single[:, counted], atol=1e-12)
    by_film = values(judged(*doubled[:2], bootstrap=200))
    widths = [np.nanmean(found[..., 2] - found[..., 1]) for found in (by_film, single)]
    assert widths[0] / widths[1] < 0.85  # about √½: what resampling films instead of patients would claim


def test_the_seed_makes_the_intervals() -> None:
    targets, probs = random_scores()
    assert_same(judged(targets, probs, seed=1), judged(targets, probs, seed=1))
    assert (values(judged(targets, probs, seed=1)) != values(judged(targets, probs, seed=2)))[:, :, 1:].any()


def test_undefined_is_nan_with_its_reason() -> None:
    targets, probs = random_scores()
    probs[:, 3] = NAN
    targets[:, 4] = np.where(targets[:, 4] == 0, NAN, targets[:, 4])
    scores = judged(targets, probs).scores
    assert scores[3].undefined == "not trained in this model"
    assert scores[4].undefined == f"{scores[4].positives} positives and 0 negatives among these films"
    assert scores[12].undefined == "0 positives and 0 negatives among these films"
    assert scores[13].undefined == "0 positives and 80 negatives among these films"
    for k in (3, 4, 12, 13):
        assert np.isnan([getattr(scores[k], name).value for name in MACRO]).all()
    assert scores[4].f1_constant_yes == 1
    assert np.isnan(scores[13].f1_constant_yes)
    assert all(scores[k].undefined is None for k in DEFINED if k not in (3, 4))


def test_precision_is_undefined_where_nobody_is_called() -> None:
    targets, probs = random_scores()
    probs[probs == 1] = 0.99
    evaluation = judged(targets, probs, thresholds=[1.0] * 14, bootstrap=0)
    score = evaluation.scores[2]
    assert np.isnan(score.precision.value)
    assert (score.recall.value, score.f1.value, score.specificity.value) == (0, 0, 1)
    assert evaluation.macro["precision"].observations == 0
    assert np.isnan(evaluation.macro["precision"].value)
    assert evaluation.macro["f1"].observations == 12


def test_macro_goes_over_the_defined_ones() -> None:
    targets, probs = random_scores()
    evaluation = judged(targets, probs)
    found = values(evaluation)
    for index, name in enumerate(MACRO):
        average = evaluation.macro[name]
        assert average.observations == 12
        assert average.value == pytest.approx(np.nanmean(found[:, index, 0]), abs=1e-12)
        assert average.low < average.high
        assert name == "ece" or average.low < average.value < average.high


def test_equivalent_labels_by_hand() -> None:
    targets = np.array(
        [
            [1, 0, 1, 1, NAN, 1, 0],
            [0, 1, 0, 1, 0, 1, 0],
            [0, 1, NAN, 0, 0, 1, 0],
            [1, 0, 1, 0, 1, 1, 0],
        ]
    )
    assert equivalent_groups(targets) == [[0, 1, 2, 4]]  # 5 and 6 have one class: equivalent to nothing


def test_copies_count_once_in_the_distinct_average() -> None:
    rng = np.random.default_rng(0)
    targets, probs = np.full((60, 14), NAN), rng.random((60, 14))
    targets[:, 0] = np.tile([0, 1], 30)
    targets[:, 3] = 1 - targets[:, 0]
    targets[:, 5] = targets[:, 0]
    targets[:, 8] = np.repeat([0, 1], 30)
    evaluation = judged(targets, probs)
    assert evaluation.equivalent == (("No Finding", "Lung Opacity", "Edema"),)
    auroc = [roc_auc_score(targets[:, k], probs[:, k]) for k in (0, 3, 5, 8)]
    plain, distinct = evaluation.macro["auroc"], evaluation.macro_distinct["auroc"]
    assert (plain.observations, distinct.observations) == (4, 2)
    assert plain.value == pytest.approx(np.mean(auroc), abs=1e-12)
    assert distinct.value == pytest.approx((np.mean(auroc[:3]) + auroc[3]) / 2, abs=1e-12)
    assert distinct.low < distinct.value < distinct.high


@pytest.mark.parametrize(
    ("positives", "negatives", "expected"), [(1, 0, 1), (1, 1, 2 / 3), (5, 90, 0.1), (0, 3, NAN), (0, 0, NAN)]
)
def test_constant_yes(positives: int, negatives: int, expected: float) -> None:
    assert constant_yes_f1(positives, negatives) == pytest.approx(expected, nan_ok=True)


def test_a_constant_answer_has_the_f1_of_constant_yes_and_no_ranking() -> None:
    targets, probs = random_scores()
    for score in judged(targets, np.full_like(probs, 0.9)).scores[:12]:
        assert score.f1.value == pytest.approx(score.f1_constant_yes, abs=1e-12)
        assert score.auroc.value == 0.5


def test_no_resamples_leave_the_intervals_undefined() -> None:
    targets, probs = random_scores()
    found = values(judged(targets, probs, bootstrap=0))
    assert np.isnan(found[..., 1:]).all()
    np.testing.assert_allclose(found[..., 0], values(judged(targets, probs))[..., 0], atol=1e-12)


def test_resamples_that_lose_a_class_are_left_out_silently() -> None:
    targets, probs = np.full((3, 14), NAN), np.tile([[0.1], [0.6], [0.9]], 14)
    targets[:, 0] = [0, 1, 1]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        evaluation = judged(targets, probs, bootstrap=200)
    assert evaluation.scores[0].auroc == Estimate(value=1, low=1, high=1)
    assert evaluation.macro["auroc"].value == evaluation.macro["auroc"].low == 1


def test_a_resample_without_a_positive_has_no_f1() -> None:
    """Two positives of twelve films: every ninth resample has none, and false alarms do not make it a 0."""
    targets, probs = np.full((12, 14), np.nan), np.full((12, 14), 0.9)
    targets[:, 0] = [1, 1, *[0] * 10]
    score = evaluate(targets, probs, thresholds=0.5, bootstrap=300).scores[0]
    assert score.f1.low > 0


def test_an_average_leaves_out_what_a_resample_lost_and_not_the_resample() -> None:
    rng = np.random.default_rng(0)
    targets, probs = np.full((30, 14), np.nan), rng.random((30, 14))
    targets[:, 0], targets[:, 1] = np.arange(30) == 0, np.arange(30) % 2
    weights = draw_weights(np.arange(30), resamples=50, rng=np.random.default_rng(4))
    means = []
    for weight in weights:
        films = np.repeat(np.arange(30), weight)
        two = [k for k in (0, 1) if len(set(targets[films, k])) == 2]
        means.append(np.mean([roc_auc_score(targets[films, k], probs[films, k]) for k in two]))
    assert (weights[:, 0] == 0).sum() > 10  # so many lose the first observation
    found = evaluate(targets, probs, thresholds=0.5, bootstrap=50, seed=4).macro["auroc"]
    assert (found.low, found.high) == pytest.approx(tuple(np.percentile(means, [2.5, 97.5])), abs=1e-12)


def test_json_round_trip() -> None:
    targets, probs = random_scores()
    evaluation = judged(targets, probs)
    text = evaluation.model_dump_json()
    assert "NaN" not in text
    assert '"value":null' in text
    back = Evaluation.model_validate_json(text)
    np.testing.assert_array_equal(values(back), values(evaluation))
    assert_same(back, evaluation)


def test_frame_has_one_row_per_observation() -> None:
    targets, probs = random_scores()
    evaluation = judged(targets, probs)
    frame = evaluation.frame()
    assert tuple(frame["observation"]) == OBSERVATIONS
    np.testing.assert_array_equal(
        frame[["auroc", "auroc_low", "auroc_high"]].to_numpy(), values(evaluation)[:, MACRO.index("auroc")]
    )
    assert frame["masked"].tolist() == [score.masked for score in evaluation.scores]


TARGETS, PROBS = random_scores(20)


@pytest.mark.parametrize(
    ("targets", "probs", "options", "message"),
    [
        (TARGETS[:0], PROBS[:0], {}, "no films to score"),
        (TARGETS[:, :5], PROBS[:, :5], {}, "do not fit"),
        (TARGETS, PROBS[:10], {}, "do not fit"),
        (TARGETS, PROBS, {"thresholds": [0.5]}, "do not fit"),
        (TARGETS + 0.5, PROBS, {}, "must be 0, 1, −1 or NaN"),
        (TARGETS, 3 * PROBS, {}, "apply the sigmoid"),
        (TARGETS, -PROBS, {}, r"outside \[0, 1\]"),
        (TARGETS, PROBS, {"patients": ["a"] * 19}, "19 patient ids for 20 films"),
        (TARGETS, np.where(np.arange(20)[:, None] == 7, NAN, PROBS), {}, "NaN for some films"),
    ],
)
def test_what_does_not_fit_is_refused(
    targets: np.ndarray, probs: np.ndarray, options: dict[str, object], message: str
) -> None:
    with pytest.raises(DatasetError, match=message):
        judged(targets, probs, **options)


def test_a_small_overlap_is_no_equivalence() -> None:
    targets = np.full((40, 3), np.nan)
    targets[:, 0] = np.arange(40) % 2
    targets[:4, 1] = targets[:4, 0]
    targets[:30, 2] = 1 - targets[:30, 0]
    assert equivalent_groups(targets) == [[0, 2]]


@pytest.mark.parametrize("cut", [np.nan, -0.1, 1.1])
def test_thresholds_out_of_range_are_refused(cut: float) -> None:
    values = np.full(len(OBSERVATIONS), 0.5)
    values[3] = cut
    with pytest.raises(DatasetError, match="thresholds must lie"):
        evaluate(np.zeros((2, 14)), np.zeros((2, 14)), thresholds=values)


def test_one_threshold_stands_for_all() -> None:
    targets, probs = random_scores()
    one, fourteen = (judged(targets, probs, thresholds=cut) for cut in (0.5, np.full(14, 0.5)))
    assert one.model_dump_json() == fourteen.model_dump_json()  # as text, where undefined equals undefined


def test_the_constant_yes_is_averaged_over_the_same_observations() -> None:
    evaluation = judged(*random_scores())
    baseline, f1 = evaluation.macro["f1_constant_yes"], evaluation.macro["f1"]
    defined = [score.f1_constant_yes for score in evaluation.scores if not score.undefined]
    assert baseline.observations == f1.observations == len(defined)
    assert baseline.value == pytest.approx(np.mean(defined))


def test_micro_takes_the_decisions_of_all_defined_observations_together() -> None:
    targets, probs = random_scores()
    evaluation = judged(targets, probs)
    known = np.isin(targets, (0, 1))
    known[:, 12:] = False
    y, calls = targets[known], (probs >= CUTS)[known]
    expected = {
        "precision": precision_score(y, calls),
        "recall": recall_score(y, calls),
        "specificity": recall_score(1 - y, ~calls),
        "npv": precision_score(1 - y, ~calls),
        "f1": f1_score(y, calls),
        "accuracy": accuracy_score(y, calls),
        "balanced_accuracy": balanced_accuracy_score(y, calls),
    }
    assert tuple(evaluation.micro) == DECIDED
    assert {name: average.value for name, average in evaluation.micro.items()} == pytest.approx(expected)
    for average in evaluation.micro.values():
        assert average.observations == 12
        assert average.low < average.value < average.high


def test_the_lift_is_over_the_best_constant_answer_of_the_same_resample() -> None:
    targets, probs = random_scores()
    patients = np.arange(80).astype(str)
    evaluation = judged(targets, probs, patients=patients, bootstrap=30, seed=3)
    groups = np.unique(patients, return_inverse=True)[1]
    weights = draw_weights(groups, resamples=30, rng=np.random.default_rng(3))
    k = 6
    known = np.isin(targets[:, k], (0, 1))
    y, calls = targets[known, k], probs[known, k] >= CUTS[k]
    for name, metric in (("accuracy", accuracy_score), ("f1", f1_score)):
        gains = []
        for weight in np.concatenate([np.ones((1, 80)), weights])[:, known]:
            constant = [metric(y, np.full(len(y), answer), sample_weight=weight) for answer in (False, True)]
            gains.append(metric(y, calls, sample_weight=weight) - max(constant))
        found = evaluation.scores[k].lift[name]
        assert found.value == pytest.approx(gains[0], abs=1e-12)
        assert (found.low, found.high) == pytest.approx(np.percentile(gains[1:], [2.5, 97.5]), abs=1e-12)


def delong(labels: np.ndarray, scores: np.ndarray) -> tuple[float, float]:
    """AUROC and its standard error from the variance of the placements (DeLong E. R. et al., 1988)."""
    pairs = np.subtract.outer(scores[labels == 1], scores[labels == 0])
    wins = (pairs > 0) + 0.5 * (pairs == 0)
    m, n = wins.shape
    variance = wins.mean(axis=1).var(ddof=1) / m + wins.mean(axis=0).var(ddof=1) / n
    return float(wins.mean()), float(np.sqrt(variance))


@pytest.mark.parametrize(("films", "share", "gain"), [(300, 0.3, 1.0), (600, 0.15, 0.5), (400, 0.5, 2.0)])
def test_the_interval_of_the_auroc_is_delongs(films: int, share: float, gain: float) -> None:
    rng = np.random.default_rng(films)
    targets = np.full((films, 14), NAN)
    targets[:, 5] = rng.random(films) < share
    probs = np.full((films, 14), 0.5)
    probs[:, 5] = expit(rng.normal(size=films) + gain * targets[:, 5])
    found = judged(targets, probs, bootstrap=3000).scores[5].auroc
    value, error = delong(targets[:, 5], probs[:, 5])
    assert found.value == pytest.approx(value, abs=1e-12)
    assert (found.low, found.high) == pytest.approx((value - 1.96 * error, value + 1.96 * error), abs=0.012)
    assert found.high - found.low == pytest.approx(2 * 1.96 * error, rel=0.08)


def test_an_evaluation_of_a_former_version_still_loads() -> None:
    text = judged(*random_scores()).model_dump(mode="json")
    new = {"npv", "balanced_accuracy", "brier", "ece", "prevalence", "constants", "lift"}
    text["scores"] = [{k: v for k, v in score.items() if k not in new} for score in text["scores"]]
    del text["micro"], text["macro_lift"]
    old = Evaluation.model_validate(text)
    assert np.isnan(old.scores[0].brier.value)
    assert np.isnan(old.scores[0].prevalence)
    assert (old.scores[0].lift, old.micro) == ({}, {})
