"""`cache verify`: compares many cached values with SQL, once."""

import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from ...cache_handlers import AuditOutcome, Cache, StoredValues, keys
from ..invalidations import Invalidations
from .comparer import Comparer, Difference
from .kinds import CachedValue, CacheKind, CacheKinds

_MAX_DIFFERENCES = 1000
_OUTCOMES: Sequence[AuditOutcome] = ("same", "missing", "changing", "stale")


@dataclass(frozen=True, slots=True)
class StaleValue:
    """A stale value: its kind, its key, and the key's digest, as in the log of the monitor."""

    cache: str
    key: str
    digest: str


@dataclass(frozen=True, slots=True)
class Verification:
    """How many values had each outcome, and which are stale."""

    outcomes: Mapping[AuditOutcome, int]
    stale: Sequence[StaleValue]
    is_complete: bool
    """Whether every value in the database was compared."""


class CacheVerifier:
    """Compares the values in Redis with SQL, and changes nothing."""

    def __init__(
        self,
        cache: Cache,
        invalidations: Invalidations,
        kinds: Sequence[CacheKind],
        *,
        sleep: Callable[[float], object] = time.sleep,
    ) -> None:
        self._stored = StoredValues(cache.client)
        self._kinds = CacheKinds(kinds)
        self._comparer = Comparer(self._stored, invalidations.records)
        self._after_seconds = invalidations.trust.seconds
        self._sleep = sleep

    def verify(
        self, *, caches: Collection[str] = (), limit: int = 10_000, budget: int | None = None
    ) -> Verification:
        """Compare `limit` values at most, of all kinds or of these `caches`.

        Ends also when about `budget` keys have been read, whatever they are.

        Waits for the length of trust if some differ, then looks at those again. Raises
        RedisLayerError and SQLAlchemyError, and what the load of a value raises.
        """
        outcomes: dict[AuditOutcome, int] = dict.fromkeys(_OUTCOMES, 0)
        differences: list[Difference] = []
        is_complete = True
        compared = 0
        for number, value in enumerate(self._values(caches)):
            is_over_budget = budget is not None and number >= budget
            is_full = compared >= limit or len(differences) >= _MAX_DIFFERENCES
            if is_over_budget or (is_full and value is not None):
                is_complete = False
                break
            if value is None:
                continue
            compared += 1
            found = self._comparer.compare(value)
            if isinstance(found, Difference):
                differences.append(found)
            else:
                outcomes[found] += 1
        stale = self._confirm(differences)
        outcomes["stale"] += len(stale)
        outcomes["changing"] += len(differences) - len(stale)
        return Verification(outcomes, stale, is_complete)

    def _values(self, caches: Collection[str]) -> Iterator[CachedValue | None]:
        """Every value; None for each other key. One that is added or removed may be missing."""
        cursor, is_first = 0, True
        while cursor or is_first:
            is_first = False
            cursor, names = self._stored.scan(cursor)
            for value in map(self._kinds.value_of, dict.fromkeys(names)):
                is_wanted = value is not None and (not caches or value.kind.name in caches)
                yield value if is_wanted else None

    def _confirm(self, differences: Sequence[Difference]) -> list[StaleValue]:
        if differences:
            self._sleep(self._after_seconds)
        return [
            StaleValue(each.value.kind.name, each.value.key, keys.digest_of(each.value.key))
            for each in differences
            if self._comparer.confirm(each) == "stale"
        ]
