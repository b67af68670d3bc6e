"""Delivering notifications, by e-mail and by webhook."""

from collections.abc import Callable
from datetime import UTC, datetime

from common.pyportal_common.db import Transaction
from common.pyportal_common.jobs import Outcome, Run
from common.pyportal_common.spans import span

from ..errors import UsersUnreachable
from ..models import Attempt, Notification
from ..preferences.service import Preferences
from ..settings import NotificationSettings
from ..users import Users
from ..webhooks.calls import WebhookCaller
from ..webhooks.service import Webhooks
from .emails import EmailChannel
from .hosts import HostBusy, Hosts
from .mailers import mailer_for
from .outcomes import NotWanted, PermanentFailure, RecipientGone, TransientFailure
from .webhook_calls import WebhookChannel


class Deliveries:
    """Delivers notifications, within the limits of each domain and host.

    `on_change` is called with the id of a notification after a commit that changed its status.
    """

    def __init__(
        self,
        settings: NotificationSettings,
        users: Users,
        webhooks: Webhooks,
        preferences: Preferences,
        caller: WebhookCaller,
        hosts: Hosts,
        *,
        on_change: Callable[[int], object],
    ) -> None:
        self._channels: dict[str, EmailChannel | WebhookChannel] = {
            "email": EmailChannel(mailer_for(settings), settings.mail_from, preferences),
            "webhook": WebhookChannel(webhooks, caller, settings),
        }
        self._users = users
        self._preferences = preferences
        self._hosts = hosts
        self._on_change = on_change

    def deliver(self, run: Run[Notification]) -> None:
        """Make one attempt to deliver a notification, and record its outcome.

        If the worker dies between the delivery and the COMMIT, the notification is delivered again,
        with the same message id.
        """
        outcome = None
        try:
            self._attempt(run)
        except HostBusy as busy:
            outcome = Outcome.later(busy.seconds)
        except UsersUnreachable as error:
            outcome = Outcome.retry(str(error))
        except (RecipientGone, NotWanted) as error:
            outcome = Outcome.cancelled(str(error))
        if outcome is not None:
            with run.transaction(outcome):
                pass
        self._on_change(run.job.id)

    def _attempt(self, run: Run[Notification]) -> None:
        if not self._preferences.wants(run.job):
            raise NotWanted("The user has turned this off")
        recipient = run.job.recipient or self._address_of(run.job.user_id)
        channel = self._channels[run.job.channel]
        try:
            limited = f"{run.job.channel}:{channel.host(recipient)}"
            of_webhook = run.job.user_id if run.job.channel == "webhook" else None
            with self._hosts.calling(channel.server(recipient), limited, user_id=of_webhook):
                _begin_attempt(run)
                with span("delivery", {"pyportal.channel": run.job.channel}, kind="client"):
                    delivered = channel.send(run.job, recipient)
        except PermanentFailure as failure:
            with run.transaction(Outcome.failed(failure.reason)) as tx:
                _end_attempt(tx, run, "failed", failure.answer, failure.reason)
        except TransientFailure as failure:
            outcome = Outcome.retry(failure.reason, after=failure.retry_after)
            with run.transaction(outcome) as tx:
                _end_attempt(tx, run, "put off", failure.answer, failure.reason)
        else:
            with run.transaction(Outcome.done()) as tx:
                run.job.recipient = recipient
                run.job.data = {}  # may contain links that log in their reader
                _end_attempt(tx, run, "sent", delivered.answer, None)

    def _address_of(self, user_id: int | None) -> str:
        """The current e-mail address of a user. Raises RecipientGone and UsersUnreachable."""
        user = self._users.find(user_id) if user_id else None
        if user is None:
            raise RecipientGone("The user does not exist any more")
        return user.email


def _begin_attempt(run: Run[Notification]) -> None:
    with run.transaction() as tx:
        tx.add(
            Attempt(
                notification_id=run.job.id,
                token=run.claim.token,
                number=run.job.attempts,
                started_at=datetime.now(UTC),
            )
        )


def _end_attempt(
    tx: Transaction, run: Run[Notification], outcome: str, answer: str | None, reason: str | None
) -> None:
    attempt = tx.get_one(Attempt, (run.job.id, run.claim.token))
    attempt.ended_at = datetime.now(UTC)
    attempt.outcome, attempt.answer, attempt.reason = outcome, answer, reason
