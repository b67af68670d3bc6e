"""The front of `make run`: walked by plain HTTP, in a real browser, and while Redis is away."""

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from common.pyportal_common.testing.browsing import Browser

from ..mails import token
from ..portal_api import PASSWORD, User, wait_until
from .conftest import UNLIMITED, NewPortal, Portal, paused, running_portal
from .fronts import check_looks, enter, front, look, open_front, send

NEW_PASSWORD = "another-horse-battery"


@pytest.fixture(scope="module")
def portal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Portal]:
    """A portal with flights."""
    for portal in running_portal(tmp_path_factory.mktemp("portal"), **UNLIMITED):
        admin = User.create_admin(portal)
        admin.add_flight("PY101")
        yield portal


def log_in(browser: Browser, portal: Portal, name: str, password: str = PASSWORD) -> None:
    browser.open(front(portal, "/app/login"))
    browser.press("Log in", name=name, password=password)


def register(browser: Browser, portal: Portal, name: str) -> None:
    browser.open(front(portal, "/"))
    browser.click("Register")
    email = f"{name}@example.com"
    browser.press("Register", username=name, email=email, password=PASSWORD)
    assert f"Welcome, {name}" in browser.page.text
    browser.press("Log in", name=name, password=PASSWORD)
    assert browser.page.url == front(portal, "/app/flights", "taskprocessing")


def reload_until(browser: Browser, text: str) -> None:
    url = browser.page.url
    wait_until(lambda: text in browser.open(url).text)


def test_a_walk_without_javascript_from_registration_to_a_cancelled_booking(
    portal: Portal,
) -> None:
    browser = Browser(send)
    register(browser, portal, "amelia")
    browser.click("Profile")
    assert "not verified" in browser.page.text
    browser.click("enter its code")
    welcome = portal.mail("amelia@example.com", "Welcome to the portal, amelia")
    browser.press("Verify", token=f"{front(portal, '/app/verify')}#token={token(welcome)}")
    assert "Your e-mail address is verified." in browser.page.text
    assert "not verified" not in browser.page.text

    browser.click("Flights")
    browser.click("LIS to OSL")
    browser.press("Book", seats="2")
    reload_until(browser, "Your seats are booked")
    browser.click("My bookings")
    browser.click("LIS to OSL")
    browser.click("Cancel the booking")
    browser.press("Cancel the booking")
    assert "cancelled" in browser.page.text

    browser.click("Inbox")
    reload_until(browser, "Your flight is booked")
    browser.press("Mark all as read")
    assert "unread notification" not in browser.page.text
    browser.click("Devices")
    assert "this one" in browser.page.text
    browser.press("Log out")
    assert browser.open(front(portal, "/app/bookings", "taskprocessing")).heading == "Log in"


def test_a_forgotten_password_is_set_by_the_mailed_link(portal: Portal) -> None:
    browser = Browser(send)
    register(browser, portal, "bessie")
    browser.press("Log out")
    browser.click("Forgot your password?")
    browser.press("Send the link", email="bessie@example.com")
    assert "a link has been sent" in browser.page.text
    code = token(portal.mail("bessie@example.com", "Set a new password"))

    browser.open(front(portal, "/app/reset"))
    browser.press("Set the password", token=code, newPassword="password1", status=422)
    assert "Too easy to guess" in browser.page.text
    browser.press("Set the password", token=code, newPassword=NEW_PASSWORD)

    browser.press("Log in", name="bessie", password=NEW_PASSWORD)
    assert browser.page.heading == "Flights"


def test_a_login_leads_back_to_the_page_of_another_service(portal: Portal) -> None:
    portal.register("ellen")
    browser = Browser(send)
    wanted = front(portal, "/app/inbox", "notification")
    assert browser.open(wanted).heading == "Log in"

    browser.press("Log in", name="ellen", password=PASSWORD)

    assert browser.page.url == wanted


def test_a_browser_is_led_to_the_front_and_a_program_sees_what_it_saw(portal: Portal) -> None:
    for service in portal.ports:
        program = portal.request("GET", "/", service=service)
        assert (program.status, program.body["service"]) == (200, service)
        browser = Browser(send)
        assert browser.open(front(portal, "/", service)).heading == "Log in"


def test_while_redis_is_away_pages_explain_it_and_nothing_is_lost(new_portal: NewPortal) -> None:
    portal = new_portal(**UNLIMITED)
    portal.start()
    admin = User.create_admin(portal)
    flight_id = admin.add_flight("PY101")
    browser = Browser(send)
    register(browser, portal, "amelia")
    browser.click("LIS to OSL")
    form = browser.page
    with paused(portal.pid_of("-server")):
        browser.press("Book", seats="3", status=503)
        assert "cannot do this at the moment" in browser.page.text
        assert int(browser.page.reply.header("retry-after")) > 0
        again = browser.page

    def is_back() -> bool:
        browser.page = again
        try:
            browser.press("Try again")
        except AssertionError:
            return False
        return True

    wait_until(is_back)
    reload_until(browser, "Your seats are booked")
    browser.page = form
    browser.press("Book", seats="3")  # the same form once more: it books nothing
    assert admin.seats_left(flight_id) == 97


@pytest.fixture
def page(portal: Portal) -> Iterator[Page]:
    with open_front(portal) as page:
        yield page


@pytest.mark.slow
def test_the_state_of_a_booking_changes_while_it_is_looked_at(portal: Portal, page: Page) -> None:
    enter(portal, page, "live")
    with paused(portal.pid_of("app.worker", service="taskprocessing")):
        page.get_by_role("link", name="LIS to OSL").first.click()
        page.get_by_label("Seats").fill("2")
        page.get_by_role("button", name="Book").click()
        state = page.get_by_role("status")
        expect(state).to_contain_text("Your booking is in the queue")
        page.evaluate("window.isSamePage = true")

    expect(state).to_contain_text("Your seats are booked", timeout=30_000)
    assert page.evaluate("window.isSamePage")


@pytest.mark.slow
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_every_page_is_accessible_and_fits(portal: Portal, page: Page, theme: str) -> None:
    name = f"looks-{theme}"
    for path in ("login", "register", "forgot", "reset", "verify", "undo"):
        look(page, front(portal, f"/app/{path}"), theme)
    enter(portal, page, name)
    user = User(portal, name)
    [flight] = user.fetch("GET", "/flights")["items"]
    booking = user.book(flight["flightId"])
    user.wait_for_tasks([booking])
    hook = {"url": "https://example.com/hook"}
    added = user.fetch("POST", "/webhooks", hook, service="notification")["webhook"]
    for service, paths in {
        "usermanagement": ("profile", "devices", "password", "profile/delete", "nothing"),
        "taskprocessing": ("flights", f"flights/{flight['flightId']}", "bookings",
                           f"bookings/{booking}", f"bookings/{booking}/cancel"),
        "notification": ("inbox", "preferences", "webhooks", *(f"webhooks/{added['webhookId']}{act}"
                         for act in ("", "/delete", "/secret"))),
    }.items():  # fmt: skip
        for path in paths:
            look(page, front(portal, f"/app/{path}", service), theme)
    page.get_by_role("button", name="Replace the secret").click()
    expect(page.get_by_role("heading", name="The secret of your webhook")).to_be_visible()
    check_looks(page, f"app-webhook-secret-{theme}")


@pytest.mark.slow
def test_a_form_is_filled_in_by_the_keyboard_alone(portal: Portal, page: Page) -> None:
    portal.register("typist")
    page.goto(front(portal, "/app/login"))
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    expect(page.get_by_label("Username")).to_be_focused()
    for text in ("typist", "wrong-horse-battery"):
        page.keyboard.type(text)
        page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_contain_text("Wrong username")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("link", name="Skip to the content").press("Enter")
    expect(page).to_have_url(re.compile("#main$"))
    expect(page.get_by_label("Password")).to_have_value(PASSWORD)
    page.get_by_label("Password").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Flights")).to_be_visible()


@pytest.mark.slow
def test_the_link_of_a_mail_fills_in_its_code(portal: Portal, page: Page) -> None:
    enter(portal, page, "verified")
    welcome = portal.mail("verified@example.com", "Welcome to the portal, verified")

    page.goto(front(portal, f"/account/verify#token={token(welcome)}"))  # as in old mails
    expect(page.get_by_label("Code")).to_be_hidden()
    page.goto(front(portal, "/app/verify#token=of-another-mail"))  # loads no page
    expect(page.get_by_label("Code")).to_have_value("of-another-mail")
    page.goto(front(portal, f"/app/verify#token={token(welcome)}"))
    page.get_by_role("button", name="Verify").click()

    expect(page.get_by_role("status")).to_have_text("Your e-mail address is verified.")
