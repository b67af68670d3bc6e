"""One user in a browser: from registration to a cancelled booking, with two second factors."""

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from functools import partial
from itertools import cycle

import pytest
from playwright.sync_api import Locator, Page, expect

from ..mails import token
from ..portal_api import PASSWORD, User
from .authenticators import add_authenticator, code_of
from .conftest import UNLIMITED, NewPortal, Portal
from .fronts import front, open_front

pytestmark = pytest.mark.slow

NAME = "amelia"
LIMITS = {f"RATE_LIMIT_{name}": "100000/60" for name in ("FACTORS", "CHALLENGES", "TASKS")}
LONG = 90_000  # milliseconds: a killed worker's lease has to expire
PAUSE = 300  # milliseconds before the next attempt
MAX_OUTAGES = LONG // PAUSE  # for one step
OUTAGE = "The portal cannot do this at the moment. Nothing is lost: try again in a few seconds."

Attempt = Callable[[], object]


class Walk:
    """A user who does each step again while the portal says that it cannot do it."""

    def __init__(self, portal: Portal, page: Page, fault: Callable[[], None]) -> None:
        self.portal, self.page = portal, page
        self._fault = fault  # before the first press of each step
        self._is_first_press = False
        self.outages = 0
        self.backup_codes: list[str] = []
        self._outage = page.get_by_role("heading", name=OUTAGE, exact=True)
        self._passkey_fault = page.locator("[data-passkey] + .fault")

    def open(self, path: str, service: str = "usermanagement") -> Attempt:
        """Open a page."""
        return lambda: self.page.goto(front(self.portal, path, service))

    def press(self, name: str) -> None:
        """Press a button or a link, and wait for the next page, or the fault of a passkey."""
        if self._is_first_press:
            self._is_first_press = False
            self._fault()
        self.page.evaluate("() => { window.isOldPage = true }")
        button, link = (
            self.page.get_by_role(role, name=name, exact=True) for role in ("button", "link")
        )
        button.or_(link).click()
        self.page.wait_for_function(
            "() => !window.isOldPage"
            " || document.querySelector('[data-passkey] + .fault:not(:empty)')"
        )

    def reach(self, goal: Locator, attempt: Attempt, *, again: Attempt | None = None) -> None:
        """Attempt a step until its page is there. Any other page explains an outage."""
        self._is_first_press = True
        attempt()
        for _ in range(MAX_OUTAGES):
            if not self._is_outage(goal):
                return
            self.outages += 1
            self.page.wait_for_timeout(PAUSE)
            (again or attempt)()
        raise AssertionError(f"{MAX_OUTAGES} outages in a row")

    def _is_outage(self, goal: Locator) -> bool:
        seen = goal.or_(self._outage).or_(self._passkey_fault.filter(has_text="unavailable"))
        expect(seen.first).to_be_visible()
        return not goal.is_visible()

    def heading(self, name: str) -> Locator:
        """The heading of a page."""
        return self.page.get_by_role("heading", name=name, exact=True)

    def said(self, text: str) -> Locator:
        """What a page says after a form."""
        return self.page.get_by_role("status").filter(has_text=text).first

    def register(self) -> None:
        """Register."""

        def register() -> None:
            self.open("/app/register")()
            self.page.get_by_label("Username").fill(NAME)
            self.page.get_by_label("E-mail address").fill(f"{NAME}@example.com")
            self.page.get_by_label("Password").fill(PASSWORD)
            self.press("Register")

        self.reach(self.said(f"Welcome, {NAME}."), register)

    def verify(self) -> None:
        """Verify the address by the link of the mail."""
        mail = self.portal.mail(f"{NAME}@example.com", "Welcome", seconds=LONG / 1000)

        def verify() -> None:
            self.open(f"/app/verify#token={token(mail)}")()
            self.press("Verify")

        self.reach(self.said("Your e-mail address is verified."), verify)

    def log_in(self, code: Callable[[], str] = str, *, button: str = "Log in") -> None:
        """Log in, with a code or a passkey if the user has a factor."""

        def log_in() -> None:
            self.open("/app/login?next=/app/factors")()
            self.page.get_by_label("Username or e-mail address").fill(NAME)
            self.page.get_by_label("Password").fill(PASSWORD)
            self.page.get_by_label("Code").fill(code())
            self.press(button)

        self.reach(self.heading("Second factors"), log_in)

    def log_out(self) -> None:
        """Log out."""

        def log_out() -> None:
            self.open("/app")()
            if self.page.get_by_role("button", name="Log out").is_visible():
                self.press("Log out")

        self.reach(self.heading("Log in"), log_out)

    def add_app(self) -> str:
        """Add an authenticator app, and keep its backup codes. Returns its secret."""
        secrets = []

        def add() -> None:
            self.open("/app/factors")()
            renew = self.page.locator("summary", has_text="Make new ones")
            if renew.is_visible():  # the app is in use, and the answer was lost
                renew.click()
                self.page.get_by_role("button", name="Yes, make new ones").click()
                return
            self.open("/app/factors/app")()
            if self._outage.is_visible():
                return
            self.press("Show the QR code")
            if self._outage.is_visible():
                return
            secrets.append(self.page.locator("main code").inner_text().replace(" ", ""))
            self.page.get_by_label("Code", exact=True).fill(code_of(secrets[-1]))
            self.press("Confirm")

        self.reach(self.heading("Your backup codes"), add)
        self.backup_codes = self.page.locator(".codes code").all_inner_texts()
        return secrets[-1]

    def add_passkey(self) -> None:
        """Add a passkey of the browser."""

        def add() -> None:
            self.open("/app/factors/passkeys")()
            if self._outage.is_visible():
                return
            self.page.get_by_label("Name").fill("My laptop")
            self.press("Add the passkey")

        self.reach(self.said("Your passkey My laptop is in use."), add)

    def book(self, seats: int) -> None:
        """Book seats of the only flight, and look on until they are booked."""
        self.reach(self.heading("Flights"), self.open("/app/flights", "taskprocessing"))
        flight = self.page.get_by_role("link", name="LIS to OSL")
        address = front(self.portal, flight.get_attribute("href") or "", "taskprocessing")
        self.reach(self.heading("Book"), lambda: self.page.goto(address))
        self.page.get_by_label("Seats").fill(str(seats))
        send_again = partial(self.press, "Try again")  # the same form: it books once
        self.reach(self.page.locator("#live"), partial(self.press, "Book"), again=send_again)
        booked = self.page.get_by_text("Your seats are booked.")
        expect(booked).to_be_visible(timeout=LONG)

    def cancel(self) -> None:
        """Cancel the booking whose page is open."""
        address = f"{self.page.url}/cancel"
        self.reach(self.heading("Cancel this booking?"), lambda: self.page.goto(address))
        self.reach(
            self.said("The booking is cancelled, and its seats are returned."),
            partial(self.press, "Cancel the booking"),
            again=partial(self.press, "Try again"),
        )


def kill(portal: Portal, command: str, service: str | None = None) -> None:
    """Kill a process, which the supervisor starts again, unless it is being started."""
    with suppress(AssertionError, OSError):
        os.kill(portal.pid_of(command, service=service), signal.SIGKILL)


@contextmanager
def killed_again_and_again(portal: Portal) -> Iterator[None]:
    """Meanwhile Redis and the workers are killed by turns."""
    ended = threading.Event()

    def kill_by_turns() -> None:
        for service in cycle(portal.ports):
            for victim in (("-server", None), ("app.worker", service)):
                if ended.wait(1):
                    return
                kill(portal, *victim)

    thread = threading.Thread(target=kill_by_turns)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


@pytest.mark.parametrize("kills", [False, True], ids=["calm", "while-redis-and-workers-are-killed"])
def test_a_walk_from_registration_to_a_cancelled_booking(
    new_portal: NewPortal, kills: bool
) -> None:
    portal = new_portal(**UNLIMITED, **LIMITS)
    portal.start()
    admin = User.create_admin(portal)
    flight_id = admin.add_flight("PY101")
    with open_front(portal, expected="status of 503") as page:
        add_authenticator(page)
        walk = Walk(portal, page, partial(kill, portal, "-server") if kills else lambda: None)
        with killed_again_and_again(portal) if kills else nullcontext():
            walk.register()
            walk.verify()
            walk.log_in()
            secret = walk.add_app()
            walk.log_out()
            codes = iter([code_of(secret, steps=1), *walk.backup_codes])
            walk.log_in(lambda: next(codes))
            walk.add_passkey()
            walk.log_out()
            walk.log_in(button="Log in with a passkey")
            walk.book(2)
            walk.cancel()

        inbox = front(portal, "/app/inbox", "notification")
        walk.reach(page.get_by_text("Your flight is booked").first, lambda: page.goto(inbox))
    print(f"\nThe walk, {'killed' if kills else 'calm'}: {walk.outages} pages said to try again")
    assert (walk.outages > 0) == kills
    counts = "SELECT count(*), count(cancelled_at) FROM bookings"
    assert portal.sql("taskprocessing", counts) == [(1, 1)]
    assert admin.seats_left(flight_id) == 100
    assert portal.sql("usermanagement", "SELECT name FROM passkeys") == [("My laptop",)]
