"""The reader's pages. Start with `streamlit run app.py`."""

from pathlib import Path

import streamlit as st

from chexmodel.language import tr
from chexmodel.ui import server
from chexmodel.ui.bundles import choose_model
from chexmodel.ui.components import NOTICE, guard
from chexmodel.ui.languages import choose_language, settle_language
from chexmodel.ui.sign_in import require_sign_in

PAGES = Path(__file__).resolve().parent / "chexmodel" / "ui"

server.begin()
settle_language()
st.set_page_config(page_title=tr("Chest X-ray reader"), page_icon=":material/radiology:", layout="wide")
require_sign_in()
# The address of a page is its file's name, in every language.
page = st.navigation(
    [
        st.Page(PAGES / "analyse.py", title=tr("Analyse"), icon=":material/radiology:", default=True),
        st.Page(PAGES / "dataset.py", title=tr("Dataset"), icon=":material/dataset:"),
        st.Page(PAGES / "evaluation.py", title=tr("Evaluation"), icon=":material/monitoring:"),
        st.Page(PAGES / "training.py", title=tr("Training"), icon=":material/model_training:"),
        st.Page(PAGES / "model.py", title=tr("Model"), icon=":material/description:"),
    ]
)
st.html(PAGES / "style.css")
script = (PAGES / "reach.js").read_text(encoding="utf-8")
st.html(f"<script>{script}</script>", unsafe_allow_javascript=True, width="content")
choose_model()
choose_language()
st.sidebar.caption(tr(NOTICE))
with guard():
    page.run()
