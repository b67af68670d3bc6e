"""Delivering a notification: what a worker does with one."""

import random
from datetime import UTC, datetime
from urllib.parse import urlsplit

from sqlalchemy import select

from common.pyportal_common.cache_handlers import Charge
from common.pyportal_common.db import Transaction
from common.pyportal_common.jobs import Run
from common.pyportal_common.outbound import CircuitOpen

from . import emails, notifications, texts, webhook_calls
from .errors import UsersUnreachable
from .models import Attempt, Notification, Webhook
from .outcomes import Away, Delivered, Refused, Suppressed, Unreachable
from .services import Services

_SPREAD = 10.0  # seconds


class _TooMany(Exception):
    """More goes there than may. It is delayed for so many seconds."""

    def __init__(self, seconds: float) -> None:
        super().__init__(seconds)
        self.seconds = seconds


def deliver(run: Run[Notification], mine: Services) -> None:
    """One attempt at a notification, written down with its outcome.

    When its worker dies between the delivery and the COMMIT it is delivered again, with the same
    message id.
    """
    try:
        _attempt(run, mine)
    except (_TooMany, CircuitOpen) as wait:
        # Those that wait do not come back all at once, to find that one of them may go.
        with run.postpone(wait.seconds + random.uniform(0, _SPREAD)):  # noqa: S311
            pass
    except Suppressed as reason:
        with run.end(run.job.STATES.cancelled, str(reason)):
            pass
    notifications.show_status(run.job.id, database=mine.database, redis_helper=mine.redis_helper)


def _attempt(run: Run[Notification], mine: Services) -> None:
    try:
        recipient = _recipient(run.job, mine)
    except UsersUnreachable as error:
        with run.retry_later(str(error)):
            return
    try:
        with mine.destinations.calling(_place(run.job, recipient), Away):
            _wait_for_turn(run.job.channel, recipient, mine)
            _begin(run)
            delivered = _send(run.job, recipient, mine)
    except Refused as failure:
        with run.end(run.job.STATES.failed, failure.reason) as (tx, _):
            _note(tx, run, "failed", failure.answer, failure.reason)
    except Unreachable as failure:
        with run.retry_later(failure.reason, not_before=failure.retry_after) as (tx, _):
            _note(tx, run, "put off", failure.answer, failure.reason)
    else:
        with run.finish() as (tx, row):
            row.recipient = recipient
            row.data = {}  # links that work once, for one: they are nobody else's concern
            row.error = None
            _note(tx, run, "sent", delivered.answer, None)


def _recipient(notification: Notification, mine: Services) -> str:
    """Where it goes: as it says, or to the address that its user has now."""
    if notification.recipient is not None:
        return notification.recipient
    user = mine.users.find(notification.user_id) if notification.user_id else None
    if user is None:
        raise Suppressed("There is no such user any more")
    return user.email


def _wait_for_turn(channel: str, recipient: str, mine: Services) -> None:
    """Raise _TooMany when more goes to one domain, or one host, than may."""
    policy = mine.settings.rate_limit_deliveries
    decision = mine.limiter.hit(Charge(policy, f"{channel}:{_host(channel, recipient)}"))
    if not decision.allowed:
        raise _TooMany(decision.retry_after)


def _place(notification: Notification, recipient: str) -> str:
    """What has to be reached: the one mail server, or the host of a webhook."""
    if notification.channel == "email":
        return "the mail server"
    return _host(notification.channel, recipient)


def _host(channel: str, recipient: str) -> str:
    host = recipient.rpartition("@")[2] if channel == "email" else urlsplit(recipient).hostname
    return (host or "").lower()


def _begin(run: Run[Notification]) -> None:
    with run.step() as tx:
        tx.add(
            Attempt(
                notification_id=run.job.id,
                token=run.claim.token,
                number=run.job.attempts,
                started_at=datetime.now(UTC),
            )
        )


def _send(notification: Notification, recipient: str, mine: Services) -> Delivered:
    if notification.channel == "webhook":
        return _call(notification, recipient, mine)
    if notification.template is not None:
        text = texts.render(notification.template, notification.data)
    else:
        text = texts.free(notification.subject or "", notification.message or "")
    try:
        address = emails.deliverable(recipient)
        message = emails.compose(
            text,
            recipient=address,
            sender=mine.settings.mail_from,
            message_id=notification.message_id,
        )
    except ValueError as error:
        raise Refused(f"It makes no mail: {error}") from None
    return mine.mailer.send(message, address)


def _call(notification: Notification, url: str, mine: Services) -> Delivered:
    with mine.database.read() as tx:
        secret = tx.scalar(
            select(Webhook.secret).where(
                Webhook.user_id == notification.user_id, Webhook.url == url
            )
        )
    if secret is None and not notification.is_of_user:  # services call what nobody registered
        secret = mine.settings.webhook_secret.get_secret_value()
    if not secret:
        raise Refused("The webhook is not registered any more")
    free = {"subject": notification.subject, "message": notification.message}
    return webhook_calls.call(
        url,
        {
            "type": notification.template or "message",
            "timestamp": notification.created_at.isoformat(),
            "data": notification.data if notification.template else free,
        },
        message_id=notification.message_id,
        secret=secret,
        networks=mine.settings.webhook_networks,
        timeout_seconds=mine.settings.delivery_timeout_seconds,
    )


def _note(
    tx: Transaction,
    run: Run[Notification],
    outcome: str,
    answer: str | None,
    reason: str | None,
) -> None:
    attempt = tx.get_one(Attempt, (run.job.id, run.claim.token))
    attempt.ended_at = datetime.now(UTC)
    attempt.outcome, attempt.answer, attempt.reason = outcome, answer, reason
