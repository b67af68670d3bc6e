"""Group commit: attempts that are done at the same time end in one transaction."""

import logging
import threading
from collections.abc import Callable, Sequence
from typing import Any, Generic, TypeVar

from ..db import Database, Transaction
from .models import JobRow

logger = logging.getLogger(__name__)

Row = TypeVar("Row", bound=JobRow)
Effect = Callable[[Transaction, Row], None]
"""Changes SQL in the transaction that ends the job, and may change the row. It may be repeated."""

_MOST = 50  # endings in a transaction
_GATHERING_SECONDS = 0.0005  # that a leader waits for other attempts


class Ending(Generic[Row]):
    """An attempt that is to end as done. `row` is then that of its job, or None: it ends alone."""

    def __init__(self, job_id: int, token: str, effect: Effect[Row] | None) -> None:
        self.job_id = job_id
        self.token = token
        self.effect = effect
        self.row: Row | None = None
        self.error: Exception | None = None
        self.leads = False
        self._is_decided = threading.Lock()
        self._is_decided.acquire()

    def wake(self, *, leads: bool = False) -> None:
        """End `wait`."""
        self.leads = leads
        self._is_decided.release()

    def wait(self) -> None:
        """Wait until this has ended with a group, or is to lead the next."""
        self._is_decided.acquire()


class EffectFailed(Exception):
    """The effect of one ending has raised."""

    def __init__(self, ending: Ending[Any]) -> None:
        super().__init__()
        self.ending = ending


class Endings(Generic[Row]):
    """The endings of one process.

    The first one leads: its thread ends all that wait, in one transaction with one COMMIT. Those
    that come meanwhile are the next group. So an attempt that is the only one does not wait, and
    the more there are, the more share the costs. Each ending returns after the COMMIT.

    `end_all` ends a group in a transaction and returns the rows of those whose claims hold, by id.
    The others end alone after the group, as does one whose effect fails: the group begins again
    without it. So none harms another. An error of the COMMIT, whose outcome may be unknown, is
    raised for all.
    """

    def __init__(
        self,
        database: Database,
        end_all: Callable[[Transaction, Sequence[Ending[Row]]], dict[int, Row]],
    ) -> None:
        self._database = database
        self._end_all = end_all
        self._changed = threading.Condition(threading.Lock())
        self._waiting: list[Ending[Row]] = []
        self._has_leader = False
        self.busy: Callable[[], int] = lambda: 1
        """How many attempts this process makes at the moment."""
        self.on_group: Callable[[int], None] = lambda _: None
        """Called with the number of threads that a group will soon release, and then with 0."""

    def end(self, ending: Ending[Row]) -> Row | None:
        """End it with those that wait. None if it has to end alone: nothing has changed."""
        with self._changed:
            self._waiting.append(ending)
            ending.leads, self._has_leader = not self._has_leader, True
            if self._are_all_here():
                self._changed.notify()
        if not ending.leads:
            ending.wait()
        if ending.leads:
            self._lead()
        if ending.error is not None:
            raise ending.error
        return ending.row

    def _lead(self) -> None:
        with self._changed:
            self._changed.wait_for(self._are_all_here, _GATHERING_SECONDS)
            group, self._waiting = self._waiting[:_MOST], self._waiting[_MOST:]
        try:
            self.on_group(len(group))
            self._end_group(list({each.job_id: each for each in group}.values()))
        finally:
            self.on_group(0)
            with self._changed:
                self._has_leader = bool(self._waiting)
                following = self._waiting[:1]
            for ending in following:
                ending.wake(leads=True)
            for ending in group[1:]:
                ending.wake()

    def _are_all_here(self) -> bool:
        return len(self._waiting) >= min(self.busy(), _MOST)

    def _end_group(self, group: list[Ending[Row]]) -> None:
        is_committing = False
        while group:
            try:
                with self._database.begin() as tx:
                    rows = self._end_all(tx, group)
                    is_committing = True
            except EffectFailed as failure:
                group.remove(failure.ending)
            except Exception as error:  # noqa: BLE001  raised where they end alone
                logger.debug("%d jobs do not end together: %s", len(group), error)
                for ending in group if is_committing else ():
                    ending.error = error
                return
            else:
                for ending in group:
                    ending.row = rows.get(ending.job_id)
                return
