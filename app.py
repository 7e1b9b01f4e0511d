"""The reader's pages. Start with `streamlit run app.py`."""

from pathlib import Path

import streamlit as st

from chexmodel.ui.components import NOTICE, choose_model

PAGES = Path(__file__).resolve().parent / "chexmodel" / "ui"

st.set_page_config(page_title="Chest X-ray reader", page_icon=":material/radiology:", layout="wide")
page = st.navigation(
    [
        st.Page(PAGES / "analyse.py", title="Analyse", icon=":material/radiology:", default=True),
        st.Page(PAGES / "dataset.py", title="Dataset", icon=":material/dataset:"),
        st.Page(PAGES / "evaluation.py", title="Evaluation", icon=":material/monitoring:"),
        st.Page(PAGES / "training.py", title="Training", icon=":material/model_training:"),
        st.Page(PAGES / "model.py", title="Model", icon=":material/description:"),
    ]
)
st.html(PAGES / "style.css")
choose_model()
st.sidebar.caption(NOTICE)
page.run()
