"""Cached values: what is there, what the next read does, how many there are; and removing one."""

from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy.exc import SQLAlchemyError

from ..cache_handlers import RedisClient, RedisUnavailable, Removal, keys
from ..db import Act, Actor, Audit, Database, invalidate
from ..db.consistency import CacheKind, CacheVerifier, Verification
from .cached_values import CachedValueView, Stored
from .errors import Unknown
from .event_counts import CacheCounts, EventCounts

_SAMPLES = 20  # values of a kind
_MAX_PENDING = 1000  # invalidations


@dataclass(frozen=True, slots=True)
class KindOfKey:
    """How many keys of a kind a SCAN has found, the mean size of some, and what was counted of it.

    `keys` is None without a SCAN. `reads` is None if nothing was counted. See CacheCounts.
    """

    kind: str
    keys: int | None
    mean_bytes: int | None
    reads: int | None
    hit_ratio: float | None
    events: Mapping[str, int]
    audits: Mapping[str, int]
    stale_seconds: float


class CacheOperations:
    """The caches of a service. Every method may raise RedisUnavailable."""

    def __init__(
        self,
        client: RedisClient,
        database: Database,
        audit: Audit,
        *,
        service: str,
        verifier: Callable[[], CacheVerifier],
        kinds: Sequence[CacheKind] = (),
    ) -> None:
        self._verifier = verifier
        self._policies = {kind.name: kind.policy for kind in kinds}
        self._client = client
        self._database = database
        self._audit = audit
        self._patterns = [
            kind.pattern for kind in keys.kinds_in("caches", service) if kind.service == service
        ]

    @property
    def kinds(self) -> Sequence[str]:
        """The names of the caches, as in their metrics."""
        return [keys.kind_of(pattern) for pattern in self._patterns]

    @property
    def examples(self) -> Sequence[str]:
        """A key of each cache."""
        return [pattern.replace("*", "7") for pattern in self._patterns]

    def show(self, key: str) -> CachedValueView:
        """What Redis holds at a key. Six round trips. Raises Unknown for a key of no cache."""
        self._check(key)
        text, left_ms = self._client.get_with_ttl(key)
        stored = Stored(
            text,
            left_ms,
            self._client.exists(keys.lease(key)) > 0,
            self._client.exists(keys.fence(key)) > 0,
        )
        policy = self._policies.get(keys.kind_of(key))
        return stored.view(key, policy, distrust=self._distrust(key), refusal=self._refusal())

    def explain(self, key: str) -> str:
        """What the next read of a key does, also without Redis. Raises Unknown."""
        try:
            return self.show(key).next_read
        except RedisUnavailable as outage:
            return f"loads it from SQL and caches nothing: {outage}"

    def _refusal(self) -> str | None:
        """Why nothing can be cached: memory may be full, while values can be read and removed."""
        try:
            self._client.execute("SET", keys.PROBE, "1", "PX", 1000)
        except RedisUnavailable as refusal:
            return str(refusal)
        return None

    def _distrust(self, key: str) -> str | None:
        """Why readers do not use what Redis holds at a key, if so, and what they do. See Trust.

        Without SQL no commit can change a value, and so readers trust what is cached.
        """
        try:
            Removal(self._client.run).check()
        except RedisUnavailable as refusal:
            return f"loads it from SQL and caches nothing: {refusal}"
        if self._database.invalidations is None:
            return None
        try:
            pending = self._database.invalidations.records.pending(_MAX_PENDING)
        except SQLAlchemyError:
            return None
        changed = [each for each in pending if key in (each.keys or ())]
        if any(each.has_failed for each in changed):
            return (
                "loads it from SQL and caches nothing: Redis refuses to remove an older value, "
                "see `db failing-invalidations`"
            )
        if changed:
            return "loads it from SQL: it was changed, and its older value is removed first"
        return None

    def invalidate(self, actor: Actor, key: str) -> None:
        """Remove a value, as a commit that changes its row does. Raises Unknown."""
        self._check(key)
        with self._database.begin() as tx:
            self._audit.record(tx, actor, Act("cache invalidate", key), count=1)
            invalidate(tx, [key])

    def stats(self, counts: EventCounts, *, budget: int | None = None) -> Sequence[KindOfKey]:
        """The caches, and what else a SCAN of about `budget` keys finds, by kind.

        The most frequent kinds come first. No trip without a budget.
        """
        found = Counter[str]()
        samples = defaultdict[str, list[str]](list)
        for key in self._client.scan(budget=budget) if budget else ():
            kind = key.rpartition(":")[0]
            found[kind] += 1
            if len(samples[kind]) < _SAMPLES and self._is_cached(key):
                samples[kind].append(key)
        ordered = [kind for kind, _ in found.most_common()]
        return [
            self._kind_of_key(kind, found[kind] if budget else None, samples[kind], counts)
            for kind in dict.fromkeys([*ordered, *self.kinds, *counts.caches])
        ]

    def _kind_of_key(
        self, kind: str, keys: int | None, samples: Sequence[str], counts: EventCounts
    ) -> KindOfKey:
        counted = counts.caches.get(kind, CacheCounts())
        return KindOfKey(
            kind,
            keys,
            self._mean_bytes(samples),
            counted.reads if kind in counts.caches else None,
            counted.hit_ratio,
            dict(counted.events),
            dict(counted.audits),
            counted.stale_seconds,
        )

    def verify(
        self, *, caches: Collection[str] = (), limit: int = 10_000, budget: int | None = None
    ) -> Verification:
        """Compare cached values with SQL: see `CacheVerifier.verify`.

        Raises SQLAlchemyError, and Unknown for a cache that is not one of `kinds`.
        """
        for name in caches:
            if name not in self.kinds:
                raise Unknown("cache", name, self.kinds)
        return self._verifier().verify(caches=caches, limit=limit, budget=budget)

    def _mean_bytes(self, some: Sequence[str]) -> int | None:
        values = self._client.get_many(some) if some else {}
        sizes = [len(value.encode("utf-8", "surrogateescape")) for value in values.values()]
        return sum(sizes) // len(sizes) if sizes else None

    def _is_cached(self, key: str) -> bool:
        kind, _, identifier = key.rpartition(":")  # "user:sessions:7" is no user
        return f"{kind}:*" in self._patterns and identifier != ""

    def _check(self, key: str) -> None:
        if not self._is_cached(key):
            raise Unknown("cache here with the key", key, self._patterns)
