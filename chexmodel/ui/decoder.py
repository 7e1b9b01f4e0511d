"""The processes in which the pages have films read: one set for all sessions of the server."""

import streamlit as st

from chexmodel.decoding import Decoders


@st.cache_resource(show_spinner=False)
def decoders() -> Decoders:
    """Start them at the first call; `Predictor`, `containers` and pages take its `read` and `peek`."""
    return Decoders()
