"""What the model saw: its exact input, what was done to the file, and where the thresholds come from."""

import streamlit as st

from chexmodel.evaluation_tables import thresholds_table
from chexmodel.film import VIEWS
from chexmodel.language import tr, trn
from chexmodel.predictor import Prediction, Predictor
from chexmodel.records import records
from chexmodel.ui.components import table


def seen(predictor: Predictor, prediction: Prediction, name: str) -> None:
    """Draw the input and the audit, and the table of thresholds, one click away each.

    Args:
        predictor: the model in use.
        prediction: of the film.
        name: what the film is called on the screen.
    """
    with st.expander(tr("What the model saw"), icon=":material/fact_check:"):
        _input_and_audit(predictor, prediction, name)
    with st.expander(tr("Thresholds and where they come from"), icon=":material/tune:"):
        both = zip(predictor.bundle.thresholds, predictor.bundle.trained, strict=True)
        points = [point for point, trained in both if trained]
        table(
            records(points),
            f"{predictor.bundle.manifest.name}-thresholds",
            shown=thresholds_table(points),
            columns={"observation": st.column_config.Column(pinned=True)},
            hide_index=True,
        )


def _input_and_audit(predictor: Predictor, prediction: Prediction, name: str) -> None:
    audit, side = prediction.audit, predictor.bundle.manifest.preprocessing.size
    picture, facts, steps = st.columns([1, 1.3, 1.3], gap="medium")
    picture.image(
        prediction.network_input(),
        caption=tr("The network's exact input: {side}×{side} px, 8 bits, nothing else.", side=side),
        output_format="PNG",
        alt=tr("The film as the network was given it."),
        width=side,
    )
    age = audit.age_years
    rows = {
        tr("File"): name,
        tr("Format"): audit.format,
        tr("Size"): tr(
            "{width} × {height} px, {bits} bits", width=audit.width, height=audit.height, bits=audit.bits
        ),
        tr("Photometric interpretation"): audit.photometric,
        tr("Transfer syntax"): audit.transfer_syntax,
        tr("Window"): audit.window,
        tr("View"): tr(VIEWS[audit.view]) if audit.view else None,
        tr("Patient's age"): None if age is None else trn("{n} year", "{n} years", age),
        tr("Computed by"): prediction.engine,
    }
    facts.table({key: value if value is not None else "—" for key, value in rows.items()})
    last = tr("padded to a square with black, nothing cropped, and resized to {side}×{side} px", side=side)
    steps.markdown(tr("**What was done, in this order**"))
    steps.markdown("\n".join(f"{i}. {action}" for i, action in enumerate((*audit.actions, last), 1)))
