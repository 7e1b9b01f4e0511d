"""The page of many films alone, for its tests: films from a folder, a model that takes its time."""

import os
import time
from pathlib import Path

import streamlit as st

from chexmodel.containers import open_uploads
from chexmodel.predictor import Prediction, Predictor
from chexmodel.ui.many import many


class Slow(Predictor):
    """A reader that takes as long as the test asks, and counts what it was asked for by all sessions."""

    asked = 0

    def predict(self, *arguments: object, **options: object) -> Prediction:
        self.asked += 1
        time.sleep(float(os.environ.get("CHEXMODEL_TEST_SLOWNESS", "0")))
        return super().predict(*arguments, **options)


@st.cache_resource
def _predictor() -> Slow:
    return Slow.from_bundle(os.environ["CHEXMODEL_TEST_BUNDLE"])


st.set_page_config(page_title="Many films", layout="wide")
st.title("Many films")
folder = Path(os.environ["CHEXMODEL_TEST_FILMS"])
upload = open_uploads([(file.name, file.read_bytes()) for file in sorted(folder.iterdir())])
st.caption(f"Readings of this server: {_predictor().asked}.")
opened = many(_predictor(), upload.films, upload.refused)
if opened is not None:
    st.markdown(f"opened: {opened.name}")
