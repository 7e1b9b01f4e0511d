"""Reference films are never a film's own patient's."""

from hypothesis import given
from hypothesis import strategies as st

from chexmodel.crossfit import Place, reference_groups

PLACES = st.lists(
    st.integers(0, 30).flatmap(
        lambda patient: st.builds(  # a patient is in one split and one fold
            Place,
            st.just("validation" if patient % 3 else "test"),
            st.just(f"patient{patient}"),
            st.just(patient % 4 if patient % 3 else None),
        )
    ),
    min_size=1,
)


@given(PLACES, st.booleans())
def test_no_film_refers_to_its_patient(places: list[Place], folded: bool) -> None:
    if not folded:
        places = [place._replace(fold=None) for place in places]
    groups = reference_groups(places)
    assert sorted(i for members, _ in groups for i in members) == list(range(len(places)))
    for members, referred in groups:
        for i in members:
            assert places[i].patient not in {places[j].patient for j in referred}
            if any(place.split == "validation" for place in places):
                assert {places[j].split for j in referred} <= {"validation"}


def test_folds_refer_to_the_other_folds_and_test_to_all_of_validation() -> None:
    places = [
        Place("validation", "a", 1),
        Place("validation", "b", 2),
        Place("test", "c", None),
        Place("validation", "d", 2),
    ]
    assert reference_groups(places) == [([0], [1, 3]), ([1, 3], [0]), ([2], [0, 1, 3])]


def test_without_validation_films_test_films_refer_to_each_other() -> None:
    places = [Place("test", f"patient{i}", None) for i in range(40)]
    groups = reference_groups(places)
    assert len(groups) == 5
    for members, referred in groups:
        assert sorted(members + referred) == list(range(40))
    assert reference_groups(places[:1]) == [([0], [])]


@given(st.sets(st.text(min_size=1, max_size=4), min_size=2, max_size=7))
def test_a_few_patients_always_have_another_to_refer_to(patients: set[str]) -> None:
    places = [Place("validation", patient, None) for patient in sorted(patients)]
    groups = reference_groups(places)
    assert all(referred for _, referred in groups)
    backwards = reference_groups(places[::-1])
    last = len(places) - 1
    assert sorted([sorted(last - i for i in part) for part in pair] for pair in backwards) == sorted(
        [list(part) for part in pair] for pair in groups
    )
