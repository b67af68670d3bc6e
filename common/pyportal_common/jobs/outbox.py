"""The outbox: messages to other services, written in the transaction that causes them.

A message is a row in the sending service's database; `OutboxDelivery`, in its workers, posts it. It
has a constant idempotency key, so posting it twice has one effect.
"""

import threading
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import timedelta
from functools import partial
from typing import Any, ClassVar, Generic, TypeVar
from uuid import uuid4

from pydantic import Field, SecretStr, field_validator
from sqlalchemy import (
    JSON,
    ColumnElement,
    Index,
    String,
    func,
    insert,
    inspect,
    literal_column,
    select,
    text,
    update,
)
from sqlalchemy.orm import Mapped, make_transient_to_detached, mapped_column

from ..db import Database, Transaction, delay_if_unfenced
from ..db.batches import delete_in_batches
from ..outbound import CircuitBreakers
from ..settings import HEADER_CHARACTERS, Settings, is_token
from ..spans import traceparent
from .hints import Hints
from .models import MAX_COUNTED, JobRow
from .settings import WorkerSettings

KIND = "events"
NOTIFICATIONS = "/api/v1/airliner/notifications"
EVENTS = "/api/v1/airliner/events"

_RETENTION = timedelta(days=7)
_FAILED_RETENTION = timedelta(days=30)


class OutboxSettings(Settings):
    """The URLs of the services, and the token that this service authenticates with."""

    usermanagement_url: str = Field("http://usermanagement-service:5001", pattern="^https?://")
    taskprocessing_url: str = Field("http://taskprocessing-service:5002", pattern="^https?://")
    notification_url: str = Field("http://notification-service:5003", pattern="^https?://")
    service_token: SecretStr = SecretStr("")

    @field_validator("service_token")
    @classmethod
    def _token(cls, value: SecretStr) -> SecretStr:
        if not is_token(value.get_secret_value()):
            raise ValueError(f"must consist of {HEADER_CHARACTERS}")
        return value


class OutboxMessage(JobRow):
    """Mixin for a service's model of its outbox messages. The table needs `outbox_indexes`.

    A worker posts `body` to `path` of `service`. While it does, `due_at` is the end of its lease:
    then the message is due again, whatever has become of the worker.
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

FAILED: ColumnElement[str] = literal_column("'failed'")
"""The state. A parameter would not match the index."""


def outbox_indexes(table: str) -> tuple[Index, ...]:
    """Indexes for `__table_args__`: of due messages, of old ones, and of the few that failed."""

    def index(name: str, columns: Sequence[str], condition: str) -> Index:
        where = text(condition)
        return Index(f"ix_{table}_{name}", *columns, sqlite_where=where, postgresql_where=where)

    return (
        index("service_due_at", ["service", "due_at"], "due_at IS NOT NULL"),
        index("due_at", ["due_at"], "due_at IS NOT NULL"),
        index("failed", ["status", "id"], "status = 'failed'"),
        index("failed_for", ["service", "id"], "status = 'failed'"),
        Index(f"ix_{table}_finished_at", "finished_at"),
    )


def count_failed(tx: Transaction, model: type[OutboxMessage]) -> dict[str, int]:
    """The numbers of failed messages by receiving service. At most 10,000 are counted."""
    failed = select(model.service).where(model.status == FAILED).limit(MAX_COUNTED).subquery()
    rows = tx.execute(select(failed.c.service, func.count()).group_by(failed.c.service))
    return dict(rows.all())


class BaseOutbox(Generic[Message]):
    """Writes messages in the caller's transaction, and manages those that were refused.

    A service's outbox derives from it. `receivers` are the services that it writes to. It may be
    one of them: `process` then handles its own messages.
    """

    kind = KIND
    receivers: ClassVar[Sequence[str]] = ("notification",)
    own_name: ClassVar[str | None] = None
    """The service's own name, if it writes messages to itself."""

    def __init__(
        self,
        model: type[Message],
        database: Database,
        hints: Hints,
        worker_settings: WorkerSettings,
        settings: OutboxSettings,
        breakers: CircuitBreakers,
    ) -> None:
        self.model = model
        self.database = database
        self.settings = settings
        self.breakers = breakers
        self.lease_seconds = worker_settings.job_lease_seconds
        """A worker posts a message for so long at most."""
        table = inspect(model).local_table
        self._columns = frozenset(table.c.keys())
        self._insert_all = insert(table)
        self._insert = self._insert_all.returning(*table.c)
        self._hints = hints
        self._wakes: list[threading.Event] = []

    def publish(
        self,
        tx: Transaction,
        message: Message,
        body: Mapping[str, Any],
        *,
        service: str = "notification",
        path: str = NOTIFICATIONS,
    ) -> Message:
        """Write a message in this transaction. `send` it after the commit, or leave it to workers.

        They look for messages every second.
        """
        values = self._new(message, body, service, path)
        # Without the session's unit of work, which takes longer.
        vars(message).update(tx.connection().execute(self._insert, values).mappings().one())
        make_transient_to_detached(message)
        tx.add(message)
        delay_if_unfenced(tx, partial(self.postpone, message))
        return message

    def publish_all(self, tx: Transaction, messages: Iterable[tuple[Message, Any]]) -> None:
        """Write messages with their bodies to Notification, by one statement. They get no ids."""
        values = [self._new(*each, "notification", NOTIFICATIONS) for each in messages]
        if values:
            tx.connection().execute(self._insert_all, values)
            delay_if_unfenced(tx, partial(self._delay, tx, [each["key"] for each in values]))

    def _new(
        self, message: Message, body: Mapping[str, Any], service: str, path: str
    ) -> dict[str, Any]:
        """The columns of a new message, which are set."""
        if service not in self.receivers:
            raise ValueError(f"{service} is not a receiver of {type(self).__name__}")
        message.key = str(uuid4())
        message.service, message.path, message.body = service, path, dict(body)
        message.priority, message.progress, message.attempts = "normal", 0, 0
        message.traceparent = message.traceparent or traceparent()
        self.postpone(message, 0)
        message.created_at = message.updated_at
        return {name: value for name, value in vars(message).items() if name in self._columns}

    def _delay(self, tx: Transaction, keys: Collection[str], seconds: float) -> None:
        """Make messages due in `seconds` that this transaction has written."""
        due_at = self.database.now() + timedelta(seconds=seconds)
        tx.connection().execute(
            update(self.model).where(self.model.key.in_(keys)).values(due_at=due_at)
        )

    def send(self, *messages: Message) -> None:
        """Wake the workers, with one round trip, for messages that are committed.

        A failure does not matter: the workers find them within a second.
        """
        if messages:
            self.wake_workers()

    def postpone(self, message: Message, seconds: float) -> None:
        """Make a message due in `seconds`: a new one, or one that the caller has locked."""
        now = self.database.now()
        message.apply(message.waiting(now, due_at=now + timedelta(seconds=seconds)))

    def cancel(self, message: Message) -> None:
        """Cancel a message that the caller has locked and that has not ended, and empty it.

        One that is being posted is cancelled when that attempt ends.
        """
        message.body = {}
        if message.status == message.STATES.waiting:
            message.apply(message.ended(self.database.now(), message.STATES.cancelled))
        else:
            message.cancel_requested_at = message.updated_at = self.database.now()

    # --- for workers: see OutboxDelivery ---

    def process(self, tx: Transaction, message: Message) -> None:
        """Handle a message to this service itself, in the transaction that ends it."""
        raise NotImplementedError

    def reason_to_cancel(self, message: Any) -> str | None:  # noqa: ARG002
        """Why a message must not be posted any more, if so."""
        return None

    def new_wake(self) -> threading.Event:
        """An event that `wake` sets."""
        self._wakes.append(threading.Event())
        return self._wakes[-1]

    def wake(self) -> None:
        """Wake the threads of this process that deliver messages."""
        for event in self._wakes:
            event.set()

    # --- for operators: see operations.OutboxOperations ---

    def restart(self, message: Message) -> None:
        """Send a failed message again that the caller has locked.

        The receiver recognises one that it has processed meanwhile by its key.
        """
        message.forget_attempts()
        self.postpone(message, 0)

    def discard(self, message: Message) -> None:
        """Cancel a failed message that the caller has locked, and delete its content."""
        now = self.database.now()
        message.apply(message.ended(now, message.STATES.cancelled, message.error))
        message.body = {}

    def wake_workers(self) -> None:
        """Wake the workers after a commit, as `send` does."""
        self._hints.send(KIND)

    def delete_old(self) -> None:
        """Delete the messages that ended a week ago, and those that failed a month ago.

        Until then failures can be investigated and resent.
        """
        now, model = self.database.now(), self.model
        delete_in_batches(
            self.database,
            model,
            model.finished_at < now - _RETENTION,
            model.status != model.STATES.failed,
        )
        delete_in_batches(self.database, model, model.finished_at < now - _FAILED_RETENTION)
