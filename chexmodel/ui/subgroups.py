"""Part of the page Evaluation: does the model read all groups of patients alike."""

import re
from typing import Final

import streamlit as st

from chexmodel.bundle import Bundle
from chexmodel.labels import OBSERVATIONS
from chexmodel.language import mark, tr, using
from chexmodel.subgroup_charts import forest
from chexmodel.subgroup_scores import Column, Subgroups
from chexmodel.subgroup_tables import BY_PREVALENCE, STARS, gaps_table, mean_sentence, sizes_table, unscored
from chexmodel.subgroups import METRICS, MIN_CLASS
from chexmodel.ui.components import chart, guard, table

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
    st.subheader(tr("Groups of patients"))
    found = bundle.subgroups().get(split)
    if found is None or not found.columns:
        st.info(
            tr(
                "Groups were not scored on the {split} split of this model. "
                "`python -m train evaluate {path} --data DIR` does it, by sex, age and view or by what "
                "`--by COLUMN …` names.",
                split=tr(split),
                path=bundle.path,
            )
        )
        return
    _explore(found, f"{bundle.manifest.name}-{split}")


@st.fragment
@guard()
def _explore(found: Subgroups, name: str) -> None:
    """Only this part runs again when a choice changes."""
    left, right = st.columns(2)
    columns = {column.name: column for column in found.columns}
    column = columns[left.selectbox(tr("Groups by"), list(columns), key=COLUMN_KEY, format_func=tr)]
    scored = _metrics(column)
    if not scored:
        _sizes(column, next(iter(METRICS)), name)
        st.info(tr("No group has {least} positives of any observation: nothing is scored.", least=MIN_CLASS))
        return
    metric = right.selectbox(tr("Metric"), scored, key=METRIC_KEY, format_func=lambda name: tr(METRICS[name]))
    some = [
        finding
        for k, finding in enumerate(OBSERVATIONS)
        if any(metric in group.scores[k].metrics for group in column.groups)
    ]
    compared = [gap.observation for gap in column.gaps if gap.metric == metric]
    chosen = st.multiselect(
        tr("Observations of the chart"),
        some,
        format_func=tr,
        placeholder=tr("Choose options"),
        default=(compared or some)[:_FIRST_SHOWN],
        key=f"{OBSERVATIONS_KEY} {name} {column.name} {metric}",
    )
    if chosen:
        chart(forest(column, metric, chosen), f"{name}-groups-chart")
    said = tr(
        "{column}: {cut}. Behind a group its positives (+) and negatives (−). 95 % intervals, bootstrap over "
        "patients, {bootstrap:,} resamples, the same for all groups, seed {seed}. With few films it "
        "understates how little is known: one without width (all of a dozen right) is no certainty.",
        column=tr(column.name),
        cut=tr(column.cut),
        bootstrap=found.bootstrap,
        seed=found.seed,
    )
    st.caption(f"{said} {_baseline(metric)}".rstrip())
    _gaps(column, metric, name)
    st.markdown(tr("**Films of each group**, and what is counted but not scored"))
    _sizes(column, metric, name)
    st.download_button(
        tr("All scores of all groups (CSV)"),
        found.frame().to_csv(index=False).encode(),
        file_name=f"{name}-groups.csv",
        mime="text/csv",
        icon=":material/download:",
    )


def _gaps(column: Column, metric: str, name: str) -> None:
    gaps = gaps_table(column, metric)
    if gaps.empty:
        st.info(tr("No observation is scored in two groups: there is no gap to show."))
        return
    words = tr(METRICS[metric])
    st.markdown(tr("**Gaps in {metric}**: the highest group minus the lowest", metric=words))
    with using("en"):  # a file is the same for every reader
        saved = gaps_table(column, metric).reset_index()
    table(saved, f"{name}-gaps", shown=gaps, columns={"observation": st.column_config.Column(pinned=True)})
    said = [tr(STARS), mean_sentence(column, metric)]
    if metric in BY_PREVALENCE:
        said.append(
            tr(
                "The {metric} follows the share of positives: a gap can be one between the groups' patients, "
                "not of the model.",
                metric=words,
            )
        )
    if metric == "brier":
        said.append(tr("Of the Brier score the lowest is the best."))
    st.caption(" ".join(said))


def _sizes(column: Column, metric: str, name: str) -> None:
    with using("en"):
        saved = sizes_table(column, metric).reset_index()
    table(
        saved,
        f"{name}-group-sizes",
        shown=sizes_table(column, metric),
        columns={"group": st.column_config.Column(width="medium", pinned=True)},
    )
    for group, why in unscored(column, metric).items():
        plain = _PLAIN.sub(r"\\\g<0>", group)
        st.caption(tr("Not scored in “{group}”: {why}.", group=plain, why=why))


def _metrics(column: Column) -> list[str]:
    """Metrics that a group of the column scores."""
    return [
        metric
        for metric in METRICS
        if any(metric in score.metrics for group in column.groups for score in group.scores)
    ]


def _baseline(metric: str) -> str:
    what = {
        "auroc": mark("0.50, chance"),
        "average_precision": mark("the group's share of positives"),
        "brier": mark("that of always answering the group's share of positives"),
    }.get(metric)
    return tr("The grey line is what no skill gets: {what}.", what=tr(what)) if what else ""
