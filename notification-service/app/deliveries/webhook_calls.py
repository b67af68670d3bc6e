"""Webhook calls: one signed POST to a public address, as Standard Webhooks specifies."""

import json
import time
from collections.abc import Sequence
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

from ..models import Notification
from ..settings import Network, NotificationSettings
from ..webhooks.service import Webhooks
from ..webhooks.signatures import sign
from .outcomes import Delivered, PermanentFailure, TransientFailure, Unreachable, printable

_TRANSIENT = frozenset({408, 425, 429})
_MAX_RETRY_AFTER_SECONDS = 24 * 3600.0


class WebhookChannel:
    """Sends notifications to webhooks."""

    def __init__(self, webhooks: Webhooks, settings: NotificationSettings) -> None:
        self._webhooks = webhooks
        self._services_secret = settings.webhook_secret.get_secret_value()
        self._networks = settings.webhook_networks
        self._timeout_seconds = settings.delivery_timeout_seconds

    def host(self, url: str) -> str:
        """The host whose deliveries are limited."""
        return (urlsplit(url).hostname or "").lower()

    server = host  # the name of its circuit breaker

    def send(self, notification: Notification, url: str) -> Delivered:
        """Call the webhook. Raises PermanentFailure and TransientFailure.

        Responses 4xx are permanent failures, except 408, 425 and 429; all others but 2xx are
        transient. Redirects are not followed.
        """
        secret = self._webhooks.secret_of(notification.user_id, url)
        if secret is None and not notification.is_of_user:
            secret = self._services_secret
        if not secret:
            raise PermanentFailure("The webhook is not registered any more")
        body = json.dumps(_payload(notification), separators=(",", ":")).encode()
        response = self._post(url, notification.message_id, secret, body)
        if 200 <= response.status < 300:
            return Delivered(str(response.status))
        reason = f"The endpoint answered {response.status}"
        if 400 <= response.status < 500 and response.status not in _TRANSIENT:
            raise PermanentFailure(reason, _answer(response))
        raise TransientFailure(reason, _answer(response), _retry_after(response))

    def _post(self, url: str, message_id: str, secret: str, body: bytes) -> HttpResponse:
        now = int(time.time())
        headers = {
            "Content-Type": "application/json",
            "User-Agent": "pyportal-webhooks/1",
            "webhook-id": message_id,
            "webhook-timestamp": str(now),
            "webhook-signature": sign(secret, message_id, now, body),
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
            raise PermanentFailure(str(error)) from None
        except RequestFailed as error:
            raise Unreachable(f"The endpoint cannot be reached: {error}") from None


def _payload(notification: Notification) -> dict[str, Any]:
    message = {"subject": notification.subject, "message": notification.message}
    return {
        "type": notification.template or "message",
        "timestamp": notification.created_at.isoformat(),
        "data": notification.data if notification.template else message,
    }


def _is_in(address: Address, networks: Sequence[Network]) -> bool:
    return any(address in network for network in networks)


def _answer(response: HttpResponse) -> str:
    return printable(f"{response.status} {response.body[:500].decode('utf-8', 'replace')}")


def _retry_after(response: HttpResponse) -> float:
    """Seconds; 0 without a usable header."""
    text = response.headers.get("retry-after", "")
    try:
        seconds = float(text) if text.isdigit() else _seconds_until(text)
    except (ValueError, OverflowError):
        return 0
    return min(max(0, seconds), _MAX_RETRY_AFTER_SECONDS)


def _seconds_until(date: str) -> float:
    moment = parsedate_to_datetime(date)
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return (moment - datetime.now(UTC)).total_seconds()
