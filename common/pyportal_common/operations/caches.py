"""Cached values: what is there, what the next read does, how many there are; and removing one."""

from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from ..cache_handlers import RedisClient, keys
from ..db import Act, Actor, Audit, Database, invalidate
from ..db.consistency import CacheVerifier, Verification
from .errors import Unknown

_SAMPLES = 20  # values of a kind


@dataclass(frozen=True, slots=True)
class CachedValue:
    """What Redis holds at a key, without the value. Times are seconds."""

    key: str
    bytes: int | None
    ttl_seconds: float | None
    is_being_loaded: bool
    is_fenced: bool

    @property
    def count(self) -> int:
        """1 if there is a value, else 0."""
        return int(self.bytes is not None)

    @property
    def next_read(self) -> str:
        """What a read does now."""
        if self.bytes is not None:
            return "returns the cached value, or refreshes it if it is stale"
        if self.is_fenced:
            return "loads from SQL and caches nothing: a writer is about to change it"
        if self.is_being_loaded:
            return "waits for the reader that loads it now"
        return "loads it from SQL and caches it"


@dataclass(frozen=True, slots=True)
class KindOfKey:
    """How many keys of a kind a SCAN has found, and the mean size of some of their values."""

    kind: str
    keys: int
    mean_bytes: int | None


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
    ) -> None:
        self._verifier = verifier
        self._client = client
        self._database = database
        self._audit = audit
        self._patterns = [
            kind.pattern for kind in keys.kinds_in("caches", service) if kind.service == service
        ]

    @property
    def examples(self) -> Sequence[str]:
        """A key of each cache."""
        return [pattern.replace("*", "7") for pattern in self._patterns]

    def show(self, key: str) -> CachedValue:
        """What Redis holds at a key. Three round trips. Raises Unknown for a key of no cache."""
        self._check(key)
        text, left_ms = self._client.get_with_ttl(key)
        return CachedValue(
            key,
            None if text is None else len(text.encode("utf-8", "surrogateescape")),
            left_ms / 1000 if left_ms >= 0 else None,
            self._client.exists(keys.lease(key)) > 0,
            self._client.exists(keys.fence(key)) > 0,
        )

    def invalidate(self, actor: Actor, key: str) -> None:
        """Remove a value, as a commit that changes its row does. Raises Unknown."""
        self._check(key)
        with self._database.begin() as tx:
            self._audit.record(tx, actor, Act("cache invalidate", key), count=1)
            invalidate(tx, [key])

    def stats(self, *, budget: int = 10_000) -> Sequence[KindOfKey]:
        """The caches, by kind, in a SCAN of about `budget` keys."""
        counts = Counter[str]()
        samples = defaultdict[str, list[str]](list)
        for key in self._client.scan(budget=budget):
            kind = key.rpartition(":")[0]
            counts[kind] += 1
            if len(samples[kind]) < _SAMPLES and self._is_cached(key):
                samples[kind].append(key)
        return [
            KindOfKey(kind, count, self._mean_bytes(samples[kind]))
            for kind, count in counts.most_common()
        ]

    def verify(self, *, caches: Collection[str] = (), limit: int = 10_000) -> Verification:
        """Compare cached values with SQL: see `CacheVerifier.verify`. Raises SQLAlchemyError."""
        return self._verifier().verify(caches=caches, limit=limit)

    def _mean_bytes(self, some: Sequence[str]) -> int | None:
        values = self._client.get_many(some)
        sizes = [len(value.encode("utf-8", "surrogateescape")) for value in values.values()]
        return sum(sizes) // len(sizes) if sizes else None

    def _is_cached(self, key: str) -> bool:
        kind, _, identifier = key.rpartition(":")  # "user:sessions:7" is no user
        return f"{kind}:*" in self._patterns and identifier != ""

    def _check(self, key: str) -> None:
        if not self._is_cached(key):
            raise Unknown("cache here with the key", key, self._patterns)
