"""The Streamlit pages: thin shells over `chexmodel`."""
