"""What the front of every service must do: its tests subclass `FrontChecks`."""

# ruff: noqa: S101  assertions: these are tests

import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
from flask import Flask
from flask.testing import FlaskClient

from ..redis_server import RedisServer
from ..web.declarations import operation_of, path_of
from .kit import ServiceUnderTest, bearer, session_headers

MAX_BYTES = 150_000

_URLS = (
    "User Management=http://localhost:5001,Task Processing=http://localhost:5002,"
    "Notification=http://localhost:5003"
)
_AREAS = {
    "flights": 5002, "bookings": 5002, "inbox": 5003, "preferences": 5003, "webhooks": 5003,
    "profile": 5001, "devices": 5001,
}  # fmt: skip
_OF_ALL = ("/app", "/app/", "/app/logout", "/app/{_name}", "/app/static/{name}")
_PARAMETERS = (
    "cursor", "origin", "destination", "departure", "status", "unread", "event_type", "eventType",
    "date", "next", "reason", "key", "seats", "url", "eventTypes", "wanted", "name", "username",
    "email", "firstName", "dateOfBirth", "token", "limit", "self", "code", "passkey", "credential",
    "password", "endOtherSessions", "",
)  # fmt: skip
_VALUES = ("", "9" * 19, "-1", "\0", "\ud800", "0001-01-01", "<b>", "x" * 2000)
_HOSTILE = (
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site", "Origin": "http://localhost:5002"},
    {"Origin": "https://evil.example"},
    {"Origin": "null"},
)


def front_routes(app: Flask) -> Iterator[tuple[str, str, bool]]:
    """The method and path of all pages and forms, and whether they are for everybody."""
    for rule in app.url_map.iter_rules():
        path = path_of(rule)
        if path.startswith("/app") and path not in _OF_ALL:
            [method] = {"GET", "POST"} & (rule.methods or set())
            view = app.view_functions[rule.endpoint]
            yield method, path, operation_of(view).requirement is None


Reader = tuple[dict[str, str], dict[str, str]]
"""Headers of a user, and the ids of what the user has, by their names in paths."""


class FrontChecks(ABC):
    """Who may open the pages and send the forms, what pages consist of, and the documentation."""

    @pytest.fixture
    @abstractmethod
    def reader(self) -> Reader:
        """A user for whom every page is there."""

    @pytest.fixture
    def routes(self, app: Flask) -> list[tuple[str, str, bool]]:
        """The routes, with ids that may exist."""
        return [
            (method, re.sub(r"{\w+}", "1", path), is_public)
            for method, path, is_public in front_routes(app)
        ]

    def test_every_page_and_form_of_a_user_requires_a_login(
        self, make_app: Callable[..., Flask], routes: list[tuple[str, str, bool]]
    ) -> None:
        client = make_app().test_client(use_cookies=False)
        for method, path, is_public in routes:
            for headers in ({}, bearer("x" * 43)):
                if is_public:
                    continue
                response = client.open(f"{path}?a=1", method=method, headers=headers)
                assert response.status_code == 303, path
                target = urlsplit(response.headers["Location"])
                assert target.path == "/app/login"
                [wanted] = parse_qs(target.query)["next"]
                page = "/".join(path.split("/")[:3])
                assert wanted == (f"{path}?a=1" if method == "GET" else page)

    def test_every_form_of_another_origin_is_refused(
        self, make_app: Callable[..., Flask], routes: list[tuple[str, str, bool]]
    ) -> None:
        app = make_app(app_urls=_URLS, cors_origins=("http://localhost:5002",))
        client = app.test_client(use_cookies=False)
        session_id = session_headers(7)["Authorization"].removeprefix("Bearer ")
        paths = [path for method, path, _ in routes if method == "POST"]
        assert paths
        for path in [*paths, "/app/logout"]:
            for headers in _HOSTILE:
                cookie = {"Cookie": f"__Host-session={session_id}", **headers}
                assert client.post(path, data={"x": "1"}, headers=cookie).status_code == 403, path
        assert client.get("/app/nothing", headers=bearer(session_id)).status_code == 404

    def test_no_page_has_code_of_its_own_and_all_are_small(
        self, client: FlaskClient, app: Flask, reader: Reader
    ) -> None:
        headers, ids = reader
        for path in [path for method, path, _ in front_routes(app) if method == "GET"]:
            page = client.get(path.format(**ids), headers=headers)
            assert page.status_code == 200, path
            policy = page.headers["Content-Security-Policy"]
            assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self';")
            assert {"base-uri 'none'", "frame-ancestors 'none'"} <= {*policy.split("; ")}
            assert "unsafe" not in policy
            assert page.headers["X-Content-Type-Options"] == "nosniff"
            assert page.headers["Referrer-Policy"] == "same-origin"
            assert page.headers["Cache-Control"] == "no-store"
            assert not re.search(
                r"<script(?![^>]* src=)|<style|\sstyle=|\son\w+=|javascript:", page.text
            )
            files = re.findall(r'(?:src|href)="(/app/static/[^"]+)"', page.text)
            sizes = [len(client.get(file).data) for file in files]
            assert len(sizes) in {3, 4}  # some have passkeys.js
            assert len(page.data) + sum(sizes) < MAX_BYTES

    def test_pages_lead_to_the_ports_of_other_services(
        self, make_app: Callable[..., Flask], service: ServiceUnderTest
    ) -> None:
        client = make_app(app_urls=_URLS).test_client(use_cookies=False)
        ports = {"usermanagement": 5001, "taskprocessing": 5002, "notification": 5003}
        own = ports[service.name]
        path = {"usermanagement": "devices", "taskprocessing": "flights", "notification": "inbox"}

        page = client.get(f"/app/{path[service.name]}", headers=session_headers(7))

        links = re.findall(r'<a href="(?:http://localhost:(\d+))?/app/(\w+)"', page.text)
        found = {area: int(port or own) for port, area in links}
        assert _AREAS.items() <= found.items()
        policy = page.headers["Content-Security-Policy"]
        for port in ports.values():
            assert f"http://localhost:{port}" in policy.partition("form-action")[2]

    def test_browsers_are_led_to_the_front_and_others_see_the_description(
        self, client: FlaskClient
    ) -> None:
        browser = {"Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}
        led = client.get("/", headers=browser)
        assert (led.status_code, led.headers["Location"]) == (303, "/app")
        for accept in ("*/*", "application/json", "application/json, text/html;q=0.5", ""):
            response = client.get("/", headers={"Accept": accept})
            assert response.status_code == 200, accept
            assert response.mimetype == "application/json"
            assert "Accept" in response.headers["Vary"]

    def test_without_redis_every_page_of_a_user_says_so(
        self,
        make_app: Callable[..., Flask],
        own_redis: RedisServer,
        routes: list[tuple[str, str, bool]],
    ) -> None:
        client = make_app(redis_url=own_redis.url).test_client(use_cookies=False)
        headers = session_headers(7)
        own_redis.kill()
        for method, path, is_public in routes:
            if is_public:
                continue
            response = client.open(path, method=method, data={"seats": "2"}, headers=headers)
            assert response.status_code == 503, path
            assert "cannot do this at the moment" in response.text
            assert int(response.headers["Retry-After"]) > 0
            assert response.mimetype == "text/html"
            again = '<input type="hidden" name="seats" value="2">'
            assert (again in response.text) == (method == "POST")

    def test_no_query_and_no_form_is_an_error_of_the_service(
        self, client: FlaskClient, routes: list[tuple[str, str, bool]]
    ) -> None:
        headers = session_headers(7)
        for method, path, _ in routes:
            for value in _VALUES:
                query = urlencode(dict.fromkeys(_PARAMETERS, value), errors="surrogatepass")
                if method == "GET":
                    response = client.get(f"{path}?{query}", headers=headers)
                else:
                    form = {"Content-Type": "application/x-www-form-urlencoded", **headers}
                    response = client.post(path, data=query, headers=form)
                assert response.status_code < 500, (method, path, value, response.text)
                assert response.mimetype == "text/html"

    def test_a_body_that_is_not_a_form_is_refused(
        self, client: FlaskClient, routes: list[tuple[str, str, bool]]
    ) -> None:
        headers = session_headers(7)
        for path in [path for method, path, _ in routes if method == "POST"]:
            assert client.post(path, json={"seats": 2}, headers=headers).status_code == 415
            long = client.post(path, data={"x": "x" * 70_000}, headers=headers)
            assert long.status_code == 413

    def test_every_page_is_in_the_documentation(
        self, app: Flask, service: ServiceUnderTest
    ) -> None:
        page = Path(service.migrations.parent.parent / "docs" / "app.md").read_text("utf-8")

        for method, path, _ in front_routes(app):
            assert method == "POST" or f"`{path}`" in page, path
