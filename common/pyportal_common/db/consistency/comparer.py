"""Compares a value in Redis with SQL, without false alarms."""

import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from ...cache_handlers import AuditOutcome, StoredValues
from ..records import Record, Records
from .kinds import CachedValue

_MAX_RECORDS = 1000  # that are looked through for a difference


@dataclass(frozen=True, slots=True)
class Difference:
    """A value in Redis that differed from SQL when it was first seen, by the comparer's clock."""

    value: CachedValue
    stored: bytes
    newest_record: int
    seen_at: float


class Comparer:
    """Compares values, and changes nothing.

    A difference is a violation only if it is seen again later: the same bytes in Redis, no fence,
    and no record that names the key, neither a pending one nor one that is newer than the first
    look. At each look Redis is read again after the records. So every commit that the SQL value
    contains was invalidated before that second read, unless one of its records says otherwise, and
    a value that was filled by the protocol since then is not older than SQL's.

    Every method raises RedisLayerError and SQLAlchemyError, and what `load` raises.
    """

    def __init__(
        self,
        stored: StoredValues,
        records: Records,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._stored = stored
        self._records = records
        self._clock = clock

    def compare(self, value: CachedValue) -> AuditOutcome | Difference:
        """Compare a value. One round trip and one load, more for a difference.

        missing: readers find no value. changing: it was changed, or is about to be.
        """
        stored = self._stored.read(value.key, value.tags)
        if stored is None or not value.fits(stored):
            return "missing"
        if value.parse(stored) == value.load():
            return "same"
        seen_at, newest = self._clock(), self._records.newest_id()
        if _may_name(self._records.pending(_MAX_RECORDS), value.names):
            return "changing"
        if self._stored.read(value.key, value.tags) != stored:
            return "changing"
        return Difference(value, stored, newest, seen_at)

    def confirm(self, difference: Difference) -> AuditOutcome:
        """What has become of a difference: `stale` if it is still there and nothing excuses it."""
        value = difference.value
        found = self.compare(value)
        if not isinstance(found, Difference):
            return found
        newer = self._records.newer_than(difference.newest_record, _MAX_RECORDS)
        is_same = (
            found.stored == difference.stored
            # SQLite uses ids again when all records are deleted.
            and found.newest_record >= difference.newest_record
            and not _may_name(newer, value.names)
        )
        return "stale" if is_same else "changing"


def _may_name(records: Sequence[Record], names: Collection[str]) -> bool:
    """Whether a record names one of these keys, as far as that can be known."""
    return len(records) >= _MAX_RECORDS or any(
        record.keys is None or not set(record.keys).isdisjoint(names) for record in records
    )
