"""The pages of the front: registering, logging in, the profile, devices."""

import pytest
from flask.testing import FlaskClient

from app.services import Services
from common.pyportal_common.cache_handlers import RateLimit, RedisUnavailable
from common.pyportal_common.testing.browsing import Browser, Form
from common.pyportal_common.testing.front_checks import FrontChecks, Reader
from common.pyportal_common.testing.kit import json_of

from .conftest import (
    JANE,
    JOHN,
    NEW_PASSWORD,
    Headers,
    Json,
    MakeApp,
    age_login,
    register,
    session_of,
    user_path,
)

PASSWORD = JOHN["password"]


@pytest.fixture
def browser(client: FlaskClient) -> Browser:
    return Browser.of(client)


@pytest.fixture
def john_browser(browser: Browser, john: object) -> Browser:  # noqa: ARG001  he logs in
    browser.open("/app/login?next=/app/profile")
    browser.press("Log in", name="john_doe", password=PASSWORD)
    return browser


def test_a_user_registers_logs_in_and_out(browser: Browser) -> None:
    browser.open("/app")
    assert browser.page.heading == "Log in"
    browser.click("Register")
    browser.press("Register", username="john_doe", email=JOHN["email"], password=PASSWORD)
    assert "Welcome, john_doe." in browser.page.text

    browser.page.form("Log in").fields["next"] = ["/app/profile"]
    browser.press("Log in", name="john_doe", password=PASSWORD)

    assert browser.page.heading == "john_doe"
    browser.press("Log out")
    assert "You are logged out." in browser.page.text
    assert browser.open("/app/profile").heading == "Log in"


@pytest.mark.parametrize(
    "path", ["/app/profile", "/app/profile/delete", "/app/devices", "/app/password",
             "/app/verify", "/app/reset", "/app/undo", "/app/keep", "/app/forgot"],
)  # fmt: skip
def test_each_page_is_shown(john_browser: Browser, path: str) -> None:
    page = john_browser.open(path)

    assert page.url == path
    assert page.heading
    assert page.forms


def test_what_is_wrong_is_said_at_the_field_and_no_password_is_sent_back(browser: Browser) -> None:
    browser.open("/app/register")

    page = browser.press("Register", username="x", email="no", password="password1", status=422)

    assert "Must have 3 to 20 characters: letters a to z, digits, _ or - " in page.text
    assert "Must be an e-mail address" in page.text
    assert "Too easy to guess" in page.text
    assert page.form("Register").fields["username"] == ["x"]
    assert "password1" not in page.reply.text
    assert page.reply.text.count('aria-invalid="true"') == 3


def test_a_taken_name_is_said_at_its_field(browser: Browser, john: object) -> None:  # noqa: ARG001
    browser.open("/app/register")

    page = browser.press(
        "Register", username="john_doe", email="j@example.com", password=PASSWORD, status=409
    )

    assert "User already exists." in page.text
    assert 'id="fault-username">Already taken' in page.reply.text
    assert "fault-email" not in page.reply.text


def test_a_registration_that_is_sent_twice_registers_once(browser: Browser) -> None:
    form = browser.open("/app/register")
    given = {"username": "john_doe", "email": JOHN["email"], "password": PASSWORD}
    browser.press("Register", **given)

    browser.page = form
    assert browser.press("Register", **given).heading == "Log in"

    browser.page = form
    browser.press("Register", **{**given, "password": NEW_PASSWORD}, status=422)


def test_a_registration_that_is_refused_twice_has_its_page_twice(
    browser: Browser,
    john: object,  # noqa: ARG001
) -> None:
    form = browser.open("/app/register")
    given = {"username": "john_doe", "email": "other@example.com", "password": PASSWORD}
    first = browser.press("Register", **given, status=409)
    browser.page = form

    again = browser.press("Register", **given, status=409)

    for name in ("content-security-policy", "referrer-policy", "cache-control"):
        assert again.reply.header(name) == first.reply.header(name) != ""
    assert again.form("Register").fields["key"] != first.form("Register").fields["key"]


@pytest.mark.parametrize("name", ["john_doe", "nobody", "nobody@example.com"])
def test_a_wrong_name_and_a_wrong_password_get_the_same_page(
    browser: Browser,
    john: object,  # noqa: ARG001
    name: str,
) -> None:
    browser.open("/app/login")

    page = browser.press("Log in", name=name, password="wrong-horse-battery", status=401)

    assert "Wrong username, e-mail address, password or second factor." in page.text
    assert page.form("Log in").fields["name"] == [name]
    assert "__Host-session" not in browser.cookies
    assert "wrong-horse" not in page.reply.text


def test_the_cookie_is_for_this_host_and_no_script(client: FlaskClient, john: object) -> None:  # noqa: ARG001
    form = {"name": "john_doe", "password": PASSWORD}
    same = {"Sec-Fetch-Site": "same-origin"}

    cookie = client.post("/app/login", data=form, headers=same).headers["Set-Cookie"]

    assert cookie.startswith("__Host-session=")
    assert all(part in cookie for part in ("Secure", "HttpOnly", "SameSite=Lax", "Path=/"))


def test_a_session_that_was_planted_ends_with_the_login(
    browser: Browser, services: Services, headers: Headers
) -> None:
    planted = headers["Authorization"].removeprefix("Bearer ")
    browser.cookies["__Host-session"] = planted
    browser.open("/app/login")
    browser.page.form("Log in").fields["next"] = ["/app/profile"]

    browser.press("Log in", name="john_doe", password=PASSWORD)

    assert browser.cookies["__Host-session"] != planted
    assert services.session_store.load(planted) is None


@pytest.mark.parametrize(
    ("wanted", "target"),
    [
        ("/app/devices?x=1", "/app/devices?x=1"),
        ("/taskprocessing/app/flights", "/taskprocessing/app/flights"),
        ("http://localhost:5002/app/bookings/7", "http://localhost:5002/app/bookings/7"),
        ("https://evil.example/app", "/app/flights"),
        ("//evil.example/app", "/app/flights"),
        ("http://localhost@evil.example/app", "/app/flights"),
        ("/console", "/app/flights"),
        ("/app/login", "/app/flights"),
        ("/app/logout", "/app/flights"),
        ("/app\\evil", "/app/flights"),
        ("/app/../console", "/app/flights"),
        ("/app/x/..", "/app/flights"),
        ("/app/%2e%2E/console", "/app/flights"),
        ("/app/.%2e/console", "/app/flights"),
        ("/app/flights?origin=..", "/app/flights?origin=.."),
        ("/app/flights?" + "x" * 5000, "/app/flights"),
        ("javascript:alert(1)", "/app/flights"),
    ],
)
def test_a_login_leads_only_to_pages_of_the_portal(
    client: FlaskClient,
    john: object,  # noqa: ARG001
    wanted: str,
    target: str,
) -> None:
    form = {"name": "john_doe", "password": PASSWORD, "next": wanted, "reason": "x" * 50}

    assert client.post("/app/login", data=form).headers["Location"] == target


def test_the_limit_of_logins_is_explained(make_app: MakeApp) -> None:
    app = make_app(rate_limit_login=RateLimit("login", 1, 900))
    browser = Browser.of(app.test_client(use_cookies=False))
    browser.open("/app/login")
    browser.press("Log in", name="nobody", password="wrong-horse-battery", status=401)

    page = browser.press("Log in", name="nobody", password="wrong-horse-battery", status=429)

    assert "Try again in 15 minutes." in page.text
    assert "wrong-horse" not in page.reply.text
    assert int(page.reply.header("retry-after")) > 0


def test_names_are_changed_and_removed_and_hostile_ones_are_text(john_browser: Browser) -> None:
    hostile = "<script>alert(1)</script> O'Neill"
    john_browser.press("Save", firstName=hostile, lastName="", dateOfBirth="1990-01-31")

    page = john_browser.page
    assert "Your profile is changed." in page.text
    assert page.form("Save").fields["firstName"] == [hostile]
    assert page.form("Save").fields["lastName"] == [""]
    assert "<script>alert" not in page.reply.text
    john_browser.press("Save", dateOfBirth="2999-01-01", status=422)
    assert "Must be from 1900-01-01 to yesterday" in john_browser.page.text


def test_the_address_is_changed_with_the_password_only(john_browser: Browser) -> None:
    new = "johnny@example.com"
    button = "Change the address"
    john_browser.press(button, email=new, password="wrong-horse-battery", status=403)
    assert "The password or the second factor is wrong or missing." in john_browser.page.text

    john_browser.press(button, email=new, password=PASSWORD)

    assert f"A link has been sent to {new}" in john_browser.page.text
    assert f"{new} not verified" in john_browser.page.text


def test_a_new_password_ends_the_other_sessions(
    john_browser: Browser, services: Services, headers: Headers
) -> None:
    john_browser.click("Change the password")
    given = {"currentPassword": PASSWORD}
    john_browser.press("Change the password", **given, newPassword="password1", status=422)
    assert "Too easy to guess" in john_browser.page.text

    john_browser.press("Change the password", **given, newPassword=NEW_PASSWORD)

    assert john_browser.page.heading == "john_doe"
    other = headers["Authorization"].removeprefix("Bearer ")
    assert services.session_store.load(other) is None


def test_other_devices_are_logged_out(john_browser: Browser, client: FlaskClient) -> None:
    for _ in range(2):
        session_of(client)
    john_browser.open("/app/devices")
    assert john_browser.page.text.count("logged in") == 4  # three, and the sentence above them

    john_browser.press("End")
    assert "The session has ended." in john_browser.page.text
    john_browser.press("End all other sessions")

    assert john_browser.page.text.count("logged in") == 2
    john_browser.press("Log out")
    assert john_browser.page.heading == "Log in"


def test_sessions_of_others_are_not_ended(
    john_browser: Browser, client: FlaskClient, services: Services
) -> None:
    register(client, JANE)
    hers = session_of(client, "jane_doe")
    public_id = services.session_store.load(hers).public_id  # type: ignore[union-attr]
    john_browser.page.forms.append(Form(f"/app/devices/{public_id}/end", "post", buttons=["x"]))

    john_browser.press("x")

    assert "had ended already" in john_browser.page.text
    assert services.session_store.load(hers) is not None


def test_an_account_is_deleted_after_a_recent_login_only(
    john_browser: Browser, services: Services
) -> None:
    age_login(services, {"Authorization": f"Bearer {john_browser.cookies['__Host-session']}"})
    john_browser.click("Delete the account")
    assert "Your last login is a while ago." in john_browser.page.text
    john_browser.press("Log in", name="john_doe", password=PASSWORD)
    assert john_browser.page.heading == "Delete your account?"

    john_browser.press("Delete the account")

    assert "Your account is deleted." in john_browser.page.text
    assert services.users.find_by_name(username="john_doe") is None


def test_a_wrong_code_is_said_at_its_field(browser: Browser) -> None:
    for path, button in (("verify", "Verify"), ("reset", "Set the password")):
        browser.open(f"/app/{path}")
        more = {} if path == "verify" else {"newPassword": NEW_PASSWORD}

        page = browser.press(button, token="wrong", **more, status=400)

        assert 'id="fault-token">Wrong, used or expired' in page.reply.text


def test_a_forgotten_password_gets_the_same_page_for_every_address(
    browser: Browser,
    john: object,  # noqa: ARG001
) -> None:
    texts = set()
    for address in (JOHN["email"], "nobody@example.com"):
        browser.open("/app/forgot")
        texts.add(browser.press("Send the link", email=address).text)

    assert len(texts) == 1


def test_details_that_are_not_sent_stay(
    john_browser: Browser, client: FlaskClient, headers: Headers, john: Json
) -> None:
    session = {"Cookie": f"__Host-session={john_browser.cookies['__Host-session']}"}

    changed = client.post("/app/profile", data={"lastName": ""}, headers=session)
    refused = client.post("/app/profile", data={"unknown": "1"}, headers=session)

    assert (changed.status_code, refused.status_code) == (303, 422)
    profile = json_of(client.get(user_path(john), headers=headers))["user"]
    assert (profile["firstName"], profile["lastName"]) == ("John", None)


@pytest.mark.parametrize(
    ("page", "button", "fields", "link"),
    [
        (
            "/app/profile",
            "Change the address",
            {"email": "new@example.com", "password": PASSWORD},
            "/app/profile",
        ),
        (
            "/app/login?next=/app/devices&reason=act",
            "Log in",
            {"name": "john_doe", "password": PASSWORD},
            "/app/login?next=%2Fapp%2Fdevices&amp;reason=act",
        ),
    ],
)
def test_a_form_with_a_password_can_be_opened_again_after_an_outage(
    john_browser: Browser,
    services: Services,
    monkeypatch: pytest.MonkeyPatch,
    page: str,
    button: str,
    fields: dict[str, str],
    link: str,
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RedisUnavailable("made for this test")

    john_browser.open(page)
    monkeypatch.setattr(services.passwords, "confirm", fail)
    monkeypatch.setattr(services.sessions, "log_in", fail)

    text = john_browser.press(button, **fields, status=503).reply.text

    assert f'href="{link}">Try again</a>' in text


@pytest.mark.parametrize("path", ["/app/", "/app"])
def test_the_front_begins_with_the_page_to_log_in(client: FlaskClient, path: str) -> None:
    assert client.get(path).headers["Location"] == "/app/login"


def test_a_form_that_is_sent_to_no_page_gets_a_page(client: FlaskClient) -> None:
    response = client.post("/app/logout/", data={"x": "1"})

    assert (response.status_code, response.mimetype) == (404, "text/html")


class TestFront(FrontChecks):
    """What holds for the pages of all services."""

    @pytest.fixture
    def reader(self, headers: Headers) -> Reader:
        return headers, {}
