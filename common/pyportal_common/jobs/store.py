"""Jobs in SQL: who may do what with a row, and when."""

import logging
import random
import secrets
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Generic, TypeVar

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from ..db import Transaction
from ..db.database import Database
from .errors import Cancelled, LeaseLost
from .models import JobRow

logger = logging.getLogger(__name__)

Row = TypeVar("Row", bound=JobRow)

_FIRST_SEND = timedelta(seconds=3)  # after the row was written; its writer sends at once
_AT_ONCE = 100  # rows of one transaction
_UNSEEN = {"cache_keys": ()}  # for changes that no cached value shows


@dataclass(frozen=True, slots=True)
class Backoff:
    """How long a job waits after an attempt: up to `first` seconds, after each more twice that, and
    at most `longest`.

    Chance takes off up to all of it (full jitter): jobs that ran together when one of them took the
    worker down go apart.
    """

    first: float = 2.0
    longest: float = 60.0

    def seconds(self, attempts: int) -> float:
        """How long after so many attempts."""
        return random.uniform(0, min(self.longest, self.first * 2.0 ** (attempts - 1)))  # noqa: S311


class JobEnded(Exception):
    """It is too late to cancel the job."""


class JobNotEnded(Exception):
    """A job that has not failed cannot be tried again."""


@dataclass(frozen=True)
class Claim(Generic[Row]):
    """The right to run a job, until the lease ends. `row` is as it was then."""

    row: Row
    token: str


@dataclass(frozen=True, slots=True)
class Due:
    """A job that workers have to hear of."""

    kind: str
    id: int
    priority: str
    time_limit_seconds: float


class Jobs(Generic[Row]):
    """The jobs of one table. `kind` is what queues and metrics call them, `type_of` one of them.

    `ended` is called in each transaction in which a worker's job ends.

    Times are compared with the clock of whoever compares. A clock that is wrong makes things happen
    early or late, and never twice: that is up to the token.
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
        ended: Callable[[Session, Row], None] = lambda *_: None,
    ) -> None:
        self.kind = kind
        self._database = database
        self.model = model
        self._backoff = backoff
        self.time_limit = time_limit
        self.type_of = type_of
        self._attempts = attempts
        self._lease = timedelta(seconds=lease_seconds)
        self._resend = timedelta(seconds=resend_seconds)
        self._ended = ended

    @property
    def lease_seconds(self) -> float:
        """How long a claim holds that is not renewed."""
        return self._lease.total_seconds()

    # --- for those who want something done ---

    def due(self, row: Row) -> Due:
        """What `JobQueue` needs to send it."""
        return Due(self.kind, row.id, row.priority, self.time_limit(row))

    def put(self, tx: Transaction, row: Row, *, leave_to_sweeper: bool = False) -> None:
        """Add a new job. It has to be sent after the commit; else the sweeper does it, a few
        seconds later, or as soon as it can if it is left to it.
        """
        now = datetime.now(UTC)
        row.created_at = now
        row.schedule(now, now if leave_to_sweeper else now + _FIRST_SEND)
        tx.add(row)

    def cancel(self, row: Row) -> None:
        """Cancel a job, of which the caller holds the lock: at once, or at its next checkpoint.

        Raises JobEnded, unless it is cancelled already.
        """
        if row.status == row.STATES.waiting:
            row.mark_ended(row.STATES.cancelled)
        elif row.status == row.STATES.running:
            row.cancel_requested_at = row.cancel_requested_at or datetime.now(UTC)
            row.updated_at = datetime.now(UTC)
        elif row.status != row.STATES.cancelled:
            raise JobEnded

    def retry(self, row: Row) -> None:
        """Let a job that failed or was cancelled begin anew. The caller holds its lock.

        It has to be sent after the commit. Raises JobNotEnded.
        """
        if row.status not in (row.STATES.failed, row.STATES.cancelled):
            raise JobNotEnded
        now = datetime.now(UTC)
        row.attempts = row.progress = 0
        row.error = row.started_at = row.finished_at = row.cancel_requested_at = None
        row.schedule(now, now + _FIRST_SEND)

    # --- for workers ---

    def claim(self, job_id: int) -> Claim[Row] | None:
        """The right to run a job that waits and is due. None for any other."""
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
    def locked(self, claim: Claim[Row]) -> Iterator[tuple[Session, Row]]:
        """A transaction that commits only if the claim holds. Raises LeaseLost."""
        with self._database.begin() as tx:
            row = tx.scalar(
                select(self.model)
                .where(self.model.id == claim.row.id, self.model.lease_token == claim.token)
                .with_for_update()
            )
            if row is None:
                raise LeaseLost
            yield tx, row

    @contextmanager
    def locked_unless_cancelled(self, claim: Claim[Row]) -> Iterator[tuple[Session, Row]]:
        """The same for a job that nobody has cancelled. Raises Cancelled too."""
        with self.locked(claim) as (tx, row):
            if row.cancel_requested_at is not None:
                raise Cancelled
            yield tx, row

    def renew(self, claims: Sequence[Claim[Row]]) -> None:
        """Begin the leases of claims anew: those that still hold.

        It passes over rows that a step has locked, or one long step would cost all others theirs.
        Such a row nobody can recover, and `prolong` sees to it.
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
                execution_options=_UNSEEN | {"synchronize_session": False},
            )

    def prolong(self, row: Row) -> None:
        """Begin the lease of a row anew, of which the caller has the lock, if it nears its end."""
        now = datetime.now(UTC)
        if row.lease_until is not None and row.lease_until < now + self._lease / 2:
            row.lease_until = now + self._lease

    def end(self, claim: Claim[Row], status: str, error: str | None = None) -> None:
        """Let the job end so. Raises LeaseLost."""
        with self.locked(claim) as (tx, row):
            self.end_row(tx, row, status, error)

    def end_row(self, tx: Transaction, row: Row, status: str, error: str | None = None) -> None:
        """The same, for who holds the lock."""
        row.mark_ended(status, error)
        self._ended(tx, row)

    def release(self, claim: Claim[Row]) -> None:
        """Let another worker do it, and not count this attempt. Raises LeaseLost."""
        with self.locked(claim) as (_, row):
            self.postpone(row, 0)

    def retry_later(self, claim: Claim[Row], error: str) -> None:
        """Let it wait for another attempt, or fail if this was the last one. Raises LeaseLost."""
        with self.locked(claim) as (tx, row):
            self.schedule_retry(tx, row, error)

    def schedule_retry(
        self, tx: Transaction, row: Row, error: str, *, not_before: float = 0.0
    ) -> None:
        """The same, for who holds the lock: in `not_before` seconds at the soonest."""
        if row.attempts >= self._attempts and row.cancel_requested_at is None:
            self.end_row(tx, row, row.STATES.failed, f"{error}, {row.attempts} times")
            return
        row.error = error
        self._wait(row, max(not_before, self._backoff.seconds(row.attempts)))

    def postpone(self, row: Row, seconds: float) -> None:
        """Let it wait so long, and not count this attempt, for who holds the lock."""
        row.attempts -= 1
        self._wait(row, seconds)

    # --- for the sweeper ---

    def recover(self) -> int:
        """See to the jobs whose workers are not heard of any more; how many there were."""
        lost = (
            select(self.model)
            .where(self.model.lease_until < datetime.now(UTC))
            .order_by(self.model.lease_until)
            .limit(_AT_ONCE)
        )
        with self._database.read() as tx:
            if tx.scalar(lost.limit(1)) is None:
                return 0  # on SQLite, without waiting for a turn to write
        with self._database.begin() as tx:
            rows = tx.scalars(lost.with_for_update(skip_locked=True)).all()
            for row in rows:
                self._recover(tx, row)
        return len(rows)

    def to_send(self, priority: str, limit: int) -> list[Due]:
        """Jobs that are due and that nobody has claimed, the longest waiting first.

        They count as sent, and come again after a while.
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
                execution_options=_UNSEEN | {"synchronize_session": False},
            ).all()
        return [self.due(row) for row in rows]

    def _recover(self, tx: Transaction, row: Row) -> None:
        limit = self.time_limit(row)
        if row.cancel_requested_at is None and self._was_kept_for(row) > timedelta(seconds=limit):
            self.end_row(tx, row, row.STATES.failed, too_long(limit))
        else:
            logger.warning("Attempt %d of job %d was lost with its worker", row.attempts, row.id)
            self.schedule_retry(tx, row, "Its worker died")

    def _was_kept_for(self, row: Row) -> timedelta:
        """From when until when its worker said that it runs. How long ago that was says nothing of
        the job: everything may have been down since, or the clock here be another.
        """
        if row.lease_until is None or row.started_at is None:
            return timedelta(0)
        return row.lease_until - self._lease - row.started_at

    @staticmethod
    def _wait(row: Row, seconds: float) -> None:
        """Until a worker takes it: not if somebody has cancelled it as it ran."""
        if row.cancel_requested_at is not None:
            row.mark_ended(row.STATES.cancelled)
            return
        later = datetime.now(UTC) + timedelta(seconds=seconds)
        row.schedule(later, later)


def too_long(limit_seconds: float) -> str:
    """What a job failed of that took longer than it may."""
    return f"It took longer than {limit_seconds:g} seconds"
