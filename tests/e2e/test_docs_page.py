"""The page at /docs, in a real browser."""

import base64
import contextlib
import hashlib
import http.client
import json
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from urllib.request import urlopen

import pytest
from playwright.sync_api import ConsoleMessage, Locator, Page, sync_playwright

from common.pyportal_common.testing.plugin import missing

from .conftest import ROOT, Portal

SWAGGER = ROOT / "common" / "pyportal_common" / "web" / "swagger"
SCREENSHOTS = os.environ.get("SCREENSHOTS")
TITLES = {
    "usermanagement": "User Management",
    "taskprocessing": "Task Processing",
    "notification": "Notification",
}


@pytest.fixture
def page(portal: Portal) -> Iterator[Page]:
    """The page, opened; whatever the browser complains of fails the test."""
    chromium = shutil.which("chromium") or shutil.which("google-chrome") or missing("chromium")
    complaints: list[str] = []

    def note(message: ConsoleMessage) -> None:
        if message.type == "error":
            complaints.append(message.text)

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1280, "height": 1600})
        page.on("console", note)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("request", lambda request: complaints.extend(foreign(request.url, portal)))
        page.goto(f"http://localhost:{portal.port}/docs")
        yield page
        browser.close()
    assert complaints == []


def foreign(url: str, portal: Portal) -> list[str]:
    ours = url.startswith((*(address_of(service, portal) for service in TITLES), "data:", "blob:"))
    return [] if ours else [f"the page asked for {url}"]


def address_of(service: str, portal: Portal, path: str = "/") -> str:
    return f"http://localhost:{portal.environment[f'{service.upper()}_PORT']}{path}"


def try_out(page: Page, name: str) -> Locator:
    """Open an operation and let it be tried."""
    operation = page.locator(f"#operations-{name}")
    operation.locator(".opblock-summary-control").click()
    operation.get_by_role("button", name="Try it out").click()
    return operation


def execute(operation: Locator) -> int:
    """Send the request; the status that the page shows."""
    operation.get_by_role("button", name="Execute").click()
    shown = operation.locator(".live-responses-table tbody .response-col_status").first
    shown.wait_for()
    return int(re.findall(r"\d+", shown.inner_text())[0])


def portal_url(page: Page, path: str) -> str:
    return page.url.rpartition("/docs")[0] + path


def shoot(page: Page, name: str) -> None:
    if SCREENSHOTS:
        page.screenshot(path=Path(SCREENSHOTS) / f"{name}.png")


@pytest.mark.parametrize("service", TITLES)
def test_it_shows_every_operation(portal: Portal, page: Page, service: str) -> None:
    page.goto(address_of(service, portal, "/docs"))
    page.locator(".opblock").first.wait_for()
    shoot(page, f"docs-{service}")

    described = json.loads(urlopen(portal_url(page, "/openapi.json")).read())
    operations = [operation for path in described["paths"].values() for operation in path]
    assert page.locator(".opblock").count() == len(operations)
    assert TITLES[service] in page.locator(".title").first.inner_text()


def test_try_it_out_registers_logs_in_and_shows_the_session(page: Page) -> None:
    register = try_out(page, "users-registerUser")
    assert execute(register) == 201  # with the examples of the description as they stand
    login = try_out(page, "sessions-logIn")
    assert execute(login) == 200
    shoot(page, "try-it-out")

    session = try_out(page, "sessions-showSession")

    assert execute(session) == 200  # by the cookie that the login gave
    assert '"john_doe"' in session.locator(".live-responses-table").inner_text()


def test_it_comes_with_its_policy_and_is_asked_for_once(portal: Portal) -> None:
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
        answer = connection.getresponse()
        answer.read()
        return answer


def test_the_vendored_files_are_those_that_the_page_pins() -> None:
    pinned = re.findall(
        r'(?:src|href)="docs/(swagger\S+)" integrity="sha384-([^"]+)"',
        (SWAGGER / "index.html").read_text("utf-8"),
    )

    assert [name for name, _ in pinned] == ["swagger-ui.css", "swagger-ui-bundle.js"]
    for name, digest in pinned:
        of_file = hashlib.sha384((SWAGGER / name).read_bytes()).digest()
        assert base64.b64encode(of_file).decode() == digest
