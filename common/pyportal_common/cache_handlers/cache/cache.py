"""Cached values: plain JSON under a key, exactly as redis-cli shows it."""

import json
import logging
import secrets
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import update_wrapper
from typing import Any, Generic, ParamSpec, TypeVar

from .. import keys
from ..client.client import RedisClient
from ..client.errors import RedisPoolExhausted, RedisUnavailable
from ..client.observer import CacheEvent
from ..client.scripts import Script
from ..client.values import milliseconds, to_json
from .leases import Lease, Leases, Policy
from .refresh import NOTHING, Refresher
from .single_flight import SingleFlight

logger = logging.getLogger(__name__)

P = ParamSpec("P")
T = TypeVar("T")

_MISS = object()
_POLL = 0.01  # seconds, doubled up to eight times as long


@dataclass(frozen=True, slots=True)
class Fence:
    """What a writer put up around its COMMIT: take it to `Cache.unfence`."""

    keys: tuple[str, ...]
    token: str


class Cache:
    """Values that SQL holds too. Redis may lose them at any time, and so may an outage.

    `get_or_load` is the way to read: one loader for any number of threads and processes, and a slow
    reader never puts back what an invalidation removed. `put` and `get` are the plain way; a `put`
    after a write may race with another's.
    """

    def __init__(self, client: RedisClient, *, fence_seconds: float = 30.0) -> None:
        self._client = client
        self._fence_ms = milliseconds(fence_seconds)
        self._flights = SingleFlight()
        self._leases = Leases(client)
        self._refresher = Refresher(self._leases, self._tell)
        self._scripts = {name: Script.load(__package__, name) for name in ("fence", "unfence")}

    @property
    def client(self) -> RedisClient:
        """Of the Redis that the values are in."""
        return self._client

    # --- plain ---

    def get(self, key: str, default: Any = None) -> Any:
        """The cached value, or `default` on a miss. One round trip.

        A miss is also what an outage gives, and a value that is not JSON: then SQL is asked and
        the next fill mends it.
        """
        value, _ = self._read(key)
        return default if value is _MISS else value

    def put(self, key: str, value: Any, ttl: float) -> bool:
        """Cache `value` for `ttl` seconds. False when an outage prevented it. One round trip."""
        return self.put_many({key: value}, ttl)

    def put_many(self, values: Mapping[str, Any], ttl: float) -> bool:
        """Cache all `values` for `ttl` seconds. False when an outage, or a full pool, prevented it.

        One round trip. TypeError or ValueError for what has no JSON form, as set_json.
        """
        texts = {key: to_json(value) for key, value in values.items()}
        try:
            self._client.set_many(texts, ttl)
        except (RedisUnavailable, RedisPoolExhausted):
            return False  # the next reader fills
        return True

    def invalidate(self, *names: str) -> int:
        """Remove the values, and the right to fill of whoever loads them now; how many there were.

        One round trip. Raises RedisUnavailable on an outage, because the old values would stay.
        """
        if not names:
            return 0
        with self._client.pipeline(transaction=False) as pipeline:
            # The leases first: the holder of one could fill again between the two.
            pipeline.unlink(*map(keys.lease, names))
            pipeline.unlink(*names)
            removed = int(pipeline.execute()[1])
        self._tell("invalidated", *names)
        return removed

    # --- loaded once ---

    def get_or_load(self, key: str, load: Callable[[], Any], policy: Policy) -> Any:
        """The cached value, else what `load()` gives, which is cached. None is a value too.

        `load` must read what is committed now, in a SQL session of its own. It runs once for all
        threads and processes that miss together; those that waited `policy.wait` seconds in vain
        load for themselves and cache nothing. What `load` raises is raised, to all that loaded.
        A value that is about to end, or stale, is loaded anew beside the readers, by one of all.
        One round trip for a hit, three for the one that loads. In an outage `load()`.
        """
        value, left_ms = self._read(key)
        if value is _MISS:
            return self._flights.load(
                key, lambda close: self._load(key, load, policy, close), wait_seconds=policy.wait
            )
        if self._refresher.is_due(left_ms, policy):
            return self._refreshed(key, value, left_ms, load, policy)
        return value

    def get_many_or_load(
        self,
        names: Sequence[str],
        load: Callable[[Sequence[str]], Mapping[str, Any]],
        policy: Policy,
    ) -> dict[str, Any]:
        """The values of all `names`; those that are not cached by one `load(missing)`.

        A name that `load` leaves out has the value None. Nobody waits for another's load, and
        nothing is refreshed. One round trip when all are there, else three.
        """
        values = self._get_many(names)
        missing = [name for name in names if name not in values]
        if not missing:
            return values
        leases = self._leases.ask_many(missing, policy)
        self._tell("load", *missing)
        try:
            loaded = load(missing)
        except BaseException:
            self._give_up([one for one in leases if one.state == "mine"], policy)
            raise
        values |= {name: loaded.get(name) for name in missing}
        self._publish({one: values[one.key] for one in leases if one.state == "mine"}, policy)
        return values

    def cached(
        self, key: Callable[P, str], policy: Policy
    ) -> Callable[[Callable[P, T]], "CachedFunction[P, T]"]:
        """A decorator: the function's results, cached under `key(*args)` as `get_or_load` does.

        The function has to be one for `load`: reading what is committed now. The result has a
        method `invalidate`, with the function's own arguments.
        """
        return lambda function: CachedFunction(self, key, policy, function)

    def _refreshed(
        self, key: str, value: Any, left_ms: int, load: Callable[[], Any], policy: Policy
    ) -> Any:
        """The value, while it is loaded anew; or the new one, if a stale one may wait for it."""
        stale = left_ms <= policy.stale_for * 1000
        if stale:
            self._tell("stale", key)
        future = self._refresher.refresh(key, load, policy)
        if future is None or not stale or not policy.soft_timeout:
            return value
        with suppress(TimeoutError):
            fresh = future.result(policy.soft_timeout)
            return value if fresh is NOTHING else fresh
        return value

    def _load(
        self, key: str, load: Callable[[], Any], policy: Policy, close: Callable[[], None]
    ) -> tuple[Any, bool]:
        """The value, and whether it was filled."""
        until = time.monotonic() + policy.wait
        pause = _POLL
        while True:
            lease = self._leases.ask(key, policy)
            if lease.state == "hit":
                return lease.value, False  # read before others may have asked: not theirs to share
            if lease.state == "mine":
                return self._fill(lease, load, policy, close)
            if lease.state == "odd":
                self._client.delete(key)
                continue
            if lease.state != "leased" or time.monotonic() > until:
                self._tell("load", key)
                self._tell("unfilled", key)
                return load(), False
            self._tell("waited", key)
            time.sleep(pause)
            pause = min(2 * pause, 8 * _POLL)

    def _fill(
        self, lease: Lease, load: Callable[[], Any], policy: Policy, close: Callable[[], None]
    ) -> tuple[Any, bool]:
        self._tell("load", lease.key)
        began = time.monotonic()
        try:
            value = load()
        except BaseException:
            self._give_up([lease], policy)
            raise
        self._refresher.took(time.monotonic() - began, policy)
        close()
        return value, self._publish({lease: value}, policy)

    def _give_up(self, leases: Sequence[Lease], policy: Policy) -> None:
        """After a load that failed."""
        for lease in leases:
            self._tell("failed", lease.key)
            self._leases.release(lease, policy)

    def _publish(self, values: Mapping[Lease, Any], policy: Policy) -> bool:
        """Whether every value was accepted."""
        stored = self._leases.publish(values, policy) if values else []
        self._tell(
            "unfilled", *(one.key for one, kept in zip(values, stored, strict=True) if not kept)
        )
        return all(stored)

    def _read(self, key: str) -> tuple[Any, int]:
        """The value or _MISS, and the ms that it has left."""
        text: str | None
        try:
            text, left_ms = self._client.get_with_ttl(key)
        except RedisUnavailable:
            text, left_ms = None, 0  # a miss: SQL has the value
        except UnicodeDecodeError:
            text, left_ms = "", 0  # not JSON either
        value = self._decoded(key, text)
        self._tell("miss" if value is _MISS else "hit", key)
        return value, left_ms

    def _get_many(self, names: Sequence[str]) -> dict[str, Any]:
        try:
            texts = self._client.get_many(names)
        except RedisUnavailable:
            texts = {}
        values = {name: self._decoded(name, text) for name, text in texts.items()}
        found = {name: value for name, value in values.items() if value is not _MISS}
        self._tell("hit", *found)
        self._tell("miss", *(name for name in names if name not in found))
        return found

    def _decoded(self, key: str, text: str | None) -> Any:
        """The value, or _MISS: what is no JSON is mended by the next fill."""
        if text is None:
            return _MISS
        try:
            return json.loads(text)
        except (ValueError, RecursionError):
            logger.warning("Redis holds no JSON under a key of %s: a miss", _kind(key))
            return _MISS

    def _tell(self, event: CacheEvent, *names: str) -> None:
        for name in names:
            self._client.observer.cache(_kind(name), event)

    # --- around a COMMIT ---

    def fence(self, names: Collection[str]) -> Fence:
        """Remove the values before the COMMIT that changes them; nobody fills until `unfence`.

        One round trip. In an outage there is no fence, and `unfence` still removes. Raises
        RedisPoolExhausted: Redis is there, so better no COMMIT than one without a fence.
        """
        fence = Fence(tuple(sorted(set(names))), secrets.token_hex(8))
        if fence.keys:
            with suppress(RedisUnavailable):
                self._client.run(
                    self._scripts["fence"], self._triples(fence), [fence.token, self._fence_ms]
                )
        return fence

    def unfence(self, fence: Fence) -> None:
        """Remove the values again after the COMMIT, or one of unknown outcome, and the fence.

        One round trip. Raises RedisUnavailable: what is cached may be older than the row then.
        """
        if fence.keys:
            self._client.run(self._scripts["unfence"], self._triples(fence), [fence.token])
            self._tell("invalidated", *fence.keys)

    @staticmethod
    def _triples(fence: Fence) -> list[str]:
        return [name for key in fence.keys for name in (key, keys.lease(key), keys.fence(key))]


class CachedFunction(Generic[P, T]):
    """A function whose results are cached. See Cache.cached."""

    def __init__(
        self, cache: Cache, key: Callable[P, str], policy: Policy, function: Callable[P, T]
    ) -> None:
        update_wrapper(self, function)
        self._cache = cache
        self._key = key
        self._policy = policy
        self._function = function

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> T:
        """The cached result, or what the function returns."""
        value: T = self._cache.get_or_load(
            self._key(*args, **kwargs), lambda: self._function(*args, **kwargs), self._policy
        )
        return value

    def invalidate(self, *args: P.args, **kwargs: P.kwargs) -> int:
        """Forget the result for these arguments. See Cache.invalidate."""
        return self._cache.invalidate(self._key(*args, **kwargs))


def _kind(key: str) -> str:
    """The key without its identifier, which may be an e-mail address."""
    return key.rpartition(":")[0]
