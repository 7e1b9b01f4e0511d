"""The observations' order and the tables that refer to them."""

from typing import get_args

import pytest
from chexpert_rows import real_table

from chexmodel.labels import (
    ALIASES,
    COMPETITION,
    MIXED_UNCERTAIN,
    NO_FINDING,
    OBSERVATIONS,
    PARENTS,
    SMOOTH_INTERVAL,
    UncertainPolicy,
)


def test_the_order_is_the_one_of_chexperts_own_table() -> None:
    pandas = pytest.importorskip("pandas")
    assert tuple(pandas.read_csv(real_table(), nrows=0).columns[-14:]) == OBSERVATIONS


def test_there_are_fourteen_and_no_finding_is_the_first() -> None:
    assert len(OBSERVATIONS) == len(set(OBSERVATIONS)) == 14
    assert OBSERVATIONS[0] == NO_FINDING


def test_every_table_names_observations() -> None:
    assert set(ALIASES.values()) < set(OBSERVATIONS)
    assert set(COMPETITION) == set(MIXED_UNCERTAIN)
    assert set(COMPETITION) | set(PARENTS) | set(PARENTS.values()) <= set(OBSERVATIONS)
    assert len(set(COMPETITION)) == 5


def test_the_hierarchy_has_no_cycle() -> None:
    for child in PARENTS:
        ancestors = [child]
        while ancestors[-1] in PARENTS:
            ancestors.append(PARENTS[ancestors[-1]])
            assert ancestors[-1] not in ancestors[:-1]


def test_policies() -> None:
    assert set(MIXED_UNCERTAIN.values()) < set(get_args(UncertainPolicy))
    low, high = SMOOTH_INTERVAL
    assert 0.5 < low < high < 1  # an uncertain film stays nearer to positive
