"""Scheduled jobs: a row in SQL for each tick, so that one of all processes runs it.

Every worker tries to insert the tick that is due, and the unique constraint lets one succeed. There
is no leader, and clocks decide only when a tick begins. docs/adr/0029-schedules-in-sql.md has the
reasons.
"""

import logging
import threading
import time
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Literal

from sqlalchemy.exc import SQLAlchemyError

from ..db import Database
from .cron import Cron
from .metrics import WorkerMetrics
from .store import Backoff
from .ticks import Tick, Ticks

logger = logging.getLogger(__name__)

_STOP_INTERVAL_SECONDS = 0.05
_BEATS = 3  # per lease
_LATE = timedelta(seconds=60)  # a tick that begins later than this was missed
_BACKOFF = Backoff(first=5.0, longest=300.0)
_NEW = "The schedule was new"
_MISSED = "No worker began it in time"


@dataclass(frozen=True)
class Schedule:
    """Work at the ticks of a cron expression in a time zone.

    `run` may be called again for the same tick: after it raised, up to `attempts` times in all, and
    after its process died or it exceeded `time_limit_seconds`. Its thread may run on then, and the
    next tick begins in another process while one still runs.

    A tick was missed if no worker ran, or the schedule was paused, for a minute: with
    `missed="run"` the last of the missed ticks is run late, once; with "skip" none is.
    """

    name: str
    expression: str
    zone: str
    run: Callable[[], None]
    missed: Literal["run", "skip"] = "run"
    attempts: int = 5
    backoff: Backoff = _BACKOFF
    time_limit_seconds: float = 3600.0
    cron: Cron = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "cron", Cron(self.expression, self.zone))


@dataclass(frozen=True, slots=True)
class Summary:
    """A schedule with its last tick, if it has one, and its next."""

    schedule: Schedule
    last: Tick | None
    next: datetime


@dataclass(slots=True)
class _Running:
    """A tick that this process runs, and when it began."""

    schedule: Schedule
    tick: Tick
    began: float


class Scheduler:
    """Runs the ticks of a service's schedules: a part of every worker, with a thread for each tick.

    A process that runs a tick shows three times per `lease_seconds` that it is alive, by a counter.
    When another process has not seen the counter change for `lease_seconds`, by its own monotonic
    clock, it takes the tick over. `now` is the clock of the database; if that is wrong, ticks begin
    early or late. While `paused` has the name of a schedule, none of its ticks begins.
    """

    def __init__(
        self,
        database: Database,
        schedules: Sequence[Schedule],
        *,
        lease_seconds: float = 15.0,
        paused: Callable[[], Collection[str]] = frozenset,
        now: Callable[[], datetime] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.kind = "schedules"
        self.schedules = {schedule.name: schedule for schedule in schedules}
        if len(self.schedules) < len(schedules):
            raise ValueError("two schedules have the same name")
        self._ticks = Ticks(database)
        self._lease = lease_seconds
        self._paused = paused
        self._now = now or database.now
        self._clock = clock
        self._metrics = WorkerMetrics(None)
        self._next: dict[str, datetime] = {}
        self._last_now = datetime.min.replace(tzinfo=UTC)
        self._running: dict[str, _Running] = {}  # by name
        self._seen: dict[int, tuple[str | None, int, float]] = {}
        self._beat_at = float("-inf")

    def start(self, metrics: WorkerMetrics) -> None:
        """Report to these metrics from now on."""
        self._metrics = metrics

    def close(self, seconds: float) -> None:
        """Wait for the ticks that run, but not longer than this, and keep their leases."""
        until = time.monotonic() + seconds
        while self._running and time.monotonic() < until:
            if self._is_time_to_beat():
                with suppress(SQLAlchemyError):
                    self._renew()
            time.sleep(_STOP_INTERVAL_SECONDS)

    def summaries(self) -> list[Summary]:
        """The state of every schedule. Raises SQLAlchemyError."""
        now = self._now()
        return [
            Summary(schedule, self._ticks.last(name), schedule.cron.after(now))
            for name, schedule in self.schedules.items()
        ]

    def look(self) -> None:
        """Begin what is due, keep the leases of this process, and take over from dead ones.

        Raises SQLAlchemyError. Without anything to do, one statement per third of a lease.
        """
        now = self._now()
        if now < self._last_now:  # the clock was set back
            self._next.clear()
        self._last_now = now
        for schedule in self.schedules.values():
            if now >= self._next.get(schedule.name, now) and self._may_begin(schedule):
                self._begin_latest(schedule, now)
        if self._is_time_to_beat():
            self._renew()
            self._take_over(now)

    def _is_time_to_beat(self) -> bool:
        if self._clock() < self._beat_at:
            return False
        self._beat_at = self._clock() + self._lease / _BEATS
        return True

    def _may_begin(self, schedule: Schedule) -> bool:
        return schedule.name not in self._running and schedule.name not in self._paused()

    def _begin_latest(self, schedule: Schedule, now: datetime) -> None:
        """Run the latest tick, unless a process has begun it. Earlier ones have been missed."""
        tick = schedule.cron.latest(now)
        if tick is not None:
            last = self._ticks.last(schedule.name, until=now)
            if last is None or last.tick < tick:
                self._insert(schedule, tick, now)
        self._next[schedule.name] = schedule.cron.after(now)

    def _insert(self, schedule: Schedule, tick: datetime, now: datetime) -> None:
        skip_because = None
        if self._ticks.last(schedule.name) is None:
            skip_because = _NEW
        elif schedule.missed == "skip" and now - tick > _LATE:
            skip_because = _MISSED
        inserted = self._ticks.insert(schedule.name, tick, now=now, skip_because=skip_because)
        if inserted is not None and skip_because is None:
            self._start(schedule, inserted)

    def _renew(self) -> None:
        for name, running in list(self._running.items()):
            limit = running.schedule.time_limit_seconds
            if self._clock() - running.began > limit:
                logger.error("%s does not end: it will be run again", name)
                del self._running[name]
                continue
            renewed = self._ticks.beat(running.tick)
            if renewed is not None:
                running.tick = renewed

    def _take_over(self, now: datetime) -> None:
        """Run ticks that wait for another attempt, and those whose process has died."""
        found = self._ticks.open()
        dead = {tick.id for tick in found if self._is_dead(tick)}
        self._seen = {tick.id: self._seen[tick.id] for tick in found if tick.id in self._seen}
        for tick in found:
            schedule = self.schedules.get(tick.name)
            is_due = tick.id in dead or (tick.due_at is not None and tick.due_at <= now)
            if schedule is None or not is_due or not self._may_begin(schedule):
                continue
            if tick.attempts >= schedule.attempts:
                self._ticks.end(tick, "failed", now=now, error="Its worker died")
                continue
            claimed = self._ticks.claim(tick, now=now)
            if claimed is not None:
                self._start(schedule, claimed)

    def _is_dead(self, tick: Tick) -> bool:
        """Whether the counter of the process that runs the tick has not changed for a lease."""
        if tick.status != "running":
            return False
        token, beats, since = self._seen.get(tick.id, (None, -1, 0.0))
        if (token, beats) != (tick.token, tick.beats):
            self._seen[tick.id] = (tick.token, tick.beats, self._clock())
            return False
        return self._clock() - since >= self._lease

    def _start(self, schedule: Schedule, tick: Tick) -> None:
        running = _Running(schedule, tick, self._clock())
        self._running[schedule.name] = running
        name = f"schedule-{schedule.name}"
        threading.Thread(target=self._attempt, args=[running], name=name, daemon=True).start()

    def _attempt(self, running: _Running) -> None:
        """Run a tick and record the outcome, in a thread of its own."""
        schedule, outcome = running.schedule, "done"
        try:
            try:
                schedule.run()
            except Exception as error:
                logger.exception("The schedule %s failed", schedule.name)
                outcome = self._fail(running, error)
            else:
                self._ticks.end(running.tick, "done", now=self._now())
        except SQLAlchemyError as error:  # another process, or this one, takes it over
            logger.warning("The outcome of %s was not recorded: %s", schedule.name, error)
            outcome = "error"
        finally:
            if self._running.get(schedule.name) is running:
                del self._running[schedule.name]
            seconds = self._clock() - running.began
            self._metrics.ended(f"schedule {schedule.name}", outcome, seconds)

    def _fail(self, running: _Running, error: Exception) -> str:
        """Schedule another attempt, or fail the tick after its last. The outcome."""
        schedule, attempts, now = running.schedule, running.tick.attempts, self._now()
        reason = type(error).__name__  # its text may contain personal data
        if attempts >= schedule.attempts:
            self._ticks.end(running.tick, "failed", now=now, error=f"{reason}, {attempts} times")
            return "failed"
        pause = timedelta(seconds=schedule.backoff.seconds(attempts))
        self._ticks.retry(running.tick, reason, due_at=now + pause)
        return "error"
