"""Signatures of webhook messages, as Standard Webhooks specifies them.

https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
"""

import base64
import hmac
import secrets

_PREFIX = "whsec_"


def new_secret() -> str:
    """A random secret of 24 bytes, in the form of the specification."""
    return _PREFIX + base64.b64encode(secrets.token_bytes(24)).decode()


def sign(secret: str, message_id: str, timestamp: int, body: bytes) -> str:
    """The signature of a message, which proves its origin and its time."""
    key = secret.removeprefix(_PREFIX)
    try:
        raw = base64.b64decode(key, validate=True) if secret.startswith(_PREFIX) else key.encode()
    except ValueError:
        raw = key.encode()
    signed = f"{message_id}.{timestamp}.".encode() + body
    return "v1," + base64.b64encode(hmac.digest(raw, signed, "sha256")).decode()
