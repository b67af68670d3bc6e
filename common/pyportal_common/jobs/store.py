"""The table of a kind of job: the transitions between states, and the claims of workers."""

import logging
import random
import secrets
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Generic, TypeVar

from sqlalchemy import select, update

from ..db import Database, Transaction
from .errors import Cancelled, LeaseLost
from .models import JobRow

logger = logging.getLogger(__name__)

Row = TypeVar("Row", bound=JobRow)

_FIRST_SEND = timedelta(seconds=3)  # by the sweeper; the writer of a row sends it at once
_BATCH = 100  # rows per transaction
_NOT_CACHED = {"cache_keys": ()}  # for changes of columns that no cached value contains


@dataclass(frozen=True, slots=True)
class Backoff:
    """The pause after an attempt: `first` seconds, doubled with each attempt, at most `longest`.

    The pause is a random part of that (full jitter), so that jobs that ran together when one of
    them crashed the worker do not run together again.
    """

    first: float = 2.0
    longest: float = 60.0

    def seconds(self, attempts: int) -> float:
        """The pause after this number of attempts."""
        return random.uniform(0, min(self.longest, self.first * 2.0 ** (attempts - 1)))  # noqa: S311


class JobEnded(Exception):
    """The job has ended and cannot be cancelled."""


class JobNotEnded(Exception):
    """The job has not failed or been cancelled, and cannot be retried."""


@dataclass(frozen=True)
class Claim(Generic[Row]):
    """The right to run a job until its lease ends. `row` is as it was when claimed."""

    row: Row
    token: str


@dataclass(frozen=True, slots=True)
class Due:
    """A job to send to the workers."""

    kind: str
    id: int
    priority: str
    time_limit_seconds: float


class Jobs(Generic[Row]):
    """The jobs of one table.

    `kind` is their name in queues and metrics; `type_of` names one job in metrics. `time_limit` is
    in seconds. `ended` is called in each transaction in which a worker ends a job.

    Every process compares times with its own clock. A wrong clock makes things happen early or
    late, but never twice: the token prevents that.
    """

    def __init__(
        self,
        database: Database,
        model: type[Row],
        *,
        kind: str,
        time_limit: Callable[[Row], float],
        type_of: Callable[[Row], str],
        attempts: int = 5,
        backoff: Backoff = Backoff(),
        lease_seconds: float = 15.0,
        resend_seconds: float = 10.0,
        ended: Callable[[Transaction, Row], None] = lambda *_: None,
    ) -> None:
        self.kind = kind
        self._database = database
        self.model = model
        self._backoff = backoff
        self.time_limit = time_limit
        self.type_of = type_of
        self._attempts = attempts
        self.lease_seconds = lease_seconds
        """The duration of a claim that is not renewed."""
        self._lease = timedelta(seconds=lease_seconds)
        self._resend = timedelta(seconds=resend_seconds)
        self._ended = ended

    # --- for the creators of jobs ---

    def due(self, row: Row) -> Due:
        """The message about a job that `JobQueue.send` takes."""
        return Due(self.kind, row.id, row.priority, self.time_limit(row))

    def put(self, tx: Transaction, row: Row, *, leave_to_sweeper: bool = False) -> None:
        """Add a new job. The caller sends it after the commit.

        The sweeper sends it otherwise: seconds later, or at once with `leave_to_sweeper`.
        """
        now = datetime.now(UTC)
        row.created_at = now
        row.schedule(now, now if leave_to_sweeper else now + _FIRST_SEND)
        tx.add(row)

    def delay(self, row: Row, seconds: float) -> None:
        """Schedule a new job in `seconds`."""
        later = datetime.now(UTC) + timedelta(seconds=seconds)
        row.schedule(later, later)

    def cancel(self, row: Row) -> None:
        """Cancel a job that the caller has locked: at once, or at its next checkpoint if it runs.

        Raises JobEnded, except for a job that is already cancelled.
        """
        if row.status == row.STATES.waiting:
            row.mark_ended(row.STATES.cancelled)
        elif row.status == row.STATES.running:
            row.cancel_requested_at = row.cancel_requested_at or datetime.now(UTC)
            row.updated_at = datetime.now(UTC)
        elif row.status != row.STATES.cancelled:
            raise JobEnded

    def retry(self, row: Row) -> None:
        """Restart a failed or cancelled job that the caller has locked, and sends after the commit.

        Raises JobNotEnded.
        """
        if row.status not in (row.STATES.failed, row.STATES.cancelled):
            raise JobNotEnded
        now = datetime.now(UTC)
        row.attempts = row.progress = 0
        row.error = row.started_at = row.finished_at = row.cancel_requested_at = None
        row.schedule(now, now + _FIRST_SEND)

    # --- for workers ---

    def claim(self, job_id: int) -> Claim[Row] | None:
        """Claim a job that is waiting and due. None for any other."""
        with self._database.begin() as tx:
            row = tx.scalar(
                select(self.model)
                .where(
                    self.model.id == job_id,
                    self.model.status == self.model.STATES.waiting,
                    self.model.due_at <= datetime.now(UTC),
                )
                .with_for_update(skip_locked=True)
            )
            if row is None:
                return None
            token = secrets.token_hex(16)
            row.mark_running(token, datetime.now(UTC) + self._lease)
        return Claim(row, token)

    @contextmanager
    def locked(
        self, claim: Claim[Row], *, unless_cancelled: bool = False
    ) -> Iterator[tuple[Transaction, Row]]:
        """A transaction with the claimed row, locked. Raises LeaseLost if the claim has ended.

        With `unless_cancelled` also raises Cancelled if the job was cancelled.
        """
        with self._database.begin() as tx:
            row = tx.scalar(
                select(self.model)
                .where(self.model.id == claim.row.id, self.model.lease_token == claim.token)
                .with_for_update()
            )
            if row is None:
                raise LeaseLost
            if unless_cancelled and row.cancel_requested_at is not None:
                raise Cancelled
            yield tx, row

    def renew(self, claims: Sequence[Claim[Row]]) -> None:
        """Renew the leases of the claims that still hold.

        Rows that a step has locked are skipped: while this waited for a long step, the other leases
        would expire. Nobody can recover a locked row, and its step ends with `extend_lease`.
        """
        if not claims:
            return
        held = (
            select(self.model.id)
            .where(
                self.model.id.in_([claim.row.id for claim in claims]),
                self.model.lease_token.in_([claim.token for claim in claims]),
            )
            .with_for_update(skip_locked=True)
        )
        with self._database.begin() as tx:
            tx.execute(
                update(self.model)
                .where(self.model.id.in_(held))
                .values(lease_until=datetime.now(UTC) + self._lease),
                execution_options=_NOT_CACHED | {"synchronize_session": False},
            )

    def extend_lease(self, row: Row) -> None:
        """Renew the lease of a row that the caller has locked, if half of it has passed."""
        now = datetime.now(UTC)
        if row.lease_until is not None and row.lease_until < now + self._lease / 2:
            row.lease_until = now + self._lease

    def end_row(self, tx: Transaction, row: Row, status: str, error: str | None = None) -> None:
        """End a job that the caller has locked."""
        row.mark_ended(status, error)
        self._ended(tx, row)

    def schedule_retry(
        self, tx: Transaction, row: Row, error: str, *, not_before: float = 0.0
    ) -> None:
        """Schedule another attempt at a job that the caller has locked, or fail it after its last.

        It is due in at least `not_before` seconds.
        """
        if row.attempts >= self._attempts and row.cancel_requested_at is None:
            self.end_row(tx, row, row.STATES.failed, f"{error}, {row.attempts} times")
            return
        row.error = error
        self._reschedule(row, max(not_before, self._backoff.seconds(row.attempts)))

    def postpone(self, row: Row, seconds: float) -> None:
        """Schedule a job that the caller has locked, without counting this attempt."""
        row.attempts -= 1
        self._reschedule(row, seconds)

    # --- for the sweeper ---

    def recover(self) -> int:
        """Retry or fail the jobs whose workers died. Returns how many there were."""
        lost = (
            select(self.model)
            .where(self.model.lease_until < datetime.now(UTC))
            .order_by(self.model.lease_until)
            .limit(_BATCH)
        )
        with self._database.read() as tx:
            if tx.scalar(lost.limit(1)) is None:
                return 0  # on SQLite this does not wait for other writers
        with self._database.begin() as tx:
            rows = tx.scalars(lost.with_for_update(skip_locked=True)).all()
            for row in rows:
                self._recover(tx, row)
        return len(rows)

    def to_send(self, priority: str, limit: int) -> list[Due]:
        """Due jobs that no worker has claimed, the oldest first, marked as sent.

        They are returned again after `resend_seconds`.
        """
        now = datetime.now(UTC)
        waiting = (
            select(self.model.id)
            .where(self.model.send_at <= now, self.model.priority == priority)
            .order_by(self.model.send_at)
            .limit(limit)
        )
        with self._database.read() as tx:
            if tx.scalar(waiting.limit(1)) is None:
                return []
        with self._database.begin() as tx:
            rows = tx.scalars(
                update(self.model)
                .where(self.model.id.in_(waiting.with_for_update(skip_locked=True)))
                .values(send_at=now + self._resend)
                .returning(self.model),
                execution_options=_NOT_CACHED | {"synchronize_session": False},
            ).all()
        return [self.due(row) for row in rows]

    def _recover(self, tx: Transaction, row: Row) -> None:
        limit = self.time_limit(row)
        if row.cancel_requested_at is None and self._lease_was_kept(row) > timedelta(seconds=limit):
            self.end_row(tx, row, row.STATES.failed, too_long(limit))
        else:
            logger.warning("Attempt %d of job %d was lost with its worker", row.attempts, row.id)
            self.schedule_retry(tx, row, "Its worker died")

    def _lease_was_kept(self, row: Row) -> timedelta:
        """How long the worker kept the lease of a job.

        The time since then does not count: all processes may have been down, or clocks may differ.
        """
        if row.lease_until is None or row.started_at is None:
            return timedelta(0)
        return row.lease_until - self._lease - row.started_at

    @staticmethod
    def _reschedule(row: Row, seconds: float) -> None:
        """Schedule a job, unless it was cancelled while it ran."""
        if row.cancel_requested_at is not None:
            row.mark_ended(row.STATES.cancelled)
            return
        later = datetime.now(UTC) + timedelta(seconds=seconds)
        row.schedule(later, later)


def too_long(limit_seconds: float) -> str:
    """The error of a job that exceeded its time limit."""
    return f"It took longer than {limit_seconds:g} seconds"
