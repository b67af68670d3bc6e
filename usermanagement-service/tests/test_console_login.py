"""/console/login: who gets a session, and where it leads."""

import html
import re
from collections.abc import Callable, Sequence

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select
from werkzeug.test import TestResponse

from app.console_login.page_routes import CONSOLES
from app.models import User
from app.services import Services
from common.pyportal_common.cache_handlers import RateLimit, Session
from common.pyportal_common.redis_server import RedisServer
from common.pyportal_common.testing.kit import bearer
from common.pyportal_common.web.pages import allowed_target

from .conftest import JANE, JOHN, MakeApp, age_login, register, services_of

LOGIN = "/console/login"
HERE = "http://localhost"
RIGHT = {"email": JANE["email"], "password": JANE["password"]}
COOKIE = "__Host-session"


@pytest.fixture
def app(make_app: MakeApp) -> Flask:
    return with_admin(make_app(console="on"))


@pytest.fixture
def services(app: Flask) -> Services:
    return services_of(app)


@pytest.fixture
def browser(app: Flask) -> FlaskClient:
    """A client with a cookie jar, on HTTPS: else it would not send the session's cookie."""
    return browser_of(app)


def browser_of(app: Flask) -> FlaskClient:
    client = app.test_client()
    plain_open = client.open

    def open_by_https(*given: object, **options: object) -> TestResponse:
        return plain_open(*given, **{"base_url": "https://localhost", **options})  # type: ignore[arg-type]

    client.open = open_by_https  # type: ignore[method-assign]
    return client


def with_admin(app: Flask) -> Flask:
    """Register Jane, an admin, and John."""
    client = app.test_client(use_cookies=False)
    register(client, JANE)
    register(client, JOHN)
    services_of(app).users.set_role("jane_doe", "admin")
    return app


def sessions_of(services: Services, name: str) -> Sequence[Session]:
    with services.database.read() as tx:
        user_id = tx.scalar(select(User.id).where(User.username == name))
    assert user_id is not None
    return services.sessions.list(user_id)


def fields_of(page: TestResponse) -> dict[str, str]:
    """The hidden fields of the form."""
    found = re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)"', page.text)
    return {name: html.unescape(value) for name, value in found}


def shown(response: TestResponse) -> str:
    """The text of the page."""
    main = response.text.partition("<main")[2].partition(">")[2]
    return " ".join(html.unescape(re.sub("<[^>]*>", " ", main)).split())


def test_an_admin_logs_in_and_out(browser: FlaskClient, services: Services) -> None:
    first = browser.get("/console/jobs")
    page = browser.get(first.headers["Location"])
    assert page.status_code == 200
    assert 'name="next" value="/console/jobs"' in page.text

    done = browser.post(LOGIN, data={**RIGHT, "next": "/console/jobs"})

    assert (done.status_code, done.headers["Location"]) == (303, "/console/jobs")
    cookie = done.headers["Set-Cookie"]
    assert all(part in cookie for part in ("Secure", "HttpOnly", "SameSite=Lax", "Path=/"))
    assert "jane_doe" in browser.get("/console/jobs").text
    left = browser.post("/console/logout", headers={"Sec-Fetch-Site": "same-origin"})
    assert (left.status_code, left.headers["Location"]) == (303, LOGIN)
    assert browser.get("/console/jobs").status_code == 303
    assert sessions_of(services, "jane_doe") == []


def test_the_username_is_a_name_too(browser: FlaskClient) -> None:
    response = browser.post(LOGIN, data={**RIGHT, "email": "jane_doe"})

    assert (response.status_code, response.headers["Location"]) == (303, "/console")


@pytest.mark.parametrize("name", ["jane@example.com", "nobody@example.com", "nobody"])
def test_a_wrong_name_and_a_wrong_password_get_the_same_page(
    browser: FlaskClient, services: Services, name: str
) -> None:
    response = browser.post(LOGIN, data={"email": name, "password": "wrong-horse-battery"})

    assert response.status_code == 401
    assert "This name, password and second factor do not match." in shown(response)
    assert "Set-Cookie" not in response.headers
    assert "wrong-horse-battery" not in response.text
    assert sessions_of(services, "jane_doe") == []


def test_only_admins_get_a_session_and_others_are_told_after_the_right_password(
    browser: FlaskClient, services: Services
) -> None:
    form = {"email": JOHN["email"], "password": JOHN["password"]}

    right = browser.post(LOGIN, data=form)
    wrong = browser.post(LOGIN, data={**form, "password": "wrong-horse-battery"})

    assert right.status_code == 403
    assert "Only admins" in shown(right)
    assert "Set-Cookie" not in right.headers
    assert sessions_of(services, "john_doe") == []
    assert wrong.status_code == 401
    assert "admin" not in shown(wrong)


def test_an_admin_with_an_unverified_address_may_log_in_as_elsewhere(browser: FlaskClient) -> None:
    assert browser.post(LOGIN, data=RIGHT).status_code == 303  # no one has verified it


def test_an_old_login_is_renewed_and_the_old_session_ends(
    browser: FlaskClient, services: Services
) -> None:
    browser.post(LOGIN, data=RIGHT)
    [old] = sessions_of(services, "jane_doe")

    page = browser.get(f"{LOGIN}?next=/console/audit&reason=old")
    assert "too old for the console. Enter your password again" in shown(page)
    browser.post(LOGIN, data={**RIGHT, "next": "/console/audit"})

    [new] = sessions_of(services, "jane_doe")
    assert new.session_id != old.session_id
    assert services.session_store.load(old.session_id) is None


def test_a_login_that_an_act_required_leads_to_its_page_with_a_notice(
    make_app: MakeApp,
) -> None:
    app = with_admin(make_app(console="on", admin_login_seconds=60))
    browser, services = browser_of(app), services_of(app)
    browser.post(LOGIN, data=RIGHT)
    [session] = sessions_of(services, "jane_doe")
    age_login(services, bearer(session.session_id), 61)
    back = "/console/audit?since=2h"

    asked = browser.post("/console/jobs/events/pause", data={"back": back})
    page = browser.get(asked.headers["Location"])
    wrong = browser.post(LOGIN, data={**fields_of(page), "email": "jane_doe", "password": "wrong"})
    done = browser.post(LOGIN, data={**fields_of(wrong), **RIGHT})

    assert "too old for the console" in shown(page)
    assert done.headers["Location"] == back
    assert "The login was renewed: please repeat the act." in shown(browser.get(back))
    assert "renewed" not in shown(browser.get(back))


def test_a_login_leads_to_the_console_of_another_service_on_the_same_origin(
    make_app: MakeApp,
) -> None:
    app = with_admin(make_app(console="on", path_prefix="/usermanagement"))
    browser = browser_of(app)

    there = browser.post(LOGIN, data={**RIGHT, "next": "/taskprocessing/console/jobs"})
    here = browser.post(f"/usermanagement{LOGIN}", data={**RIGHT, "next": "//evil.example/console"})

    assert there.headers["Location"] == "/taskprocessing/console/jobs"
    assert here.headers["Location"] == "/usermanagement/console"


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site", "Origin": "https://localhost:5003"},
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://localhost:5001"},
        {"Sec-Fetch-Site": "same-site", "Origin": "http://localhost:5001"},
    ],
)
def test_a_form_of_another_origin_logs_no_one_in(
    browser: FlaskClient, app: Flask, services: Services, headers: dict[str, str]
) -> None:
    assert "http://localhost:5001" in app.config["TRUSTED_ORIGINS"]  # of the API
    response = browser.post(LOGIN, data=RIGHT, headers=headers)

    assert response.status_code == 403
    assert "Set-Cookie" not in response.headers
    assert sessions_of(services, "jane_doe") == []


def test_the_limit_of_logins_applies(make_app: MakeApp) -> None:
    browser = browser_of(make_app(console="on", rate_limit_login=RateLimit("login", 2, 60)))
    form = {"email": "nobody", "password": "wrong-horse-battery"}

    responses = [browser.post(LOGIN, data=form) for _ in range(3)]

    assert [each.status_code for each in responses] == [401, 401, 429]
    assert "Rate limit exceeded" in shown(responses[2])
    assert int(responses[2].headers["Retry-After"]) > 0


def test_too_many_failures_lock_the_name_here_too(make_app: MakeApp) -> None:
    limit = RateLimit("login-failures", 2, 900, on_error="closed")
    browser = browser_of(with_admin(make_app(console="on", rate_limit_login_failures=limit)))
    for _ in range(2):
        browser.post(LOGIN, data={**RIGHT, "password": "wrong-horse-battery"})

    assert browser.post(LOGIN, data=RIGHT).status_code == 429


def test_without_redis_the_page_says_what_to_do(make_app: MakeApp, own_redis: RedisServer) -> None:
    browser = browser_of(with_admin(make_app(console="on", redis_url=own_redis.url)))
    own_redis.kill()

    assert browser.get(LOGIN).status_code == 200
    response = browser.post(LOGIN, data=RIGHT)

    assert response.status_code == 503
    assert "flask --app wsgi doctor" in shown(response)


@pytest.mark.parametrize(
    "form",
    [
        {},
        {"email": "x"},
        {"email": "\0", "password": "x"},
        {**RIGHT, "x": "1"},
        {"email": "x", "password": "x" * 2000},
    ],
)
def test_an_incomplete_form_is_a_422(browser: FlaskClient, form: dict[str, str]) -> None:
    assert browser.post(LOGIN, data=form or {"next": ""}).status_code == 422


@pytest.mark.parametrize("console", ["off", "read"])
def test_the_page_is_there_unless_the_console_is_off(
    make_app: Callable[..., Flask], console: str
) -> None:
    client = make_app(console=console).test_client()

    assert client.get(LOGIN).status_code == (404 if console == "off" else 200)


class TestTargets:
    @pytest.mark.parametrize(
        ("wanted", "target"),
        [
            ("/console", "/console"),
            ("/console/jobs?status=failed", "/console/jobs?status=failed"),
            ("http://localhost:5002/console", "http://localhost:5002/console"),
            ("http://LOCALHOST:5002/console?x=1", "http://localhost:5002/console?x=1"),
            ("http://localhost/console/a/b", "http://localhost/console/a/b"),
        ],
    )
    def test_a_console_of_this_host_is_allowed(self, wanted: str, target: str) -> None:
        assert allowed_target(wanted, "http://localhost:5001/", CONSOLES) == target

    @pytest.mark.parametrize(
        "wanted",
        [
            "",
            "/",
            "jobs",
            "/consoles",
            "/api/v1/airliner/logout",
            "//evil.example/console",
            "///evil.example/console",
            "/\\evil.example/console",
            "\\\\evil.example/console",
            "http:\\\\evil.example/console",
            "http://evil.example/console",
            "http://localhost.evil.example/console",
            "http://localhost@evil.example/console",
            "http://user@localhost:5002/console",
            "http://user:pw@localhost/console",
            "http://localhost:5002\\@evil.example/console",
            "http://localhost:x/console",
            "http://localhost:99999/console",
            "http:/console",
            "http:///console",
            "https://localhost:5002/console",
            "javascript://localhost/console",
            "ftp://localhost/console",
            "data:text/html,/console",
            "/console\r\nSet-Cookie: x=1",
            "/console\nX: 1",
            "/console\t",
            " /console",
            "/console ",
            "/console#x",
            "/console/login",
            "/console/login/",
            "/console/login?next=/console",
            "http://localhost:5001/console/login",
            "/console\0",
            "/console/\u2028",
            "/cons\u043ele",
            "http://[::1/console",
            "http://127.0.0.1/console",
            "http://localhost/",
            "?next=/console",
            "/console/" + "x" * 3000,
            "http://localhost.:5002/console",
            "http://localhost%2eevil.example/console",
            "http://localhost;@evil.example/console",
        ],
    )
    def test_everything_else_leads_to_the_console_here(
        self, browser: FlaskClient, wanted: str
    ) -> None:
        assert allowed_target(wanted, "http://localhost:5001/", CONSOLES) is None

        page = browser.get(LOGIN, query_string={"next": wanted}, base_url=HERE)
        done = browser.post(LOGIN, data={**RIGHT, "next": wanted}, base_url=HERE)

        assert 'name="next" value=""' in page.text
        assert "form-action 'self';" in page.headers["Content-Security-Policy"]
        assert (done.status_code, done.headers["Location"]) == (303, "/console")
        assert len(done.headers.getlist("Set-Cookie")) == 1

    @pytest.mark.parametrize(
        "query",
        [
            {"next": "/console/" + "x" * 5000},
            {"reason": "x" * 100},
            {"utm_source": "mail"},
        ],
    )
    def test_the_page_is_no_dead_end(self, browser: FlaskClient, query: dict[str, str]) -> None:
        page = browser.get(LOGIN, query_string=query)

        assert page.status_code == 200
        done = browser.post(LOGIN, data={**fields_of(page), **RIGHT})
        assert (done.status_code, done.headers["Location"]) == (303, "/console")

    def test_the_page_allows_its_form_to_lead_there(self, browser: FlaskClient) -> None:
        wanted = "https://localhost:5002/console/jobs"

        page = browser.get(LOGIN, query_string={"next": wanted})
        done = browser.post(LOGIN, data={**RIGHT, "next": wanted})

        policy = page.headers["Content-Security-Policy"]
        assert "form-action 'self' https://localhost:5002;" in policy
        assert done.headers["Location"] == wanted

    def test_on_an_address_of_ipv6(self) -> None:
        assert allowed_target("http://[::1]:5002/console", "http://[::1]:5001/", CONSOLES) == (
            "http://[::1]:5002/console"
        )
