"""What a process has to remove from Redis before it trusts it."""

import sqlite3
import threading
import time
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import Future, wait
from concurrent.futures import TimeoutError as NotInTime

from sqlalchemy.exc import OperationalError, SQLAlchemyError

from ..cache_handlers import PendingKeys
from .records import Record, Records

_MAX_PENDING = 20_000  # records; with more of them Redis is not trusted until sweeps applied some
_HANGS_AFTER_SECONDS = 5.0
_CLOSING_SECONDS = 1.0
_SHUTTING_DOWN = {"57P01", "57P02", "57P03"}  # or starting; a refused connection has no code


class PendingRemovals:
    """The pending records whose keys this process has not removed since they were committed.

    A query that takes `timeout_seconds` says nothing: others may commit meanwhile. One that takes
    five seconds counts as failed: a database that hangs must not stop reads of cached values.
    """

    def __init__(
        self, records: Records, applied: Callable[[], Collection[int]], *, timeout_seconds: float
    ) -> None:
        self._records = records
        self._applied = applied
        self._timeout = timeout_seconds
        self._query: Future[list[Record]] | None = None
        self._began = 0.0
        self._removed: set[int] = set()

    def read(self) -> list[PendingKeys] | None:
        """The pending keys, or None if SQL cannot be reached.

        Raises LookupError if there are too many, and if they are not known for another reason.
        """
        applied = set(self._applied())  # before the query: they leave it once they are marked
        records = self._query_in_time()
        if records is None:
            return None
        if len(records) > _MAX_PENDING:
            raise LookupError("too many pending records")
        self._removed &= {record.id for record in records}
        done = self._removed.union(applied, self._applied())
        pending = [record for record in records if record.id not in done]
        if any(record.keys is None for record in pending):
            raise LookupError("another release has written keys that this one cannot read")
        return [PendingKeys(each.id, each.keys or ()) for each in pending]

    def mark_removed(self, ids: Sequence[int]) -> None:
        """The keys of these records are removed. The sweep marks the records as done."""
        self._removed.update(ids)

    def of(self, records: Sequence[Record], *, all_of_them: bool) -> list[PendingKeys]:
        """The keys of these records: `all_of_them`, or those that this process has not removed."""
        return [
            PendingKeys(each.id, each.keys or ())
            for each in records
            if all_of_them or each.id not in self._removed
        ]

    def close(self) -> None:
        """Wait a moment for a running query, whose connection could not be closed otherwise."""
        if self._query is not None:
            wait([self._query], timeout=_CLOSING_SECONDS)

    def _query_in_time(self) -> list[Record] | None:
        query = self._query
        if query is None or query.done():
            query = self._query = Future[list[Record]]()
            self._began = time.monotonic()
            threading.Thread(target=self._run, args=[query], daemon=True).start()
            try:
                return query.result(self._timeout)
            except SQLAlchemyError as error:
                if _is_away(error):
                    return None
                raise LookupError("SQL has failed") from error
            except NotInTime:
                pass
        if time.monotonic() - self._began > _HANGS_AFTER_SECONDS:
            return None
        raise LookupError("SQL is slow")

    def _run(self, query: "Future[list[Record]]") -> None:
        try:
            query.set_result(self._records.pending(_MAX_PENDING + 1))
        except Exception as error:  # noqa: BLE001  raised by `result`
            query.set_exception(error)


def _is_away(error: SQLAlchemyError) -> bool:
    """Whether no process can commit. An error of this process, or "too many clients", says less."""
    if not isinstance(error, OperationalError) or isinstance(error.orig, sqlite3.Error):
        return False
    return getattr(error.orig, "sqlstate", None) in {None, *_SHUTTING_DOWN}
