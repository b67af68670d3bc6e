"""Kinds of jobs, and schedules: count, pause, resume."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select

from ..db import Act, Actor, Audit, Database, Transaction, current_time
from ..jobs import JobRow
from ..jobs.models import MAX_COUNTED
from ..jobs.monitor import Kind, due_for
from ..jobs.outbox import OutboxMessage, count_failed
from ..jobs.pauses import Pause, Pauses
from ..jobs.schedules import Scheduler, Summary
from .errors import Unknown


@dataclass(frozen=True, slots=True)
class KindStats:
    """How many jobs of a kind wait, run and have failed. At most 10,000 of each are counted.

    `late_seconds` is for how long the oldest that no worker has started has been due.
    """

    kind: str
    waiting: int
    running: int
    failed: int
    late_seconds: float
    paused: Pause | None


@dataclass(frozen=True, slots=True)
class ScheduleView:
    """A schedule, its next tick, and its last one: `last` with its status, attempts and error."""

    name: str
    expression: str
    zone: str
    last: datetime | None
    status: str | None
    attempts: int | None
    error: str | None
    next: datetime
    paused: bool

    @classmethod
    def of(cls, summary: Summary, *, paused: bool) -> "ScheduleView":
        """The view of a summary."""
        schedule, last, following = summary.schedule, summary.last, summary.next
        named = (schedule.name, schedule.expression, schedule.zone)
        if last is None:
            return cls(*named, None, None, None, None, following, paused)
        return cls(*named, last.tick, last.status, last.attempts, last.error, following, paused)


class KindOperations:
    """The kinds of jobs of a service, the outbox's messages as one, its schedules, and what is
    paused. Every method may raise SQLAlchemyError.
    """

    def __init__(
        self,
        database: Database,
        kinds: Sequence[Kind],
        audit: Audit,
        pauses: Pauses,
        scheduler: Scheduler,
    ) -> None:
        self._database = database
        self._kinds = kinds
        self._audit = audit
        self._pauses = pauses
        self._scheduler = scheduler

    @property
    def pausable(self) -> list[str]:
        """What can be paused: every kind, and the schedules."""
        return [*(each.kind for each in self._kinds), *self._scheduler.schedules]

    def stats(self) -> list[KindStats]:
        """The kinds with their numbers of jobs."""
        paused = {pause.kind: pause for pause in self.pauses()}
        with self._database.read() as tx:
            return [_stats_of(tx, each, paused.get(each.kind)) for each in self._kinds]

    def schedules(self) -> list[ScheduleView]:
        """The schedules with their last and next ticks."""
        paused = {pause.kind for pause in self.pauses()}
        return [
            ScheduleView.of(each, paused=each.schedule.name in paused)
            for each in self._scheduler.summaries()
        ]

    def pauses(self) -> Sequence[Pause]:
        """What is paused, schedules among it."""
        return self._pauses.all()

    def find_pause(self, kind: str) -> Pause:
        """The pause of a kind. Raises Unknown if it is not paused."""
        found = next((pause for pause in self.pauses() if pause.kind == kind), None)
        if found is None:
            raise Unknown("paused kind", kind)
        return found

    def pause(self, actor: Actor, kind: str, *, reason: str = "") -> None:
        """Start no more jobs of a kind, or ticks of a schedule, from the next second on.

        Raises Unknown.
        """
        if kind not in self.pausable:
            raise Unknown("kind of job", kind, self.pausable)
        with self._database.begin(changes_cached=False) as tx:
            self._pauses.pause(tx, kind, by=actor.name, reason=reason)
            self._audit.record(tx, actor, Act("jobs pause", kind, {"reason": reason}), count=1)

    def resume(self, actor: Actor, kind: str) -> None:
        """Start jobs of a kind again, perhaps of one that only another release knows.

        Raises Unknown if it is not paused.
        """
        with self._database.begin(changes_cached=False) as tx:
            if not self._pauses.resume(tx, kind):
                raise Unknown("paused kind", kind)
            self._audit.record(tx, actor, Act("jobs resume", kind), count=1)


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
        0.0 if pause else due_for(tx, model, current_time(tx)),
        pause,
    )


def _count_failed(tx: Transaction, model: type[JobRow]) -> int:
    if issubclass(model, OutboxMessage):
        return sum(count_failed(tx, model).values())
    failed = select(model.id).where(model.status == model.STATES.failed).limit(MAX_COUNTED)
    return tx.scalar(select(func.count()).select_from(failed.subquery())) or 0
