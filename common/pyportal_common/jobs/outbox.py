"""The outbox: messages to other services, written in the transaction that causes them.

A message is a row in the sending service's database and a job: its workers post it. It has a
constant idempotency key, so posting it twice has one effect.
"""

import json
import logging
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, Generic, TypeVar
from uuid import uuid4

from pydantic import Field, SecretStr
from sqlalchemy import JSON, ColumnElement, Index, String, func, literal_column, select, text
from sqlalchemy.orm import Mapped, mapped_column

from ..db import Database, Transaction, delay_if_unfenced
from ..db.batches import delete_in_batches
from ..outbound import CircuitBreakers, CircuitOpen, HttpResponse, RequestFailed, request
from ..settings import SERVICE_TOKEN_HEADER, Settings
from .hints import Hints
from .models import JobRow, job_indexes
from .outcomes import Outcome
from .run import Run
from .settings import WorkerSettings
from .store import Backoff, Jobs

logger = logging.getLogger(__name__)

KIND = "events"

_TIMEOUT_SECONDS = 10.0
_RETENTION = timedelta(days=7)
_FAILED_RETENTION = timedelta(days=30)
_MAX_COUNTED = 10_000
_BATCH = 100  # rows per transaction
_MAX_ATTEMPTS = 50_000  # about a month: most of them are up to a minute apart
# A token that is being rotated, a service that is being deployed, and statuses that mean "later".
_TEMPORARY = frozenset({401, 403, 404, 408, 409, 425, 429})


class OutboxSettings(Settings):
    """The URLs of the services, and the token that this service authenticates with."""

    usermanagement_url: str = Field("http://usermanagement-service:5001", pattern="^https?://")
    taskprocessing_url: str = Field("http://taskprocessing-service:5002", pattern="^https?://")
    notification_url: str = Field("http://notification-service:5003", pattern="^https?://")
    service_token: SecretStr = SecretStr("")


class OutboxMessage(JobRow):
    """Mixin for a service's model of its outbox messages. The table needs `outbox_indexes`.

    A worker posts `body` to `path` of `service`.
    """

    key: Mapped[str] = mapped_column(String(36), unique=True)
    service: Mapped[str] = mapped_column(String(50))
    path: Mapped[str] = mapped_column(String(200))
    body: Mapped[dict[str, Any]] = mapped_column(JSON)

    @classmethod
    def cache_keys(cls, row: Mapping[str, Any]) -> Iterable[str]:  # noqa: ARG003
        """None: only workers read outbox messages."""
        return ()


Message = TypeVar("Message", bound=OutboxMessage)

_FAILED: ColumnElement[str] = literal_column("'failed'")  # a parameter would not match the index


def outbox_indexes(table: str) -> tuple[Index, ...]:
    """Indexes for `__table_args__`: those of jobs, of old messages, and of the few that failed."""
    failed = text("status = 'failed'")
    return (
        *job_indexes(table),
        Index(f"ix_{table}_finished_at", "finished_at"),
        Index(f"ix_{table}_failed", "service", sqlite_where=failed, postgresql_where=failed),
    )


def count_failed(tx: Transaction, model: type[OutboxMessage]) -> dict[str, int]:
    """The numbers of failed messages by receiving service. At most 10,000 are counted."""
    failed = select(model.service).where(model.status == _FAILED).limit(_MAX_COUNTED).subquery()
    rows = tx.execute(select(failed.c.service, func.count()).group_by(failed.c.service))
    return dict(rows.all())


class BaseOutbox(Generic[Message]):
    """Writes messages in the caller's transaction, and posts them as a worker.

    A service's outbox derives from it. `jobs` are the messages as jobs, which are attempted for a
    month.
    """

    def __init__(
        self,
        model: type[Message],
        database: Database,
        hints: Hints,
        worker_settings: WorkerSettings,
        settings: OutboxSettings,
        breakers: CircuitBreakers,
    ) -> None:
        self._model = model
        self._database = database
        self._settings = settings
        self._breakers = breakers
        self.jobs = Jobs(
            database,
            model,
            kind=KIND,
            time_limit=lambda _: 60.0,
            type_of=lambda message: f"event for {message.service}",  # a label of metrics
            attempts=_MAX_ATTEMPTS,
            backoff=Backoff(first=1.0, longest=60.0),
            lease_seconds=worker_settings.job_lease_seconds,
            hints=hints,
        )

    def publish(
        self,
        tx: Transaction,
        message: Message,
        body: Mapping[str, Any],
        *,
        service: str = "notification",
        path: str = "/api/v1/airliner/notifications",
    ) -> Message:
        """Write a message in this transaction. `send` it after the commit: see `Jobs.put`."""
        message.key = str(uuid4())
        message.service, message.path, message.body = service, path, dict(body)
        message.priority, message.progress, message.attempts = "normal", 0, 0
        self.jobs.put(tx, message)
        delay_if_unfenced(tx, partial(self.jobs.delay, message))
        return message

    def send(self, *messages: Message) -> None:
        """Wake a worker for committed messages, in one round trip. See `Jobs.wake_workers`."""
        if messages:
            self.jobs.wake_workers()

    def deliver(self, run: Run[Message]) -> None:
        """Post a message, as a worker does. The receiver recognises a repetition by the key."""
        message = run.job
        try:
            with self._breakers.calling(message.service, RequestFailed):
                response = _post(message, self._settings)
        except CircuitOpen as pause:
            raise Outcome.later(pause.seconds) from pause
        except RequestFailed as error:
            reason = f"{message.service}: {error}"
        else:
            if response.status < 300:
                with run.transaction(Outcome.done()):
                    run.job.body = {}  # the receiver has it now; personal data is not kept here
                return
            reason = f"{message.service} answered {response.status}"
            if 400 <= response.status < 500 and response.status not in _TEMPORARY:
                logger.error(
                    "Message %d was refused and will not be sent again, unless by `flask outbox"
                    " resend %d`: %s",
                    message.id,
                    message.id,
                    reason,
                )
                raise Outcome.failed(reason)
        logger.warning("Message %d will be retried: %s", message.id, reason)
        raise Outcome.retry(reason)

    def failed(self, limit: int = 100) -> Sequence[Message]:
        """The oldest messages that have failed for good."""
        model = self._model
        with self._database.read() as tx:
            return tx.scalars(
                select(model).where(model.status == _FAILED).order_by(model.id).limit(limit)
            ).all()

    def resend(self, ids: Collection[int] | None = None) -> int:
        """Send failed messages again: these, or all. Returns how many there were.

        The receiver recognises one that it has processed meanwhile by its key.
        """
        return self._end_failures(ids, self.jobs.retry)

    def discard(self, ids: Collection[int] | None = None) -> int:
        """Cancel failed messages, these or all, and delete their content. Returns how many."""

        def cancel(message: Message) -> None:
            message.apply(message.ended(message.STATES.cancelled, message.error))
            message.body = {}

        return self._end_failures(ids, cancel)

    def _end_failures(self, ids: Collection[int] | None, end: Callable[[Message], None]) -> int:
        model = self._model
        found = select(model).where(model.status == _FAILED).order_by(model.id).limit(_BATCH)
        if ids is not None:
            found = found.where(model.id.in_(ids))
        ended = last_id = 0
        while True:
            # After the last one: a worker may have failed it again.
            following = found.where(model.id > last_id).with_for_update()
            with self._database.begin() as tx:
                messages = tx.scalars(following).all()
                for message in messages:
                    end(message)
            if not messages:
                return ended
            self.send(*(message for message in messages if not message.has_ended))
            ended, last_id = ended + len(messages), messages[-1].id

    def delete_old(self) -> None:
        """Delete the messages that ended a week ago, and those that failed a month ago.

        Until then failures can be investigated and resent.
        """
        now, model = datetime.now(UTC), self._model
        delete_in_batches(
            self._database,
            model,
            model.finished_at < now - _RETENTION,
            model.status != model.STATES.failed,
        )
        delete_in_batches(self._database, model, model.finished_at < now - _FAILED_RETENTION)


def _post(message: OutboxMessage, settings: OutboxSettings) -> HttpResponse:
    return request(
        "POST",
        getattr(settings, f"{message.service}_url") + message.path,
        headers={
            "Content-Type": "application/json",
            "Idempotency-Key": message.key,
            SERVICE_TOKEN_HEADER: settings.service_token.get_secret_value(),
        },
        body=json.dumps(message.body).encode(),
        timeout_seconds=_TIMEOUT_SECONDS,
    )
