"""The page at /docs, in a real browser."""

import base64
import hashlib
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import ConsoleMessage, Locator, Page, sync_playwright

from common.pyportal_common.testing import missing

from .conftest import ROOT, Portal

SWAGGER = ROOT / "common" / "pyportal_common" / "web" / "swagger"
SCREENSHOTS = os.environ.get("SCREENSHOTS")


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
    ours = url.startswith((f"http://localhost:{portal.port}/", "data:", "blob:"))
    return [] if ours else [f"the page asked for {url}"]


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


def shoot(page: Page, name: str) -> None:
    if SCREENSHOTS:
        page.screenshot(path=Path(SCREENSHOTS) / f"{name}.png")


def test_it_shows_every_operation(page: Page) -> None:
    page.locator(".opblock").first.wait_for()
    shoot(page, "docs")

    assert page.locator(".opblock").count() == 16
    assert "User Management" in page.locator(".title").first.inner_text()


def test_try_it_out_registers_logs_in_and_shows_the_session(page: Page) -> None:
    register = try_out(page, "users-registerUser")
    assert execute(register) == 201  # with the examples of the description as they stand
    login = try_out(page, "sessions-logIn")
    assert execute(login) == 200
    shoot(page, "try-it-out")

    session = try_out(page, "sessions-showSession")

    assert execute(session) == 200  # by the cookie that the login gave
    assert '"john_doe"' in session.locator(".live-responses-table").inner_text()


def test_the_vendored_files_are_those_that_the_page_pins() -> None:
    pinned = re.findall(
        r'(?:src|href)="docs/(swagger\S+)" integrity="sha384-([^"]+)"',
        (SWAGGER / "index.html").read_text("utf-8"),
    )

    assert [name for name, _ in pinned] == ["swagger-ui.css", "swagger-ui-bundle.js"]
    for name, digest in pinned:
        of_file = hashlib.sha384((SWAGGER / name).read_bytes()).digest()
        assert base64.b64encode(of_file).decode() == digest
