"""Analyse: one film, its findings, and where each score comes from."""

import hashlib
import io
from dataclasses import dataclass
from typing import Final

import streamlit as st

from chexmodel import phantom
from chexmodel.bundle import Bundle
from chexmodel.errors import ChexError
from chexmodel.evaluation_tables import thresholds_table
from chexmodel.examples import EXAMPLES, fetch
from chexmodel.explain import EXACT, METHODS, Method, strength
from chexmodel.localisation_words import UNSEEN, trust
from chexmodel.predictor import NO_GATE, Prediction, Predictor
from chexmodel.records import records
from chexmodel.ui.components import NOTICE, active_predictor, guard, table
from chexmodel.ui.film import CONFIG, film_figure, grey_image
from chexmodel.ui.findings import decision_words, findings_html, ranked

UPLOAD_KEY: Final = "upload"
_FILM_KEY: Final = "film"
_READING_KEY: Final = "reading"
_HEIGHT: Final = 350  # px: film, overlay and findings fit one screen of 1440×900

METHOD_HELP: Final = (
    "Grad-CAM is exact for this network and has a unit: the map's mean plus a constant is the raw score. "
    "The other methods are relative: each map is stretched to its own maximum, so that a weak one looks as "
    "strong as a strong one. EigenCAM is the same for every finding."
)

_UNCALIBRATED: Final = (
    "“Uncalibrated” scores had too few films, or too little skill, to be calibrated on: they compare with no "
    "other finding's score, and their threshold is as a rule a default."
)


@dataclass(frozen=True)
class Chosen:
    """The film on the screen: its bytes, what to call it, and a remark on what it is."""

    data: bytes
    name: str
    remark: str | None = None

    @property
    def sha256(self) -> str:
        """Checksum by which readings are told apart."""
        return hashlib.sha256(self.data).hexdigest()


def page() -> None:
    """Draw the page."""
    st.title("Analyse")
    st.caption(f"Upload a chest X-ray and see what the model makes of it, and why. {NOTICE}")
    _choose_film()
    chosen: Chosen | None = st.session_state.get(_FILM_KEY)
    if chosen is None:
        st.info("Nothing to read yet: upload a film, or try an example.", icon=":material/upload_file:")
        return
    with guard():
        predictor = active_predictor()
        _show(predictor, _read(predictor, chosen), chosen)


def _choose_film() -> None:
    upload, examples = st.columns([3, 2], vertical_alignment="bottom")
    upload.file_uploader(
        "Chest X-ray: PNG, JPEG, TIFF or DICOM, up to 50 MB",
        key=UPLOAD_KEY,
        on_change=_take_upload,
        help="The film stays in this session's memory: nothing is written to disk or sent elsewhere.",
    )
    with examples.popover("Try an example", icon=":material/science:", width="stretch"):
        st.button("Synthetic phantom (drawn by this program)", on_click=_take_phantom, width="stretch")
        st.caption("Public films of the NIH Clinical Center, fetched from GitHub when you click:")
        for example in EXAMPLES:
            if st.button(f"NIH labels: {example.labels}", key=example.file, width="stretch"):
                with guard(), st.spinner("Fetching the example …"):
                    remark = f"Public NIH film. NIH's report-mined labels: {example.labels}."
                    st.session_state[_FILM_KEY] = Chosen(fetch(example), example.file, remark)


def _take_upload() -> None:
    given = st.session_state[UPLOAD_KEY]
    if given is None:
        st.session_state.pop(_FILM_KEY, None)
        return
    st.session_state[_FILM_KEY] = Chosen(given.getvalue(), given.name)


def _take_phantom() -> None:
    remark = "Synthetic phantom, drawn by this program: no patient, and unlike the films of any training."
    st.session_state[_FILM_KEY] = Chosen(phantom.png(), "synthetic phantom", remark)


def _read(predictor: Predictor, chosen: Chosen) -> Prediction:
    """Read the film once per film and model; the reading stays in this session alone.

    Raises:
        ImageError: the film can't be read.
    """
    key = (chosen.sha256, predictor.bundle.manifest.weights_sha256, str(predictor.bundle.path))
    kept = st.session_state.get(_READING_KEY)
    if kept is None or kept[0] != key:
        with st.spinner("Reading the film …"):
            kept = (key, predictor.predict(chosen.data))
        st.session_state[_READING_KEY] = kept
    prediction: Prediction = kept[1]
    return prediction


def _show(predictor: Predictor, prediction: Prediction, chosen: Chosen) -> None:
    for remark in prediction.audit.warnings:
        st.warning(f"{chosen.name}: {remark}.", icon=":material/warning:")
    for remark in predictor.stale():
        st.warning(remark, icon=":material/warning:")
    if chosen.remark:
        st.caption(f":material/science: {chosen.remark}")
    controls = st.columns([3, 2, 2])
    names = ranked(prediction)
    if not names:
        raise ChexError("no observation was trained in this model: choose another model")
    finding = controls[0].selectbox(
        "Finding to explain", names, format_func=lambda name: f"{name} ({decision_words(prediction, name)})"
    )
    method: Method = controls[1].selectbox("Method", METHODS, help=METHOD_HELP)
    alpha = controls[2].slider("Opacity of the heatmap", 0, 100, 55, format="%d %%") / 100
    overlay = prediction.overlay(finding, alpha, method=method)

    film, heat, findings = st.columns([1.1, 1.1, 1], gap="medium")
    with film:
        st.markdown("**Film**")
        figure = film_figure(grey_image(prediction.film), height=_HEIGHT)
        st.plotly_chart(figure, config=CONFIG, key="film-figure", theme=None)
    with heat:
        st.markdown(f"**{finding}**: where its score came from")
        scale = (
            (strength(prediction.heatmaps), "raw log-odds") if method == EXACT else (1.0, "relative, 0 to 1")
        )
        figure = film_figure(overlay, height=_HEIGHT, scale=scale)
        st.plotly_chart(figure, config=CONFIG, key="overlay-figure", theme=None)
    with findings:
        st.markdown("**Findings**, the highest score first; tick: threshold; dashed: its indeterminate band")
        st.html(findings_html(prediction, predictor.bundle.calibrations))
    with guard():
        legend = _legend(method, finding, predictor.bundle)
        st.caption(f":material/warning: {NO_GATE}\n\n{legend} {_UNCALIBRATED}")
    _downloads(prediction, finding, method, alpha)
    _details(predictor, prediction, chosen)


def _legend(method: Method, finding: str, bundle: Bundle) -> str:
    origin = bundle.manifest.origin
    measured = trust(bundle.localisation(), finding, method, caution=origin.caution if origin else UNSEEN)
    if method == EXACT:
        unit = (
            "All findings of a film share one scale, in raw log-odds of the network: its loss weighs "
            "positives and its scores are calibrated afterwards, so a map does not add up to the "
            "probability shown."
        )
    else:
        unit = f"{method} is relative: its brightest spot is always full heat, however weak the evidence."
    return (
        f"The heatmap shows where the score came from; it is not an outline of disease. {unit} Zoom with the "
        "wheel, move by dragging, double-click to reset.\n\n"
        f"**How well {method} marks {finding}**: {measured}\n\n"
    )


def _downloads(prediction: Prediction, finding: str, method: Method, alpha: float) -> None:
    def overlay_png() -> bytes:
        buffer = io.BytesIO()
        prediction.overlay(finding, alpha, method=method).save(buffer, format="PNG")
        return buffer.getvalue()

    left, right, _ = st.columns([1.1, 1.1, 1])
    left.download_button(
        "Overlay (PNG)",
        overlay_png,
        file_name=f"overlay-{finding.lower().replace(' ', '-')}.png",
        mime="image/png",
        icon=":material/download:",
        width="stretch",
    )
    right.download_button(
        "Findings (CSV)",
        prediction.frame().to_csv(index=False).encode(),
        file_name="findings.csv",
        mime="text/csv",
        icon=":material/download:",
        width="stretch",
    )


def _details(predictor: Predictor, prediction: Prediction, chosen: Chosen) -> None:
    audit = prediction.audit
    with st.expander("What the reader did to the file", icon=":material/fact_check:"):
        facts = {
            "File": chosen.name,
            "Format": audit.format,
            "Size": f"{audit.width} × {audit.height} px, {audit.bits} bits",
            "Photometric interpretation": audit.photometric,
            "Transfer syntax": audit.transfer_syntax,
            "Window": audit.window,
            "View": audit.view,
            "Patient's age": None if audit.age_years is None else f"{audit.age_years} years",
        }
        st.table({name: value if value is not None else "—" for name, value in facts.items()})
        side = predictor.bundle.manifest.preprocessing.size
        last = f"padded to a square and resized to {side}×{side} px for the network"
        st.markdown("\n".join(f"{i}. {action}" for i, action in enumerate((*audit.actions, last), 1)))
    with st.expander("Thresholds and where they come from", icon=":material/tune:"):
        both = zip(predictor.bundle.thresholds, predictor.bundle.trained, strict=True)
        points = [point for point, trained in both if trained]
        table(
            records(points),
            f"{predictor.bundle.manifest.name}-thresholds",
            shown=thresholds_table(points),
            columns={"observation": st.column_config.Column(pinned=True)},
            hide_index=True,
        )


page()
