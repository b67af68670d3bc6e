"""Pages of other origins call the portal, in a real browser: allowed ones and others."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import pytest
from playwright.sync_api import Page

from common.pyportal_common.redis_server import free_port
from local.client import API

from ..portal_api import PASSWORD
from .browser import open_browser
from .conftest import UNLIMITED, Portal, paused, running_portal

pytestmark = pytest.mark.slow

CALL = """async ([url, options]) => {
    try {
        const response = await fetch(url, options);
        const headers = Object.fromEntries(response.headers);
        const body = JSON.parse(await response.text() || "null");
        return { status: response.status, headers, body };
    } catch (error) {
        return { error: error.name };
    }
}"""
PREFLIGHT = f"OPTIONS {API}/login"
REFUSED = {"error": "TypeError"}  # what a page sees if CORS forbids it to read the response


class _EmptyPage(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Print nothing."""


@contextmanager
def pages_at(port: int) -> Iterator[None]:
    """Serve empty pages at a port of this machine."""
    with ThreadingHTTPServer(("127.0.0.1", port), _EmptyPage) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield
        finally:
            server.shutdown()


@pytest.fixture(scope="module")
def ports() -> Iterator[tuple[int, int]]:
    """Two ports with pages: the origins of the first are allowed."""
    allowed, other = free_port(), free_port()
    with ExitStack() as stack:
        for port in (allowed, other):
            stack.enter_context(pages_at(port))
        yield allowed, other


@pytest.fixture(scope="module")
def portal(tmp_path_factory: pytest.TempPathFactory, ports: tuple[int, int]) -> Iterator[Portal]:
    origins = f"http://localhost:{ports[0]},http://127.0.0.1:{ports[0]}"
    folder = tmp_path_factory.mktemp("portal")
    yield from running_portal(folder, CORS_ORIGINS=origins, **UNLIMITED)


@pytest.fixture
def page(portal: Portal, ports: tuple[int, int]) -> Iterator[Page]:
    hosts = ("localhost", "127.0.0.1")
    origins = [f"http://{host}:{port}" for host in hosts for port in ports]
    services = [f"http://localhost:{port}" for port in portal.ports.values()]
    with open_browser(
        *origins,
        *services,
        width=720,
        height=560,
        is_expected=lambda error: "CORS policy" in error or "Failed to load resource" in error,
    ) as page:
        yield page


def call(page: Page, port: int, path: str, **options: Any) -> Any:
    """What the page gets from a service."""
    return page.evaluate(CALL, [f"http://localhost:{port}{API}{path}", options])


def log_in(
    page: Page, portal: Portal, name: str, password: str = PASSWORD, *, credentials: str = "include"
) -> Any:
    return call(
        page,
        portal.port,
        "/login",
        method="POST",
        credentials=credentials,
        headers={"Content-Type": "application/json"},
        body=f'{{"username": "{name}", "password": "{password}"}}',
    )


def test_a_page_on_another_port_logs_in_and_calls_all_services_with_its_cookie(
    portal: Portal, page: Page, ports: tuple[int, int]
) -> None:
    portal.register("neighbour")
    page.goto(f"http://localhost:{ports[0]}/")

    assert log_in(page, portal, "neighbour")["status"] == 200

    for service, path in (
        ("usermanagement", "/users/me"),
        ("taskprocessing", "/tasks"),
        ("notification", "/notifications"),
    ):
        read = call(page, portal.ports[service], path, credentials="include")
        assert read["status"] == 200, service
        assert "x-request-id" in read["headers"]
    refreshed = call(page, portal.port, "/session/refresh", method="POST", credentials="include")
    assert refreshed["status"] == 200
    without = call(page, portal.port, "/session", credentials="omit")
    assert (without["status"], "error" in without["body"]) == (401, True)


def test_a_page_of_another_site_calls_with_a_bearer_token(
    portal: Portal, page: Page, ports: tuple[int, int]
) -> None:
    portal.register("stranger")
    page.goto(f"http://127.0.0.1:{ports[0]}/")

    token = log_in(page, portal, "stranger", credentials="omit")["body"]["session_id"]
    read = call(page, portal.port, "/users/me", headers={"Authorization": f"Bearer {token}"})

    assert (read["status"], read["body"]["user"]["username"]) == (200, "stranger")
    assert log_in(page, portal, "stranger") == REFUSED  # with cookies
    assert call(page, portal.port, "/session", credentials="include") == REFUSED


def test_a_page_repeats_a_task_and_waits_for_it(
    portal: Portal, page: Page, ports: tuple[int, int]
) -> None:
    portal.register("waiting")
    page.goto(f"http://127.0.0.1:{ports[0]}/")
    token = log_in(page, portal, "waiting", credentials="omit")["body"]["session_id"]
    port, bearer = portal.ports["taskprocessing"], {"Authorization": f"Bearer {token}"}
    post = bearer | {"Content-Type": "application/json"}
    export = '{"taskType": "data_export", "parameters": {}}'

    with paused(portal.pid_of("app.worker", service="taskprocessing")):
        headers = post | {"Idempotency-Key": "task"}
        created, repeated = (
            call(page, port, "/tasks", method="POST", headers=headers, body=export)
            for _ in range(2)
        )
        path = repeated["headers"]["location"].removeprefix(API)
        task = call(page, port, path, headers=bearer | {"Prefer": "wait=1"})

    assert (created["status"], repeated["status"]) == (202, 202)
    assert created["headers"]["retry-after"] == "1"
    assert repeated["headers"]["idempotency-replayed"] == "true"
    assert repeated["headers"]["location"] == created["headers"]["location"]
    assert task["headers"]["preference-applied"] == "wait=1"
    while task["body"]["task"]["finishedAt"] is None:
        task = call(page, port, path, headers=bearer | {"Prefer": "wait=20"})
    tag = {"If-None-Match": task["headers"]["etag"]}
    assert call(page, port, path, headers=bearer | tag)["status"] == 304


def test_a_page_of_an_origin_that_is_not_listed_reads_nothing_and_writes_nothing(
    portal: Portal, page: Page, ports: tuple[int, int]
) -> None:
    portal.register("victim")
    page.goto(f"http://localhost:{ports[0]}/")
    log_in(page, portal, "victim")
    assert call(page, portal.port, "/session", credentials="include")["status"] == 200
    page.goto(f"http://localhost:{ports[1]}/")  # the browser sends it the cookie, too

    assert log_in(page, portal, "victim") == REFUSED
    assert call(page, portal.port, "/session", credentials="include") == REFUSED
    # This needs no preflight, so it arrives, and the service refuses it.
    assert call(page, portal.port, "/logout", method="POST", credentials="include") == REFUSED

    page.goto(f"http://localhost:{ports[0]}/")
    assert call(page, portal.port, "/session", credentials="include")["status"] == 200


def test_a_sandboxed_frame_reads_nothing_and_writes_nothing(
    portal: Portal, page: Page, ports: tuple[int, int]
) -> None:
    portal.register("framed")
    page.goto(f"http://localhost:{ports[0]}/")
    log_in(page, portal, "framed")
    page.set_content('<iframe sandbox="allow-scripts" srcdoc="<p>Its origin is null."></iframe>')
    frame = page.frames[1]
    assert frame.evaluate("origin") == "null"

    for path, method in (("/session", "GET"), ("/logout", "POST")):
        url = f"http://localhost:{portal.port}{API}{path}"
        options = {"method": method, "credentials": "include"}
        assert frame.evaluate(CALL, [url, options]) == REFUSED

    assert call(page, portal.port, "/session", credentials="include")["status"] == 200


def test_a_preflight_is_cached(portal: Portal, page: Page, ports: tuple[int, int]) -> None:
    page.goto(f"http://localhost:{ports[0]}/")
    before = portal.log().count(PREFLIGHT)
    assert log_in(page, portal, "nobody", "wrong-horse-battery")["status"] == 401
    page.wait_for_timeout(6000)  # without a Max-Age, browsers keep it for 5 seconds
    assert log_in(page, portal, "nobody", "wrong-horse-battery")["status"] == 401

    assert portal.log().count(PREFLIGHT) == before + 1
