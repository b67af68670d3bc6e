"""What gives users their second factors in tests: an app, and an authenticator of the browser."""

import time

import pyotp
from playwright.sync_api import Page


def code_of(secret: str, *, steps: int = 0) -> str:
    """The code of an app, now or a step of 30 s from now, which is accepted as well."""
    return pyotp.TOTP(secret).at(int(time.time()) + 30 * steps)


def add_authenticator(page: Page) -> None:
    """Give the browser an authenticator that asks nobody."""
    devtools = page.context.new_cdp_session(page)
    devtools.send("WebAuthn.enable")
    options = {
        "protocol": "ctap2",
        "transport": "internal",
        "hasResidentKey": True,
        "hasUserVerification": True,
        "isUserVerified": True,
        "automaticPresenceSimulation": True,
    }
    devtools.send("WebAuthn.addVirtualAuthenticator", {"options": options})
