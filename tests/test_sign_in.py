"""Who is let in: nobody but the signed-in where a sign-in is set up, everybody where none is."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from apps import ran
from browsing import CHROMIUM, session, settled, started
from openid import CLIENT, Provider, provider
from streamlit.testing.v1 import AppTest

from chexmodel.ui.sign_in import MAX_AGE, standing

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

ROOT = Path(__file__).resolve().parents[1]
NOW = 2_000_000_000.0
READER = {"is_logged_in": True, "iat": NOW - 60, "email": "Reader@Hospital.example", "email_verified": True}


@pytest.mark.parametrize(
    ("user", "users", "found"),
    [
        ({}, None, "out"),
        ({"is_logged_in": False, "iat": NOW}, None, "out"),
        ({**READER, "is_logged_in": "yes"}, None, "out"),
        (READER, None, "in"),
        ({"is_logged_in": True, "iat": NOW}, None, "in"),
        ({**READER, "iat": NOW - MAX_AGE - 1}, None, "out"),
        ({**READER, "iat": None}, None, "out"),
        ({**READER, "iat": "2000000000"}, None, "out"),
        (READER, "reader@hospital.example", "in"),
        (READER, "other@hospital.example, @HOSPITAL.example", "in"),
        (READER, "other@hospital.example", "strange"),
        (READER, "@example", "strange"),
        (READER, "hospital.example", "strange"),
        (READER, "", "strange"),
        (READER, "@,,", "strange"),
        ({**READER, "email_verified": False}, "@hospital.example", "strange"),
        ({**READER, "email_verified": None}, "@hospital.example", "strange"),
        ({**READER, "email": None}, "@", "strange"),
        ({**READER, "email": "a@evil.example@hospital.example.evil"}, "@hospital.example", "strange"),
        ({**READER, "iat": 0}, "@hospital.example", "out"),
    ],
)
def test_who_is_let_in(user: dict[str, object], users: str | None, found: str) -> None:
    assert standing(user, users, NOW) == found


def app(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, secrets: str | None) -> AppTest:
    file = tmp_path / "secrets.toml"
    if secrets is not None:
        file.write_text(secrets)
    monkeypatch.setattr("chexmodel.ui.sign_in.st.get_option", lambda _: [str(file)])
    return AppTest.from_file(str(ROOT / "app.py"), default_timeout=60)


def test_without_a_set_up_nothing_changes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("CHEXMODEL_USERS", raising=False)
    at = ran(app(monkeypatch, tmp_path, None))
    assert at.file_uploader
    assert not any("Sign" in button.label for button in at.button)


@pytest.mark.parametrize(
    "broken",
    ["users without a sign-in", "secrets that can't be read", "secrets that are not there"],
)
def test_a_set_up_that_is_not_whole_lets_nobody_in(
    broken: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    if broken == "users without a sign-in":
        monkeypatch.setenv("CHEXMODEL_USERS", "@hospital.example")
        at = app(monkeypatch, tmp_path, None)
    elif broken == "secrets that can't be read":
        at = app(monkeypatch, tmp_path, "[auth\n")
    else:
        monkeypatch.setattr("chexmodel.ui.sign_in.is_manually_set", lambda _: True)
        at = app(monkeypatch, tmp_path, None)
    ran(at)
    assert "nobody is let in" in at.error[0].value
    assert not at.file_uploader
    assert not at.button


# ------------------------------------------------------------------------------------- with a provider


@pytest.fixture(scope="module")
def account() -> Iterator[Provider]:
    pytest.importorskip("authlib", reason="Authlib is not installed")
    with provider() as made:
        yield made


@pytest.fixture(scope="module")
def guarded(account: Provider, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The app with a sign-in for one domain; its port is known before it starts only to Streamlit."""
    place = tmp_path_factory.mktemp("signed")
    secrets = place / "secrets.toml"
    secrets.write_text(
        '[auth]\nredirect_uri = "http://127.0.0.1:{port}/oauth2callback"\n'
        f'cookie_secret = "{"0123456789abcdef" * 4}"\nclient_id = "{CLIENT}"\nclient_secret = "s"\n'
        f'server_metadata_url = "{account.address}/.well-known/openid-configuration"\n'
    )
    options = {"STREAMLIT_SECRETS_FILES": str(secrets), "CHEXMODEL_USERS": "@hospital.example"}
    with started(place, **options) as url:
        yield url


def pressed(page: "Page", name: str) -> None:
    page.get_by_role("button", name=name).first.click()
    page.wait_for_timeout(1500)  # the way to the provider and back
    settled(page)


@pytest.mark.browser
@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium")
def test_only_who_is_signed_in_and_known_sees_the_app(
    guarded: str, account: Provider, browser: "Browser", pictures: Path
) -> None:
    with session(browser, 1440) as page:
        for address in (guarded, f"{guarded}/evaluation"):
            page.goto(address)
            page.get_by_text("Sign in to use this server.").wait_for()
            settled(page)
            assert page.get_by_test_id("stFileUploader").count() == 0
            assert page.get_by_test_id("stSidebarNav").count() == 0
        page.goto(guarded)
        settled(page)
        page.screenshot(path=pictures / "sign-in.png")
        account.claims["email"] = "someone@elsewhere.example"
        pressed(page, "Sign in")
        page.get_by_text("This account may not use this server").wait_for()
        assert page.get_by_test_id("stFileUploader").count() == 0
        pressed(page, "Sign out")
        account.claims["email"] = "reader@hospital.example"
        pressed(page, "Sign in")
        page.get_by_test_id("stFileUploader").first.wait_for()
        page.screenshot(path=pictures / "signed-in.png")
        pressed(page, "Sign out")
        page.get_by_text("Sign in to use this server.").wait_for()


@pytest.mark.browser
@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium")
def test_a_forged_cookie_lets_nobody_in(guarded: str, browser: "Browser") -> None:
    with session(browser, 1440) as page:
        page.context.add_cookies(
            [{"name": "_streamlit_user", "value": '{"is_logged_in":true,"iat":9e9}', "url": guarded}]
        )
        page.goto(guarded)
        page.get_by_text("Sign in to use this server.").wait_for()
        assert page.get_by_test_id("stFileUploader").count() == 0
