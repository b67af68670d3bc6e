"""Applies the records of invalidations in Redis."""

import logging
from collections.abc import Mapping, Sequence

from ..cache_handlers import Cache, RedisClient, Removal, SendCommand, SessionStore, is_outage
from .pending import PendingRemovals
from .records import Record, Records

logger = logging.getLogger(__name__)

_MOST_COUNTED = 500


class Applier:
    """Removes the values and revokes the sessions of records, and stores which of them fail.

    One that fails does not stop the others.
    """

    def __init__(
        self,
        records: Records,
        cache: Cache,
        sessions: SessionStore | None,
        pending: PendingRemovals,
    ) -> None:
        self.failing = 0
        """How many records could not be applied, as of the last count of this process."""
        self._records = records
        self._cache = cache
        self._sessions = sessions
        self._pending = pending
        self._unstored: dict[int, str] = {}

    def apply(
        self,
        records: Sequence[Record],
        only: RedisClient | None = None,
        send: SendCommand | None = None,
    ) -> dict[int, str]:
        """Apply records, and return the reasons of those that failed by their ids.

        With `only`, apply the part that is on the server of that client, with `send` on one
        connection. Raises RedisUnavailable in an outage.
        """
        failures: dict[int, str] = {}
        if only in (None, self._cache.client):
            removal = Removal.by(send) if send is not None else Removal(self._cache.client.run)
            refused = removal.remove(self._pending.of(records, all_of_them=only is not None))
            failures |= {number: str(error) for number, error in refused.items()}
        if self._sessions is not None and only in (None, self._sessions.client):
            for record in records:
                failures |= _revoke(self._sessions, record, send)
        unread = (each.id for each in records if None in (each.keys, each.revocations))
        return failures | dict.fromkeys(unread, "written by another release")

    def set_aside(self, failures: Mapping[int, str]) -> None:
        """Store why records failed. Log when records begin and cease to fail."""
        if failures:
            self._records.mark_failed(failures)
            if not self.failing:
                number, reason = next(iter(failures.items()))
                logger.error(
                    "%d invalidations in Redis have failed and are retried. Record %d: %s",
                    len(failures),
                    number,
                    reason,
                )
        if failures or self.failing:
            self.count_failing()

    def note_failures(self, failures: Mapping[int, str]) -> None:
        """For `store_noted_failures`: a thread that connects may hold SQLite's write lock."""
        self._unstored |= failures

    def store_noted_failures(self) -> None:
        """Set aside those of `note_failures`."""
        if not self._unstored:
            return
        failures = dict(self._unstored)
        self.set_aside(failures)
        for number in failures:
            self._unstored.pop(number, None)

    def count_failing(self) -> None:
        """Count them, and log when there are no more."""
        before, self.failing = self.failing, len(self._records.failing(_MOST_COUNTED))
        self._cache.client.observer.failing_invalidations(self.failing)
        if before and not self.failing:
            logger.warning("All invalidations in Redis that had failed are applied")


def _revoke(sessions: SessionStore, record: Record, send: SendCommand | None) -> dict[int, str]:
    try:
        for revocation in record.revocations or ():
            sessions.revoke_as(revocation, send)
    except Exception as error:
        if is_outage(error):
            raise
        return {record.id: str(error)}
    return {}
