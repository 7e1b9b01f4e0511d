"""Sign-in with OpenID Connect, where the operator set one up; without, nothing changes.

Set up by `[auth]` in `.streamlit/secrets.toml`, as `st.login` wants it. CHEXMODEL_USERS may name who is let
in: addresses and @domains, separated by commas. A set-up that can't be read keeps everybody out.
"""

import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Final, Literal

import streamlit as st
from streamlit.auth_util import get_secrets_auth_section
from streamlit.config import is_manually_set

from chexmodel.language import tr

MAX_AGE: Final = 12 * 3600
"""Seconds after which a sign-in is asked for anew; Streamlit alone would take its cookie for 30 days."""

Standing = Literal["in", "out", "strange"]


def require_sign_in() -> None:
    """Let the script go on for who may see the app; show others the sign-in and stop."""
    users = os.environ.get("CHEXMODEL_USERS")
    if not get_secrets_auth_section():
        if users is not None or _unreadable():
            st.error(
                tr("The sign-in is not set up rightly: nobody is let in. Tell who runs this server."),
                icon=":material/error:",
            )
            st.stop()
        return
    found = standing(st.user, users, time.time())
    if found == "in":
        with st.sidebar:
            st.button(tr("Sign out"), on_click=st.logout, icon=":material/logout:", width="stretch")
        return
    st.title(tr("Chest X-ray reader"))
    if found == "strange":
        st.error(
            tr("This account may not use this server: sign in with another one, or ask who runs it."),
            icon=":material/error:",
        )
        st.button(tr("Sign out"), on_click=st.logout, icon=":material/logout:")
    else:
        st.info(tr("Sign in to use this server."), icon=":material/login:")
        st.button(tr("Sign in"), on_click=st.login, type="primary", icon=":material/login:")
    st.stop()


def standing(user: Mapping[str, object], users: str | None, now: float) -> Standing:
    """Tell whether a visitor is signed in and may be.

    Args:
        user: what the provider says: `is_logged_in`, `iat` (s since 1970), `email`, `email_verified`.
        users: addresses and @domains that may, separated by commas; None lets in whom the provider knows.
        now: s since 1970.

    Returns:
        "in"; "out": not signed in, or too long ago; "strange": signed in, but not one of `users`.
    """
    since = user.get("iat")
    if user.get("is_logged_in") is not True or not isinstance(since, int | float) or now - since > MAX_AGE:
        return "out"
    if users is None:
        return "in"
    address = str(user.get("email") or "").lower()
    verified = user.get("email_verified") is True
    known = {name.strip().lower() for name in users.split(",")} - {"", "@"}
    return "in" if verified and known & {address, f"@{address.rpartition('@')[2]}"} else "strange"


def _unreadable() -> bool:
    """Whether secrets are meant to be there and can't be read: Streamlit goes on as if there were none."""
    files = st.get_option("secrets.files")
    meant = is_manually_set("secrets.files") or any(Path(file).exists() for file in files)
    return meant and not st.secrets.load_if_toml_exists()
