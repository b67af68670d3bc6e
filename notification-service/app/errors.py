"""The service's errors."""


class NotificationNotFound(Exception):
    """There is no such notification, or the caller may not see it."""


class RecipientNotAllowed(Exception):
    """The caller may not notify this recipient. `field` and `message` say why."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(f"{field}: {message}")
        self.field = field
        self.message = message


class IdempotencyKeyReused(Exception):
    """The idempotency key was used for a different notification."""


class WebhookNotFound(Exception):
    """The user has no such webhook."""


class WebhookAlreadyExists(Exception):
    """The user has already registered this URL."""


class TooManyWebhooks(Exception):
    """The user has reached the maximum number of webhooks."""


class WebhookDisabled(Exception):
    """The webhook is disabled: it must be enabled first."""


class DeliveryNotFound(Exception):
    """The webhook has no such delivery."""


class DeliveryNotEnded(Exception):
    """The delivery has not failed or been suppressed, and cannot be retried."""


class UnsubscribeLinkInvalid(Exception):
    """The token of the link is not one of ours."""


class UsersUnreachable(Exception):
    """User Management cannot be reached."""


class UnusableData(Exception):
    """A template cannot be rendered with this data. The message says why."""
