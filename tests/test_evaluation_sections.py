"""Sections of the page Evaluation: groups of films, and the reference project's way to score."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from apps import ran
from evaluation_app import opened, text
from streamlit.testing.v1 import AppTest
from tiny_bundle import UNTRAINED

from chexmodel import bundle
from chexmodel.grouping import NOT_STATED, Grouping
from chexmodel.runs import judge
from chexmodel.subgroup_scores import Subgroups
from chexmodel.subgroups import score_groups


def grouped(path: Path) -> dict[str, Subgroups]:
    """Write scores of the groups of a tiny bundle's films, of three made-up columns."""
    loaded = bundle.load(path)
    found = {}
    for split in ("validation", "test"):
        judged = judge(loaded, loaded.predictions(), split, name="tiny")
        films = np.arange(len(judged.ids))
        groupings = [
            Grouping("Sex", "as written in the table", ("Female", "Male", NOT_STATED), (films % 40 > 19) + 0),
            Grouping("Age", "bands of years", ("< 40 years", "40–59 years", "≥ 80 years"), films // 2 % 3),
            Grouping("Each", "as written in the table", tuple(f"*{i}*" for i in range(12)), films % 12),
        ]
        found[split] = score_groups(
            judged.targets,
            judged.probs,
            thresholds=judged.thresholds,
            patients=judged.patients,
            groupings=groupings,
            bootstrap=40,
        )
    bundle.save(path, {"subgroups.json": bundle.to_json(found, dict[str, Subgroups])})
    return found


def shown(at: AppTest, index: str) -> pd.DataFrame:
    return next(table.value for table in at.dataframe if table.value.index.name == index)


def test_groups_are_those_of_the_file(tiny: Path) -> None:
    column = grouped(tiny)["test"].columns[0]
    at = opened(tiny, "Subgroups")
    assert at.selectbox(key="subgroups-column").options == ["Sex", "Age", "Each"]
    gaps = shown(at, "observation")
    for gap in column.gaps:
        if gap.metric == "auroc":
            assert gaps.loc[gap.observation, "gap (95 %)"].startswith(f"+{gap.gap.value:.3f}")
            assert gaps.loc[gap.observation, "highest"].startswith(f"{gap.highest}: ")
    assert shown(at, "group")["films"].tolist() == [group.films for group in column.groups] == [40, 40]
    assert f"not trained in this model: {UNTRAINED}" in text(at)
    assert "about one in twenty" in text(at)
    at.selectbox(key="subgroups-column").set_value("Age")
    at.selectbox(key="subgroups-metric").set_value("average_precision")
    ran(at)
    assert "follows the share of positives" in text(at)
    assert not at.error
    at.radio(key="evaluation-split").set_value("validation")
    assert shown(ran(at), "group")["films"].sum() == 120


def test_groups_of_a_few_films_are_counted_alone(tiny: Path) -> None:
    grouped(tiny)
    at = opened(tiny, "Subgroups")
    before = len(at.get("plotly_chart"))
    at.selectbox(key="subgroups-column").set_value("Each")
    ran(at)
    assert len(at.get("plotly_chart")) == before - 1
    assert any("nothing is scored" in line.value for line in at.info)
    assert "Not scored in “\\*0\\*”: fewer than 10 positives" in text(at)


def test_without_groups_the_page_names_the_command(tiny: Path) -> None:
    said = opened(tiny, "Subgroups").info[0].value
    assert f"`python -m train evaluate {tiny} --data DIR`" in said


def test_without_the_reference_protocol_the_page_names_the_command(tiny: Path) -> None:
    at = opened(tiny, "Reference protocol")
    assert any("--protocol reference" in line.value for line in at.info)
    assert "18,552 of the 22,380 scored patients (83 %)" in text(at)
    ways = shown(at, "answer")
    assert ways.loc["constant yes", "macro F1, reference's way"].startswith("0.817 (0.814–0.821) over 14")


@pytest.mark.parametrize(
    ("section", "name"),
    [("Subgroups", "subgroups.json"), ("Reference protocol", "reference_protocol.json")],
)
def test_a_damaged_file_is_a_sentence(tiny: Path, section: str, name: str) -> None:
    (tiny / name).write_bytes(b"{")
    at = opened(tiny, section)
    assert len(at.error) == 1
    assert name in at.error[0].value
