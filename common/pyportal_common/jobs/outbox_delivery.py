"""Delivers the messages of an outbox: a thread of the worker for each service that receives them.

A pass claims all due messages, up to a hundred, posts them in one request if the service takes
batches, and ends them in one transaction.
"""

import logging
import secrets
import threading
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import timedelta
from typing import Any

from sqlalchemy import Select, Table, bindparam, case, null, select, update
from sqlalchemy.exc import SQLAlchemyError

from ..db import Transaction
from ..db.row_checks import RowCheck
from .metrics import WorkerMetrics
from .outages import is_outage_of_sql
from .outbox import BaseOutbox
from .outbox_requests import MAX_ITEMS, PostResult, Receiver, delivery_span
from .store import Backoff

logger = logging.getLogger(__name__)

_GATHERING_SECONDS = 0.1  # between passes under load, so that they share their costs
_MAX_TIMEOUT_SECONDS = 10.0
_MAX_ATTEMPTS = 50_000  # about a month: most of them are up to a minute apart
_BACKOFF = Backoff(first=1.0, longest=60.0)
# Columns of claimed messages. Most of them are times, which take a while to convert.
_UNREAD = frozenset(
    [
        "status",
        "priority",
        "progress",
        "due_at",
        "turn",
        "lease_token",
        "lease_until",
        "created_at",
        "started_at",
        "finished_at",
        "updated_at",
        "service",
    ]
)
_NOT_CACHED: dict[str, Any] = {"cache_keys": ()}
_RELEASED: dict[str, Any] = {"lease_token": None, "lease_until": None}


class OutboxDelivery:
    """Delivers the messages to one service.

    Any number of processes may do this. A claim is a token in the rows with a lease; a process
    whose lease has ended records nothing about its messages, and another posts them again, with the
    same keys. While `paused` has the outbox's kind, no message is claimed.
    """

    def __init__(
        self,
        outbox: BaseOutbox[Any],
        service: str,
        *,
        paused: Callable[[], Collection[str]] = frozenset,
    ) -> None:
        self.kind = outbox.kind
        self._outbox = outbox
        self._service = service
        self._paused = paused
        self._table: Table = outbox.model.__table__
        self._claimed = [each for each in self._table.c if each.name not in _UNREAD]
        timeout = min(_MAX_TIMEOUT_SECONDS, outbox.lease_seconds * 2 / 3)
        self._receiver = Receiver(
            service, outbox.settings, outbox.breakers, timeout_seconds=timeout
        )
        self._any_due = _any_due(self._table)
        self._any_open = RowCheck(outbox.database.engine, _open(self._table, service))
        self._size = MAX_ITEMS
        self._is_failing = False
        self._metrics = WorkerMetrics(None)
        self._wake = outbox.new_wake()
        self._was_full = False  # the last pass: there are probably more messages
        self._closing = threading.Event()
        self._thread = threading.Thread(
            target=self._run, name=f"messages-to-{service}", daemon=True
        )

    def start(self, metrics: WorkerMetrics) -> None:
        """Start the thread."""
        self._metrics = metrics
        self._thread.start()

    def look(self) -> None:
        """Wake the thread if a message is due. Raises SQLAlchemyError."""
        if self._any_open.finds_any() and self._is_any_due():
            self._wake.set()

    def close(self, seconds: float) -> None:
        """Stop after the current pass, and wait for it, but not longer than this."""
        self._closing.set()
        self._wake.set()
        self._thread.join(seconds)

    def run_pending(self) -> bool:
        """Claim due messages, post them and record the outcomes: one pass.

        Whether there may be more to do now. Raises SQLAlchemyError; the messages are due again when
        the lease ends. Two statements and two transactions for any number of messages, beside the
        one that looks for them; with retries or refusals, one more.
        """
        if self._outbox.kind in self._paused() or self._outbox.breakers.pause(self._service) > 0:
            return False
        began = time.monotonic()
        token, messages = self._claim()
        self._was_full = len(messages) == self._size
        if not messages:
            return False
        try:
            outcomes = self._attempt(token, messages, began + self._outbox.lease_seconds)
        except SQLAlchemyError:
            raise
        except Exception as error:
            logger.exception("Messages to %s were not posted", self._service)
            failure = PostResult(
                "retry", f"Something unexpected went wrong: {type(error).__name__}"
            )
            outcomes = {message.id: failure for message in messages}
        self._record(token, messages, outcomes)
        self._log(messages, outcomes)
        self._adapt(outcomes.values(), len(messages))
        self._count(messages, outcomes, time.monotonic() - began)
        return len(outcomes) == len(messages) and all(
            outcome.state != "retry" for outcome in outcomes.values()
        )

    def _is_any_due(self) -> bool:
        """Whether a message is due. On SQLite this does not wait for other writers."""
        values = {"service": self._service, "now": self._outbox.database.now()}
        with self._outbox.database.read() as tx:
            return tx.scalar(self._any_due, values) is not None

    def _claim(self) -> tuple[str, list[Any]]:
        """The rows of due messages that are claimed under a new token, oldest first."""
        table, now = self._table, self._outbox.database.now()
        token = secrets.token_hex(16)
        if not self._is_any_due():
            return token, []
        due = (
            select(table.c.id)
            .where(table.c.service == self._service, table.c.due_at <= now)
            .order_by(table.c.due_at)
            .limit(self._size)
        )
        lease_until = now + timedelta(seconds=self._outbox.lease_seconds)
        claim = (
            update(table)
            .where(table.c.id.in_(due.with_for_update(skip_locked=True)))
            .values(
                status=self._outbox.model.STATES.running,
                attempts=table.c.attempts + 1,
                lease_token=token,
                lease_until=lease_until,
                due_at=lease_until,
                started_at=now,
                updated_at=now,
            )
            .returning(*self._claimed)
        )
        with self._outbox.database.begin(changes_cached=False) as tx:
            rows = tx.execute(claim, execution_options=_NOT_CACHED).all()
        return token, sorted(rows, key=lambda row: row.id)

    def _attempt(self, token: str, messages: Sequence[Any], until: float) -> dict[int, PostResult]:
        """The outcomes by id. Messages without one are released."""
        outcomes: dict[int, PostResult] = {}
        wanted = []
        for message in messages:
            if message.cancel_requested_at is not None:  # during an attempt whose worker died
                outcomes[message.id] = PostResult("cancelled")
            elif reason := self._outbox.reason_to_cancel(message):
                outcomes[message.id] = PostResult("cancelled", reason)
            else:
                wanted.append(message)
        if self._service == self._outbox.own_name:
            return outcomes | {each.id: self._process(token, each) for each in wanted}
        return outcomes | self._receiver.post(wanted, until)

    def _process(self, token: str, message: Any) -> PostResult:
        """Handle a message to this service itself, in one transaction with its end."""
        model = self._outbox.model
        try:
            with delivery_span(self._service, message), self._outbox.database.begin() as tx:
                held = select(model).where(model.id == message.id, model.lease_token == token)
                row = tx.scalar(held.with_for_update())
                if row is not None and row.cancel_requested_at is None:
                    self._outbox.process(tx, row)
                    row.body = {}
                    row.apply(row.ended(self._outbox.database.now(), row.STATES.done))
        except Exception as error:
            if is_outage_of_sql(error):
                raise
            logger.exception("Message %d was not processed", message.id)
            return PostResult("retry", f"{type(error).__name__}")
        self._outbox.wake()  # there may be a message to another service now
        return PostResult("done")

    def _record(
        self, token: str, messages: Sequence[Any], outcomes: Mapping[int, PostResult]
    ) -> None:
        """End or reschedule the messages whose claim still holds, in one transaction."""
        rescheduled = []
        ended: dict[tuple[str, str | None], list[int]] = {}
        for message in messages:
            outcome = outcomes.get(message.id)
            if outcome is not None and outcome.state in ("done", "cancelled"):
                ended.setdefault((outcome.state, outcome.reason), []).append(message.id)
            else:
                rescheduled.append(self._rescheduled(message, outcome))
        with self._outbox.database.begin(changes_cached=False) as tx:
            for (state, reason), ids in ended.items():
                self._end(tx, token, ids, state, reason)
            if rescheduled:
                self._reschedule(tx, token, rescheduled)

    def _end(
        self, tx: Transaction, token: str, ids: Sequence[int], state: str, reason: str | None
    ) -> None:
        """End messages, and empty them: personal data is not kept here any longer."""
        table, states, now = self._table, self._outbox.model.STATES, self._outbox.database.now()
        status = getattr(states, state)
        tx.execute(
            update(table)
            .where(table.c.id.in_(ids), table.c.lease_token == token)
            .values(
                status=case(
                    (table.c.cancel_requested_at.is_not(None), states.cancelled), else_=status
                ),
                error=reason,
                body={},
                due_at=None,
                finished_at=now,
                updated_at=now,
                **_RELEASED,
            ),
            execution_options=_NOT_CACHED,
        )

    def _rescheduled(self, message: Any, outcome: PostResult | None) -> dict[str, Any]:
        """The new values of a message that is refused, retried, or released without an attempt."""
        states, now = self._outbox.model.STATES, self._outbox.database.now()
        values = {
            "message_id": message.id,
            "new_status": states.waiting,
            "new_due_at": now,
            "new_finished_at": None,
            "new_attempts": message.attempts,
            "new_error": message.error if outcome is None else outcome.reason,
        }
        if outcome is None:
            return values | {"new_attempts": message.attempts - 1}
        if outcome.state == "retry" and message.attempts < _MAX_ATTEMPTS:
            pause = timedelta(seconds=_BACKOFF.seconds(message.attempts))
            return values | {"new_due_at": now + pause}
        logger.error(
            "Message %d was refused and will not be sent again, unless by `flask outbox"
            " resend %d`: %s",
            message.id,
            message.id,
            outcome.reason,
        )
        ended = {"new_status": states.failed, "new_due_at": None, "new_finished_at": now}
        return values | ended

    def _reschedule(self, tx: Transaction, token: str, values: Sequence[Mapping[str, Any]]) -> None:
        """Store the values, except for messages that were cancelled meanwhile: these end."""
        table, now = self._table, self._outbox.database.now()
        is_cancelled = table.c.cancel_requested_at.is_not(None)

        def new(name: str) -> Any:
            return bindparam(f"new_{name}", type_=table.c[name].type)

        def new_unless_cancelled(name: str, otherwise: Any) -> Any:
            return case((is_cancelled, otherwise), else_=new(name))

        statement = (
            update(table)
            .where(table.c.id == bindparam("message_id"), table.c.lease_token == token)
            .values(
                status=new_unless_cancelled("status", self._outbox.model.STATES.cancelled),
                due_at=new_unless_cancelled("due_at", null()),
                finished_at=new_unless_cancelled("finished_at", now),
                attempts=new("attempts"),
                error=new("error"),
                updated_at=now,
                **_RELEASED,
            )
        )
        tx.execute(statement, values, execution_options=_NOT_CACHED)

    def _log(self, messages: Sequence[Any], outcomes: Mapping[int, PostResult]) -> None:
        """Log once when messages begin to be retried, and once when others are delivered again.

        A message that is refused again and again does not count: others pass it.
        """
        retried = {
            message.id: outcomes[message.id].reason
            for message in messages
            if message.id in outcomes and outcomes[message.id].state == "retry"
            if message.attempts == 1
        }
        has_delivered = any(outcome.state in ("done", "refused") for outcome in outcomes.values())
        if retried and not self._is_failing:
            first = next(iter(retried))
            logger.warning(
                "%d messages to %s will be retried, first message %d: %s",
                len(retried),
                self._service,
                first,
                retried[first],
            )
            self._is_failing = True
        elif self._is_failing and has_delivered and not retried:
            logger.info("Messages to %s are delivered again", self._service)
            self._is_failing = False

    def _adapt(self, outcomes: Collection[PostResult], claimed: int) -> None:
        """Claim fewer messages after a failure: one of them, or their number, may be the reason."""
        if any(outcome.state == "retry" for outcome in outcomes):
            self._size = max(1, min(self._size, claimed) // 2)
        elif outcomes:
            self._size = min(MAX_ITEMS, self._size * 2)

    def _count(
        self, messages: Sequence[Any], outcomes: Mapping[int, PostResult], seconds: float
    ) -> None:
        names = {"done": "done", "retry": "error", "refused": "failed", "cancelled": "cancelled"}
        for message in messages:
            outcome = outcomes.get(message.id)
            name = "later" if outcome is None else names[outcome.state]
            self._metrics.ended(f"event for {self._service}", name, seconds)

    def _run(self) -> None:
        while True:
            self._wake.clear()
            # After `clear`, which may undo the wake of `close`.
            if self._closing.is_set():
                return
            try:
                is_more = self.run_pending()
            except SQLAlchemyError as error:
                # The worker logs that SQL does not answer, once for all of its threads.
                level = logging.DEBUG if is_outage_of_sql(error) else logging.WARNING
                logger.log(level, "Messages to %s were not delivered: %s", self._service, error)
                is_more = False
            except Exception:
                logger.exception("Messages to %s were not delivered", self._service)
                is_more = False
            if not is_more:
                self._wake.wait()
            elif not self._was_full:
                self._closing.wait(_GATHERING_SECONDS)


def _open(table: Table, service: str) -> Select[tuple[Any]]:
    """The messages that have not ended."""
    return select(table.c.id).where(table.c.service == service, table.c.due_at.is_not(None))


def _any_due(table: Table) -> Select[tuple[Any]]:
    """The query whether a message is due, built once and not each second."""
    is_of_service = table.c.service == bindparam("service")
    is_due = table.c.due_at <= bindparam("now", type_=table.c.due_at.type)
    return select(table.c.id).where(is_of_service, is_due).order_by(table.c.due_at).limit(1)
