"""What others have to hear of users: events, written in the transactions that cause them."""

from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import select

from common.pyportal_common.db import Transaction
from common.pyportal_common.jobs import JobQueue, Jobs
from common.pyportal_common.jobs.outbox import OutboxMessage, publish

from . import links
from .models import Event, User

OURSELVES = "usermanagement"  # the service of an event that its workers see to without posting it

_OTHERS = ("notification", "taskprocessing")
_ANONYMISE = "/api/v1/airliner/users/{}/anonymise"
_POSTED_BY_THEN = timedelta(seconds=15)  # longer than a worker waits for an answer


class Outbox:
    """Writes events, mostly mails that Notification shall send. `send` them after the commit."""

    def __init__(self, events: Jobs[OutboxMessage], queue: JobQueue, *, public_url: str) -> None:
        self._events = events
        self._queue = queue
        self._public_url = public_url

    def send(self, *events: Event) -> None:
        """Tell the workers. One round trip each, and none that fails matters: the sweeper does it
        otherwise.
        """
        for event in events:
            self._queue.send(self._events.due(event))

    def welcome(self, tx: Transaction, user: User) -> Event:
        """To who has just registered, with a link that verifies the address."""
        url = self._link(tx, user, "verify")
        return self._mail(
            tx,
            user,
            "welcome",
            {"username": user.username, "firstName": user.first_name, "verifyUrl": url},
        )

    def verification(self, tx: Transaction, user: User) -> Event:
        """A link that verifies the address the user has now, and the only one that does."""
        url = self._link(tx, user, "verify")
        data = {"username": user.username, "verifyUrl": url}
        return self._mail(tx, user, "email_verification", data, of="verify")

    def password_forgotten(self, tx: Transaction, email: str) -> Event:
        """To our own workers: somebody forgot the password, and says that this is the address."""
        event = Event(expires_at=datetime.now(UTC) + links.LIFETIMES["reset"])
        body = {"email": email}
        publish(tx, event, jobs=self._events, body=body, service=OURSELVES, path="password_reset")
        return event

    def password_reset(self, tx: Transaction, user: User) -> Event:
        """A link that resets the password. The ones before go on working."""
        url = self._link(tx, user, "reset")
        data = {"username": user.username, "resetUrl": url}
        return self._mail(tx, user, "password_reset", data, of="reset")

    def password_changed(self, tx: Transaction, user: User) -> Event:
        """That the password is another now, whoever has changed it."""
        data = {"username": user.username, "changedAt": user.updated_at.isoformat()}
        return self._mail(tx, user, "password_changed", data)

    def new_login(self, tx: Transaction, user: User, network: str, at: datetime) -> Event:
        """That there was a login from a network that the user was never seen in before."""
        data = {"username": user.username, "address": network, "at": at.isoformat()}
        return self._mail(tx, user, "new_login", data)

    def user_deleted(self, tx: Transaction, user_id: int) -> list[Event]:
        """To the other services, in place of all that the user was to be told: no more mails.

        Where something is being posted right now they hear of it later, so that it comes last.
        """
        being_posted = self._end_all(tx, user_id)
        events = [self._anonymise(tx, service, user_id) for service in _OTHERS]
        if being_posted:
            later = datetime.now(UTC) + _POSTED_BY_THEN
            for event in events:
                event.schedule(later, later)
        return events

    def _end_all(self, tx: Transaction, user_id: int) -> bool:
        """End what the user was to be told, and forget it; whether any of it is being posted."""
        events = tx.scalars(
            select(Event).where(Event.user_id == user_id).order_by(Event.id).with_for_update()
        ).all()
        for event in events:
            event.body = {}
            if not event.has_ended:
                self._events.cancel(event)
        return any(event.status == event.STATES.running for event in events)

    def _anonymise(self, tx: Transaction, service: str, user_id: int) -> Event:
        event = Event()
        path = _ANONYMISE.format(user_id)
        publish(tx, event, jobs=self._events, body={}, service=service, path=path)
        return event

    def _link(self, tx: Transaction, user: User, purpose: links.Purpose) -> str:
        # The token is in the fragment: browsers send that to no server, and in no Referer.
        token = links.issue(tx, user, purpose)
        return f"{self._public_url}/account/{purpose}#token={token}"

    def _mail(
        self,
        tx: Transaction,
        user: User,
        template: str,
        data: dict[str, Any],
        *,
        of: links.Purpose | None = None,
    ) -> Event:
        """Written down. Where the mail is `of` a link, it is of no use when that has ended."""
        body = {
            "channel": "email",
            "userId": user.id,
            "recipient": user.email,
            "template": template,
            "data": data,
        }
        expires_at = datetime.now(UTC) + links.LIFETIMES[of] if of is not None else None
        event = Event(user_id=user.id, expires_at=expires_at)
        publish(tx, event, jobs=self._events, body=body)
        return event
