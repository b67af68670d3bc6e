"""Messages to other services, written in the transactions that cause them and delivered by workers.

Most of them ask Notification to send an e-mail.
"""

from datetime import datetime
from typing import Any

from pydantic_core import to_jsonable_python
from sqlalchemy import select

from common.pyportal_common.db import Database, Transaction
from common.pyportal_common.jobs import Hints, WorkerSettings
from common.pyportal_common.jobs.outbox import EVENTS, BaseOutbox, OutboxSettings
from common.pyportal_common.outbound import CircuitBreakers

from .email_links import tokens
from .models import Message, User

_SELF = "usermanagement"  # the service of messages that the workers process themselves
_OTHER_SERVICES = ("notification", "taskprocessing")
_ANONYMISE = "/api/v1/airliner/users/{}/anonymise"


class Outbox(BaseOutbox[Message]):
    """Writes messages and delivers them. `send` them after the commit."""

    receivers = (*_OTHER_SERVICES, _SELF)
    own_name = _SELF

    def __init__(
        self,
        database: Database,
        hints: Hints,
        worker_settings: WorkerSettings,
        breakers: CircuitBreakers,
        *,
        public_url: str,
    ) -> None:
        settings = OutboxSettings.load()
        super().__init__(Message, database, hints, worker_settings, settings, breakers)
        self._public_url = public_url

    def reason_to_cancel(self, message: Any) -> str | None:
        """Messages with a link expire together with it."""
        if message.expires_at is not None and message.expires_at < self.database.now():
            return "Expired before it was delivered"
        return None

    def process(self, tx: Transaction, message: Message) -> None:
        """Send a reset link to a user who has forgotten the password, if there is such a user."""
        key = message.body["email"].lower()
        user = tx.scalar(select(User).where(User.email_key == key).with_for_update())
        if user is not None:
            self.password_reset(tx, user)

    def welcome(self, tx: Transaction, user: User) -> Message:
        """Welcome a new user, with a link that verifies the address."""
        url = self._link(tx, user, "verify")
        data = {"username": user.username, "firstName": user.first_name, "verifyUrl": url}
        return self._mail(tx, user, "welcome", data)

    def verification(self, tx: Transaction, user: User) -> Message:
        """Send a link that verifies the user's address. It replaces the earlier ones."""
        tokens.revoke(tx, user.id, "verify")
        url = self._link(tx, user, "verify")
        data = {"username": user.username, "verifyUrl": url}
        return self._mail(tx, user, "email_verification", data, link="verify")

    def user_verified(self, tx: Transaction, user: User, at: datetime) -> Message:
        """Publish the event that the user has verified the address."""
        data = {"username": user.username, "verifiedAt": to_jsonable_python(at)}
        body = {"type": "user.verified", "userId": user.id, "data": data}
        return self.publish(tx, Message(user_id=user.id), body, path=EVENTS)

    def password_forgotten(self, tx: Transaction, email: str) -> Message:
        """Ask our own workers for a reset link to this address, if a user has it."""
        message = Message(expires_at=self.database.now() + tokens.LIFETIMES["reset"])
        return self.publish(tx, message, {"email": email}, service=_SELF, path="password_reset")

    def password_reset(self, tx: Transaction, user: User) -> Message:
        """Send a link that resets the password. Earlier ones keep working."""
        url = self._link(tx, user, "reset")
        data = {"username": user.username, "resetUrl": url}
        return self._mail(tx, user, "password_reset", data, link="reset")

    def password_changed(self, tx: Transaction, user: User) -> Message:
        """Notify the user that the password has changed."""
        data = {"username": user.username, "changedAt": to_jsonable_python(user.updated_at)}
        return self._mail(tx, user, "password_changed", data)

    def email_changed(
        self, tx: Transaction, user: User, old_email: str, *, undoable: bool
    ) -> Message:
        """Notify the old address of the change, perhaps with a link to undo it."""
        at = to_jsonable_python(user.updated_at)
        data = {"username": user.username, "changedAt": at}
        if not undoable:
            return self._mail(tx, user, "email_changed", data, recipient=old_email)
        data["undoUrl"] = self._link(tx, user, "undo", old_email)
        return self._mail(tx, user, "email_changed", data, link="undo", recipient=old_email)

    def new_login(self, tx: Transaction, user: User, network: str, at: datetime) -> Message:
        """Notify the user of a login from a new network."""
        data = {"username": user.username, "address": network, "at": to_jsonable_python(at)}
        return self._mail(tx, user, "new_login", data)

    def factors_changed(
        self, tx: Transaction, user: User, change: str, *, codes_left: int | None = None
    ) -> Message:
        """Notify the user of a change of the second factors, or of an attempt to guess one."""
        at = to_jsonable_python(self.database.now())
        data = {"username": user.username, "change": change, "at": at, "codesLeft": codes_left}
        return self._mail(tx, user, "factors_changed", data)

    def factor_removal(self, tx: Transaction, user: User, due_at: datetime) -> Message:
        """Notify the user that the second factors will be removed, with a link to keep them."""
        url = self._link(tx, user, "keep")
        due = to_jsonable_python(due_at)
        data = {"username": user.username, "dueAt": due, "keepUrl": url}
        return self._mail(tx, user, "factor_removal", data, link="keep")

    def user_deleted(self, tx: Transaction, user_id: int) -> list[Message]:
        """Ask the other services to anonymise the user, and cancel the user's other messages.

        While one of those is being posted the request is delayed, so that it arrives last.
        """
        being_posted = self._cancel_all(tx, user_id)
        messages = [self._anonymise(tx, service, user_id) for service in _OTHER_SERVICES]
        if being_posted:
            for message in messages:
                self.postpone(message, self.lease_seconds)
        return messages

    def _cancel_all(self, tx: Transaction, user_id: int) -> bool:
        """Cancel and empty the user's messages. Whether one of them is being posted."""
        messages = tx.scalars(
            select(Message).where(Message.user_id == user_id).order_by(Message.id).with_for_update()
        ).all()
        for message in messages:
            message.body = {}
            if not message.has_ended:
                self.cancel(message)
        return any(message.status == message.STATES.running for message in messages)

    def _anonymise(self, tx: Transaction, service: str, user_id: int) -> Message:
        path = _ANONYMISE.format(user_id)
        return self.publish(tx, Message(), {}, service=service, path=path)

    def _link(
        self, tx: Transaction, user: User, purpose: tokens.Purpose, address: str | None = None
    ) -> str:
        # The token is in the fragment, which browsers send to no server and in no Referer.
        token = tokens.issue(tx, user, purpose, address or user.email)
        return f"{self._public_url}/app/{purpose}#token={token}"

    def _mail(
        self,
        tx: Transaction,
        user: User,
        template: str,
        data: dict[str, Any],
        *,
        link: tokens.Purpose | None = None,
        recipient: str | None = None,
    ) -> Message:
        """Write a request for an e-mail to the user's address, unless another recipient is given.

        One with a `link` expires together with the link.
        """
        expires_at = None if link is None else self.database.now() + tokens.LIFETIMES[link]
        body = {
            "channel": "email",
            "userId": user.id,
            "recipient": recipient or user.email,
            "template": template,
            "data": data,
        }
        return self.publish(tx, Message(user_id=user.id, expires_at=expires_at), body)
