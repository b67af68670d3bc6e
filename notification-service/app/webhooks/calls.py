"""Webhook calls: one signed POST to a public address, as Standard Webhooks specifies."""

import json
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlsplit

from common.pyportal_common.outbound import (
    Address,
    AddressRefused,
    HttpResponse,
    RequestFailed,
    is_public,
    request,
)

from ..deliveries.outcomes import PermanentFailure, Unreachable, printable
from ..settings import Network, NotificationSettings
from .signatures import sign

_MAX_RETRY_AFTER_SECONDS = 24 * 3600.0


class WebhookCaller:
    """Posts signed messages to webhooks."""

    def __init__(self, settings: NotificationSettings) -> None:
        self._networks = settings.webhook_networks
        self._timeout_seconds = settings.delivery_timeout_seconds

    def post(
        self, url: str, message_id: str, secrets: Sequence[str], payload: Mapping[str, Any]
    ) -> HttpResponse:
        """Post a message, signed with each of the secrets, and return the response.

        Raises PermanentFailure for an address that is not allowed, else Unreachable. Redirects are
        not followed.
        """
        now = int(time.time())
        body = json.dumps(payload, separators=(",", ":")).encode()
        headers = {
            "Content-Type": "application/json",
            "User-Agent": "pyportal-webhooks/1",
            "webhook-id": message_id,
            "webhook-timestamp": str(now),
            "webhook-signature": " ".join(sign(each, message_id, now, body) for each in secrets),
        }
        try:
            return request(
                "POST",
                url,
                headers=headers,
                body=body,
                timeout_seconds=self._timeout_seconds,
                allowed=lambda address: is_public(address) or _is_in(address, self._networks),
            )
        except AddressRefused as error:
            raise PermanentFailure(f"{error}: {_NETWORKS}") from None
        except RequestFailed as error:
            raise Unreachable(f"The endpoint cannot be reached: {error}") from None


_NETWORKS = (
    "it must be public, or in a network that the operator of the portal has allowed with "
    "WEBHOOK_NETWORKS"
)


def host_of(url: str) -> str:
    """The host whose deliveries are limited."""
    return (urlsplit(url).hostname or "").lower()


def server_of(url: str) -> str:
    """The host and port that have a circuit breaker."""
    parts = urlsplit(url)
    return f"{host_of(url)}:{parts.port or parts.scheme}"


def answer_of(response: HttpResponse) -> str:
    """A response as attempts show it."""
    return printable(f"{response.status} {response.body[:500].decode('utf-8', 'replace')}")


def retry_after(response: HttpResponse) -> float:
    """Seconds; 0 without a usable header."""
    text = response.headers.get("retry-after", "")
    try:
        seconds = float(text) if text.isdigit() else _seconds_until(text)
    except (ValueError, OverflowError):
        return 0
    return min(max(0, seconds), _MAX_RETRY_AFTER_SECONDS)


def _is_in(address: Address, networks: Sequence[Network]) -> bool:
    return any(address in network for network in networks)


def _seconds_until(date: str) -> float:
    moment = parsedate_to_datetime(date)
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return (moment - datetime.now(UTC)).total_seconds()
