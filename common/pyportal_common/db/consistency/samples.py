"""Which value the monitor compares next."""

import random
import time
from collections.abc import Callable
from dataclasses import dataclass

from ...cache_handlers import StoredValues
from ..records import Records
from .kinds import CachedValue, CacheKinds

_CHANGED_FOR = 60.0  # seconds for which a changed key is among the first
_MAX_CHANGED = 500  # keys
_MAX_RECORDS = 100  # that are read at a time
_EXAMINED = 20  # changed keys of which one that exists is taken
_SCANS = 5  # round trips of a sample at most
_OTHERS_EVERY = 4  # samples


@dataclass(slots=True)
class _Changed:
    value: CachedValue
    until: float
    examined_at: float = 0.0


class Samples:
    """Chooses values that were changed lately, by any process, and now and then any other.

    The invalidation records are the list of changes. All other values come from a SCAN that goes on
    with each call. An hour or more may pass until it has been through a large database.
    """

    def __init__(
        self,
        stored: StoredValues,
        records: Records,
        kinds: CacheKinds,
        *,
        clock: Callable[[], float] = time.monotonic,
        rng: random.Random | None = None,
    ) -> None:
        self._stored = stored
        self._records = records
        self._kinds = kinds
        self._clock = clock
        self._rng = rng or random.Random()  # noqa: S311
        self._changed: dict[str, _Changed] = {}  # in the order of changes
        self._newest_record = 0
        self._cursor = 0
        self._number = 0

    def next(self) -> CachedValue | None:
        """A value that exists. Two statements, and up to six round trips."""
        self._number += 1
        self._note_changes()
        changed = None if self._number % _OTHERS_EVERY == 0 else self._any_changed()
        return changed or self._any()

    def _note_changes(self) -> None:
        now = self._clock()
        if self._records.newest_id() < self._newest_record:
            self._newest_record = 0  # SQLite uses ids again when all records are deleted
        records = self._records.newer_than(self._newest_record, _MAX_RECORDS)
        for record in reversed(records):
            self._newest_record = record.id
            for key in (record.keys or ())[:_MAX_CHANGED]:
                value = self._kinds.value_of(key)
                if value is not None:
                    self._changed.pop(key, None)
                    self._changed[key] = _Changed(value, now + _CHANGED_FOR)
        newest = list(self._changed.items())[-_MAX_CHANGED:]
        self._changed = {key: each for key, each in newest if each.until > now}

    def _any_changed(self) -> CachedValue | None:
        """The one that exists and was examined longest ago; of new ones the newest."""
        newest_first = list(self._changed.values())[::-1]
        by_age = sorted(newest_first, key=lambda each: each.examined_at)
        some = {each.value.key: each for each in by_age[:_EXAMINED]}
        existing = self._stored.existing(list(some)) if some else []
        chosen = existing[0] if existing else None
        for key, each in some.items():
            if key == chosen or key not in existing:
                each.examined_at = self._clock()
        return some[chosen].value if chosen is not None else None

    def _any(self) -> CachedValue | None:
        for _ in range(_SCANS):
            self._cursor, names = self._stored.scan(self._cursor)
            values = [value for value in map(self._kinds.value_of, names) if value is not None]
            if values:
                return self._rng.choice(values)
        return None
