import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, confusion_matrix, roc_auc_score

from chexmodel.bootstrap import Ranked, confusion, count, draw_weights, ranking, ratio
from chexmodel.errors import DatasetError


def resampled(seed: int, films: int, *, levels: int = 8) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Labels, scores with many ties, and six rows of weights: the sample itself and resamples."""
    rng = np.random.default_rng(seed)
    labels = np.concatenate([[0.0, 1.0], rng.integers(0, 2, films - 2)])
    scores = rng.integers(0, levels, films) / levels
    weights = draw_weights(np.arange(films), resamples=5, rng=rng)
    return labels, scores, np.concatenate([np.ones((1, films)), weights.astype(float)])


def ranked_metrics(labels: np.ndarray, scores: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, ...]:
    """AUROC, average precision, and the four counts at 0.5, under each row of weights."""
    ranked = Ranked.of(labels, scores, np.arange(len(labels)))
    counted = count(ranked, weights[:, ranked.order])
    return (*ranking(ranked, counted), *confusion(ranked, counted, int((scores >= 0.5).sum())))


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**31), st.integers(2, 40), st.sampled_from([1, 2, 8, 10**6]))
def test_ranking_is_that_of_scikit_learn(seed: int, films: int, levels: int) -> None:
    labels, scores, weights = resampled(seed, films, levels=levels)
    auroc, average = ranked_metrics(labels, scores, weights)[:2]
    for row, weight in enumerate(weights):
        if len(np.unique(labels[weight > 0])) < 2:
            assert np.isnan([auroc[row], average[row]]).all()
            continue
        expected = roc_auc_score(labels, scores, sample_weight=weight)
        assert auroc[row] == pytest.approx(expected, abs=1e-12)
        expected = average_precision_score(labels, scores, sample_weight=weight)
        assert average[row] == pytest.approx(expected, abs=1e-12)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**31), st.integers(2, 40))
def test_confusion_is_that_of_scikit_learn(seed: int, films: int) -> None:
    labels, scores, weights = resampled(seed, films)
    calls = scores >= 0.5
    cells = np.stack(ranked_metrics(labels, scores, weights)[2:], axis=1)
    for found, weight in zip(cells, weights, strict=True):
        (tn, fp), (fn, tp) = confusion_matrix(labels, calls, labels=[0, 1], sample_weight=weight)
        np.testing.assert_allclose(found, [tp, fp, fn, tn])


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**31), st.integers(2, 40), st.randoms())
def test_rows_may_come_in_any_order(seed: int, films: int, random) -> None:
    labels, scores, weights = resampled(seed, films)
    order = random.sample(range(films), films)
    before = ranked_metrics(labels, scores, weights)
    after = ranked_metrics(labels[order], scores[order], weights[:, order])
    np.testing.assert_array_equal(before, after)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**31), st.integers(2, 40))
def test_whole_weights_and_fractions_give_the_same(seed: int, films: int) -> None:
    labels, scores, weights = resampled(seed, films)
    whole = ranked_metrics(labels, scores, weights.astype(np.uint16))
    np.testing.assert_allclose(ranked_metrics(labels, scores, weights / 4)[:2], whole[:2], atol=1e-12)


def test_films_may_be_any_columns_of_the_weights() -> None:
    labels, scores, weights = resampled(3, 20)
    films = np.arange(20) * 2 + 1
    wide = np.full((len(weights), 50), 7.0)
    wide[:, films] = weights
    ranked = Ranked.of(labels, scores, films)
    np.testing.assert_array_equal(
        ranking(ranked, count(ranked, wide[:, ranked.order])), ranked_metrics(labels, scores, weights)[:2]
    )


def test_groups_are_drawn_as_wholes() -> None:
    groups = np.array([0, 2, 1, 0, 2, 2])
    weights = draw_weights(groups, resamples=500, rng=np.random.default_rng(0))
    assert weights.shape == (500, 6)
    np.testing.assert_array_equal(weights[:, 0], weights[:, 3])
    np.testing.assert_array_equal(weights[:, 1], weights[:, 4])
    np.testing.assert_array_equal(weights[:, 1], weights[:, 5])
    np.testing.assert_array_equal(weights[:, :3].sum(axis=1), 3)  # as many patients as there are
    np.testing.assert_allclose(weights[:, :3].mean(axis=0), 1, atol=0.12)


def test_a_ratio_without_a_denominator_is_undefined() -> None:
    np.testing.assert_array_equal(
        ratio(np.array([1.0, 0.0, 0.0]), np.array([2.0, 4.0, 0.0])), [0.5, 0, np.nan]
    )


def test_fewer_than_no_resamples_are_refused() -> None:
    assert draw_weights(np.arange(3), resamples=0, rng=np.random.default_rng(0)).shape == (0, 3)
    with pytest.raises(DatasetError, match="-1 bootstrap resamples"):
        draw_weights(np.arange(3), resamples=-1, rng=np.random.default_rng(0))
