"""What a renewal of trust removes while the sweep marks records as done."""

from collections import deque

from common.pyportal_common.db.pending import PendingRemovals
from common.pyportal_common.db.records import Record, Records


class MarkedMeanwhile(Records):
    """Returns a record that the sweep marks as done just after the query has read it."""

    def __init__(self, record: Record, applied: deque[int]) -> None:
        self._record, self._applied_ids = record, applied

    def pending(self, limit: int) -> list[Record]:
        self._applied_ids.clear()
        return [self._record][:limit]


def test_what_is_marked_during_the_query_is_not_removed_again() -> None:
    """A second removal would take a value that was filled since the first."""
    record = Record(id=7, keys=("item:1",), revocations=(), has_failed=False)
    applied = deque([7])
    removals = PendingRemovals(MarkedMeanwhile(record, applied), applied.copy, timeout_seconds=10)

    assert removals.read() == []
