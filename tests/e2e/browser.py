"""A real browser for the tests of pages."""

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import ConsoleMessage, Page, sync_playwright

from common.pyportal_common.testing.plugin import missing

_SCREENSHOTS = os.environ.get("SCREENSHOTS")  # a folder for them


@contextmanager
def open_browser(
    *origins: str, width: int, height: int, is_expected: Callable[[str], bool] = lambda _: False
) -> Iterator[Page]:
    """A page that may send requests to `origins` only. Errors in the browser fail the test."""
    chromium = shutil.which("chromium") or shutil.which("google-chrome") or missing("chromium")
    errors: list[str] = []

    def on_console(message: ConsoleMessage) -> None:
        if message.type == "error" and not is_expected(message.text):
            errors.append(message.text)

    def on_request(url: str) -> None:
        if not url.startswith((*(f"{origin}/" for origin in origins), "data:", "blob:")):
            errors.append(f"the page requested {url}")

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": width, "height": height})
        page.on("console", on_console)
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("request", lambda request: on_request(request.url))
        yield page
        browser.close()
    assert errors == []


def screenshot(page: Page, name: str) -> None:
    """Take a screenshot if SCREENSHOTS names a folder."""
    if _SCREENSHOTS:
        page.screenshot(path=Path(_SCREENSHOTS) / f"{name}.png")
