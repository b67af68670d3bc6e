"""Webhooks: one signed POST, after the Standard Webhooks specification, to an address that is
public.
"""

import base64
import hmac
import json
import secrets
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from common.pyportal_common.outbound import (
    Address,
    AddressRefused,
    HttpResponse,
    RequestFailed,
    is_public,
    request,
)

from .outcomes import Away, Delivered, Refused, Unreachable, readable
from .settings import Network

_PREFIX = "whsec_"
_PASSING = frozenset({408, 425, 429})
_LONGEST_WAIT = 24 * 3600.0  # seconds that an endpoint may ask for


def new_secret() -> str:
    """A secret for an endpoint: 24 random bytes, as the specification writes them."""
    return _PREFIX + base64.b64encode(secrets.token_bytes(24)).decode()


def signature(secret: str, message_id: str, timestamp: int, body: bytes) -> str:
    """What proves to who has the secret that a message is ours, and from when it is.

    https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
    """
    key = secret.removeprefix(_PREFIX)
    try:
        raw = base64.b64decode(key, validate=True) if secret.startswith(_PREFIX) else key.encode()
    except ValueError:
        raw = key.encode()
    signed = f"{message_id}.{timestamp}.".encode() + body
    return "v1," + base64.b64encode(hmac.digest(raw, signed, "sha256")).decode()


def call(
    url: str,
    payload: dict[str, Any],
    *,
    message_id: str,
    secret: str,
    networks: Sequence[Network],
    timeout_seconds: float,
) -> Delivered:
    """Send it. Raises Refused and Unreachable.

    Answers 4xx are final, but 408, 425 and 429; all others that are no success may pass. Redirects
    are not followed.
    """
    body = json.dumps(payload, separators=(",", ":")).encode()
    now = int(time.time())
    try:
        answer = request(
            "POST",
            url,
            headers={
                "Content-Type": "application/json",
                "User-Agent": "pyportal-webhooks/1",
                "webhook-id": message_id,
                "webhook-timestamp": str(now),
                "webhook-signature": signature(secret, message_id, now, body),
            },
            body=body,
            timeout_seconds=timeout_seconds,
            allowed=lambda address: is_public(address) or _is_in(address, networks),
        )
    except AddressRefused as error:
        raise Refused(str(error)) from None
    except RequestFailed as error:
        raise Away(f"The endpoint cannot be reached: {error}") from None
    if 200 <= answer.status < 300:
        return Delivered(str(answer.status))
    reason = f"The endpoint answered {answer.status}"
    if 400 <= answer.status < 500 and answer.status not in _PASSING:
        raise Refused(reason, _said(answer))
    raise Unreachable(reason, _said(answer), _retry_after(answer))


def _is_in(address: Address, networks: Sequence[Network]) -> bool:
    return any(address in network for network in networks)


def _said(answer: HttpResponse) -> str:
    return readable(f"{answer.status} {answer.body[:500].decode('utf-8', 'replace')}")


def _retry_after(answer: HttpResponse) -> float:
    text = answer.headers.get("retry-after", "")
    try:
        seconds = float(text) if text.isdigit() else _seconds_until(text)
    except (ValueError, OverflowError):
        return 0
    return min(max(0, seconds), _LONGEST_WAIT)


def _seconds_until(date: str) -> float:
    moment = parsedate_to_datetime(date)
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return (moment - datetime.now(UTC)).total_seconds()
