"""What the console of every service must do: its tests subclass `ConsoleChecks`."""

# ruff: noqa: S101  assertions: these are tests

import re
from collections.abc import Callable, Iterator
from itertools import product
from pathlib import Path
from urllib.parse import urlencode

import pytest
from flask import Flask
from flask.testing import FlaskClient

from ..jobs.services import BaseServices
from ..web.declarations import path_of
from .kit import ServiceUnderTest, bearer, session_headers

_ADMIN = {"role": "admin", "username": "jane"}
_PUBLIC_URL = "http://localhost:5001"
_PAGE = "http://localhost:8080"  # one of CORS_ORIGINS
_OPEN = ("/console/login", "/console/static/{name}")
_HOSTILE = (
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site", "Origin": "http://localhost:9999"},
    {"Origin": "https://evil.example"},
    {"Origin": "null"},
    # These may send a cookie to the API:
    {"Origin": _PUBLIC_URL},
    {"Sec-Fetch-Site": "same-site", "Origin": _PUBLIC_URL},
    {"Sec-Fetch-Site": "same-site", "Origin": _PAGE},
)
_PARAMETERS = (
    "cursor", "status", "user_id", "since", "until", "error", "service", "actor", "action",
    "target", "user", "key", "cache", "limit", "budget", "client", "prefix",
)  # fmt: skip
_UNKNOWN = ("path", "self", "name", "kind", "database", "next", "template", "", "\0")
_VALUES = ("9" * 19, "-1", "\0", "\ud800", "0001-01-01", "99999d", "x" * 5000)


def console_routes(app: Flask) -> Iterator[tuple[str, str]]:
    """The methods and paths of all pages and acts of a console."""
    for rule in app.url_map.iter_rules():
        path = path_of(rule)
        if path.startswith("/console") and path not in (*_OPEN, "/console/{_name}"):
            [method] = {"GET", "POST"} & (rule.methods or set())
            yield method, path


class ConsoleChecks:
    """The guard of each page and act, the mode "read", and the documentation."""

    @pytest.fixture
    def console(self, make_app: Callable[..., Flask]) -> Flask:
        """The service with its console."""
        return make_app(console="on")

    @pytest.fixture
    def visible(self, console: Flask, services: BaseServices) -> list[tuple[str, str]]:
        """The routes, with names and ids that may exist."""
        kinds = [jobs.kind for jobs, _ in services.handlers] or ["events"]
        parts = {"kind": kinds[0], "database": "caches", "name": "admin"}
        return [
            (method, re.sub(r"{(\w+)}", lambda part: parts.get(part[1], "1"), path))
            for method, path in console_routes(console)
        ]

    @pytest.fixture
    def browser(self, console: Flask) -> FlaskClient:
        """A client of the console, without a cookie jar."""
        return console.test_client(use_cookies=False)

    def test_every_page_and_act_is_for_admins_with_a_recent_login(
        self, make_app: Callable[..., Flask], visible: list[tuple[str, str]]
    ) -> None:
        client = make_app(console="on", admin_login_seconds=60).test_client(use_cookies=False)
        user, forged = session_headers(7), bearer("x" * 43)
        assert len(visible) > 8

        for method, path in visible:
            for headers in ({}, forged):
                response = client.open(path, method=method, headers=headers)
                assert response.status_code == 303, path
                assert "/console/login" in response.headers["Location"]
            if path != "/console/logout":
                response = client.open(path, method=method, headers=user)
                assert response.status_code == 403, path

    def test_every_act_of_another_origin_is_refused(
        self, make_app: Callable[..., Flask], visible: list[tuple[str, str]]
    ) -> None:
        app = make_app(console="on", public_url=_PUBLIC_URL, cors_origins=(_PAGE,))
        browser = app.test_client(use_cookies=False)
        session_id = session_headers(1, **_ADMIN)["Authorization"].removeprefix("Bearer ")
        for method, path in visible:
            for headers in _HOSTILE:
                if method == "POST":
                    response = browser.post(
                        path,
                        data={"confirmed": "true"},
                        headers={"Cookie": f"__Host-session={session_id}", **headers},
                    )
                    assert response.status_code == 403, path

    def test_every_page_is_shown_and_in_the_mode_read_no_act_is_done(
        self, make_app: Callable[..., Flask], visible: list[tuple[str, str]]
    ) -> None:
        headers = session_headers(1, **_ADMIN)
        for mode in ("on", "read"):
            client = make_app(console=mode, rate_limit_admin="1000/60").test_client(
                use_cookies=False
            )
            for method, path in visible:
                if method == "GET":
                    response = client.get(path, headers=headers)
                    assert response.status_code in {200, 404}, (path, response.text)
                    assert response.mimetype == "text/html"
                elif mode == "read" and path != "/console/logout":
                    data = {"confirmed": "true"}
                    assert client.post(path, data=data, headers=headers).status_code == 403

    def test_no_query_is_an_error_of_the_service(
        self, make_app: Callable[..., Flask], visible: list[tuple[str, str]]
    ) -> None:
        client = make_app(console="on", rate_limit_admin="100000/60").test_client(use_cookies=False)
        headers = session_headers(1, **_ADMIN)
        for path in (path for method, path in visible if method == "GET"):
            for names, value in product([_UNKNOWN, *zip(_PARAMETERS)], _VALUES):
                query = urlencode(dict.fromkeys(names, value), errors="surrogatepass")
                response = client.get(f"{path}?{query}", headers=headers)
                assert response.status_code < 500, (path, query, response.text)

    def test_every_page_is_in_the_documentation(
        self, console: Flask, service: ServiceUnderTest
    ) -> None:
        page = Path(service.migrations.parent.parent / "docs" / "console.md").read_text("utf-8")

        for method, path in console_routes(console):
            assert method == "POST" or f"| `{path}` |" in page, path
