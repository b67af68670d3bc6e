"""Claims jobs for the idle threads of a worker, and gives each to one of them."""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from functools import partial
from queue import SimpleQueue
from typing import Any

from sqlalchemy.exc import SQLAlchemyError

from .outages import SqlOutages
from .runner import JobRunner
from .store import Claim

logger = logging.getLogger(__name__)

_LONGEST_WAIT_SECONDS = 1.0  # of a claimed job for a thread: far less than a lease


@dataclass(frozen=True, slots=True, eq=False)
class _Work:
    runner: JobRunner
    claim: Claim[Any]
    since: float = field(default_factory=time.monotonic)


class Dispatcher:
    """A thread that claims jobs, and those that run them.

    It claims no more jobs than there are threads that are idle or whose jobs only wait for a COMMIT
    (see Endings), so that no claimed job waits for a long one, and none of the kinds that are
    `paused`. A job that waits for more than a second all the same, or when the worker stops, is
    handed back.
    """

    def __init__(
        self,
        runners: Sequence[JobRunner],
        outages: SqlOutages,
        *,
        threads: int,
        paused: Callable[[], Collection[str]] = frozenset,
    ) -> None:
        self._runners = deque(runners)
        self._outages = outages
        self._paused = paused
        self._work: SimpleQueue[_Work | None] = SimpleQueue()
        self._waiting: set[_Work] = set()  # of `_work`; the others were handed back
        self._changed = threading.Condition()
        self._idle = threads  # less than 0 while jobs are claimed for threads that end others
        self._ending = dict.fromkeys(runners, 0)
        self._hinted = self._closing = False
        self._awaited: Callable[[], bool] = lambda: False  # what the claimer waits for
        self._claimer = threading.Thread(target=self._run, name="job-claims", daemon=True)
        self._threads = [
            threading.Thread(target=self._do_jobs, name=f"jobs-{number}", daemon=True)
            for number in range(threads)
        ]
        for runner in runners:
            runner.jobs.endings.busy = self._busy
            runner.jobs.endings.on_group = partial(self._on_group, runner)

    def start(self) -> None:
        """Start the threads."""
        for thread in (*self._threads, self._claimer):
            thread.start()

    def wake(self) -> None:
        """Look for jobs now, or as soon as a thread is idle.

        The sweeper calls this each second in which jobs are due.
        """
        with self._changed:
            self._hinted = True
            self._changed.notify()

    @property
    def is_alive(self) -> bool:
        """Whether no thread has ended."""
        return all(thread.is_alive() for thread in (*self._threads, self._claimer))

    def stop(self) -> None:
        """Claim no more jobs."""
        with self._changed:
            self._closing = True
            self._changed.notify()

    def join(self, seconds: float) -> None:
        """Wait until nothing is claimed and no job runs any more, but not longer than this."""
        until = time.monotonic() + seconds
        self._claimer.join(seconds)
        with self._changed:
            self._changed.wait_for(lambda: not self._busy(), max(0.0, until - time.monotonic()))
        for _ in self._threads:
            self._work.put(None)

    def _run(self) -> None:
        has_more = False
        while True:
            if not has_more:
                self._await(lambda: self._hinted)
            self._await(lambda: self._free() > 0)
            with self._changed:
                if self._closing:
                    break
                self._hinted, free = False, self._free()
            try:
                has_more = self._claim(free, has_more)
            except SQLAlchemyError as error:
                has_more = False
                self._outages.note(error, "No jobs were claimed")
            except Exception:
                has_more = False
                logger.exception("No jobs were claimed")
        self._hand_back_waiting()

    def _await(self, condition: Callable[[], bool]) -> None:
        """Have the claimer wait for a condition, or for `stop`, while no claimed job waits long."""
        while True:
            with self._changed:
                self._awaited = lambda: self._closing or condition()
                seconds = _LONGEST_WAIT_SECONDS if self._waiting else None  # only this thread adds
                if self._changed.wait_for(self._awaited, seconds):
                    return
            self._hand_back_waiting(for_seconds=_LONGEST_WAIT_SECONDS)

    def _hand_back_waiting(self, *, for_seconds: float = 0.0) -> None:
        """Hand back the claimed jobs that have waited for so long and have not begun."""
        until = time.monotonic() - for_seconds
        with self._changed:
            old = [work for work in self._waiting if work.since <= until]
            self._waiting.difference_update(old)
            self._idle += len(old)
        for work in old:
            work.runner.hand_back(work.claim)

    def _free(self) -> int:
        """The number of threads that are idle or will be soon, and have no job yet."""
        return self._idle + sum(self._ending.values())

    def _busy(self) -> int:
        return len(self._threads) - self._idle

    def _on_group(self, runner: JobRunner, size: int) -> None:
        with self._changed:
            self._ending[runner] = size
            if self._awaited():
                self._changed.notify_all()

    def _claim(self, free: int, expects_some: bool) -> bool:
        """Claim jobs for the free threads. Whether there may be more."""
        self._runners.rotate(-1)  # no kind is always the first
        paused = self._paused()
        for runner in self._runners:
            if runner.jobs.kind in paused:
                continue
            if free and (expects_some or runner.jobs.are_ready()):
                claims = runner.jobs.claim(free)
                free -= len(claims)
                self._hand_over(runner, claims)
        return free == 0

    def _hand_over(self, runner: JobRunner, claims: Sequence[Claim[Any]]) -> None:
        works = [_Work(runner, claim) for claim in claims]
        with self._changed:
            self._idle -= len(works)
            self._waiting.update(works)
        for work in works:
            self._work.put(work)

    def _do_jobs(self) -> None:
        while (work := self._work.get()) is not None:
            with self._changed:
                if self._closing or work not in self._waiting:
                    continue  # it was or will be handed back
                self._waiting.remove(work)
            try:
                work.runner.do(work.claim)
            finally:
                with self._changed:
                    self._idle += 1
                    if self._awaited() or not self._busy():
                        self._changed.notify_all()
