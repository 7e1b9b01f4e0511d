import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import expit
from sklearn.metrics import brier_score_loss, log_loss

from chexmodel.binning import BINS, adaptive_bins
from chexmodel.bootstrap import draw_weights
from chexmodel.calibration import Calibration
from chexmodel.labels import OBSERVATIONS
from chexmodel.reliability import Reliability, quality, reliability


@given(st.lists(st.sampled_from(np.linspace(0, 1, 13).tolist()), min_size=1, max_size=300))
def test_bins_rise_and_share_ties(listed: list[float]) -> None:
    probs = np.array(listed)
    bins = adaptive_bins(probs)
    assert set(bins) == set(range(bins.max() + 1))
    assert bins.max() < BINS
    order = np.argsort(probs, kind="stable")
    assert (np.diff(bins[order]) >= 0).all()
    for value in set(listed):
        assert len(set(bins[probs == value])) == 1


@pytest.mark.parametrize(("films", "expected"), [(5, 1), (19, 1), (20, 2), (57, 5), (100, 10), (1000, 10)])
def test_bins_are_equally_filled(films: int, expected: int) -> None:
    probs = np.random.default_rng(films).random(films) ** 5
    counts = np.bincount(adaptive_bins(probs))
    assert len(counts) == expected
    assert counts.max() - counts.min() <= 1


def test_quality_by_hand() -> None:
    labels = np.repeat([1.0, 0, 1, 0], [1, 9, 6, 4])
    probs = np.repeat([0.2, 0.5], [10, 10])
    found = quality(labels, probs)
    assert [(b.films, b.probability, b.share) for b in found.bins] == [
        (10, pytest.approx(0.2), 0.1),
        (10, 0.5, 0.6),
    ]
    assert found.ece == pytest.approx(0.1)
    # Wilson's interval of 1 in 10, from the formula with z = 1.96.
    assert (found.bins[0].low, found.bins[0].high) == pytest.approx((0.0179, 0.4042), abs=1e-4)
    assert found.brier == pytest.approx(brier_score_loss(labels, probs), abs=1e-12)
    assert found.log_loss == pytest.approx(log_loss(labels, probs), abs=1e-12)


def test_perfectly_calibrated_probabilities_have_a_small_error() -> None:
    rng = np.random.default_rng(0)
    probs = rng.random(50_000)
    good = quality((rng.random(50_000) < probs).astype(float), probs)
    bad = quality((rng.random(50_000) < probs**2).astype(float), probs)
    assert good.ece < 0.01
    assert bad.ece == pytest.approx(1 / 6, abs=0.01)  # the mean of p − p²


def rows(slope: float) -> list[Calibration]:
    about = {"split": "s", "positives": 1, "negatives": 1, "method": "platt", "slope": slope}
    return [Calibration(observation=name, **about) for name in OBSERVATIONS]


def split(films: int = 300) -> tuple[np.ndarray, np.ndarray, list[str]]:
    rng = np.random.default_rng(1)
    logits = rng.normal(scale=3, size=(films, 14))
    targets = (rng.random((films, 14)) < expit(0.4 * logits)).astype(float)
    targets[rng.random(targets.shape) < 0.1] = np.nan
    targets[:, 2] = 0
    logits[:, 3] = np.nan
    return targets, logits, [f"p{k // 2}" for k in range(films)]


def judged(targets: np.ndarray, logits: np.ndarray, patients: list[str]) -> list[Reliability]:
    return reliability(targets, logits, rows(0.4), split="test", patients=patients, bootstrap=50, seed=2)


def test_before_and_after_with_the_interval_of_the_gain() -> None:
    targets, logits, patients = split()
    found = judged(targets, logits, patients)
    assert [row.observation for row in found] == [n for k, n in enumerate(OBSERVATIONS) if k not in (2, 3)]
    weights = draw_weights(
        np.unique(patients, return_inverse=True)[1], resamples=50, rng=np.random.default_rng(2)
    )
    for row in found:
        k = OBSERVATIONS.index(row.observation)
        known = ~np.isnan(targets[:, k])
        y, z = targets[known, k], logits[known, k]
        assert (row.positives, row.negatives) == (y.sum(), len(y) - y.sum())
        assert row.before.log_loss == pytest.approx(log_loss(y, expit(z)))
        assert row.after.log_loss == pytest.approx(log_loss(y, expit(0.4 * z)))
        assert row.gain.value == pytest.approx(row.before.log_loss - row.after.log_loss)
        gains = [
            log_loss(y, expit(z), sample_weight=w) - log_loss(y, expit(0.4 * z), sample_weight=w)
            for w in weights[:, known].astype(float)
        ]
        assert (row.gain.low, row.gain.high) == pytest.approx(np.percentile(gains, [2.5, 97.5]))
        assert row.gain.low > 0


def test_masked_films_and_row_order_do_not_matter() -> None:
    targets, logits, patients = split()
    order = np.random.default_rng(0).permutation(len(targets))
    hidden = np.where(np.isnan(targets), 7.0, logits)
    hidden[:, 3] = np.nan
    first = judged(targets, logits, patients)
    for other in (
        judged(targets, hidden, patients),
        judged(targets[order], logits[order], [patients[i] for i in order]),
    ):
        for a, b in zip(first, other, strict=True):
            assert a.after.ece == pytest.approx(b.after.ece, abs=1e-12)
            assert (a.gain.low, a.gain.high) == pytest.approx((b.gain.low, b.gain.high), abs=1e-12)
