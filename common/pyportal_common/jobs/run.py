"""One attempt at a job, as its handler sees it."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Generic

from ..db import Transaction
from .endings import Effect
from .outcomes import Outcome
from .store import Claim, Jobs, Row, too_long


class Run(Generic[Row]):
    """One attempt at a job, under a claim.

    A handler changes SQL only in `transaction`, which commits only while the claim holds. It ends
    the attempt by a transaction with an outcome, or raises the outcome.
    """

    def __init__(
        self, jobs: Jobs[Row], claim: Claim[Row], must_stop: Callable[[], bool] = lambda: False
    ) -> None:
        self._jobs = jobs
        self._must_stop = must_stop
        self.claim = claim
        self.job = claim.row
        """The row: as of the claim, in an ending transaction the current one, then as committed."""
        self.began = time.monotonic()
        self.deadline = self.began + jobs.time_limit(claim.row)
        self.outcome: Outcome | None = None
        """How the attempt has ended."""

    @contextmanager
    def transaction(
        self, outcome: Outcome | None = None, *, progress: int | None = None
    ) -> Iterator[Transaction]:
        """A transaction of the attempt: its last one with an `outcome`, else a step.

        With an outcome the block may change `job`, for example to store a result. If it raises,
        nothing of it is done. `progress` is in percent. Raises LeaseLost, and the outcome of a job
        that was cancelled or exceeded its time limit, or that a stopping worker hands back.
        """
        if outcome is None or outcome.name == "done":
            self._check_time()
        if outcome is None:
            if self._must_stop():
                raise Outcome.later()
            with self._jobs.step(self.claim, progress) as tx:
                yield tx
            return
        with self._jobs.end(self.claim, outcome) as (tx, self.job):
            yield tx
        self.outcome = outcome

    def finish(self, effect: Effect[Row] | None = None) -> None:
        """End the attempt as done, together with others that are done at the same time.

        For an `effect` that only changes SQL, and takes little time: the others wait for it. It is
        called with the transaction and `job`, and again if the transaction was rolled back because
        of another's effect. Raises as `transaction` does, after the COMMIT of the others. It is the
        last thing that a handler does: meanwhile the worker claims the next job for the thread.
        """
        self._check_time()
        self.job = self._jobs.finish(self.claim, effect)
        self.outcome = Outcome.done()

    def _check_time(self) -> None:
        if time.monotonic() > self.deadline:
            raise Outcome.failed(too_long(self._jobs.time_limit(self.claim.row)))
