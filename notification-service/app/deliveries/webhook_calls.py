"""Notifications that are sent to webhooks."""

from typing import Any

from ..models import Notification
from ..settings import NotificationSettings
from ..webhooks.calls import WebhookCaller, answer_of, host_of, retry_after, server_of
from ..webhooks.service import Webhooks
from .outcomes import Delivered, PermanentFailure, TransientFailure

_TRANSIENT = frozenset({408, 425, 429})


class WebhookChannel:
    """Sends notifications to webhooks."""

    def __init__(
        self, webhooks: Webhooks, caller: WebhookCaller, settings: NotificationSettings
    ) -> None:
        self._webhooks = webhooks
        self._caller = caller
        self._services_secret = settings.webhook_secret.get_secret_value()

    def host(self, url: str) -> str:
        """The host whose deliveries are limited."""
        return host_of(url)

    def server(self, url: str) -> str:
        """The name of its circuit breaker."""
        return server_of(url)

    def send(self, notification: Notification, url: str) -> Delivered:
        """Call the webhook. Raises PermanentFailure and TransientFailure.

        Responses 4xx are permanent failures, except 408, 425 and 429; all others but 2xx are
        transient. Redirects are not followed.
        """
        secrets = self._webhooks.secrets_of(notification.user_id, url)
        if not secrets and self._services_secret and not notification.is_of_user:
            secrets = [self._services_secret]
        if not secrets:
            raise PermanentFailure("The webhook is not registered any more")
        payload = _payload(notification)
        response = self._caller.post(url, notification.message_id, secrets, payload)
        if 200 <= response.status < 300:
            return Delivered(str(response.status))
        reason = f"The endpoint answered {response.status}"
        if 400 <= response.status < 500 and response.status not in _TRANSIENT:
            raise PermanentFailure(reason, answer_of(response))
        raise TransientFailure(reason, answer_of(response), retry_after(response))


def _payload(notification: Notification) -> dict[str, Any]:
    message = {"subject": notification.subject, "message": notification.message}
    return {
        "type": notification.template or "message",
        "timestamp": notification.created_at.isoformat(),
        "data": notification.data if notification.template else message,
    }
