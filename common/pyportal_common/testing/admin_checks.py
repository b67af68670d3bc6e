"""What every route for admins must refuse, in every service: `ServiceChecks` has these tests.

`guarded_requests` lists the routes, and `REFUSALS` says what each of them refuses.
"""

# ruff: noqa: S101  assertions: these are tests

import json
import re
import shlex
from argparse import ArgumentParser
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import create_engine, event, select
from sqlalchemy.exc import OperationalError
from werkzeug.test import TestResponse

from ..cache_handlers import RateLimit, SessionStore, get_session_client, keys
from ..cache_handlers.keys import KINDS
from ..db import RECORDS, Base
from ..jobs.services import BaseServices
from ..web.declarations import PATH_PARAMETER, SAFE_METHODS
from .kit import API, ServiceUnderTest, bearer, json_of, session_headers

_ADMIN, _USER = 901, 902

_PORTS = {"usermanagement": 5001, "taskprocessing": 5002, "notification": 5003}
_WITHOUT_SQL = ("limits", "caches", "redis", "doctor", "overview", "users")

_BODIES: Mapping[str, Any] = {
    "retry": {"all": True},
    "cancel": {"all": True},
    "resend": {"all": True},
    "discard": {"all": True},
    "verify": {},
    "pauses": {"reason": "It rains"},
    "limits": {"rate": "100000/60"},
}
"""Bodies that act, by the last word of the path, or by its first one."""

_EXAMPLES = {"client": keys.user(7), "user_id": "7", "session": "x", "job_id": "1"}
"""What is at variables of paths that have no list of names."""


@dataclass(frozen=True)
class GuardedRequest:
    """A request to a route for admins, which acts if it is not refused."""

    method: str
    path: str
    body: Any = field(default=None, repr=False)

    @property
    def is_write(self) -> bool:
        """Whether it may change something."""
        return self.method not in SAFE_METHODS

    def send(self, client: FlaskClient, headers: Mapping[str, str]) -> TestResponse:
        """The response."""
        return client.open(self.path, method=self.method, headers=dict(headers), json=self.body)


def guarded_requests(app: Flask) -> list[GuardedRequest]:
    """A request to each route under /admin."""
    prefix = f"{API}/admin"
    return [
        GuardedRequest(method, path, _body_of(path.removeprefix(prefix)) if is_sent else None)
        for rule in app.url_map.iter_rules()
        if rule.rule.startswith(f"{prefix}/")
        for method in sorted((rule.methods or set()) - {"HEAD", "OPTIONS"})
        for path in [_some_path(app, rule.rule)]
        for is_sent in [method in {"POST", "PUT"}]
    ]


def _cached_key(app: Flask) -> str:
    """A key of a cache of the service."""
    [first, *_] = (kind.pattern for kind in KINDS if kind.service == app.name)
    return first.replace("*", "7")


def _some_path(app: Flask, rule: str) -> str:
    def some(name: str, arguments: str | None) -> str:
        if arguments:
            return arguments.split(",")[0].strip('"')
        return _cached_key(app) if name == "key" else _EXAMPLES[name]

    return PATH_PARAMETER.sub(lambda found: some(found["name"], found["arguments"]), rule)


def _body_of(path: str) -> Any:
    words = path.strip("/").split("/")
    return _BODIES.get(words[-1], _BODIES.get(words[0]))


@dataclass(frozen=True)
class Refusal:
    """What is wrong with the credentials of a request, and the response."""

    name: str
    headers: Callable[[], Mapping[str, str]]
    status: int
    code: str
    writes_only: bool = False
    challenge: str | None = None


def _cookie_of_an_admin(**headers: str) -> Mapping[str, str]:
    session_id = session_headers(_ADMIN, "admin")["Authorization"].removeprefix("Bearer ")
    return {"Cookie": f"__Host-session={session_id}"} | {
        name.replace("_", "-"): value for name, value in headers.items()
    }


def _old_login() -> Mapping[str, str]:
    """A session of an admin who has logged in half a day ago."""
    client = get_session_client()
    session = SessionStore(client).create(_ADMIN, {"role": "admin"})
    key = keys.session(session.session_id)
    text = client.get(key) or ""
    auth_at = int(session.auth_at.timestamp() * 1000)
    older = text.replace(f'"auth_at":{auth_at}', f'"auth_at":{auth_at - 12 * 3600 * 1000 - 1}')
    assert older != text
    client.set(key, older, ttl=client.ttl(key))
    return bearer(session.session_id)


REFUSALS: Sequence[Refusal] = (
    Refusal("no session", dict, 401, "login-required", challenge="Bearer"),
    Refusal("a forged session id", lambda: bearer("x" * 43), 401, "login-required"),
    Refusal("a user", lambda: session_headers(_USER, "user"), 403, "not-allowed"),
    Refusal("an unknown role", lambda: session_headers(_USER, "Admin"), 403, "not-allowed"),
    Refusal("a service", lambda: {"X-Service-Token": "a-token-of-nobody"}, 401, "login-required"),
    Refusal(
        "an old login",
        _old_login,
        401,
        "fresh-login-required",
        challenge='Bearer error="insufficient_user_authentication", max_age="900"',
    ),
    Refusal(
        "a page of another site",
        lambda: _cookie_of_an_admin(Sec_Fetch_Site="cross-site", Origin="https://example.com"),
        403,
        "cross-site-request",
        writes_only=True,
    ),
    Refusal(
        "a page of another port",
        lambda: _cookie_of_an_admin(Sec_Fetch_Site="same-site"),
        403,
        "cross-site-request",
        writes_only=True,
    ),
    Refusal(
        "a page of another origin, by an old browser",
        lambda: _cookie_of_an_admin(Origin="https://example.com"),
        403,
        "cross-site-request",
        writes_only=True,
    ),
    Refusal(
        "a page without an origin",
        lambda: _cookie_of_an_admin(Origin="null"),
        403,
        "cross-site-request",
        writes_only=True,
    ),
)


class AdminChecks:
    """Routes for admins refuse everybody else, and change nothing then."""

    @pytest.fixture
    def state(self, app: Flask, database_url: str) -> Iterator[Callable[[], Any]]:
        """What is stored: all rows, the keys of cached values, and how many sessions user 7 has."""
        engine = create_engine(database_url)
        client = get_session_client()

        def state() -> Any:
            with engine.connect() as connection:
                rows = {
                    table.name: sorted(map(repr, connection.execute(select(table))))
                    for table in Base.metadata.sorted_tables
                    if table.name != RECORDS.name  # a thread marks them as done
                }
            cached = {keys.kind_of(kind.example) for kind in KINDS if kind.service == app.name}
            stored = {key for key in client.scan() if keys.kind_of(key) in cached}
            return rows, stored, len(SessionStore(client).list(7))

        yield state
        engine.dispose()

    @pytest.fixture
    def _something_to_change(self, app: Flask, some_job_id: int) -> None:  # noqa: ARG002
        """Rows and keys that the requests would change: a job, a cached value, and a session."""
        get_session_client().set(_cached_key(app), "{}", ttl=60)
        session_headers(7)

    @pytest.mark.parametrize("refusal", REFUSALS, ids=lambda refusal: refusal.name)
    @pytest.mark.usefixtures("_something_to_change")
    def test_routes_for_admins_are_closed_to(
        self, app: Flask, state: Callable[[], Any], refusal: Refusal
    ) -> None:
        client, before = app.test_client(use_cookies=False), state()
        requests = guarded_requests(app)
        assert len(requests) > 20

        for request in requests:
            if refusal.writes_only and not request.is_write:
                continue
            response = request.send(client, refusal.headers())

            found = response.status_code, json_of(response)["code"]
            assert found == (refusal.status, refusal.code), request
            if refusal.challenge is not None:
                assert response.headers["WWW-Authenticate"] == refusal.challenge
        assert state() == before

    @pytest.mark.usefixtures("_something_to_change")
    def test_routes_for_admins_are_limited(
        self, make_app: Callable[..., Flask], state: Callable[[], Any]
    ) -> None:
        app = make_app(rate_limit_admin=RateLimit("admin", 1, 60))
        client, headers, before = (
            app.test_client(use_cookies=False),
            session_headers(_ADMIN, "admin"),
            state(),
        )
        client.get(f"{API}/admin/limits", headers=headers)

        for request in guarded_requests(app):
            response = request.send(client, headers)

            assert response.status_code == 429, request
            assert int(response.headers["Retry-After"]) > 0
        assert state() == before

    def test_examples_of_the_page_about_the_admin_api_work(
        self, app: Flask, service: ServiceUnderTest
    ) -> None:
        page = service.migrations.parent.parent / "docs" / "admin-api.md"
        client, headers = app.test_client(use_cookies=False), session_headers(_ADMIN, "admin")
        examples = _examples_in(page, _PORTS[service.name])
        assert len(examples) >= 3

        for example in examples:
            response = example.send(client, headers)

            possible = {200, 204} | ({404} if example.path.endswith("/17") else set())
            assert response.status_code in possible, (example, response.text)

    @pytest.mark.usefixtures("_something_to_change")
    def test_an_admin_may_do_all_that_was_refused(self, app: Flask) -> None:
        """The other tests would not notice a wrong path or an invalid body."""
        client = app.test_client(use_cookies=False)

        for request in guarded_requests(app):
            for headers in (session_headers(_ADMIN, "admin"), _cookie_of_an_admin()):
                response = request.send(client, headers)

                assert response.status_code in {200, 204, 404}, (request, response.text)

    def test_without_sql_routes_for_admins_work_or_say_so(
        self, app: Flask, services: BaseServices
    ) -> None:
        client, headers = app.test_client(use_cookies=False), session_headers(_ADMIN, "admin")
        client.get(f"{API}/admin/jobs", headers=headers)

        def fail(*_: Any) -> None:
            raise OperationalError("", {}, Exception("made for this test"))

        event.listen(services.database.engine, "before_cursor_execute", fail)

        for request in guarded_requests(app):
            response = request.send(client, headers)

            path = request.path.removeprefix(f"{API}/admin/")
            if path.startswith(_WITHOUT_SQL) and not request.is_write:
                assert response.status_code in {200, 404}, request
            elif response.status_code != 404 and path != "caches/verify":
                assert response.status_code == 503, request
                assert int(response.headers["Retry-After"]) > 0
        event.remove(services.database.engine, "before_cursor_execute", fail)


def _examples_in(page: Path, port: int) -> list[GuardedRequest]:
    """The requests to the service at a port, by curl."""
    parser = ArgumentParser()
    parser.add_argument("-H")
    parser.add_argument("-X", default="")
    parser.add_argument("--json", type=json.loads)
    parser.add_argument("url")
    lines = re.findall(r"^curl (.+)$", page.read_text("utf-8"), re.MULTILINE)
    given = [parser.parse_args(shlex.split(line)) for line in lines]
    origin = f"http://localhost:{port}"
    return [
        GuardedRequest(
            each.X or ("GET" if each.json is None else "POST"),
            each.url.removeprefix(origin),
            each.json,
        )
        for each in given
        if each.url.startswith(f"{origin}/")
    ]
