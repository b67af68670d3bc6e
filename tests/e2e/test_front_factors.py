"""Second factors in the front of `make run`: added in a browser, and asked for at a login."""

from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Page, Route, expect

from ..portal_api import PASSWORD, User
from .authenticators import add_authenticator, code_of
from .conftest import UNLIMITED, Portal, running_portal
from .fronts import check_looks, enter, front, look, open_front


@pytest.fixture(scope="module")
def portal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Portal]:
    """A portal with a console."""
    yield from running_portal(tmp_path_factory.mktemp("portal"), CONSOLE="on", **UNLIMITED)


@pytest.fixture
def page(portal: Portal) -> Iterator[Page]:
    with open_front(portal) as page:
        yield page


def press(page: Page, button: str) -> None:
    page.get_by_role("button", name=button, exact=True).click()


def show_secret(page: Page, portal: Portal) -> str:
    """Begin to add an authenticator app; its secret."""
    page.goto(front(portal, "/app/factors"))
    page.get_by_role("link", name="Add an app").click()
    press(page, "Show the QR code")
    expect(page.get_by_role("img", name="QR code")).to_be_visible()
    return page.locator("main code").inner_text().replace(" ", "")


def confirm(page: Page, secret: str) -> None:
    page.get_by_label("Code", exact=True).fill(code_of(secret))
    page.get_by_role("button", name="Confirm", exact=True).dblclick()  # as hasty users do
    expect(page.get_by_role("heading", name="Your backup codes")).to_be_visible()


def give_password(page: Page, address: str, name: str, *, label: str = "Username") -> None:
    """Open a page to log in, and fill in the name and the password."""
    page.goto(address)
    page.get_by_label(label).fill(name)
    page.get_by_label("Password").fill(PASSWORD)


def add_passkey(page: Page, portal: Portal, name: str) -> None:
    page.goto(front(portal, "/app/factors"))
    page.get_by_role("link", name="Add a passkey").click()
    page.get_by_label("Name").fill(name)
    press(page, "Add the passkey")


@pytest.mark.slow
def test_an_authenticator_app_is_added_and_its_code_logs_in(portal: Portal, page: Page) -> None:
    enter(portal, page, "totp")
    secret = show_secret(page, portal)
    confirm(page, secret)
    expect(page.get_by_role("listitem")).to_have_count(10)
    backup_code = page.locator("main code").first.inner_text()
    press(page, "Log out")

    give_password(page, front(portal, "/app/login"), "totp")
    press(page, "Log in")
    expect(page.get_by_role("alert")).to_contain_text("or second factor")
    for code in (code_of(secret, steps=1), backup_code):
        give_password(page, front(portal, "/app/login"), "totp")
        page.get_by_label("Code").fill(code)
        press(page, "Log in")
        expect(page.get_by_role("heading", name="Flights")).to_be_visible()
        press(page, "Log out")
        expect(page.get_by_role("heading", name="Log in")).to_be_visible()


@pytest.mark.slow
def test_a_passkey_is_added_and_logs_in(portal: Portal, page: Page) -> None:
    add_authenticator(page)
    enter(portal, page, "keyed")
    add_passkey(page, portal, "My laptop")
    expect(page.get_by_role("status")).to_have_text("Your passkey My laptop is in use.")
    add_passkey(page, portal, "My laptop again")
    expect(page.get_by_text("This device has a passkey of yours already.")).to_be_visible()
    press(page, "Log out")

    give_password(page, front(portal, "/app/login?next=/app/factors"), "keyed")
    press(page, "Log in with a passkey")

    expect(page.get_by_role("heading", name="My laptop")).to_be_visible()
    expect(page.get_by_text("last used \u2013")).to_have_count(0)
    page.get_by_label("Remove the passkey My laptop", exact=True).click()
    expect(page.get_by_text("Your password alone will.")).to_be_visible()
    press(page, "Yes, remove the passkey My laptop")
    expect(page.get_by_role("status")).to_have_text("The passkey is removed.")


@pytest.mark.slow
def test_an_admin_opens_the_console_with_a_passkey(portal: Portal, page: Page) -> None:
    add_authenticator(page)
    admin = User.create_admin(portal)
    give_password(page, front(portal, "/app/login"), admin.name)
    press(page, "Log in")
    add_passkey(page, portal, "My key")
    expect(page.get_by_role("heading", name="Your backup codes")).to_be_visible()
    press(page, "Log out")

    console = front(portal, "/console")
    give_password(page, console, admin.name, label="E-mail address or username")
    check_looks(page, "console-login")
    press(page, "Log in with a passkey")

    expect(page).to_have_url(console)


@pytest.mark.slow
def test_without_a_passkey_the_page_says_so_and_stays(portal: Portal, page: Page) -> None:
    portal.register("keyless")
    give_password(page, front(portal, "/app/login"), "keyless")
    page.evaluate(
        "() => { navigator.credentials.get = () =>"
        " Promise.reject(new DOMException('', 'NotAllowedError')) }"
    )

    press(page, "Log in with a passkey")

    expect(page.get_by_text("No passkey was used. Try again.")).to_be_visible()
    expect(page.get_by_label("Password")).to_have_value(PASSWORD)


@pytest.mark.slow
def test_a_browser_that_cannot_use_passkeys_is_told(portal: Portal, page: Page) -> None:
    enter(portal, page, "old-browser")
    page.add_init_script("delete PublicKeyCredential.parseRequestOptionsFromJSON")

    page.goto(front(portal, "/app/factors/passkeys"))

    expect(page.get_by_text("This browser cannot use passkeys.")).to_be_visible()
    expect(page.get_by_role("button", name="Add the passkey")).to_be_hidden()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("answer", "error"),
    [
        pytest.param(lambda route: route.abort(), "ERR_FAILED", id="none"),
        pytest.param(lambda route: route.fulfill(status=502, body="<html>"), "502", id="not ours"),
    ],
)
def test_without_an_answer_the_page_says_so_and_stays(
    portal: Portal, answer: Callable[[Route], None], error: str
) -> None:
    with open_front(portal, expected=error) as page:
        page.route("**/passkeys/challenge", answer)
        give_password(page, front(portal, "/app/login"), "anyone")

        press(page, "Log in with a passkey")

        told = page.get_by_text("The portal did not answer. Try again in a moment.")
        expect(told).to_be_visible()
        expect(page.get_by_label("Password")).to_have_value(PASSWORD)


@pytest.mark.slow
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_every_page_is_accessible_and_fits(portal: Portal, page: Page, theme: str) -> None:
    add_authenticator(page)
    enter(portal, page, f"looks-{theme}")
    for path in ("factors", "factors/app", "factors/app/confirm", "factors/passkeys", "keep"):
        look(page, front(portal, f"/app/{path}"), theme)
    secret = show_secret(page, portal)
    check_looks(page, f"app-factors-qr-{theme}")
    page.get_by_label("Code", exact=True).fill("12345x")
    press(page, "Confirm")
    expect(page.get_by_text("Wrong or too old")).to_be_visible()
    check_looks(page, f"app-factors-wrong-{theme}")
    confirm(page, secret)
    check_looks(page, f"app-factors-codes-{theme}")
    add_passkey(page, portal, "My phone")
    expect(page.get_by_role("status")).to_have_text("Your passkey My phone is in use.")
    look(page, front(portal, "/app/factors"), theme)
    look(page, front(portal, "/app/login?reason=old"), theme)
