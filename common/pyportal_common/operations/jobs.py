"""Jobs: list, show, retry, cancel; their kinds: count, pause, resume."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import ColumnElement, func, select

from ..db import Act, Actor, Audit, Database, Page, Transaction
from ..db.pages import FIRST, id_below
from ..jobs import JobRow, Jobs, States
from ..jobs.attempts import AttemptsOf, DeliveryAttempt
from ..jobs.monitor import Kind, due_for
from ..jobs.outbox import OutboxMessage, count_failed
from ..jobs.pauses import Pause, Pauses
from ..jobs.schedules import Scheduler, Summary
from .bulk import BulkAct
from .errors import NotFiltered, NotOwned, Unknown
from .job_views import JobFilter, JobView, KindStats
from .selection import Selection

MAX_COUNTED = 10_000


class JobOperations:
    """The jobs of a service, its schedules, and what is paused.

    Every method may raise SQLAlchemyError, and Unknown for a kind or a state that does not exist.
    `more_kinds` can be paused and are counted, but not listed. `attempts` finds those of a job, for
    the kinds that record them.
    """

    def __init__(
        self,
        database: Database,
        kinds: Sequence[Jobs[Any]],
        audit: Audit,
        pauses: Pauses,
        scheduler: Scheduler,
        *,
        more_kinds: Sequence[Kind] = (),
        attempts: Mapping[str, AttemptsOf] = {},
    ) -> None:
        self._database = database
        self._jobs = {jobs.kind: jobs for jobs in kinds}
        self._audit = audit
        self._pauses = pauses
        self._scheduler = scheduler
        self._counted: Sequence[Kind] = [*kinds, *more_kinds]
        self._attempts = attempts

    @property
    def kinds(self) -> list[str]:
        """The kinds whose jobs can be listed, retried and cancelled."""
        return list(self._jobs)

    @property
    def states(self) -> list[str]:
        """The states of all kinds."""
        return [each for kind in self._jobs for each in asdict(self.states_of(kind)).values()]

    @property
    def retryable(self) -> list[str]:
        """The states in which jobs can be retried."""
        return [each for kind in self._jobs for each in _retryable(self.states_of(kind))]

    @property
    def cancellable(self) -> list[str]:
        """The states in which jobs can be cancelled."""
        return [each for kind in self._jobs for each in _cancellable(self.states_of(kind))]

    @property
    def pausable(self) -> list[str]:
        """What can be paused: every kind, and the schedules."""
        return [*(each.kind for each in self._counted), *self._scheduler.schedules]

    # --- list and show ---

    def page(
        self, wanted: JobFilter, *, limit: int = 50, cursor: str | None = None
    ) -> Page[JobView]:
        """The jobs, the newest first. Raises InvalidCursor.

        A page with few or no items may have a next one: see `Selection`.
        """
        jobs, below = self._jobs_of(wanted.kind), id_below(cursor)
        selection = self._selected(jobs, wanted)
        with self._database.read() as tx:
            rows, next_cursor = selection.page(tx, below, limit)
        return Page([JobView.of(jobs, row) for row in rows], next_cursor)

    def show(self, kind: str, job_id: int) -> JobView:
        """A job."""
        jobs = self._jobs_of(kind)
        with self._database.read() as tx:
            row = tx.get(jobs.model, job_id) if job_id < FIRST else None
        if row is None:
            raise Unknown(f"job of {kind} with the id", job_id)
        return JobView.of(jobs, row)

    def attempts(self, kind: str, job_id: int) -> Sequence[DeliveryAttempt] | None:
        """The latest attempts at a job, the oldest first. None if its kind does not record them."""
        jobs = self._jobs_of(kind)
        return self._attempts[kind](job_id) if jobs.kind in self._attempts else None

    def stats(self) -> list[KindStats]:
        """The kinds with their numbers of jobs."""
        paused = {pause.kind: pause for pause in self._pauses.all()}
        with self._database.read() as tx:
            return [_stats_of(tx, each, paused.get(each.kind)) for each in self._counted]

    def pauses(self) -> Sequence[Pause]:
        """What is paused, schedules among it."""
        return self._pauses.all()

    def find_pause(self, kind: str) -> Pause:
        """The pause of a kind. Raises Unknown if it is not paused."""
        found = next((pause for pause in self._pauses.all() if pause.kind == kind), None)
        if found is None:
            raise Unknown("paused kind", kind)
        return found

    def schedules(self) -> list[Summary]:
        """The schedules with their last and next ticks."""
        return self._scheduler.summaries()

    # --- act ---

    def count_to_retry(self, wanted: JobFilter) -> int:
        """How many jobs `retry` would run again."""
        return self._count(wanted, self._to_retry(wanted))

    def retry(
        self,
        actor: Actor,
        wanted: JobFilter,
        *,
        every: bool = False,
        at_most: int | None = None,
    ) -> int:
        """Run failed or cancelled jobs again, the oldest first; without a state the failed ones.

        Returns how many. A transaction for each hundred. Raises NotFiltered if all jobs of the
        kind are meant and it is not `every`.
        """
        change = self._change(actor, "jobs retry", wanted, every, at_most)
        return change(self._to_retry(wanted), self._jobs_of(wanted.kind).retry)

    def count_to_cancel(self, wanted: JobFilter) -> int:
        """How many jobs `cancel` would cancel."""
        return self._count(wanted, self._to_cancel(wanted))

    def cancel(
        self,
        actor: Actor,
        wanted: JobFilter,
        *,
        every: bool = False,
        at_most: int | None = None,
    ) -> int:
        """Cancel waiting jobs at once, and running ones at their next step. See `retry`.

        Running jobs that were already asked to end are neither counted nor changed.
        """
        change = self._change(actor, "jobs cancel", wanted, every, at_most)
        return change(self._to_cancel(wanted), self._jobs_of(wanted.kind).cancel)

    def pause(self, actor: Actor, kind: str, *, reason: str = "") -> None:
        """Start no more jobs of a kind, or ticks of a schedule, from the next second on."""
        if kind not in self.pausable:
            raise Unknown("kind of job", kind, self.pausable)
        with self._database.begin(changes_cached=False) as tx:
            self._pauses.pause(tx, kind, by=actor.name, reason=reason)
            self._audit.record(tx, actor, Act("jobs pause", kind, {"reason": reason}), count=1)

    def resume(self, actor: Actor, kind: str) -> None:
        """Start jobs of a kind again, perhaps of one that only another release knows."""
        with self._database.begin(changes_cached=False) as tx:
            if not self._pauses.resume(tx, kind):
                raise Unknown("paused kind", kind)
            self._audit.record(tx, actor, Act("jobs resume", kind), count=1)

    # --- which jobs ---

    def states_of(self, kind: str) -> States:
        """The names that a kind of job has for its states."""
        states: States = self._jobs_of(kind).model.STATES
        return states

    def has_users(self, kind: str) -> bool:
        """Whether jobs of this kind belong to users."""
        return self._jobs_of(kind).owner is not None

    def _jobs_of(self, kind: str) -> Jobs[Any]:
        if kind not in self._jobs:
            raise Unknown("kind of job", kind, self._jobs)
        return self._jobs[kind]

    def _to_retry(self, wanted: JobFilter) -> list[str]:
        states = self.states_of(wanted.kind)
        return _chosen(wanted.status, _retryable(states), states.failed)

    def _to_cancel(self, wanted: JobFilter) -> list[str]:
        both = _cancellable(self.states_of(wanted.kind))
        return _chosen(wanted.status, both, *both)

    def _selected(
        self,
        jobs: Jobs[Any],
        wanted: JobFilter,
        status: str | None = None,
        *,
        for_act: bool = False,
    ) -> Selection:
        indexed = self._indexed(jobs, wanted, status)
        selection = Selection.of(self._database, jobs.model, *indexed, wanted=wanted)
        if for_act and status == jobs.model.STATES.running:
            # One that was asked to end runs on until its next step, and would be met again.
            return selection.where(jobs.model.cancel_requested_at.is_(None))
        return selection

    def _indexed(
        self, jobs: Jobs[Any], wanted: JobFilter, status: str | None = None
    ) -> Iterator[ColumnElement[bool]]:
        status = status or wanted.status
        if status is not None:
            known = asdict(jobs.model.STATES).values()
            _chosen(status, list(known))
            yield jobs.model.status == status
        if wanted.user_id is not None:
            if jobs.owner is None:
                raise NotOwned(jobs.kind)
            yield jobs.owner == wanted.user_id
        if wanted.ids is not None:
            yield jobs.model.id.in_(wanted.ids)

    def _count(self, wanted: JobFilter, states: Sequence[str]) -> int:
        jobs = self._jobs_of(wanted.kind)
        selections = [self._selected(jobs, wanted, state, for_act=True) for state in states]
        with self._database.read() as tx:
            return sum(each.count(tx) for each in selections)

    def _change(
        self, actor: Actor, action: str, wanted: JobFilter, every: bool, at_most: int | None
    ) -> Callable[[Sequence[str], Callable[[Any], None]], int]:
        """What changes the jobs in these states, one state after the other."""
        jobs = self._jobs_of(wanted.kind)
        if not every and not wanted.given():
            raise NotFiltered
        act = Act(action, jobs.kind, wanted.given())
        bulk = BulkAct(self._database, self._audit, actor, act, at_most=at_most)

        def change_all(states: Sequence[str], change: Callable[[Any], None]) -> int:
            for state in states:
                selection = self._selected(jobs, wanted, state, for_act=True)
                bulk.change(selection, change, jobs.wake_workers)
            return bulk.count

        return change_all


def _retryable(states: States) -> list[str]:
    return [states.failed, states.cancelled]


def _cancellable(states: States) -> list[str]:
    return [states.waiting, states.running]


def _chosen(status: str | None, possible: Sequence[str], *default: str) -> list[str]:
    """The states that are meant. Raises Unknown for one that is not possible."""
    if status is None:
        return list(default)
    if status not in possible:
        raise Unknown("possible state", status, possible)
    return [status]


def _stats_of(tx: Transaction, kind: Kind, pause: Pause | None) -> KindStats:
    model, states = kind.model, kind.model.STATES
    is_message = issubclass(model, OutboxMessage)  # due again when its lease ends
    counts = Counter[str]()
    for column in (model.due_at,) if is_message else (model.due_at, model.lease_until):
        rows = select(model.status).where(column.is_not(None)).limit(MAX_COUNTED)
        counts.update(tx.scalars(rows))
    return KindStats(
        kind.kind,
        counts[states.waiting],
        counts[states.running],
        _count_failed(tx, model),
        0.0 if pause else due_for(tx, model, datetime.now(UTC)),
        pause,
    )


def _count_failed(tx: Transaction, model: type[JobRow]) -> int:
    if issubclass(model, OutboxMessage):
        return sum(count_failed(tx, model).values())
    failed = select(model.id).where(model.status == model.STATES.failed).limit(MAX_COUNTED)
    return tx.scalar(select(func.count()).select_from(failed.subquery())) or 0
