"""Callers and recipients: who may notify whom, and where."""

from dataclasses import dataclass

from ..errors import RecipientNotAllowed
from ..users import Users
from ..webhooks.service import Webhooks
from .schemas import NewNotification


@dataclass(frozen=True)
class Principal:
    """A user, or another service, which may see and do everything."""

    user_id: int | None
    service: str | None

    @property
    def name(self) -> str:
        """The value of a notification's `source`."""
        return self.service or f"user={self.user_id}"

    def may_see(self, user_id: int | None) -> bool:
        """Whether the caller may see the data of that user."""
        return self.service is not None or user_id == self.user_id


class Recipients:
    """Finds the recipient of a new notification. Users notify themselves, services anyone.

    `allow_unregistered`: services may call webhooks that no user registered.
    """

    def __init__(self, users: Users, webhooks: Webhooks, *, allow_unregistered: bool) -> None:
        self._users = users
        self._webhooks = webhooks
        self._allow_unregistered = allow_unregistered

    def resolve(self, new: NewNotification, principal: Principal) -> NewNotification:
        """The notification with its user and its recipient.

        Raises RecipientNotAllowed and UsersUnreachable.
        """
        if principal.service is not None:
            self._check_service(new)
            return new
        user_id = principal.user_id or 0
        if new.user_id not in (None, user_id):
            raise RecipientNotAllowed("userId", "Must be your own")
        if new.channel == "webhook":
            self._require_webhook(user_id, new.recipient)
            return new.model_copy(update={"user_id": user_id})
        address = self._own_address(user_id, new.recipient)
        return new.model_copy(update={"user_id": user_id, "recipient": address})

    def _check_service(self, new: NewNotification) -> None:
        """An e-mail without a recipient goes to the address that the user has when it is sent."""
        if new.recipient is None and (new.user_id is None or new.channel == "webhook"):
            raise RecipientNotAllowed("recipient", "Required")
        if new.channel == "webhook" and not self._allow_unregistered:
            self._require_webhook(new.user_id, new.recipient)

    def _own_address(self, user_id: int, recipient: str | None) -> str:
        user = self._users.find(user_id)
        if user is None or not user.email_verified:
            raise RecipientNotAllowed("recipient", "Your e-mail address must be verified first")
        if recipient is not None and recipient.lower() != user.email.lower():
            raise RecipientNotAllowed("recipient", "Must be your own e-mail address")
        return user.email

    def _require_webhook(self, user_id: int | None, url: str | None) -> None:
        if not self._webhooks.secrets_of(user_id, url):
            raise RecipientNotAllowed("recipient", "Must be a registered webhook")
