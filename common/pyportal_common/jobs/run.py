"""What the code of a job works with."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Generic

from sqlalchemy.orm import Session

from .errors import RunReleased
from .store import Claim, Jobs, Row


class Run(Generic[Row]):
    """One attempt at a job, under a claim.

    All that it changes in SQL, it changes in `step` and `finish`: their transactions commit only
    while the claim holds. Both are checkpoints: a job that was cancelled ends there.
    """

    def __init__(
        self, jobs: Jobs[Row], claim: Claim[Row], must_stop: Callable[[], bool] = lambda: False
    ) -> None:
        self._jobs = jobs
        self._must_stop = must_stop
        self.claim = claim
        self.began = time.monotonic()
        self.finished = False

    @property
    def job(self) -> Row:
        """The row, as it was when the attempt began."""
        return self.claim.row

    def checkpoint(self, progress: int | None = None) -> None:
        """A step in which nothing else is done."""
        with self.step(progress):
            pass

    @contextmanager
    def step(self, progress: int | None = None) -> Iterator[Session]:
        """A transaction in the middle of the job. `progress` is in percent."""
        if self._must_stop():
            raise RunReleased
        with self._jobs.locked_unless_cancelled(self.claim) as (tx, row):
            if progress is not None:
                row.progress = progress
            yield tx
            self._jobs.prolong(row)

    @contextmanager
    def finish(self) -> Iterator[tuple[Session, Row]]:
        """The transaction in which the job is done: its effects are there if and only if it is.

        The block gets the row too, for what is to be kept of the outcome. When it raises, the job
        is not done, and nothing of it has happened.
        """
        with self._jobs.locked_unless_cancelled(self.claim) as (tx, row):
            yield tx, row
            row.progress = 100
            self._jobs.end_row(tx, row, row.STATES.done)
        self.finished = True

    @contextmanager
    def end(self, status: str, error: str) -> Iterator[tuple[Session, Row]]:
        """The same for a job that ends otherwise, where more has to be written than `error`."""
        with self._jobs.locked(self.claim) as (tx, row):
            yield tx, row
            self._jobs.end_row(tx, row, status, error)
        self.finished = True

    @contextmanager
    def retry_later(self, error: str, *, not_before: float = 0.0) -> Iterator[tuple[Session, Row]]:
        """The same for one that has to be tried again, in `not_before` seconds at the soonest."""
        with self._jobs.locked(self.claim) as (tx, row):
            yield tx, row
            self._jobs.schedule_retry(tx, row, error, not_before=not_before)
        self.finished = True

    @contextmanager
    def postpone(self, seconds: float) -> Iterator[tuple[Session, Row]]:
        """The same for one whose time has not come: this attempt does not count."""
        with self._jobs.locked(self.claim) as (tx, row):
            self._jobs.postpone(row, seconds)
            yield tx, row
        self.finished = True
