"""Part of the page Evaluation: does the model read all groups of patients alike."""

import re
from typing import Final

import streamlit as st

from chexmodel.bundle import Bundle
from chexmodel.labels import OBSERVATIONS
from chexmodel.subgroup_charts import forest
from chexmodel.subgroup_scores import Column, Subgroups
from chexmodel.subgroup_tables import BY_PREVALENCE, STARS, gaps_table, mean_sentence, sizes_table, unscored
from chexmodel.subgroups import METRICS, MIN_CLASS
from chexmodel.ui.components import chart, table

COLUMN_KEY: Final = "subgroups-column"
METRIC_KEY: Final = "subgroups-metric"
OBSERVATIONS_KEY: Final = "subgroups-observations"

_PLAIN: Final = re.compile(r"[\\`*_$\[\]:~]")  # words of a table are no markup
_FIRST_SHOWN: Final = 4  # blocks of the chart before someone asks for more


def section(bundle: Bundle, split: str) -> None:
    """Show the groups of one split.

    Args:
        bundle: with or without `subgroups.json`.
        split: which of its splits.

    Raises:
        BundleError: the file is damaged.
    """
    st.subheader("Groups of patients")
    found = bundle.subgroups().get(split)
    if found is None or not found.columns:
        st.info(
            f"Groups were not scored on the {split} split of this model. "
            f"`python -m train evaluate {bundle.path} --data DIR` does it, by sex, age and view or by what "
            "`--by COLUMN …` names."
        )
        return
    _explore(found, f"{bundle.manifest.name}-{split}")


@st.fragment
def _explore(found: Subgroups, name: str) -> None:
    """Only this part runs again when a choice changes."""
    left, right = st.columns(2)
    columns = {column.name: column for column in found.columns}
    column = columns[left.selectbox("Groups by", list(columns), key=COLUMN_KEY)]
    scored = _metrics(column)
    if not scored:
        _sizes(column, next(iter(METRICS)), name)
        st.info(f"No group has {MIN_CLASS} positives of any observation: nothing is scored.")
        return
    metric = right.selectbox("Metric", scored, key=METRIC_KEY, format_func=METRICS.__getitem__)
    some = [
        finding
        for k, finding in enumerate(OBSERVATIONS)
        if any(metric in group.scores[k].metrics for group in column.groups)
    ]
    compared = [gap.observation for gap in column.gaps if gap.metric == metric]
    chosen = st.multiselect(
        "Observations of the chart",
        some,
        default=(compared or some)[:_FIRST_SHOWN],
        key=f"{OBSERVATIONS_KEY} {name} {column.name} {metric}",
    )
    if chosen:
        chart(forest(column, metric, chosen), f"{name}-groups-chart")
    st.caption(
        f"{column.name}: {column.cut}. Behind a group its positives (+) and negatives (−). 95 % intervals, "
        f"bootstrap over patients, {found.bootstrap:,} resamples, the same for all groups, seed {found.seed}."
        " With few films it understates how little is known: one without width (all of a dozen right) is no "
        "certainty." + _baseline(metric)
    )
    _gaps(column, metric, name)
    st.markdown("**Films of each group**, and what is counted but not scored")
    _sizes(column, metric, name)
    st.download_button(
        "All scores of all groups (CSV)",
        found.frame().to_csv(index=False).encode(),
        file_name=f"{name}-groups.csv",
        mime="text/csv",
        icon=":material/download:",
    )


def _gaps(column: Column, metric: str, name: str) -> None:
    gaps = gaps_table(column, metric)
    if gaps.empty:
        st.info("No observation is scored in two groups: there is no gap to show.")
        return
    st.markdown(f"**Gaps in {METRICS[metric]}**: the highest group minus the lowest")
    table(gaps, f"{name}-gaps", columns={"observation": st.column_config.Column(pinned=True)})
    caution = (
        f" The {METRICS[metric]} follows the share of positives: a gap can be one between the groups' "
        "patients, not of the model."
        if metric in BY_PREVALENCE
        else ""
    )
    best = " Of the Brier score the lowest is the best." if metric == "brier" else ""
    st.caption(f"{STARS} {mean_sentence(column, metric)}{caution}{best}")


def _sizes(column: Column, metric: str, name: str) -> None:
    table(
        sizes_table(column, metric),
        f"{name}-group-sizes",
        columns={"group": st.column_config.Column(width="medium", pinned=True)},
    )
    for group, why in unscored(column, metric).items():
        plain = _PLAIN.sub(r"\\\g<0>", group)
        st.caption(f"Not scored in “{plain}”: {why}.")


def _metrics(column: Column) -> list[str]:
    """Metrics that a group of the column scores."""
    return [
        metric
        for metric in METRICS
        if any(metric in score.metrics for group in column.groups for score in group.scores)
    ]


def _baseline(metric: str) -> str:
    what = {
        "auroc": "0.50, chance",
        "average_precision": "the group's share of positives",
        "brier": "that of always answering the group's share of positives",
    }.get(metric)
    return f" The grey line is what no skill gets: {what}." if what else ""
