"""What can go wrong with notifications, in the service's own words."""


class NotificationNotFound(Exception):
    """There is no such notification, for who asks."""


class RecipientNotAllowed(Exception):
    """It may not go there, as `field` and `message` say."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(f"{field} {message}")
        self.field = field
        self.message = message


class IdempotencyKeyReused(Exception):
    """The idempotency key is that of another notification."""


class WebhookNotFound(Exception):
    """The user has no such webhook."""


class WebhookAlreadyExists(Exception):
    """The user has registered that URL."""


class TooManyWebhooks(Exception):
    """The user has as many as one may have."""


class UsersUnreachable(Exception):
    """User Management cannot be asked now."""


class UnusableData(Exception):
    """A template cannot be filled with this data. The message says why."""
