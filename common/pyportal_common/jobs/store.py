"""The table of a kind of job: the transitions between states, and the claims of workers."""

import logging
import random
import secrets
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Generic, TypeVar

from sqlalchemy import ColumnElement, select, update
from sqlalchemy.orm import InstrumentedAttribute

from ..db import Database, Transaction
from ..db.row_checks import RowCheck
from ..spans import traceparent
from . import statements
from .endings import Effect, EffectFailed, Ending, Endings
from .hints import NO_HINTS, Hints
from .models import JobRow
from .outcomes import LeaseLost, Outcome
from .turns import turn_by_priority, turn_of

logger = logging.getLogger(__name__)

Row = TypeVar("Row", bound=JobRow)

BATCH = 100  # rows per transaction
_UNCACHED = {"cache_keys": (), "synchronize_session": False}  # of statements


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
class Found:
    """Whether there are jobs of dead workers, delayed ones that are due now, and jobs to claim."""

    lost: bool
    delayed: bool
    ready: bool


class Jobs(Generic[Row]):
    """The jobs of one table.

    `kind` is their name in hints and metrics; `type_of` names one job in metrics. `time_limit` is
    in seconds. Of a job's `owner`, a column, many waiting jobs do not delay those of others; the
    table needs an index of it and the status. `ended` is called in each transaction in which a
    worker ends jobs, with their rows.

    Times are those of the database's clock. If that is set, things happen early or late, but never
    twice: the token prevents that.
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
        owner: InstrumentedAttribute[Any] | None = None,
        hints: Hints = NO_HINTS,
        ended: Callable[[Transaction, Sequence[Row]], None] = lambda *_: None,
    ) -> None:
        self.kind = kind
        self._database = database
        self.model = model
        self._mapped: Any = model
        self._backoff = backoff
        self.time_limit = time_limit
        self.type_of = type_of
        self._attempts = attempts
        self.lease_seconds = lease_seconds
        """The duration of a claim that is not renewed."""
        self._lease = timedelta(seconds=lease_seconds)
        self.owner = owner
        """The column with the owner of a job, if jobs have owners."""
        self._hints = hints
        self._ended = ended
        self._any_open = RowCheck(database.engine, statements.open_jobs(model))
        self.endings = Endings(database, self._end_all)

    # --- for the creators of jobs ---

    def put(self, tx: Transaction, row: Row) -> None:
        """Add a new job, which belongs to the current trace unless it has a `traceparent`.

        The caller calls `wake_workers` after the commit.
        """
        row.created_at = self._database.now()
        row.traceparent = row.traceparent or traceparent()
        self._make_due(row)
        tx.add(row)

    def delay(self, row: Row, seconds: float) -> None:
        """Make a new job due in `seconds`."""
        row.apply(self._waiting_for(seconds))

    def wake_workers(self) -> None:
        """Wake a worker after a commit: one round trip. Without Redis nothing happens.

        The workers then find the job within a second.
        """
        self._hints.send(self.kind)

    def cancel(self, row: Row) -> None:
        """Cancel a job that the caller has locked: at once, or at its next step if it runs.

        Raises JobEnded, except for a job that is already cancelled.
        """
        if row.status == row.STATES.waiting:
            row.apply(row.ended(self._database.now(), row.STATES.cancelled))
        elif row.status == row.STATES.running:
            row.updated_at = self._database.now()
            row.cancel_requested_at = row.cancel_requested_at or row.updated_at
        elif row.status != row.STATES.cancelled:
            raise JobEnded

    def retry(self, row: Row) -> None:
        """Restart a failed or cancelled job that the caller has locked. See `put`.

        Raises JobNotEnded.
        """
        if row.status not in (row.STATES.failed, row.STATES.cancelled):
            raise JobNotEnded
        row.forget_attempts()
        self._make_due(row)

    # --- for workers ---

    def claim(self, limit: int, *conditions: ColumnElement[bool]) -> list[Claim[Row]]:
        """Claim the next jobs that are due, and meet the `conditions`: at most `limit`.

        One UPDATE and one COMMIT; for cached rows also the record of their invalidation, and two
        round trips. A delayed job can be claimed once `make_due` has given it a turn.
        """
        token = secrets.token_hex(16)
        changes = self.model.running(self._database.now(), token, self._lease)
        build = statements.claiming if conditions else statements.claiming_any
        statement = build(self._mapped, tuple(changes), *conditions)
        with self._database.begin() as tx:
            rows = statements.change(tx, self.model, statement, changes, most=limit)
        return [Claim(row, token) for row in rows]

    def are_ready(self) -> bool:
        """Whether there are jobs to claim. On SQLite this does not wait for other writers."""
        model = self.model
        ready = select(model.id).where(model.turn.is_not(None), model.due_at.is_not(None))
        with self._database.read() as tx:
            return tx.scalar(ready.order_by(model.turn).limit(1)) is not None

    @contextmanager
    def step(self, claim: Claim[Row], progress: int | None = None) -> Iterator[Transaction]:
        """A transaction in the middle of an attempt, with the row locked.

        Raises LeaseLost if the claim has ended, and the outcome of a job that was cancelled.
        """
        with self._database.begin() as tx:
            row = tx.scalar(
                statements.held(self.model, claim.row.id, claim.token).with_for_update()
            )
            if row is None:
                raise LeaseLost
            if row.cancel_requested_at is not None:
                raise Outcome.cancelled()
            if progress is not None:
                row.progress = progress
            yield tx
            self._extend_lease(row)

    @contextmanager
    def end(self, claim: Claim[Row], outcome: Outcome) -> Iterator[tuple[Transaction, Row]]:
        """The transaction that ends an attempt. The block may also change other columns.

        Raises LeaseLost if the claim has ended. A job that was cancelled is not done: that raises
        the outcome. It gets no further attempt, either.
        """
        with self._database.begin() as tx:
            row = self._move(tx, claim, outcome)
            yield tx, row
            tx.flush()
            if row.has_ended:
                self._ended(tx, [row])

    def finish(self, claim: Claim[Row], effect: Effect[Row] | None = None) -> Row:
        """End an attempt as done, in a transaction that it may share. Returns its row.

        The `effect` is part of it. It changes only SQL, takes little time, and may be called again,
        after a rollback. Raises what it raises, and see `end`.
        """
        row = self.endings.end(Ending(claim.row.id, claim.token, effect))
        if row is None:
            with self.end(claim, Outcome.done()) as (tx, row):
                if effect is not None:
                    effect(tx, row)
        return row

    def renew(self, claims: Sequence[Claim[Row]]) -> None:
        """Renew the leases of the claims that still hold.

        Rows that a step has locked are skipped: while this waited for a long step, the other leases
        would expire. Nobody can recover a locked row, and its step ends with `_extend_lease`.
        """
        if not claims:
            return
        held = self._held(claims).with_only_columns(self.model.id)
        statement = update(self.model).where(self.model.id.in_(held))
        with self._database.begin() as tx:
            tx.execute(
                statement.values(lease_until=self._database.now() + self._lease),
                execution_options=_UNCACHED,
            )

    def expire(self, claims: Sequence[Claim[Row]]) -> None:
        """Fail the jobs that exceeded their time limits, except those that a step has locked."""
        if not claims:
            return
        with self._database.begin() as tx:
            for row in tx.scalars(self._held(claims)).all():
                outcome = Outcome.failed(too_long(self.time_limit(row)))
                self._end_locked(tx, row, outcome)

    # --- for the sweeper ---

    def look(self) -> Found:
        """What there is to do. On SQLite this does not wait for other writers."""
        if not self._any_open.finds_any():
            return Found(lost=False, delayed=False, ready=False)
        with self._database.read() as tx:
            now = {"now": self._database.now()}
            row = tx.execute(statements.looking(self._mapped), now).one()
        return Found(*(job_id is not None for job_id in row))

    def recover(self) -> int:
        """Retry or fail the jobs whose workers died. Returns how many there were."""
        with self._database.begin() as tx:
            rows = tx.scalars(statements.lost(self.model, self._database.now(), BATCH)).all()
            for row in rows:
                self._end_locked(tx, row, Outcome.retry("Its worker died"))
        if rows:
            ids = ", ".join(str(row.id) for row in rows)
            logger.warning("Attempts at %s were lost with their worker: %s", self.kind, ids)
        return len(rows)

    def make_due(self) -> int:
        """Give delayed jobs whose time has come a turn: at most BATCH. Returns how many it gave."""
        model, now = self.model, self._database.now()
        delayed = statements.delayed(model, now, BATCH)
        turn = turn_by_priority(model, now)
        statement = update(model).where(model.id.in_(delayed)).values(turn=turn)
        with self._database.begin() as tx:
            rows = tx.scalars(statement.returning(model.id), execution_options=_UNCACHED)
            return len(rows.all())

    def _held(self, claims: Sequence[Claim[Row]]) -> Any:
        tokens = {claim.token for claim in claims}
        return statements.any_held(self.model, [claim.row.id for claim in claims], tokens)

    # --- in a transaction ---

    def _make_due(self, row: Row) -> None:
        now = self._database.now()
        row.apply(row.waiting(now, turn=turn_of(row, now, self.owner)))

    def _move(self, tx: Transaction, claim: Claim[Row], outcome: Outcome) -> Row:
        """Change the claimed row as the outcome says, and return it."""
        goes_on = outcome.name in {"done", "retry", "later"}
        row = self._update(tx, claim, outcome, unless_cancelled=goes_on)
        if row is None and goes_on:
            if (
                outcome.name == "done"
                and tx.scalar(statements.held(self.model, claim.row.id, claim.token)) is not None
            ):
                raise Outcome.cancelled()
            row = self._update(tx, claim, Outcome.cancelled(), unless_cancelled=False)
        if row is None:
            raise LeaseLost
        return row

    def _update(
        self, tx: Transaction, claim: Claim[Row], outcome: Outcome, *, unless_cancelled: bool
    ) -> Row | None:
        changes = self._changes(outcome, claim.row.attempts)
        build = statements.ending_unless_cancelled if unless_cancelled else statements.ending
        statement = build(self._mapped, tuple(changes))
        held = {"held_id": claim.row.id, "held_token": claim.token}
        rows = statements.change(tx, self.model, statement, changes, **held)
        tx.add_all(rows)  # so that the changes of the block are written
        return rows[0] if rows else None

    def _end_locked(self, tx: Transaction, row: Row, outcome: Outcome) -> None:
        """End the attempt at a job that is locked and has lost its worker."""
        if outcome.name == "retry" and row.cancel_requested_at is not None:
            outcome = Outcome.cancelled()
        row.apply(self._changes(outcome, row.attempts))
        if row.has_ended:
            self._ended(tx, [row])

    def _end_all(self, tx: Transaction, endings: Sequence[Ending[Row]]) -> dict[int, Row]:
        """End those of the attempts whose claims hold, and return their rows by id.

        Two statements, and those of the effects and of `ended`. Raises EffectFailed.
        """
        if len(endings) > 1:
            statements.wait_briefly_for_locks(tx)
        changes = self._changes(Outcome.done(), 0)
        statement = statements.ending_all(self._mapped, tuple(changes), len(endings))
        held = statements.all_held([(each.job_id, each.token) for each in endings])
        rows = statements.change(tx, self.model, statement, changes, **held)
        ended = {row.id: row for row in rows}
        for ending in endings:
            if ending.effect is not None and ending.job_id in ended:
                try:
                    ending.effect(tx, ended[ending.job_id])
                except Exception as error:
                    raise EffectFailed(ending) from error
        tx.add_all(rows)  # so that the changes of the effects are written, by one statement
        tx.flush()
        self._ended(tx, rows)
        return ended

    def _changes(self, outcome: Outcome, attempts: int) -> dict[str, Any]:
        """The columns to set at the end of this attempt."""
        model, states, now = self.model, self.model.STATES, self._database.now()
        match outcome.name:
            case "done":
                return {**model.ended(now, states.done), "progress": 100}
            case "failed":
                return model.ended(now, states.failed, outcome.error)
            case "cancelled":
                return model.ended(now, states.cancelled, outcome.error)
            case "retry" if attempts >= self._attempts:
                times = f", {attempts} times" if attempts > 1 else ""
                return model.ended(now, states.failed, f"{outcome.error}{times}")
            case "retry":
                pause = max(outcome.after, self._backoff.seconds(attempts))
                return {**self._waiting_for(pause), "error": outcome.error}
            case "later":
                return {**self._waiting_for(outcome.after), "attempts": attempts - 1}

    def _waiting_for(self, seconds: float) -> dict[str, Any]:
        now = self._database.now()
        return self.model.waiting(now, due_at=now + timedelta(seconds=seconds))

    def _extend_lease(self, row: Row) -> None:
        """Renew the lease of a row that is locked, if half of it has passed."""
        now = self._database.now()
        if row.lease_until is not None and row.lease_until < now + self._lease / 2:
            row.lease_until = now + self._lease


def too_long(limit_seconds: float) -> str:
    """The error of a job that exceeded its time limit."""
    return f"It took longer than {limit_seconds:g} seconds"
