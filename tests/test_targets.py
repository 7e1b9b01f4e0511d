"""Policies and splits, and what does not depend on the rows' order."""

import numpy as np
import pandas as pd
import pytest
from chexpert_rows import labelled, real_table
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from chexmodel.errors import DatasetError
from chexmodel.labels import SMOOTH_INTERVAL
from chexmodel.table import read_table, split_by_patient, targets

LABELS = hnp.arrays(
    np.float32,
    st.tuples(st.integers(1, 12), st.just(14)),
    elements=st.sampled_from([1.0, 0.0, -1.0, np.nan]),
)


def test_policies_one_by_one() -> None:
    labels = np.full((4, 14), np.nan, np.float32)
    labels[:, 8] = [1, 0, -1, np.nan]  # Atelectasis: mixed says ones
    labels[:, 2] = [1, 0, -1, np.nan]  # Cardiomegaly: mixed says zeros
    labels[:, 12] = [1, 0, -1, np.nan]  # Fracture: mixed does not list it
    table = labelled(labels)
    n = np.nan
    expected = {
        "ignore": ([1, 0, n, 0], [1, 0, n, 0], [1, 0, n, 0]),
        "ones": ([1, 0, 1, 0], [1, 0, 1, 0], [1, 0, 1, 0]),
        "zeros": ([1, 0, 0, 0], [1, 0, 0, 0], [1, 0, 0, 0]),
        "mixed": ([1, 0, 1, 0], [1, 0, 0, 0], [1, 0, n, 0]),
    }
    for uncertain, columns in expected.items():
        result = targets(table, uncertain=uncertain)
        np.testing.assert_array_equal(result[:, [8, 2, 12]], np.transpose(columns).astype(np.float32))
        masked = targets(table, uncertain=uncertain, blank="ignore")
        assert np.isnan(masked[3]).all()
        np.testing.assert_array_equal(masked[:3], result[:3])


@settings(max_examples=60, deadline=None)
@given(
    LABELS,
    st.sampled_from(["ignore", "ones", "zeros", "smooth", "mixed"]),
    st.sampled_from(["negative", "ignore"]),
)
def test_targets_are_probabilities_or_masked(labels: np.ndarray, uncertain: str, blank: str) -> None:
    table = labelled(labels)
    result = targets(table, uncertain=uncertain, blank=blank)
    assert result.dtype == np.float32
    known = (labels == 0) | (labels == 1)
    np.testing.assert_array_equal(result[known], labels[known])
    assert np.isnan(result[:, np.isnan(labels).all(axis=0)]).all()
    if blank == "ignore":
        assert np.isnan(result[np.isnan(labels)]).all()
    if uncertain == "smooth":
        low, high = SMOOTH_INTERVAL
        assert ((result[labels == -1] >= low) & (result[labels == -1] <= high + 1e-6)).all()
    else:
        assert np.isin(result[~np.isnan(result)], [0, 1]).all()


@settings(max_examples=60, deadline=None)
@given(LABELS, st.sampled_from(["ignore", "smooth", "mixed"]), st.randoms())
def test_targets_follow_their_rows(labels: np.ndarray, uncertain: str, random) -> None:
    table = labelled(labels)
    order = random.sample(range(len(table)), len(table))
    np.testing.assert_array_equal(
        targets(table.iloc[order], uncertain=uncertain, seed=3),
        targets(table, uncertain=uncertain, seed=3)[order],
    )


def test_smooth_draws_depend_on_seed_film_and_observation() -> None:
    table = labelled(np.full((200, 14), -1.0))
    draws = targets(table, uncertain="smooth", seed=0)
    assert len(np.unique(draws)) > 0.99 * draws.size
    assert abs(draws.mean() - np.mean(SMOOTH_INTERVAL)) < 0.01
    np.testing.assert_array_equal(draws, targets(table, uncertain="smooth", seed=0))
    assert (draws != targets(table, uncertain="smooth", seed=1)).mean() > 0.99


@pytest.mark.parametrize(
    ("options", "choices"),
    [({"uncertain": "maybe"}, "ignore, ones, zeros, smooth, mixed"), ({"blank": "ones"}, "negative, ignore")],
)
def test_an_unknown_policy_lists_the_choices(options: dict[str, str], choices: str) -> None:
    with pytest.raises(DatasetError, match=choices):
        targets(labelled(np.zeros((1, 14))), **options)


FRACTIONS = {"train": 0.7, "validation": 0.2, "test": 0.1}
PATIENTS = st.lists(st.integers(0, 40), min_size=1, max_size=60)


def parts(table: pd.DataFrame, seed: int = 0) -> dict[str, str]:
    split = split_by_patient(table, fractions=FRACTIONS, seed=seed)
    return {path: name for name, part in split.items() for path in part["Path"]}


@settings(max_examples=60, deadline=None)
@given(PATIENTS, st.integers(0, 5))
def test_no_patient_is_in_two_parts_and_no_row_is_lost(patients: list[int], seed: int) -> None:
    table = labelled(np.zeros((len(patients), 14)), patients)
    split = split_by_patient(table, fractions=FRACTIONS, seed=seed)
    assert list(split) == list(FRACTIONS)
    assert sorted(i for part in split.values() for i in part.index) == table.index.tolist()
    sets = [set(part["patient"]) for part in split.values()]
    assert sum(map(len, sets)) == len(set.union(*sets))
    for part in split.values():
        pd.testing.assert_frame_equal(part, table.loc[part.index])


@settings(max_examples=60, deadline=None)
@given(PATIENTS, PATIENTS, st.randoms())
def test_neither_order_nor_other_patients_move_a_patient(
    patients: list[int], others: list[int], random
) -> None:
    table = labelled(np.zeros((len(patients), 14)), patients)
    larger = pd.concat([table, labelled(np.zeros((len(others), 14)), [100 + i for i in others])])
    shuffled = larger.iloc[random.sample(range(len(larger)), len(larger))].reset_index(drop=True)
    assert parts(table).items() <= parts(shuffled).items()


def test_parts_have_about_their_fractions_and_the_seed_matters() -> None:
    table = labelled(np.zeros((4000, 14)))
    shares = {
        name: len(part) / 4000 for name, part in split_by_patient(table, fractions=FRACTIONS, seed=0).items()
    }
    assert shares == pytest.approx(FRACTIONS, abs=0.02)
    assert parts(table, 0) != parts(table, 1)


@pytest.mark.parametrize(
    "fractions", [{}, {"a": 0.5}, {"a": 1.2, "b": -0.2}, {"a": 1, "b": 0}, {"a": float("nan")}]
)
def test_fractions_that_do_not_fit(fractions: dict[str, float]) -> None:
    with pytest.raises(DatasetError, match="above 0, and their sum 1"):
        split_by_patient(labelled(np.zeros((1, 14))), fractions=fractions, seed=0)


def test_the_real_table() -> None:
    table = read_table(real_table())
    split = split_by_patient(table, fractions={"train": 0.9, "validation": 0.1}, seed=0)
    assert len(split["validation"]) / len(table) == pytest.approx(0.1, abs=0.01)
    result = targets(table)
    assert np.nansum(result[:, 0]) == 22_381
    assert not np.isnan(result[:, 0]).any()
    # With blanks masked, nothing but positives is left of No Finding.
    assert np.nanmin(targets(table, blank="ignore")[:, 0]) == 1
