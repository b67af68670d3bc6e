"""One-time codes of authenticator apps: TOTP (RFC 6238), six digits, SHA-1, steps of 30 s."""

import hmac
import io
from datetime import datetime

import pyotp
import segno

_STEP_SECONDS = 30
_WINDOW = 1  # steps before and after the present one


def new_seed() -> str:
    """160 random bits in base32."""
    return pyotp.random_base32()


def matching_step(seed: str, code: str, now: datetime) -> int | None:
    """The time step that a code is of, if it is at most one step away from the present one."""
    totp, present = pyotp.TOTP(seed), int(now.timestamp()) // _STEP_SECONDS
    found = None
    for step in range(present - _WINDOW, present + _WINDOW + 1):
        if hmac.compare_digest(totp.generate_otp(step).encode(), code.encode()):
            found = step
    return found


def otpauth_url(seed: str, *, account: str, issuer: str) -> str:
    """The URL that an authenticator app reads."""
    return pyotp.TOTP(seed).provisioning_uri(name=account, issuer_name=issuer)


def qr_code(url: str) -> str:
    """The URL as a QR code: an element `svg`, black on white in any color scheme."""
    output = io.BytesIO()
    segno.make(url, error="m", micro=False).save(
        output, kind="svg", xmldecl=False, scale=4, border=4, dark="#000", light="#fff"
    )
    return output.getvalue().decode().strip()
