"""One attempt at a job, as its handler sees it."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Generic

from ..db import Transaction
from .errors import RunReleased
from .store import Claim, Jobs, Row


class Run(Generic[Row]):
    """One attempt at a job, under a claim.

    A handler changes SQL only in `step` and in the methods that end the run; their transactions
    commit only while the claim holds. `step` and `finish` raise Cancelled for a cancelled job.
    """

    def __init__(
        self, jobs: Jobs[Row], claim: Claim[Row], must_stop: Callable[[], bool] = lambda: False
    ) -> None:
        self._jobs = jobs
        self._must_stop = must_stop
        self.claim = claim
        self.job = claim.row
        """The row, as it was when the attempt began."""
        self.began = time.monotonic()
        self.finished = False

    def checkpoint(self, progress: int | None = None) -> None:
        """A step that changes nothing else."""
        with self.step(progress):
            pass

    @contextmanager
    def step(self, progress: int | None = None) -> Iterator[Transaction]:
        """A transaction in the middle of the job. `progress` is in percent."""
        if self._must_stop():
            raise RunReleased
        with self._jobs.locked(self.claim, unless_cancelled=True) as (tx, row):
            if progress is not None:
                row.progress = progress
            yield tx
            self._jobs.extend_lease(row)

    @contextmanager
    def finish(self) -> Iterator[tuple[Transaction, Row]]:
        """The transaction that marks the job as done: its effects are there if and only if it is.

        The block may also change the row, for example to store a result. If it raises, the job is
        not done and none of the block's changes are made.
        """
        with self._jobs.locked(self.claim, unless_cancelled=True) as (tx, row):
            yield tx, row
            row.progress = 100
            self._jobs.end_row(tx, row, row.STATES.done)
        self.finished = True

    @contextmanager
    def end(self, status: str, error: str | None = None) -> Iterator[tuple[Transaction, Row]]:
        """The transaction that ends the job in another state."""
        with self._jobs.locked(self.claim) as (tx, row):
            yield tx, row
            self._jobs.end_row(tx, row, status, error)
        self.finished = True

    @contextmanager
    def retry_later(
        self, error: str, *, not_before: float = 0.0
    ) -> Iterator[tuple[Transaction, Row]]:
        """The transaction that schedules another attempt, or fails the job after its last one.

        It is due in at least `not_before` seconds.
        """
        with self._jobs.locked(self.claim) as (tx, row):
            yield tx, row
            self._jobs.schedule_retry(tx, row, error, not_before=not_before)
        self.finished = True

    @contextmanager
    def postpone(self, seconds: float) -> Iterator[tuple[Transaction, Row]]:
        """The transaction that schedules the job again without counting this attempt."""
        with self._jobs.locked(self.claim) as (tx, row):
            self._jobs.postpone(row, seconds)
            yield tx, row
        self.finished = True
