"""The processes in which the pages have films read: one set for all sessions of the server."""

from functools import cache

from chexmodel.decoding import Decoders


@cache  # not Streamlit's, which any visitor can empty
def decoders() -> Decoders:
    """Start them at the first call; `Predictor`, `containers` and pages take its `read` and `peek`."""
    return Decoders()
