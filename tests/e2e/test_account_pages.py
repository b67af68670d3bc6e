"""The pages that links in mails lead to, in a real browser."""

import hashlib
import os
import secrets
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from playwright.sync_api import ConsoleMessage, Page, Request, sync_playwright

from common.pyportal_common.testing.plugin import missing

from .conftest import Portal

SCREENSHOTS = os.environ.get("SCREENSHOTS")
LOGIN = "/api/v1/airliner/login"
NEW = "another-horse-battery"


@pytest.fixture
def page(portal: Portal) -> Iterator[Page]:
    """A browser that may speak to the portal alone; what it complains of fails the test."""
    chromium = shutil.which("chromium") or shutil.which("google-chrome") or missing("chromium")
    complaints: list[str] = []

    def note(message: ConsoleMessage) -> None:
        if message.type == "error" and "the server responded with" not in message.text:
            complaints.append(message.text)

    def note_foreign(request: Request) -> None:
        if not request.url.startswith((f"http://localhost:{portal.port}/", "data:")):
            complaints.append(f"the page asked for {request.url}")

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 720, "height": 560})
        page.on("console", note)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("request", note_foreign)
        yield page
        browser.close()
    assert complaints == []


def link(portal: Portal, name: str, purpose: str) -> str:
    """The address of a page, with a token of that user that works for an hour."""
    token = secrets.token_urlsafe(32)
    digest = hashlib.sha256(token.encode()).hexdigest()
    with closing(sqlite3.connect(portal.data_dir / "usermanagement.sqlite3")) as users, users:
        users.execute(
            "insert into user_tokens (user_id, purpose, digest, email, created_at, expires_at)"
            " select id, ?, ?, email, datetime(), datetime('now', '1 hour') from users"
            " where username = ?",
            (purpose, digest, name),
        )
    return f"http://localhost:{portal.port}/account/{purpose}#token={token}"


def outcome(page: Page) -> str:
    """What the page says in the end."""
    page.locator("#outcome:not(:empty)").wait_for()
    return page.locator("#outcome").inner_text()


def shoot(page: Page, name: str) -> None:
    if SCREENSHOTS:
        page.screenshot(path=Path(SCREENSHOTS) / f"{name}.png")


def is_verified(portal: Portal, name: str, password: str = "correct-horse-battery") -> bool:
    body = {"username": name, "password": password}
    return bool(portal.request("POST", LOGIN, body).body["user"]["emailVerified"])


def test_opening_the_page_verifies_nothing_and_the_button_does(portal: Portal, page: Page) -> None:
    portal.register("verified")
    page.goto(link(portal, "verified", "verify"))
    shoot(page, "verify")
    assert not is_verified(portal, "verified")

    page.get_by_role("button", name="Verify").click()

    assert outcome(page) == "Your e-mail address is verified."
    shoot(page, "verify-done")
    assert is_verified(portal, "verified")
    assert not page.get_by_role("button").is_visible()


def test_a_link_that_was_used_says_so(portal: Portal, page: Page) -> None:
    portal.register("twice")
    page.goto(link(portal, "twice", "verify"))
    page.get_by_role("button", name="Verify").click()
    outcome(page)
    page.reload()

    page.get_by_role("button", name="Verify").click()

    assert "does not work any more" in outcome(page)
    shoot(page, "verify-used")


def test_a_link_without_its_token_says_so(portal: Portal, page: Page) -> None:
    for name in ("verify", "reset"):
        page.goto(f"http://localhost:{portal.port}/account/{name}")

        assert "not complete" in outcome(page)
        assert not page.get_by_role("button").is_visible()


def test_a_weak_password_is_explained_and_a_good_one_is_set(portal: Portal, page: Page) -> None:
    portal.register("forgetful")
    page.goto(link(portal, "forgetful", "reset"))
    shoot(page, "reset")
    page.get_by_label("New password").fill("password123")
    page.get_by_label("Show it").check()
    page.get_by_role("button", name="Set the password").click()
    assert "too easy to guess" in outcome(page)
    shoot(page, "reset-weak")

    page.get_by_label("New password").fill(NEW)
    page.get_by_role("button", name="Set the password").click()

    page.get_by_text("Your new password is set.").wait_for()
    shoot(page, "reset-done")
    assert is_verified(portal, "forgetful", NEW)


def test_another_link_in_the_same_tab_is_that_link(portal: Portal, page: Page) -> None:
    portal.register("patient")
    page.goto(f"http://localhost:{portal.port}/account/verify#token=old")
    page.get_by_role("button", name="Verify").click()
    outcome(page)

    page.goto(link(portal, "patient", "verify"))
    page.get_by_role("button", name="Verify").click()

    assert outcome(page) == "Your e-mail address is verified."


def test_in_the_dark(portal: Portal, page: Page) -> None:
    page.emulate_media(color_scheme="dark")
    page.goto(f"http://localhost:{portal.port}/account/reset#token=x")
    shoot(page, "reset-dark")

    page.get_by_label("New password").fill(NEW)
    page.get_by_role("button", name="Set the password").click()

    assert "does not work any more" in outcome(page)
