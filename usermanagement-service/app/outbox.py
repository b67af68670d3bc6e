"""What others have to hear of users: events, written in the transactions that cause them."""

from datetime import UTC, datetime
from typing import Any

from sqlalchemy.orm import Session

from common.pyportal_common.events import EventRow, publish
from common.pyportal_common.jobs import JobQueue, Jobs

from . import links
from .models import Event, User

OURSELVES = "usermanagement"  # the service of an event that its workers see to without posting it


class Outbox:
    """Writes events, mostly mails that Notification shall send. `send` them after the commit."""

    def __init__(self, events: Jobs[EventRow], queue: JobQueue, *, public_url: str) -> None:
        self._events = events
        self._queue = queue
        self._public_url = public_url

    def send(self, *events: Event) -> None:
        """Tell the workers. One round trip each, and none that fails matters: the sweeper does it
        otherwise.
        """
        for event in events:
            self._queue.send(self._events.due(event))

    def welcome(self, session: Session, user: User) -> Event:
        """To who has just registered, with a link that verifies the address."""
        url = self._link(session, user, "verify")
        return self._mail(
            session,
            user,
            "welcome",
            {"username": user.username, "firstName": user.first_name, "verifyUrl": url},
        )

    def verification(self, session: Session, user: User) -> Event:
        """A link that verifies the address the user has now, and the only one that does."""
        url = self._link(session, user, "verify")
        data = {"username": user.username, "verifyUrl": url}
        return self._mail(session, user, "email_verification", data, of="verify")

    def password_forgotten(self, session: Session, email: str) -> Event:
        """To our own workers: somebody forgot the password, and says that this is the address."""
        event = Event(expires_at=datetime.now(UTC) + links.LIFETIMES["reset"])
        body = {"email": email}
        publish(
            session, event, jobs=self._events, body=body, service=OURSELVES, path="password_reset"
        )
        return event

    def password_reset(self, session: Session, user: User) -> Event:
        """A link that resets the password. The ones before go on working."""
        url = self._link(session, user, "reset")
        data = {"username": user.username, "resetUrl": url}
        return self._mail(session, user, "password_reset", data, of="reset")

    def password_changed(self, session: Session, user: User) -> Event:
        """That the password is another now, whoever has changed it."""
        data = {"username": user.username, "changedAt": user.updated_at.isoformat()}
        return self._mail(session, user, "password_changed", data)

    def _link(self, session: Session, user: User, purpose: links.Purpose) -> str:
        # The token is in the fragment: browsers send that to no server, and in no Referer.
        token = links.issue(session, user, purpose)
        return f"{self._public_url}/account/{purpose}#token={token}"

    def _mail(
        self,
        session: Session,
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
        publish(session, event, jobs=self._events, body=body)
        return event
