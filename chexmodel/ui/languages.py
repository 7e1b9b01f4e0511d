"""The language of a session: the browser's, until a link (`?lang=fr`) or the switch asks for another."""

from typing import Final, cast

import streamlit as st
from streamlit.runtime.scriptrunner import get_script_run_ctx

from chexmodel import language
from chexmodel.language import LANGUAGES, NAMES, Language, nearest, tr

# Session key of the language in use, one of `language.LANGUAGES`.
LANGUAGE_KEY: Final = "language"
SWITCH_KEY: Final = "language-switch"
# What the address calls it.
PARAMETER: Final = "lang"


def of_session() -> Language | None:
    """Tell the language of the session that asks; None in a thread that serves none."""
    if get_script_run_ctx(suppress_warning=True) is None:
        return None
    return cast(Language | None, st.session_state.get(LANGUAGE_KEY))


# Pages, fragments and callbacks run in threads of Streamlit's: they are told apart by their session.
language.ask(of_session)


def settle_language() -> None:
    """Choose the language of a new session, and keep an unusual one in the address; before all else."""
    browser = nearest(st.context.locale)
    linked = st.query_params.get(PARAMETER)
    if LANGUAGE_KEY not in st.session_state:
        st.session_state[LANGUAGE_KEY] = linked if linked in LANGUAGES else browser
    chosen = st.session_state[LANGUAGE_KEY]
    # Streamlit clears the address when the page changes: a link copied from there should say it too.
    if linked != chosen and (linked is not None or chosen != browser):
        st.query_params[PARAMETER] = chosen
    # Screen readers choose their voice, and browsers their hyphens, by the document's language.
    st.html(
        f"<script>document.documentElement.lang = '{chosen}'</script>",
        unsafe_allow_javascript=True,
        width="content",
    )


def choose_language() -> None:
    """Show the switch in the sidebar."""
    st.session_state[SWITCH_KEY] = st.session_state[LANGUAGE_KEY]
    st.sidebar.segmented_control(
        tr("Language"),
        LANGUAGES,
        required=True,
        format_func=NAMES.__getitem__,
        key=SWITCH_KEY,
        on_change=_switch,
        label_visibility="collapsed",
    )


def _switch() -> None:
    st.session_state[LANGUAGE_KEY] = st.session_state[SWITCH_KEY]
    st.query_params[PARAMETER] = st.session_state[SWITCH_KEY]
    # The browser keeps the chosen options as it showed them: it is told them anew, in the other language.
    for key, value in st.session_state.items():
        several = isinstance(value, list) and bool(value)  # an empty one may be an uploader's: not to be set
        if isinstance(value, str) or (several and all(isinstance(v, str) for v in value)):
            st.session_state[key] = value
