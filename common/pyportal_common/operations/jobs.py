"""Jobs: list, show, retry, cancel."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from sqlalchemy import ColumnElement

from ..db import Act, Audit, Database, Page
from ..db.pages import FIRST, id_below
from ..jobs import Jobs, States
from ..jobs.attempts import AttemptsOf, DeliveryAttempt
from .bulk import BulkAct
from .errors import NotOwned, Unknown
from .job_views import JobFilter, JobView
from .selection import Selection


class JobOperations:
    """The jobs of a service.

    Every method may raise SQLAlchemyError, and Unknown for a kind or a state that does not exist.
    `attempts` finds those of a job, for the kinds that record them.
    """

    def __init__(
        self,
        database: Database,
        kinds: Sequence[Jobs[Any]],
        audit: Audit,
        *,
        attempts: Mapping[str, AttemptsOf] = {},
    ) -> None:
        self._database = database
        self._jobs = {jobs.kind: jobs for jobs in kinds}
        self._audit = audit
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

    def states_of(self, kind: str) -> States:
        """The names that a kind of job has for its states."""
        states: States = self._jobs_of(kind).model.STATES
        return states

    def has_users(self, kind: str) -> bool:
        """Whether jobs of this kind belong to users."""
        return self._jobs_of(kind).owner is not None

    # --- list and show ---

    def page(
        self, wanted: JobFilter, *, limit: int = 50, cursor: str | None = None
    ) -> Page[JobView]:
        """The jobs, the newest first. Raises InvalidCursor.

        A page with few or no items may have a next one: see `Selection`.
        """
        jobs, below = self._jobs_of(wanted.kind), id_below(cursor)
        status = _chosen(wanted.status, list(asdict(jobs.model.STATES).values()))
        selection = self._selected(jobs, wanted, *status)
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

    # --- act ---

    def to_retry(self, wanted: JobFilter, *, every: bool = False) -> BulkAct:
        """The act that runs failed or cancelled jobs again; without a state the failed ones.

        Raises NotFiltered unless there is either a filter or `every`, for all jobs of the kind.
        """
        jobs = self._jobs_of(wanted.kind)
        states: States = jobs.model.STATES
        chosen = _chosen(wanted.status, _retryable(states), states.failed)
        selections = [self._selected(jobs, wanted, state) for state in chosen]
        return self._act("jobs retry", wanted, selections, jobs.retry, every=every)

    def to_cancel(self, wanted: JobFilter, *, every: bool = False) -> BulkAct:
        """The act that cancels waiting jobs at once, and running ones at their next step.

        Running jobs that were already asked to end are not among them. See `to_retry`.
        """
        jobs = self._jobs_of(wanted.kind)
        states: States = jobs.model.STATES
        chosen = _chosen(wanted.status, _cancellable(states), *_cancellable(states))
        selections = [self._not_yet_cancelled(jobs, wanted, state) for state in chosen]
        return self._act("jobs cancel", wanted, selections, jobs.cancel, every=every)

    def _act(
        self,
        action: str,
        wanted: JobFilter,
        selections: Sequence[Selection],
        change: Callable[[Any], None],
        *,
        every: bool,
    ) -> BulkAct:
        act, after = Act(action, wanted.kind, wanted.given()), self._jobs[wanted.kind].wake_workers
        return BulkAct(self._database, self._audit, act, selections, change, after, every=every)

    # --- which jobs ---

    def _jobs_of(self, kind: str) -> Jobs[Any]:
        if kind not in self._jobs:
            raise Unknown("kind of job", kind, self._jobs)
        return self._jobs[kind]

    def _selected(self, jobs: Jobs[Any], wanted: JobFilter, status: str | None = None) -> Selection:
        indexed = self._indexed(jobs, wanted, status)
        return Selection.of(self._database, jobs.model, *indexed, wanted=wanted)

    def _not_yet_cancelled(self, jobs: Jobs[Any], wanted: JobFilter, status: str) -> Selection:
        selection = self._selected(jobs, wanted, status)
        if status != jobs.model.STATES.running:
            return selection
        # One that was asked to end runs on until its next step, and would be met again.
        return selection.where(jobs.model.cancel_requested_at.is_(None))

    def _indexed(
        self, jobs: Jobs[Any], wanted: JobFilter, status: str | None
    ) -> Iterator[ColumnElement[bool]]:
        if status is not None:
            yield jobs.model.status == status
        if wanted.user_id is not None:
            if jobs.owner is None:
                raise NotOwned(jobs.kind)
            yield jobs.owner == wanted.user_id
        if wanted.ids is not None:
            yield jobs.model.id.in_(wanted.ids)


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
