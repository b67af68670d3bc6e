"""The pages behind the links in mails, in a real browser."""

import hashlib
import secrets
import sqlite3
from collections.abc import Iterator
from contextlib import closing

import pytest
from playwright.sync_api import Page

from ..portal_api import PASSWORD
from .browser import open_browser, screenshot
from .conftest import Portal

pytestmark = pytest.mark.slow

NEW_PASSWORD = "another-horse-battery"


@pytest.fixture
def page(portal: Portal) -> Iterator[Page]:
    with open_browser(
        f"http://localhost:{portal.port}",
        width=720,
        height=560,
        is_expected=lambda error: "the server responded with" in error,
    ) as page:
        yield page


def link(portal: Portal, name: str, purpose: str) -> str:
    """The address of a page, with a valid token of a new user."""
    portal.register(name)
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
    """The message that the page shows in the end."""
    page.locator("#outcome:not(:empty)").wait_for()
    return page.locator("#outcome").inner_text()


def verify(page: Page) -> str:
    page.get_by_role("button", name="Verify").click()
    return outcome(page)


def set_password(page: Page, password: str) -> None:
    page.get_by_label("New password").fill(password)
    page.get_by_role("button", name="Set the password").click()


def restore(page: Page) -> None:
    page.get_by_label("New password").fill(NEW_PASSWORD)
    page.get_by_role("button", name="Restore the address").click()


def is_verified(portal: Portal, name: str, password: str = PASSWORD) -> bool:
    return bool(portal.log_in(name, password).body["user"]["emailVerified"])


def test_only_the_button_verifies_the_address(portal: Portal, page: Page) -> None:
    page.goto(link(portal, "verified", "verify"))
    screenshot(page, "verify")
    assert not is_verified(portal, "verified")

    assert verify(page) == "Your e-mail address is verified."

    screenshot(page, "verify-done")
    assert is_verified(portal, "verified")
    assert not page.get_by_role("button").is_visible()


def test_a_used_link_is_explained(portal: Portal, page: Page) -> None:
    page.goto(link(portal, "twice", "verify"))
    verify(page)
    page.reload()

    assert "does not work any more" in verify(page)
    screenshot(page, "verify-used")


@pytest.mark.parametrize("name", ["verify", "reset"])
def test_a_link_without_a_token_is_explained(portal: Portal, page: Page, name: str) -> None:
    page.goto(f"http://localhost:{portal.port}/account/{name}")

    assert "not complete" in outcome(page)
    assert not page.get_by_role("button").is_visible()


def test_a_weak_password_is_explained_and_a_strong_one_is_set(portal: Portal, page: Page) -> None:
    page.goto(link(portal, "forgetful", "reset"))
    screenshot(page, "reset")
    page.get_by_label("Show it").check()
    set_password(page, "password123")
    assert "too easy to guess" in outcome(page)
    screenshot(page, "reset-weak")

    set_password(page, NEW_PASSWORD)

    page.get_by_text("Your new password is set.").wait_for()
    screenshot(page, "reset-done")
    assert is_verified(portal, "forgetful", NEW_PASSWORD)


def test_a_change_of_the_address_is_undone_with_a_new_password(portal: Portal, page: Page) -> None:
    page.goto(link(portal, "robbed", "undo"))
    portal.register("squatter")
    with closing(sqlite3.connect(portal.data_dir / "usermanagement.sqlite3")) as users, users:
        taken = users.execute("select email from users where username = 'robbed'").fetchone()[0]
        users.execute(
            "update users set email = 'x@example.com', email_key = 'x@example.com'"
            " where username = 'robbed'"
        )
        users.execute(
            "update users set email = ?, email_key = ? where username = 'squatter'",
            (taken, taken.lower()),
        )
    restore(page)
    assert "Another account has your address" in outcome(page)
    with closing(sqlite3.connect(portal.data_dir / "usermanagement.sqlite3")) as users, users:
        users.execute("delete from users where username = 'squatter'")

    restore(page)

    page.get_by_text("Your e-mail address is restored").wait_for()
    screenshot(page, "undo-done")
    user = portal.log_in("robbed", NEW_PASSWORD).body["user"]
    assert (user["email"], user["emailVerified"]) == (taken, True)


def test_a_second_link_in_the_same_tab_uses_its_own_token(portal: Portal, page: Page) -> None:
    page.goto(f"http://localhost:{portal.port}/account/verify#token=old")
    verify(page)

    page.goto(link(portal, "patient", "verify"))

    assert verify(page) == "Your e-mail address is verified."


def test_the_page_works_in_dark_mode(portal: Portal, page: Page) -> None:
    page.emulate_media(color_scheme="dark")
    page.goto(f"http://localhost:{portal.port}/account/reset#token=x")
    screenshot(page, "reset-dark")

    set_password(page, NEW_PASSWORD)

    assert "does not work any more" in outcome(page)
