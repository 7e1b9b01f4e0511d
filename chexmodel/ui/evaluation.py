"""Evaluation: how well the chosen model reads films that it was not trained on."""

from collections.abc import Callable
from typing import Final

import streamlit as st

from chexmodel import evaluation_charts, records
from chexmodel.bundle import Bundle, Metrics
from chexmodel.comparison_tables import FLATTERED
from chexmodel.errors import BundleError
from chexmodel.evaluation_tables import READING, SCARCE, WORDS, averages_table, scores_table, why
from chexmodel.language import mark, number, tr
from chexmodel.metrics import Evaluation
from chexmodel.ui import explorer, localisation, paired, protocol, reliability, subgroups
from chexmodel.ui.bundles import active_bundle
from chexmodel.ui.components import chart, guard, image_format, table

SPLIT_KEY: Final = "evaluation-split"
METRIC_KEY: Final = "evaluation-metric"
SECTION_KEY: Final = "evaluation-section"
SPLITS: Final = (mark("test"), mark("validation"))


def page() -> None:
    """Draw the page."""
    st.title(tr("Evaluation"))
    with guard():
        bundle = active_bundle()
        metrics = None
        with guard():
            metrics = _metrics(bundle)
        # Without metrics.json the sections that have files of their own still stand.
        splits = sorted(metrics.splits if metrics else SPLITS, key=lambda split: split != "test")
        left, right = st.columns([3, 1], vertical_alignment="bottom")
        split = left.radio(tr("Films"), splits, key=SPLIT_KEY, horizontal=True, format_func=tr)
        with right:
            image_format()
        if split == "validation":
            st.warning(tr(FLATTERED))
        if bundle.manifest.origin:
            st.warning(bundle.manifest.origin.caution)
        if metrics is not None:
            _conditions(bundle, metrics, split)
        _section(bundle, None if metrics is None else metrics.splits[split], split)


def _metrics(bundle: Bundle) -> Metrics:
    metrics = bundle.metrics()
    if not metrics.splits:
        raise BundleError(
            tr("metrics.json of bundle {path} has no split: evaluate it anew", path=bundle.path)
        )
    return metrics


def _section(bundle: Bundle, evaluation: Evaluation | None, split: str) -> None:
    """Draw one section at a time: each is quick to draw, and a part that fails leaves the others."""
    names = SECTIONS if evaluation is not None else tuple(OWN_FILES)
    name = (
        st.segmented_control(
            tr("Section"),
            names,
            default=names[0],
            format_func=tr,
            key=SECTION_KEY if evaluation is not None else f"{SECTION_KEY}-own-files",
            label_visibility="collapsed",
        )
        or names[0]
    )
    with guard():
        if name in OWN_FILES:
            OWN_FILES[name](bundle, split)
        elif evaluation is not None:
            SCORED[name](bundle, evaluation, split)


def _conditions(bundle: Bundle, metrics: Metrics, split: str) -> None:
    evaluation = metrics.splits[split]
    with st.container(horizontal=True, gap="medium"):
        st.metric(tr("Films"), number(evaluation.films, ","), width="content")
        st.metric(tr("Patients"), number(evaluation.patients, ","), width="content")
        st.metric(tr("Bootstrap resamples"), number(evaluation.bootstrap, ","), width="content")
    st.caption(
        tr(
            "Model {name}, {split} split. Intervals: 95 %, percentile bootstrap over patients, seed {seed}. "
            "Weights SHA-256 `{sha256}`. Command: `{command}`",
            name=bundle.manifest.name,
            split=tr(split),
            seed=evaluation.seed,
            sha256=metrics.weights_sha256,
            command=metrics.command,
        )
    )
    if metrics.weights_sha256 != bundle.manifest.weights_sha256:
        st.error(
            tr(
                "These figures are of other weights than the bundle's: the model was trained again since. "
                "Run `python -m train evaluate {path} --data DIR`.",
                path=bundle.path,
            )
        )


def _overview(bundle: Bundle, evaluation: Evaluation, split: str) -> None:
    known = [m for m in WORDS if m in evaluation.macro and hasattr(evaluation.scores[0], m)]
    if not evaluation.micro:
        st.info(
            tr(
                "A former version of the program evaluated bundle {name}: some figures are not there. Run "
                "`python -m train evaluate {path} --data DIR`.",
                name=bundle.manifest.name,
                path=bundle.path,
            )
        )
    metric = st.selectbox(
        tr("Metric of the chart"), known, key=METRIC_KEY, format_func=lambda name: tr(WORDS[name])
    )
    name = f"{bundle.manifest.name}-{split}"
    chart(evaluation_charts.forest(evaluation, metric), f"{name}-{metric}")
    st.caption(
        tr(
            "Whiskers: 95 % intervals. Diamond: the best answer that looks at no film (always yes, always "
            "no, or the prevalence). †: fewer than {scarce} positives or negatives.",
            scarce=SCARCE,
        )
    )
    undefined = [f"{tr(score.observation)} ({why(score)})" for score in evaluation.scores if why(score)]
    if undefined:
        st.markdown(tr("Undefined (“—”): {those}.", those="; ".join(undefined)))
    st.subheader(tr("Per observation"))
    table(
        evaluation.frame(),
        f"{name}-scores",
        shown=scores_table(evaluation),
        hide_index=True,
        columns={
            "observation": st.column_config.Column(pinned=True),
            "why undefined": st.column_config.Column(width="large"),
        },
    )
    st.caption(tr(READING))
    st.subheader(tr("Averages"))
    table(
        records.averages(evaluation),
        f"{name}-averages",
        shown=averages_table(evaluation),
        columns={"metric": st.column_config.Column(pinned=True)},
        hide_index=True,
    )
    groups = "; ".join(", ".join(map(tr, group)) for group in evaluation.equivalent)
    said = tr(
        "“Over” is the number of observations in the average: the defined ones alone. Micro: the decisions "
        "on all of them together; rankings and probabilities of two observations do not compare: none."
    )
    equal = (
        tr(
            "Equal or complementary labels on these films, counted once in “equivalent as one”: {groups}.",
            groups=groups,
        )
        if groups
        else tr("No two observations have equal or complementary labels on these films.")
    )
    st.caption(f"{said} {equal}")


# Sections that need the scores of metrics.json.
SCORED: Final[dict[str, Callable[[Bundle, Evaluation, str], None]]] = {
    "Overview": _overview,
    "Curves and threshold": explorer.section,
    "Calibration": reliability.section,
    "Two models": paired.section,
}

# Sections that have files of their own.
OWN_FILES: Final[dict[str, Callable[[Bundle, str], None]]] = {
    "Subgroups": subgroups.section,
    "Localisation": lambda bundle, _: localisation.section(bundle, localisation.data_directory()),
    "Reference protocol": lambda bundle, _: protocol.section(bundle),
}

# All sections, in their order on the page.
SECTIONS: Final = (
    mark("Overview"),
    mark("Curves and threshold"),
    mark("Calibration"),
    mark("Subgroups"),
    mark("Localisation"),
    mark("Two models"),
    mark("Reference protocol"),
)

page()
