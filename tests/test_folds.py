"""Patient-wise, label-stratified folds: properties of any data set, and what the real films get."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chexmodel.errors import DatasetError
from chexmodel.labels import OBSERVATIONS
from train.config import FitConfig
from train.dataset import load_splits
from train.folds import assign_folds


def films(seed: int, *, patients: int = 60) -> tuple[list[str], np.ndarray]:
    """Patients of one to four films, shuffled; labels (N, 5) of very different prevalence, some masked."""
    rng = np.random.default_rng(seed)
    ids = np.repeat([f"patient{k:05d}" for k in range(patients)], rng.integers(1, 5, patients))
    rng.shuffle(ids)
    targets = (rng.random((len(ids), 5)) < [0.05, 0.1, 0.3, 0.5, 0.9]).astype(np.float32)
    targets[rng.random(targets.shape) < 0.1] = np.nan
    targets[rng.random(targets.shape) < 0.1] = 0.7
    return ids.tolist(), targets


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**31), folds=st.integers(2, 6))
def test_a_patient_is_in_one_fold_and_the_order_of_films_does_not_matter(seed: int, folds: int) -> None:
    patients, targets = films(seed)
    fold = assign_folds(patients, targets, folds=folds, seed=3)
    assert fold.shape == (len(patients),)
    assert set(fold.tolist()) == set(range(folds))  # a film has one fold by its very form
    assert all(len(set(fold[np.array(patients) == name].tolist())) == 1 for name in patients)
    order = np.random.default_rng(seed).permutation(len(patients))
    shuffled = assign_folds([patients[i] for i in order], targets[order], folds=folds, seed=3)
    np.testing.assert_array_equal(shuffled, fold[order])


def positive_patients(patients: list[str], targets: np.ndarray, fold: np.ndarray, folds: int) -> np.ndarray:
    """Number of patients with a positive film, (folds, K)."""
    names = np.array(patients)
    return np.array(
        [
            [len(set(names[(fold == k) & (targets[:, label] == 1)])) for label in range(targets.shape[1])]
            for k in range(folds)
        ]
    )


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("folds", [2, 3, 5])
def test_every_fold_has_its_share_of_every_label(seed: int, folds: int) -> None:
    """Within two patients of an equal share, and the rarest label within one; so are the patients."""
    patients, targets = films(seed, patients=150)
    fold = assign_folds(patients, targets, folds=folds, seed=seed)
    positives = positive_patients(patients, targets, fold, folds)
    share = positives.sum(axis=0) / folds
    assert (np.abs(positives - share) <= 2.0).all()
    rarest = share.argmin()
    assert (np.abs(positives[:, rarest] - share[rarest]) < 1.0 + 1e-9).all()
    sizes = [len(set(np.array(patients)[fold == k])) for k in range(folds)]
    assert max(sizes) - min(sizes) <= 4


def test_a_rare_label_is_spread_as_chance_would_not() -> None:
    """Six positives among 600 patients are two a fold of three: by chance that is one split of twelve."""
    patients = [f"p{k}" for k in range(600)]
    targets = np.zeros((600, 2), dtype=np.float32)
    targets[:6, 0] = 1
    targets[::2, 1] = 1
    for seed in range(5):
        fold = assign_folds(patients, targets, folds=3, seed=seed)
        assert positive_patients(patients, targets, fold, 3)[:, 0].tolist() == [2, 2, 2]


def test_seeds_give_other_folds() -> None:
    patients, targets = films(0)
    drawn = [assign_folds(patients, targets, folds=3, seed=seed) for seed in (0, 0, 1, 2)]
    np.testing.assert_array_equal(drawn[0], drawn[1])
    assert all((one != other).any() for one, other in pairwise(drawn[1:]))


def test_a_patient_counts_once_however_many_films() -> None:
    """Label and films of a patient repeated ten times change no fold: patients are dealt out, not films."""
    patients, targets = films(1)
    fold = assign_folds(patients, targets, folds=3, seed=0)
    repeated = assign_folds(patients * 10, np.tile(targets, (10, 1)), folds=3, seed=0)
    np.testing.assert_array_equal(repeated, np.tile(fold, 10))


def test_only_a_certain_positive_is_stratified_by() -> None:
    patients, targets = films(2)
    plain = np.where(targets == 1, targets, 0)
    np.testing.assert_array_equal(
        assign_folds(patients, targets, folds=3, seed=0), assign_folds(patients, plain, folds=3, seed=0)
    )


def test_labels_that_tell_nothing_still_give_folds() -> None:
    fold = assign_folds(["a", "b", "c", "c", "d"], np.full((5, 14), np.nan), folds=2, seed=0)
    assert sorted(np.bincount(fold[[0, 1, 2, 4]])) == [2, 2]


def test_fewer_patients_than_folds_is_a_sentence() -> None:
    with pytest.raises(DatasetError, match=r"2 patients .* 3 folds: choose fewer --folds"):
        assign_folds(["a", "b", "b", "b"], np.zeros((4, 14)), folds=3, seed=0)
    # As many as folds is the limit: each is held out once.
    assert sorted(assign_folds(["a", "b", "c"], np.eye(3), folds=3, seed=0)) == [0, 1, 2]


def test_folds_out_of_range_are_refused(tmp_path: Path) -> None:
    """More members than a bundle can hold would only be noticed when all are trained."""
    for folds in (1, -2, 100):
        with pytest.raises(ValueError, match="folds"):
            FitConfig(data=tmp_path, out=tmp_path / "run", folds=folds)
    assert FitConfig(data=tmp_path, out=tmp_path / "run", folds=99).folds == 99


@pytest.mark.shared
def test_the_real_films_are_dealt_out_evenly(shared: Path, tmp_path: Path) -> None:
    data = shared / "xrays"
    splits = load_splits(FitConfig(data=data, out=tmp_path / "run", folds=3))
    held_out = [pair.validation for pair in splits.pairs]
    names = [name for split in held_out for name in split.ids]
    assert len(names) == len(set(names)) == splits.fingerprint.films["train"]
    for pair in splits.pairs:
        assert not set(pair.train.patients) & set(pair.validation.patients)
        assert not set(pair.train.patients + pair.validation.patients) & set(splits.test.patients)
        assert sorted(pair.train.ids + pair.validation.ids) == sorted(names)
    positives = np.array([(split.truth == 1).sum(axis=0) for split in held_out])
    enough = positives.sum(axis=0) >= 10
    assert enough.sum() >= 8
    lacking = [OBSERVATIONS[k] for k in np.flatnonzero(enough & (positives == 0).any(axis=0))]
    assert not lacking
