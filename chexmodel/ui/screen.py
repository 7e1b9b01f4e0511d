"""The screen of one film: the film first, the model's reading on request, and what goes with it."""

from collections.abc import Sequence
from typing import Final

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from chexmodel.change import CAVEAT, changes
from chexmodel.change import shown as shown_changes
from chexmodel.containers import Entry
from chexmodel.errors import ChexError
from chexmodel.explain import EXACT, METHODS, Method, strength
from chexmodel.gate import GateResult
from chexmodel.language import mark, tr
from chexmodel.position import SIDE_CAVEAT, position
from chexmodel.predictor import Prediction, Predictor
from chexmodel.quality import view_hint
from chexmodel.ui.cases import Case, Chosen, case_of, maps, read
from chexmodel.ui.components import guard, table
from chexmodel.ui.exports import exports
from chexmodel.ui.findings import Finding, findings
from chexmodel.ui.opening import choose_prior, prior, refused_prior
from chexmodel.ui.seen import seen
from chexmodel.ui.verdict import verdicts
from chexmodel.ui.viewer import Pane, viewer

METHOD_KEY: Final = "method"
METHOD_HELP: Final = mark(
    "Grad-CAM is exact for this network and has a unit: the map's mean plus a constant is the raw score. "
    "The other methods are relative: each map is stretched to its own maximum, so that a weak one looks as "
    "strong as a strong one. EigenCAM is the same for every finding."
)
_ONE_SCALE: Final = mark(
    "All findings of a film share one scale, in raw log-odds of the network: its loss weighs positives and "
    "its scores are calibrated afterwards, so a map does not add up to the score shown."
)
_RELATIVE: Final = mark(
    "{method} is relative: its brightest spot is always full heat, however weak the evidence."
)


def screen(predictor: Predictor, chosen: Chosen, others: Sequence[Entry], row: DeltaGenerator) -> None:
    """Draw the screen of a film.

    Args:
        predictor: the model in use.
        chosen: the film.
        others: the other open films, for a prior one.
        row: where the buttons go, above the film.

    Raises:
        ChexError: the film can't be read, or the model was trained on nothing.
    """
    case = case_of(chosen, predictor)
    prediction = read(predictor, chosen, case.correction)
    if len(prediction.not_trained) == len(prediction.observations):
        raise ChexError(tr("No observation was trained in this model: choose another model."))
    _warn(predictor, prediction, chosen, case)
    allowed = case.insisted or not prediction.withheld
    _buttons(row, case, others, allowed=allowed)
    shown = case.revealed and allowed
    method: Method = st.session_state.get(METHOD_KEY, EXACT)
    former = None if (entry := prior()) is None else Chosen(entry)
    earlier = None if former is None else _prior_reading(predictor, former)
    compared = shown and earlier is not None and not earlier.withheld
    title = tr("Film") if earlier is None else tr("Current film")
    panes = [_pane(predictor, prediction, chosen, title, method, shown=shown)]
    if earlier is not None and former is not None:
        panes.append(_pane(predictor, earlier, former, tr("Prior film"), method, shown=compared))
    viewer(panes, key=f"viewer-{chosen.key}", unit=_unit(method))
    if shown:
        _explain(method)
        if compared and earlier is not None:
            _compare(predictor, earlier, prediction)
        source = chosen.entry.data if prediction.audit.format == "DICOM" else None
        _word_and_exports(predictor, prediction, panes[0].findings, case, chosen, source)
    seen(predictor, prediction, chosen.entry.name)


def _warn(predictor: Predictor, prediction: Prediction, chosen: Chosen, case: Case) -> None:
    """Say what is to be known before reading: the check of the input, its correction, hints of quality."""
    gate = prediction.gate
    if gate is not None and not gate.accepted:
        _rejected(gate, case)
    if case.correction is not None:
        said, undo = st.columns([4, 1], vertical_alignment="center")
        said.info(
            tr("Corrected on your request: {what}", what=case.correction.words()), icon=":material/undo:"
        )
        if undo.button(tr("Undo the correction"), width="stretch"):
            case.correct(None)
            st.rerun()
    remarks = list(prediction.audit.warnings)
    lateral = view_hint(chosen.entry.view)  # known from a table or a name, where no header says it
    if lateral is not None and lateral not in remarks:
        remarks.append(lateral)
    remarks += predictor.remarks()
    if remarks:
        st.warning("\n".join(f"- {remark}" for remark in remarks), icon=":material/warning:")


def _rejected(gate: GateResult, case: Case) -> None:
    """Say why the film was rejected; offer to correct it, or to read it all the same."""
    if case.insisted:
        said = tr("Read on your request although the check of the input says: {reason}", reason=gate.reason)
        st.error(said, icon=":material/gpp_maybe:")
        return
    st.error(gate.reason, icon=":material/gpp_maybe:")
    correct, insist, _ = st.columns([2, 2, 2])
    if gate.correction is not None and correct.button(
        gate.correction.words(),
        type="primary",
        icon=":material/auto_fix_high:",
        width="stretch",
    ):
        case.correct(gate.correction)
        st.rerun()
    if insist.button(
        tr("Read it all the same"), width="stretch", help=tr("The reading is then marked, in exports too.")
    ):
        case.insisted = case.revealed = True
        st.rerun()


def _buttons(row: DeltaGenerator, case: Case, others: Sequence[Entry], *, allowed: bool) -> None:
    """Draw the buttons: a prior film is put beside, the model's reading comes and goes on request."""
    with row.popover(tr("Prior film"), icon=":material/history:"):
        choose_prior(others)
        for refusal in refused_prior():
            said = tr("{name}: {reason}", name=refusal.name, reason=refusal.reason)
            st.error(said, icon=":material/error:")
    words = tr("Hide the model's reading") if case.revealed else tr("Show the model's reading")
    if row.button(
        words,
        type="secondary" if case.revealed else "primary",
        icon=":material/visibility_off:" if case.revealed else ":material/visibility:",
        disabled=not allowed,
        shortcut="alt+m",
    ):
        case.revealed = not case.revealed
        st.rerun()


def _prior_reading(predictor: Predictor, chosen: Chosen) -> Prediction | None:
    """Read the prior film; where it can't be read, the current film stays."""
    with guard():
        prediction = read(predictor, chosen, None)
        if prediction.gate is not None and not prediction.gate.accepted:
            reason = prediction.gate.reason
            st.warning(tr("The prior film is shown without a reading: {reason}", reason=reason))
        return prediction
    return None


def _pane(
    predictor: Predictor, prediction: Prediction, chosen: Chosen, title: str, method: Method, *, shown: bool
) -> Pane:
    """The film alone, or with the findings and their maps; alone too where a file of the model is damaged."""
    if not shown:
        return Pane(title, prediction.film)
    drawn = maps(predictor, prediction, chosen, method)
    where = {name: position(grid, prediction.shape) for name, grid in drawn.items()}
    with guard():
        rows = findings(prediction, predictor.bundle, method=method, where=where)
        scale = strength(prediction.heatmaps) if method == EXACT else 1.0
        return Pane(title, prediction.film, drawn, scale, rows, insisted=prediction.withheld)
    return Pane(title, prediction.film)


def _unit(method: Method) -> str:
    return tr("raw log-odds") if method == EXACT else tr("relative, 0 to 1")


def _explain(method: Method) -> None:
    """Say what the maps are, and offer the other methods."""
    said, choice = st.columns([3, 1], vertical_alignment="center")
    choice.selectbox(tr("Method of the map"), METHODS, help=tr(METHOD_HELP), key=METHOD_KEY)
    unit = tr(_ONE_SCALE) if method == EXACT else tr(_RELATIVE, method=method)
    said.caption(f"{unit} {tr(SIDE_CAVEAT)}")


def _compare(predictor: Predictor, earlier: Prediction, current: Prediction) -> None:
    """Draw the scores of both films and their difference."""
    with st.expander(tr("Scores of both films"), expanded=True, icon=":material/compare_arrows:"):
        st.caption(f":material/warning: {tr(CAVEAT)}")
        both = changes(earlier, current)
        name = f"{predictor.bundle.manifest.name}-two-films"
        table(both, name, shown=shown_changes(both), hide_index=True)


@st.fragment
@guard()
def _word_and_exports(
    predictor: Predictor,
    prediction: Prediction,
    rows: Sequence[Finding],
    case: Case,
    chosen: Chosen,
    source: bytes | None,
) -> None:
    """Draw the reader's word and, of the same run so that they know it, the exports."""
    with st.expander(tr("Your word on the findings"), icon=":material/rate_review:"):
        word = verdicts(rows, case, key=f"{chosen.key}-{case.correction}")
    with st.expander(tr("Exports"), expanded=True, icon=":material/ios_share:"):
        exports(
            prediction,
            predictor.bundle,
            word,
            insisted=prediction.withheld,
            name=chosen.entry.name,
            source=source,
        )
