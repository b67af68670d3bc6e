"""The page at /docs: its files and headers, and what it does in a real browser."""

import base64
import contextlib
import hashlib
import http.client
import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Locator, Page

from .browser import open_browser, screenshot
from .conftest import ROOT, Portal

SWAGGER = ROOT / "common" / "pyportal_common" / "web" / "swagger"
TITLES = {
    "usermanagement": "User Management",
    "taskprocessing": "Task Processing",
    "notification": "Notification",
}


@pytest.fixture
def page(portal: Portal) -> Iterator[Page]:
    origins = [f"http://localhost:{port}" for port in portal.ports.values()]
    with open_browser(*origins, width=1280, height=1600) as page:
        yield page


def try_out(page: Page, name: str) -> Locator:
    """Open an operation and its form."""
    operation = page.locator(f"#operations-{name}")
    operation.locator(".opblock-summary-control").click()
    operation.get_by_role("button", name="Try it out").click()
    return operation


def execute(operation: Locator) -> int:
    """Send the request. Returns the status that the page shows."""
    operation.get_by_role("button", name="Execute").click()
    shown = operation.locator(".live-responses-table tbody .response-col_status").first
    shown.wait_for()
    return int(re.findall(r"\d+", shown.inner_text())[0])


@pytest.mark.slow
@pytest.mark.parametrize("service", TITLES)
def test_it_shows_every_operation(portal: Portal, page: Page, service: str) -> None:
    page.goto(f"http://localhost:{portal.ports[service]}/docs")
    page.locator(".opblock").first.wait_for()
    screenshot(page, f"docs-{service}")

    description = portal.request("GET", "/openapi.json", service=service).body
    paths = [*description["paths"].values(), *description.get("webhooks", {}).values()]
    operations = [operation for path in paths for operation in path]
    assert page.locator(".opblock").count() == len(operations)
    assert TITLES[service] in page.locator(".title").first.inner_text()


@pytest.mark.slow
def test_try_it_out_registers_logs_in_and_shows_the_session(portal: Portal, page: Page) -> None:
    page.goto(f"http://localhost:{portal.port}/docs")
    assert execute(try_out(page, "users-registerUser")) == 201  # with the examples unchanged
    assert execute(try_out(page, "sessions-logIn")) == 200
    screenshot(page, "try-it-out")

    session = try_out(page, "sessions-showSession")

    assert execute(session) == 200  # with the cookie from the login
    assert '"john_doe"' in session.locator(".live-responses-table").inner_text()


def test_it_has_a_strict_policy_and_is_cached(portal: Portal) -> None:
    page = fetch(portal, "/docs")
    again = fetch(portal, "/docs", {"If-None-Match": page.headers["ETag"]})

    assert "script-src 'self'" in page.headers["Content-Security-Policy"]
    assert "unsafe" not in page.headers["Content-Security-Policy"]
    assert again.status == 304
    assert fetch(portal, "/docs", {"If-Match": '"x"'}).status == 412
    assert fetch(portal, "/docs/LICENSE").status == 404


def fetch(
    portal: Portal, path: str, headers: dict[str, str] | None = None
) -> http.client.HTTPResponse:
    connection = http.client.HTTPConnection("127.0.0.1", portal.port, timeout=10)
    with contextlib.closing(connection):
        connection.request("GET", path, headers=headers or {})
        response = connection.getresponse()
        response.read()
        return response


def test_the_page_has_the_hashes_of_the_vendored_files() -> None:
    pinned = re.findall(
        r'(?:src|href)="docs/(swagger\S+)" integrity="sha384-([^"]+)"',
        (SWAGGER / "index.html").read_text("utf-8"),
    )

    assert [name for name, _ in pinned] == ["swagger-ui.css", "swagger-ui-bundle.js"]
    for name, expected in pinned:
        digest = hashlib.sha384((SWAGGER / name).read_bytes()).digest()
        assert base64.b64encode(digest).decode() == expected
