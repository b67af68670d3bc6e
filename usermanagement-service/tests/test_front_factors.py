"""The pages of the front about second factors, and logging in with one."""

import json
import re
from collections.abc import Callable

import pytest
from flask.testing import FlaskClient

from app.services import Services
from common.pyportal_common.testing.browsing import Browser, Page
from common.pyportal_common.testing.kit import bearer, json_of

from .conftest import (
    JANE,
    JOHN,
    NEW_PASSWORD,
    Headers,
    Json,
    age_login,
    mails_in,
    register,
    session_of,
    token_in,
    user_path,
)
from .factors import OPTIONS, App, Authenticator, add_app, add_passkey, challenge, code_of

PASSWORD = JOHN["password"]
NewBrowser = Callable[[], Browser]


@pytest.fixture
def new_browser(client: FlaskClient, john: object) -> NewBrowser:  # noqa: ARG001  he logs in
    return lambda: Browser.of(client)


@pytest.fixture
def browser(new_browser: NewBrowser) -> Browser:
    """A browser in which John has logged in with his password."""
    browser = new_browser()
    enter(browser)
    return browser


@pytest.fixture
def app_of_john(client: FlaskClient, headers: Headers) -> App:
    """John's authenticator app."""
    return add_app(client, headers)


def enter(browser: Browser, *, status: int = 200, password: str = PASSWORD, **proof: str) -> Page:
    """Log John in, on the way to his second factors."""
    browser.open("/app/login?next=/app/factors")
    return browser.press("Log in", status=status, name="john_doe", password=password, **proof)


def session_in(browser: Browser) -> Headers:
    return bearer(browser.cookies["__Host-session"])


def secret_in(page: Page) -> str:
    """The secret behind the QR code of a page."""
    found = re.search(r"otpauth://totp/[^\"]*secret=([A-Z2-7]+)", page.reply.text)
    assert found is not None
    return found[1]


def codes_in(page: Page) -> list[str]:
    """The backup codes of a page."""
    return re.findall(r"<li><code>([a-z0-9-]+)</code>", page.reply.text)


def begin_app(browser: Browser) -> str:
    """Begin to add an authenticator app; its secret."""
    browser.open("/app/factors")
    browser.click("Add an app")
    return secret_in(browser.press("Show the QR code"))


def test_an_authenticator_app_is_added_and_then_asked_for(browser: Browser) -> None:
    secret = begin_app(browser)
    assert "<svg" in browser.page.reply.text
    assert " ".join(re.findall("....", secret)) in browser.page.text
    browser.press("Confirm", code=code_of(secret))
    assert "Your authenticator app is in use." in browser.page.text
    assert len(codes_in(browser.page)) == 10
    browser.click("I have them")
    assert "10 left" in browser.page.text
    browser.press("Log out")

    assert enter(browser, status=401).heading == "Log in"
    assert enter(browser, code=code_of(secret, steps=1)).heading == "Second factors"


def test_a_wrong_code_is_said_at_its_field_and_the_secret_is_not_shown_again(
    browser: Browser,
) -> None:
    secret = begin_app(browser)

    page = browser.press("Confirm", code="12345x", endOtherSessions="true", status=422)

    assert 'id="fault-code">Wrong or too old' in page.reply.text
    assert "12345x" not in page.reply.text
    assert "svg" not in page.reply.text
    assert secret not in page.reply.text.replace(" ", "")
    assert page.form("Confirm").fields["endOtherSessions"] == ["true"]
    assert len(codes_in(browser.press("Confirm", code=code_of(secret)))) == 10


def test_without_a_secret_there_is_nothing_to_confirm(browser: Browser) -> None:
    browser.open("/app/factors/app/confirm")

    assert "nothing to confirm" not in browser.page.text
    browser.press("Confirm", code="123456", status=409)
    assert "There is no authenticator app to confirm." in browser.page.text
    assert secret_in(browser.press("Show a new QR code"))


@pytest.mark.parametrize("ends", [True, False])
def test_the_other_sessions_end_if_the_user_wishes(
    client: FlaskClient, browser: Browser, services: Services, ends: bool
) -> None:
    other = session_of(client)
    secret = begin_app(browser)
    choice: Json = {"endOtherSessions": "true"} if ends else {}

    browser.press("Confirm", code=code_of(secret), **choice)

    assert (services.session_store.load(other) is None) == ends
    browser.open("/app/devices")
    assert browser.page.text.count("logged in") == (2 if ends else 3)  # and one above them


def test_a_backup_code_logs_in_once(new_browser: NewBrowser, app_of_john: App) -> None:
    code = app_of_john.backup_codes[0]

    assert "9 left" in enter(new_browser(), code=code.upper().replace("-", " ")).text
    assert enter(new_browser(), code=code, status=401).heading == "Log in"


@pytest.mark.parametrize(
    "proof",
    [
        {"code": ""},
        {"code": "123"},
        {"code": "      "},
        {"code": "000000"},
        {"code": "0000-0000-0000"},
        {"passkey": "x"},
        {"passkey": "[1]"},
        {"passkey": '{"id": "x", "response": {}}'},
        {"passkey": "[" * 8000},
    ],
)
def test_a_wrong_factor_is_answered_as_a_wrong_password_is(
    new_browser: NewBrowser, app_of_john: App, proof: dict[str, str]
) -> None:
    wrong_password = enter(
        new_browser(), status=401, password=NEW_PASSWORD, code=app_of_john.next_code()
    )

    wrong_factor = enter(new_browser(), status=401, **proof)

    assert "Wrong username, e-mail address, password or second factor." in wrong_factor.text
    assert wrong_factor.text == wrong_password.text
    assert [name for name, _ in wrong_factor.reply.headers] == [
        name for name, _ in wrong_password.reply.headers
    ]
    assert not any(
        value in wrong_factor.reply.text for value in proof.values() if len(value.strip()) > 3
    )


def test_users_without_a_factor_need_none_whatever_they_send(new_browser: NewBrowser) -> None:
    proofs: list[Json] = [{"code": "123456"}, {"code": "1"}, {"passkey": "x"}, {"passkey": "{}"}]
    for proof in proofs:
        assert enter(new_browser(), **proof).heading == "Second factors"


def test_a_passkey_is_added_and_logs_in(
    client: FlaskClient, browser: Browser, new_browser: NewBrowser
) -> None:
    device = Authenticator()
    browser.click("Add a passkey")
    options = json_of(client.post(OPTIONS, headers=session_in(browser)))["options"]
    browser.press("Add the passkey", name="My phone", credential=json.dumps(device.create(options)))
    assert "Your passkey My phone is in use." in browser.page.text
    assert len(codes_in(browser.page)) == 10

    signed = json.dumps(device.sign(challenge(client)))
    page = enter(new_browser(), passkey=signed)

    assert "My phone Added" in page.text
    assert enter(new_browser(), passkey=signed, status=401).heading == "Log in"


def test_a_passkey_that_no_browser_made_is_refused_at_its_button(browser: Browser) -> None:
    for credential in ("", "x", "{}"):
        browser.open("/app/factors/passkeys")

        page = browser.press("Add the passkey", name="My phone", credential=credential, status=422)

        assert re.search(r'<p class="fault" aria-live="polite">[A-Z]', page.reply.text)
        assert page.form("Add the passkey").fields["name"] == ["My phone"]


def test_factors_are_removed_and_backup_codes_replaced(
    client: FlaskClient, new_browser: NewBrowser, services: Services, app_of_john: App
) -> None:
    session = add_passkey(client, app_of_john.headers, Authenticator())
    browser = new_browser()
    browser.cookies["__Host-session"] = session["Authorization"].removeprefix("Bearer ")
    browser.open("/app/factors")
    new = codes_in(browser.press("Yes, make new ones"))
    assert len(new) == 10
    assert not {*new} & {*app_of_john.backup_codes}
    browser.click("I have them")

    before = browser.page
    browser.press("Yes, remove the authenticator app")
    assert "The authenticator app is removed." in browser.page.text
    browser.press("Yes, remove the passkey My phone")

    assert "The passkey is removed." in browser.page.text
    for button in ("Yes, remove the authenticator app", "Yes, remove the passkey My phone"):
        browser.page = before
        assert "was removed already" in browser.press(button).text
    assert "Backup codes" not in browser.page.text
    changes = [mail["data"]["change"] for mail in mails_in(services, "factors_changed")]
    assert changes[-3:] == ["backup_codes_renewed", "app_removed", "passkey_removed"]
    assert enter(new_browser()).heading == "Second factors"


class TestStepUp:
    """What changes factors requires a recent login, with the second factor if there is one."""

    @pytest.mark.parametrize("path", ["app", "app/confirm", "passkeys"])
    def test_an_old_login_leads_to_the_page_to_log_in_and_back(
        self, browser: Browser, services: Services, path: str
    ) -> None:
        age_login(services, session_in(browser))

        page = browser.open(f"/app/factors/{path}")
        assert "log in again, with your second factor" in page.text
        page = browser.press("Log in", name="john_doe", password=PASSWORD)

        assert page.url == f"/app/factors/{path}"

    def test_a_session_from_before_the_factor_changes_nothing(
        self, client: FlaskClient, browser: Browser, app_of_john: App
    ) -> None:
        add_passkey(client, app_of_john.headers, Authenticator())
        for path, button, fields in (
            ("factors", "Yes, remove the authenticator app", {}),
            ("factors", "Yes, remove the passkey My phone", {}),
            ("factors", "Yes, make new ones", {}),
            ("profile", "Change the address", {"email": "new@example.com", "password": PASSWORD}),
        ):
            browser.open(f"/app/{path}")
            assert browser.press(button, **fields).heading == "Log in", button
        for path in ("factors/app", "factors/passkeys", "password", "profile/delete"):
            assert browser.open(f"/app/{path}").heading == "Log in", path

        browser.open("/app/profile")
        assert f"{JOHN['email']} not verified" in browser.page.text
        browser.open("/app/factors")
        assert "10 left" in browser.page.text

    def test_users_without_a_factor_change_the_password_after_an_old_login(
        self, browser: Browser, services: Services
    ) -> None:
        age_login(services, session_in(browser))

        assert browser.open("/app/password").heading == "Change the password"


class TestRemovals:
    @pytest.fixture
    def removal(self, client: FlaskClient, services: Services, john: Json, app_of_john: App) -> App:
        """An admin has requested to remove John's factors."""
        register(client, JANE)
        services.users.set_role("jane_doe", "admin")
        admin = bearer(session_of(client, "jane_doe"))
        assert client.put(user_path(john, "factors/removal"), headers=admin).status_code == 200
        return app_of_john

    def test_one_is_shown_and_cancelled(self, new_browser: NewBrowser, removal: App) -> None:
        browser = new_browser()
        enter(browser, code=removal.next_code())
        assert "An admin has requested to remove all of them" in browser.page.text

        browser.press("Keep them")

        assert "Your second factors stay." in browser.page.text
        assert "An admin has requested to remove all of them" not in browser.page.text

    def test_the_mailed_link_cancels_it_once(
        self, new_browser: NewBrowser, services: Services, removal: App
    ) -> None:
        (mail,) = mails_in(services, "factor_removal")
        assert mail["data"]["keepUrl"].startswith("http://localhost:5001/app/keep#token=")
        browser = new_browser()
        browser.open("/app/keep")
        browser.press("Keep them", token=mail["data"]["keepUrl"])
        assert "Your second factors stay." in browser.page.text

        browser.open("/app/keep")
        browser.press("Keep them", token=token_in(mail), status=400)

        assert 'id="fault-token">Wrong, used or expired' in browser.page.reply.text
        assert "10 left" in enter(browser, code=removal.next_code()).text
