"""The front of `make run`, as tests walk it: by plain HTTP, or in a real browser."""

import http.client
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from urllib.parse import urlsplit

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, ViewportSize, expect

from common.pyportal_common.testing.browsing import Reply

from ..portal_api import PASSWORD
from .browser import open_browser, screenshot
from .conftest import Portal

PHONE: ViewportSize = {"width": 380, "height": 720}
DESKTOP: ViewportSize = {"width": 1280, "height": 800}


def send(method: str, url: str, body: str | None, headers: Mapping[str, str]) -> Reply:
    """Send a request of a browser without JavaScript."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=60)
    path = parts.path + (f"?{parts.query}" if parts.query else "")
    connection.request(method, path, body, dict(headers))
    response = connection.getresponse()
    pairs = [(name.lower(), value) for name, value in response.getheaders()]
    reply = Reply(response.status, pairs, response.read().decode())
    connection.close()
    return reply


def front(portal: Portal, path: str = "", service: str = "usermanagement") -> str:
    """The address of a page."""
    return f"http://localhost:{portal.ports[service]}{path}"


@contextmanager
def open_front(portal: Portal, *, expected: str = "status of 4") -> Iterator[Page]:
    """A browser that opens pages of the front only. `expected` is in errors beside those of 4xx."""
    origins = [front(portal, service=service) for service in portal.ports]
    with open_browser(
        *origins,
        width=1280,
        height=800,
        is_expected=lambda error: "status of 4" in error or expected in error,
    ) as page:
        yield page


def enter(portal: Portal, page: Page, name: str) -> None:
    """Log a new user in, in the browser."""
    portal.register(name)
    page.goto(front(portal))
    page.get_by_label("Username").fill(name)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Log in", exact=True).click()
    expect(page.get_by_role("heading", name="Flights")).to_be_visible()


def look(page: Page, address: str, theme: str) -> None:
    """Open a page and check it, light or dark."""
    page.emulate_media(color_scheme="dark" if theme == "dark" else "light")
    page.goto(address)
    name = urlsplit(address).path.removeprefix("/").replace("/", "-")
    check_looks(page, f"{name}-{theme}")


def check_looks(page: Page, name: str) -> None:
    """Check a page at the width of a desktop and of a phone, and take screenshots."""
    for size, suffix in ((PHONE, "-phone"), (DESKTOP, "")):
        page.set_viewport_size(size)
        page.wait_for_function("document.documentElement.scrollWidth <= innerWidth")
        found = Axe().run(page).response["violations"]
        assert [(each["id"], [node["html"] for node in each["nodes"]]) for each in found] == []
        screenshot(page, f"{name}{suffix}")
