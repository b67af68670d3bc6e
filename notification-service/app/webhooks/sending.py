"""Sending events to webhooks: what workers do with their deliveries."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

from pydantic_core import to_jsonable_python
from sqlalchemy import update

from common.pyportal_common.db import Database, Transaction
from common.pyportal_common.jobs import Jobs, Outcome, Run
from common.pyportal_common.spans import span

from ..deliveries import texts
from ..deliveries.hosts import HostBusy, Hosts
from ..deliveries.outcomes import DeliveryFailed, PermanentFailure, TransientFailure
from ..events.catalogue import TEST
from ..models import Event, EventAttempt, EventDelivery, Notification, Webhook
from .calls import WebhookCaller, answer_of, host_of, retry_after, server_of

DISABLED_AFTER = timedelta(days=5)  # of nothing but failures

_DISABLED = "webhook_disabled"
_GONE = 410


class EventSender:
    """Sends events to webhooks, and disables webhooks that fail."""

    def __init__(
        self,
        database: Database,
        notifications: Jobs[Notification],
        caller: WebhookCaller,
        hosts: Hosts,
    ) -> None:
        self._database = database
        self._notifications = notifications
        self._caller = caller
        self._hosts = hosts

    def deliver(self, run: Run[EventDelivery]) -> None:
        """Make one attempt to deliver an event, and record its outcome.

        A 2xx is success, a 410 disables the webhook at once. All other responses, also redirects,
        and endpoints that cannot be reached are retried. If the worker dies between the response
        and the COMMIT, the event is delivered again, with the same id.
        """
        with self._database.read() as tx:
            webhook = tx.get(Webhook, run.job.webhook_id)
            event = tx.get(Event, run.job.event_id)
        if webhook is None or event is None:
            return _end_without_attempt(run, Outcome.cancelled("The webhook was deleted"))
        if not webhook.enabled and event.type != TEST:
            return _end_without_attempt(run, Outcome.cancelled(webhook.disabled_reason))
        try:
            self._attempt(run, webhook, event)
        except HostBusy as busy:
            _end_without_attempt(run, Outcome.later(busy.seconds))
        return None

    def _attempt(self, run: Run[EventDelivery], webhook: Webhook, event: Event) -> None:
        server, limited = server_of(webhook.url), f"webhook:{host_of(webhook.url)}"
        attempt = _new_attempt(run)
        try:
            with self._hosts.calling(server, limited, user_id=webhook.user_id):
                with run.transaction() as tx:
                    tx.add(attempt)
                with span("delivery", {"pyportal.channel": "event"}, kind="client"):
                    answer = self._send(run.job, webhook, event)
        except DeliveryFailed as failure:
            self._fail(run, attempt, failure)
        else:
            with run.transaction(Outcome.done()) as tx:
                _end(tx, attempt, "sent", answer)
                has_worked = update(Webhook).where(
                    Webhook.id == webhook.id, Webhook.failing_since.is_not(None)
                )
                tx.execute(has_worked.values(failing_since=None))

    def _send(self, delivery: EventDelivery, webhook: Webhook, event: Event) -> str:
        """The answer. Raises DeliveryFailed."""
        payload = payload_of(event, delivery.sequence)
        secrets = webhook.secrets(self._database.now())
        response = self._caller.post(webhook.url, event.id, secrets, payload)
        if 200 <= response.status < 300:
            return str(response.status)
        reason = f"The endpoint answered {response.status}"
        if response.status == _GONE:
            raise _Gone(reason, answer_of(response))
        raise TransientFailure(reason, answer_of(response), retry_after(response))

    def _fail(
        self, run: Run[EventDelivery], attempt: EventAttempt, failure: DeliveryFailed
    ) -> None:
        is_final = isinstance(failure, PermanentFailure)
        outcome = (
            Outcome.failed(failure.reason)
            if is_final
            else Outcome.retry(failure.reason, after=failure.retry_after)
        )
        with run.transaction(outcome) as tx:
            _end(tx, attempt, "failed" if is_final else "put off", failure.answer, failure.reason)
            webhook = tx.get(Webhook, run.job.webhook_id, with_for_update=True)
            if webhook is not None and webhook.enabled:
                self._note_failure(tx, webhook, attempt, failure)

    def _note_failure(
        self, tx: Transaction, webhook: Webhook, attempt: EventAttempt, failure: DeliveryFailed
    ) -> None:
        """Disable a webhook that is gone, or has failed for too long, and notify its owner."""
        webhook.failing_since = webhook.failing_since or attempt.started_at
        if isinstance(failure, _Gone):
            webhook.disable("Its endpoint answered 410 Gone")
        elif datetime.now(UTC) - webhook.failing_since >= DISABLED_AFTER:
            webhook.disable("For five days it has answered none of its events with success")
        else:
            return
        self._notifications.put(tx, _mail_about(webhook))


class _Gone(PermanentFailure):
    """The endpoint asks not to be called any more."""


def payload_of(event: Event, sequence: int) -> dict[str, Any]:
    """The body of a delivery, the same in every attempt."""
    return {
        "type": event.type,
        "timestamp": to_jsonable_python(event.created_at),
        "sequence": sequence,
        "data": event.data,
    }


def _mail_about(webhook: Webhook) -> Notification:
    data = {"url": webhook.url, "reason": webhook.disabled_reason}
    text = texts.render(_DISABLED, data)
    return Notification(
        message_id=uuid4().hex,
        source="notification",
        user_id=webhook.user_id,
        channel="email",
        template=_DISABLED,
        data=data,
        title=text.subject,
        text=text.short,
        priority="normal",
    )


def _end_without_attempt(run: Run[EventDelivery], outcome: Outcome) -> None:
    with run.transaction(outcome):
        pass


def _new_attempt(run: Run[EventDelivery]) -> EventAttempt:
    return EventAttempt(
        delivery_id=run.job.id,
        token=run.claim.token,
        number=run.job.attempts,
        started_at=datetime.now(UTC),
    )


def _end(
    tx: Transaction,
    attempt: EventAttempt,
    outcome: str,
    answer: str | None,
    reason: str | None = None,
) -> None:
    tx.add(attempt)
    attempt.ended_at = datetime.now(UTC)
    attempt.outcome, attempt.answer, attempt.reason = outcome, answer, reason
