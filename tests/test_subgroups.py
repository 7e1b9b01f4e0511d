"""Groups of films: how a column is cut, scores per group, gaps on shared resamples."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from chexpert_rows import film, row, write
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, recall_score, roc_auc_score

from chexmodel.draws import MACRO, draw
from chexmodel.errors import DatasetError
from chexmodel.grouping import MAX_GROUPS, NOT_STATED, Grouping, group_by
from chexmodel.labels import OBSERVATIONS
from chexmodel.subgroup_charts import forest
from chexmodel.subgroup_scores import Column, GroupScore, Subgroups
from chexmodel.subgroup_tables import gaps_table, mean_sentence, no_skill, sizes_table, unscored
from chexmodel.subgroups import MIN_CLASS, score_groups
from chexmodel.table import read_table

FILMS = 240
CUTS = np.linspace(0.3, 0.6, 14)
OFFERED = [name for name in ("auroc", "average_precision", "recall", "specificity", "brier") if name in MACRO]
UNTRAINED, ONE_CLASS, FEW_POSITIVES, FEW_NEGATIVES = 3, 12, 10, 11


def scores(seed: int = 0, films: int = FILMS) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Targets and probabilities (N, 14), some masked, and N patients of about two films."""
    rng = np.random.default_rng(seed)
    targets = (rng.random((films, 14)) < 0.4).astype(float)
    targets[:, ONE_CLASS] = 0
    targets[:, FEW_POSITIVES] = np.arange(films) % 30 == 0
    targets[:, FEW_NEGATIVES] = np.arange(films) % 30 != 0
    probs = np.clip(0.3 * targets + 0.7 * rng.random((films, 14)), 0, 1)
    probs[:, UNTRAINED] = np.nan
    targets[rng.random((films, 14)) < 0.08] = np.nan
    targets[rng.random((films, 14)) < 0.04] = -1
    return targets, probs, np.array([f"p{i // 2}" for i in range(films)], dtype=object)


def halves(films: int = FILMS) -> Grouping:
    """A third of the films and the rest; patients have films in both."""
    return Grouping("Half", "by hand", ("few", "many"), (np.arange(films) % 3 != 0).astype(np.int64))


def scored(grouping: Grouping, *, seed: int = 0, bootstrap: int = 60) -> tuple[Column, Subgroups]:
    targets, probs, patients = scores(seed)
    found = score_groups(
        targets, probs, thresholds=CUTS, patients=patients, groupings=[grouping], bootstrap=bootstrap, seed=5
    )
    return found.columns[0], found


def of(column: Column, group: str, k: int) -> GroupScore:
    return next(entry for entry in column.groups if entry.name == group).scores[k]


# ---------------------------------------------------------------------------------------- cut a column


def table(tmp_path: Path, **columns: list[str]) -> pd.DataFrame:
    """A table whose columns hold these cells; of new ones too."""
    count = len(next(iter(columns.values())))
    names = {name.replace("_", "/"): cells for name, cells in columns.items()}
    rows = [row(film(i)) | {name: cells[i] for name, cells in names.items()} for i in range(count)]
    header = [*row(film(0)), *OBSERVATIONS]
    return read_table(write(tmp_path / "t.csv", rows, list(dict.fromkeys([*header, *names]))))


def groups_of(grouping: Grouping) -> list[str]:
    return [grouping.names[code] for code in grouping.codes]


def test_age_is_cut_at_40_60_and_80(tmp_path: Path) -> None:
    found = group_by(table(tmp_path, Age=["0", "39", "40", "59", "60", "79", "80", "120"]), "Age")
    assert groups_of(found) == [
        name for name in ("< 40 years", "40–59 years", "60–79 years", "≥ 80 years") for _ in range(2)
    ]
    assert NOT_STATED not in found.names


def test_words_stay_and_blanks_are_the_last_group(tmp_path: Path) -> None:
    found = group_by(table(tmp_path, AP_PA=["PA", "", "AP", " PA ", "  "]), "AP/PA")
    assert found.names == ("AP", "PA", NOT_STATED)
    assert groups_of(found) == ["PA", NOT_STATED, "AP", "PA", NOT_STATED]
    assert group_by(table(tmp_path, AP_PA=["", ""]), "AP/PA").names == (NOT_STATED,)


def test_few_numbers_stay_and_many_are_cut_into_quarters(tmp_path: Path) -> None:
    cells = [str(i) for i in range(40)]
    found = group_by(table(tmp_path, Site=["2", "1", "10", ""] * 10, Dose=cells), "Site")
    assert found.names == ("1", "2", "10", NOT_STATED)
    quarters = group_by(table(tmp_path, Dose=[*cells, ""]), "Dose")
    assert quarters.names == ("< 9.75", "9.75 to < 19.5", "19.5 to < 29.25", "≥ 29.25", NOT_STATED)
    assert np.bincount(quarters.codes).tolist() == [10, 10, 10, 10, 1]
    tied = group_by(table(tmp_path, Dose=["0"] * 30 + cells[1:20]), "Dose")
    assert np.bincount(tied.codes).min() > 0
    assert len(tied.names) < 4


def test_numbers_that_differ_in_late_digits_stay_groups_of_their_own(tmp_path: Path) -> None:
    """Dates as numbers: rounded to the same words, two groups would be taken for one."""
    month = [str(20150101 + day) for day in range(31)]
    quarters = group_by(table(tmp_path, Taken=month), "Taken")
    assert quarters.names == (
        "< 20150108",
        "20150108 to < 20150116",
        "20150116 to < 20150124",
        "≥ 20150124",
    )
    days = group_by(table(tmp_path, Taken=month[:5]), "Taken")
    assert days.names == tuple(month[:5])
    close = group_by(table(tmp_path, Dose=[f"{1 + i * 1e-9:.9f}" for i in range(40)]), "Dose")
    assert len(set(close.names)) == len(close.names) == 4


def test_a_number_without_end_is_a_word(tmp_path: Path) -> None:
    assert group_by(table(tmp_path, Dose=["1", "inf", "inf"]), "Dose").names == ("1.0", "inf")


def test_labels_are_a_column_as_well(tmp_path: Path) -> None:
    found = group_by(table(tmp_path, Edema=["1.0", "0.0", "-1.0", ""]), "Edema")
    assert groups_of(found) == ["1", "0", "-1", NOT_STATED]


def test_a_column_that_is_not_there_or_not_groups_is_an_error(tmp_path: Path) -> None:
    rows = table(tmp_path, Site=[f"site {i}" for i in range(MAX_GROUPS + 1)])
    with pytest.raises(DatasetError, match=r"no column “Ward”.*choose among Sex, Age.*Site"):
        group_by(rows, "Ward")
    with pytest.raises(DatasetError, match=r"“Site” has 13 distinct values.*Sex, Age"):
        group_by(rows, "Site")
    with pytest.raises(DatasetError, match="no column “patient”"):
        group_by(rows, "patient")


# ------------------------------------------------------------------------------------ scores per group


def test_values_are_those_of_scikit_learn_on_the_group_alone() -> None:
    targets, probs, patients = scores()
    column, _ = scored(halves())
    for name, inside in (("few", np.arange(FILMS) % 3 == 0), ("many", np.arange(FILMS) % 3 != 0)):
        for k in (0, 5, 9):
            known = np.isin(targets[:, k], (0, 1)) & inside
            y, p = targets[known, k], probs[known, k]
            score = of(column, name, k)
            assert (score.films, score.positives, score.negatives) == (len(y), y.sum(), (1 - y).sum())
            assert score.patients == len(set(patients[known]))
            expected = {
                "auroc": roc_auc_score(y, p),
                "average_precision": average_precision_score(y, p),
                "recall": recall_score(y, p >= CUTS[k]),
                "specificity": recall_score(1 - y, p < CUTS[k]),
                "brier": np.mean((p - y) ** 2),
            }
            found = {metric: estimate.value for metric, estimate in score.metrics.items()}
            assert found == pytest.approx({metric: expected[metric] for metric in OFFERED}, abs=1e-12)
            assert not score.reasons


def test_too_few_are_counted_and_say_so() -> None:
    column, _ = scored(halves())
    for k, why in (
        (UNTRAINED, "not trained in this model"),
        (ONE_CLASS, f"fewer than {MIN_CLASS} positives"),
        (FEW_POSITIVES, f"fewer than {MIN_CLASS} positives"),
    ):
        score = of(column, "few", k)
        assert set(score.reasons.values()) == {why}
        assert not score.metrics
        assert score.films > 0
    few = of(column, "many", FEW_NEGATIVES)
    assert few.negatives < MIN_CLASS <= few.positives
    # Every thirtieth film is in the other group: there is no negative, so that sensitivity is not computed.
    assert few.negatives == 0
    assert set(few.reasons) == set(OFFERED)
    some = of(column, "few", FEW_NEGATIVES)
    assert 0 < some.negatives < MIN_CLASS
    assert set(some.metrics) == {"recall"}
    assert set(some.reasons.values()) == {f"fewer than {MIN_CLASS} negatives"}


def test_exactly_ten_are_enough() -> None:
    targets, probs, patients = np.full((40, 14), np.nan), np.full((40, 14), 0.5), np.arange(40)
    targets[:20, 0] = np.arange(20) % 2
    targets[20:39, 0] = np.arange(19) % 2  # nine positives
    probs[:, 0] = np.linspace(0, 1, 40)
    grouping = Grouping("Half", "", ("a", "b"), np.repeat([0, 1], 20))
    found = score_groups(
        targets, probs, thresholds=0.5, patients=patients, groupings=[grouping], bootstrap=10
    ).columns[0]
    assert set(of(found, "a", 0).metrics) == set(OFFERED)
    assert of(found, "b", 0).positives == MIN_CLASS - 1
    assert not of(found, "b", 0).metrics
    assert not found.gaps


def test_a_group_without_a_single_label_is_no_failure() -> None:
    targets, probs, patients = scores()
    targets[np.arange(FILMS) % 3 == 0] = np.nan
    drawn = draw(
        np.full_like(targets, np.nan), probs, thresholds=CUTS, patients=patients, bootstrap=3, seed=0
    )
    assert np.isnan(drawn.metrics[0]["auroc"]).all()
    found = score_groups(
        targets, probs, thresholds=CUTS, patients=patients, groupings=[halves()], bootstrap=5
    ).columns[0]
    assert [of(found, "few", k).films for k in range(14)] == [0] * 14
    assert found.groups[0].films == FILMS / 3
    assert not found.gaps
    assert all(mean.left_out == ("few",) and mean.gap is None for mean in found.means)


def test_only_groups_with_a_film_are_there() -> None:
    grouping = Grouping("X", "", ("a", "b", "c"), np.repeat([0, 2], FILMS // 2))
    assert [group.name for group in scored(grouping)[0].groups] == ["a", "c"]


# ------------------------------------------------------------------------------------------------ gaps


def test_a_gap_is_paired_draw_by_draw() -> None:
    targets, probs, patients = scores()
    column, _ = scored(halves())
    gap = next(gap for gap in column.gaps if (gap.observation, gap.metric) == (OBSERVATIONS[0], "auroc"))
    inside = np.arange(FILMS) % 3 != 0
    few, many = (
        draw(
            np.where(mask[:, None], targets, np.nan),
            probs,
            thresholds=CUTS,
            patients=patients,
            bootstrap=60,
            seed=5,
        ).metrics[0]["auroc"]
        for mask in (~inside, inside)
    )
    highest, lowest = (few, many) if few[0] > many[0] else (many, few)
    assert gap.highest == ("few" if few[0] > many[0] else "many")
    assert gap.gap.value == highest[0] - lowest[0] >= 0
    assert (gap.gap.low, gap.gap.high) == tuple(np.percentile((highest - lowest)[1:], [2.5, 97.5]))


def test_groups_that_are_copies_have_a_gap_of_nothing() -> None:
    """The same films of the same patients twice: what one group gains in a resample, so does the other."""
    targets, probs, patients = (np.concatenate([part, part]) for part in scores())
    grouping = Grouping("Copy", "", ("first", "second"), np.repeat([0, 1], FILMS))
    found = score_groups(
        targets, probs, thresholds=CUTS, patients=patients, groupings=[grouping], bootstrap=40
    ).columns[0]
    assert found.gaps
    for gap in found.gaps:
        assert (gap.gap.value, gap.gap.low, gap.gap.high) == pytest.approx((0, 0, 0), abs=1e-12)
    own = of(found, "first", 0).metrics["auroc"]
    assert own.high - own.low > 0.05


def test_the_extreme_pair_of_three_groups_is_named() -> None:
    grouping = Grouping("Third", "", ("a", "b", "c"), np.arange(FILMS) % 3)
    column, _ = scored(grouping)
    for gap in column.gaps:
        k = OBSERVATIONS.index(gap.observation)
        values = {
            group.name: group.scores[k].metrics[gap.metric].value
            for group in column.groups
            if gap.metric in group.scores[k].metrics
        }
        assert gap.groups == len(values)
        assert values[gap.highest] == max(values.values())
        assert values[gap.lowest] == min(values.values())


def test_the_mean_goes_over_what_all_groups_score() -> None:
    column, _ = scored(halves())
    mean = next(mean for mean in column.means if mean.metric == "auroc")
    expected = [k for k in range(14) if k not in (UNTRAINED, ONE_CLASS, FEW_POSITIVES, FEW_NEGATIVES)]
    assert mean.observations == tuple(OBSERVATIONS[k] for k in expected)
    assert mean.over == len(expected)
    for name in ("few", "many"):
        values = [of(column, name, k).metrics["auroc"].value for k in expected]
        assert mean.groups[name].value == pytest.approx(np.mean(values), abs=1e-12)
    assert mean.gap is not None
    assert mean.gap.gap.value == pytest.approx(
        abs(mean.groups["few"].value - mean.groups["many"].value), abs=1e-12
    )


def test_equal_labels_count_once_in_the_mean() -> None:
    targets, probs, patients = scores()
    targets[:, 1], probs[:, 1] = targets[:, 0], probs[:, 0]
    found = score_groups(
        targets, probs, thresholds=CUTS, patients=patients, groupings=[halves()], bootstrap=5
    ).columns[0]
    mean = next(mean for mean in found.means if mean.metric == "auroc")
    assert mean.over == len(mean.observations) - 1


# ------------------------------------------------------------------------------------------ properties


@settings(max_examples=12, deadline=None)
@given(st.integers(0, 50), st.randoms(use_true_random=False))
def test_neither_the_order_of_the_films_nor_masked_entries_matter(seed: int, random: object) -> None:
    targets, probs, patients = scores(seed, 90)
    grouping = halves(90)
    order = np.arange(90)
    random.shuffle(order)  # type: ignore[attr-defined]
    spoilt = probs.copy()
    masked = ~np.isin(targets, (0, 1)) & ~np.isnan(probs)
    spoilt[masked] = 1 - spoilt[masked]
    first, second = (
        score_groups(t, p, thresholds=CUTS, patients=ids, groupings=[by], bootstrap=8, seed=1)
        for t, p, ids, by in (
            (targets, probs, patients, grouping),
            (targets[order], spoilt[order], patients[order], grouping.take(order)),
        )
    )
    pd.testing.assert_frame_equal(first.frame(), second.frame(), rtol=0, atol=1e-12)
    assert [gap.model_dump(exclude={"gap"}) for gap in first.columns[0].gaps] == [
        gap.model_dump(exclude={"gap"}) for gap in second.columns[0].gaps
    ]


def test_json_round_trip_and_frame() -> None:
    _, found = scored(halves())
    assert Subgroups.model_validate_json(found.model_dump_json()) == found
    assert "NaN" not in found.model_dump_json()
    frame = found.frame()
    assert len(frame) == 2 * 14
    assert {"column", "group", "observation", "positives", "auroc", "auroc_low", "not scored"} <= set(frame)


# ---------------------------------------------------------------------------------- tables and charts


def test_tables_say_what_the_scores_say() -> None:
    column, _ = scored(halves())
    assert sizes_table(column, "auroc")["films"].tolist() == [80, 160]
    table = gaps_table(column, "auroc")
    assert table.index[0] == "mean of 10"
    gap = next(gap for gap in column.gaps if (gap.observation, gap.metric) == (OBSERVATIONS[0], "auroc"))
    assert table.loc[OBSERVATIONS[0], "gap (95 %)"].startswith(f"+{gap.gap.value:.3f} (")
    assert table.loc[OBSERVATIONS[0], "gap (95 %)"].endswith("*") == (gap.gap.low > 0)
    assert table.loc[OBSERVATIONS[0], "highest"].startswith(f"{gap.highest}: ")
    assert "which makes 10" in mean_sentence(column, "auroc")
    why = unscored(column, "auroc")["few"]
    assert f"not trained in this model: {OBSERVATIONS[UNTRAINED]}" in why
    assert f"{OBSERVATIONS[FEW_POSITIVES]} {of(column, 'few', FEW_POSITIVES).positives}" in why


def test_no_skill_is_what_an_answer_without_a_film_gets() -> None:
    score = GroupScore(
        observation="Edema", films=40, patients=40, positives=10, negatives=30, metrics={}, reasons={}
    )
    y = np.repeat([1, 0], [10, 30])
    assert no_skill("auroc", score) == roc_auc_score(y, np.ones(40)) == 0.5
    assert no_skill("average_precision", score) == average_precision_score(y, np.ones(40))
    assert no_skill("brier", score) == pytest.approx(np.mean((0.25 - y) ** 2))
    assert np.isnan(no_skill("recall", score))
    assert np.isnan(no_skill("brier", score.model_copy(update={"positives": 0, "negatives": 0})))


@pytest.mark.parametrize("metric", OFFERED)
def test_the_chart_has_a_row_for_every_group(metric: str) -> None:
    column, _ = scored(halves())
    drawn = json.loads(forest(column, metric, [OBSERVATIONS[0], OBSERVATIONS[ONE_CLASS]]).to_json())
    labels = drawn["layout"]["yaxis"]["ticktext"]
    assert len(labels) == 2 * 3
    score = of(column, "few", 0)
    assert labels[1] == f"few  {score.positives}+ {score.negatives}−"
    marks = {trace["name"]: trace for trace in drawn["data"]}
    assert marks["few"]["y"] == [1]
    assert marks["few"]["x"] == pytest.approx([score.metrics[metric].value])
    assert ("no skill" in marks) == (metric not in ("recall", "specificity"))
