"""Cached values: plain JSON under their key, exactly as redis-cli shows it."""

import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, ParamSpec, TypeVar

from ...spans import span
from .. import keys
from ..client.client import RedisClient
from ..client.errors import RedisPoolExhausted, RedisUnavailable
from ..client.observer import CacheEvent
from ..client.repairs import RepairLog
from ..client.values import milliseconds, to_json
from .cached_function import CachedFunction
from .fences import Fence, Fences, Fill, in_chunks
from .json_values import JsonValue
from .leases import Lease, Leases
from .policy import Policy
from .read_ahead import hold, take
from .refresh import NO_VALUE, Refresher
from .shapes import PLAIN_JSON, Bytes, Shape, known_value, without_versions
from .single_flight import SingleFlight
from .tags import keys_of
from .texts import Text, Texts

P = ParamSpec("P")
T = TypeVar("T")

_MISS = object()
_FIRST_POLL = 0.01  # seconds, doubled up to the longest
_LONGEST_POLL = 0.08


def _new_value(shape: Shape, text: Any) -> Any:
    return shape.decode(text)


class Cache:
    """Copies of values that SQL holds. Redis may lose them at any time.

    Read with `get_or_load`: of all threads and processes one loads, and a slow reader never stores
    a value that was invalidated meanwhile. `get` and `put` are the plain operations: a `put` after
    a write may race with another one.
    """

    def __init__(self, client: RedisClient, *, fence_seconds: float = 30.0) -> None:
        self.client = client
        """The client of the Redis database that holds the values."""
        self._fences = Fences(client, fence_ms=milliseconds(fence_seconds))
        self._flights = SingleFlight()
        self._leases = Leases(client)
        self._texts = Texts(client)
        self._refresher = Refresher(self._leases, self._notify)
        self._repairs = RepairLog()

    # --- plain operations ---

    def get(self, key: str, default: Any = None) -> Any:
        """The cached value, or `default` on a miss. One round trip.

        An outage is a miss, and so is a value that is not JSON: the next fill replaces it. A
        document that a service cached is returned without its version.
        """
        server, readable = self._readable([key])
        if not readable:
            return default
        text, _ = self._texts.read(key, PLAIN_JSON, ())
        if server != self.client.servers_seen:  # trust was in another one
            return default
        value = self._decode(key, text, PLAIN_JSON)
        return default if value is _MISS else value

    def put(self, key: str, value: Any, ttl: float) -> bool:
        """Cache `value` for `ttl` seconds. False if an outage prevented it. One round trip."""
        return self.put_many({key: value}, ttl)

    def put_many(self, values: Mapping[str, Any], ttl: float) -> bool:
        """Cache all `values` for `ttl` seconds. False if an outage or a full pool prevented it.

        One round trip. TypeError or ValueError for values without a JSON form.
        """
        texts = {key: to_json(value) for key, value in values.items()}
        self.client.key_events.add("put", *texts)
        hold(None)
        try:
            self.client.set_many(texts, ttl)
        except (RedisUnavailable, RedisPoolExhausted):
            return False  # the next reader fills
        return True

    def invalidate(self, *names: str) -> int:
        """Remove the values and the leases of their loaders; return how many values existed.

        One round trip. Raises RedisUnavailable in an outage, because old values would remain.
        """
        if not names:
            return 0
        hold(None)
        with self.client.pipeline(transaction=False) as pipeline:
            # Leases first: the holder of one could otherwise fill between the two commands.
            for chunk in in_chunks(names):
                pipeline.unlink(*map(keys.lease, chunk))
                pipeline.unlink(*chunk)
            removed = sum(map(int, pipeline.execute()[1::2]))
        self.client.key_events.add("invalidation", *names)
        self._notify("invalidated", *names)
        return removed

    def invalidate_tag(self, *tags: str) -> None:
        """Invalidate all values that carry one of these tags, however many they are.

        One round trip, as short as the invalidation of one value. Raises RedisUnavailable in an
        outage, because old values would remain. A commit does the same with `keys.tag(…)` among
        its keys.
        """
        self.invalidate(*keys_of(tags))

    # --- read through ---

    def get_or_load(
        self,
        key: str,
        load: Callable[[], Any],
        policy: Policy,
        *,
        tags: Iterable[str] | None = None,
    ) -> Any:
        """The cached value, else the result of `load()`, which is cached. None is a value too.

        `load` must read what is committed now, in a new SQL session. It runs once for all threads
        and processes that miss together. A reader that has waited `policy.wait` seconds loads
        without caching. An exception of `load` is raised to every reader that ran it. A value that
        is stale or about to expire is refreshed in the background, by one reader of all.
        One round trip for a hit, three for the loader; one less if the request has read the value
        ahead. In an outage, and while this process does not trust Redis (see Trust), the result of
        `load()`. A value with `tags` is also invalidated by `invalidate_tag`. They follow from the
        key, and each costs a reader one key more in the same round trip.
        """
        value, _ = self._find(key, load, policy, tags=keys_of(tags) if tags else ())
        return value

    def find(self, key: str, load: Callable[[], Any], policy: Policy) -> JsonValue:
        """The same value as of `get_or_load`, with its JSON text, which is the cached one if it
        is cached: nothing is serialised again. TypeError for the shape Bytes.
        """
        if isinstance(policy.shape, Bytes):
            raise TypeError("bytes have no JSON text: use get_or_load")
        value, text = self._find(key, load, policy, known_value)
        if not isinstance(text, str):
            return JsonValue.of(value)
        return JsonValue(value, without_versions(text, value))

    def _readable(
        self, names: Sequence[str], tags: Sequence[str] = ()
    ) -> tuple[int, Sequence[str]]:
        """The server, by `servers_seen`, and which of the keys may be read in it. See Trust."""
        for _ in range(2):  # the check may open the first connection to another server
            server = self.client.servers_seen
            are_tags_trusted = self._texts.trusts(tags)
            readable = [name for name in names if are_tags_trusted and self.client.trusts(name)]
            if server == self.client.servers_seen:
                return server, readable
        return server, ()

    def _find(
        self,
        key: str,
        load: Callable[[], Any],
        policy: Policy,
        decode: Callable[[Shape, Any], Any] = _new_value,
        tags: tuple[str, ...] = (),
    ) -> tuple[Any, Text | None]:
        """The value, and its text if it is cached and fresh."""
        server = self.client.servers_seen
        ahead = take(self.client, key)  # trust was checked before it was read
        if ahead is not None and not tags:
            text: Text | None = ahead.text
            left_ms = ahead.left_ms
        else:
            server, readable = self._readable([key], tags)
            if not readable:
                return self._load_past(key, load), None
            text, left_ms = self._texts.read(key, policy.shape, tags)
        if server != self.client.servers_seen:  # trust was in another one
            return self._load_past(key, load), None
        value = self._decode(key, text, policy.shape, decode)
        if value is _MISS:
            loaded = self._flights.load(
                key,
                lambda close: self._load(key, load, policy, tags, close, server),
                wait_seconds=policy.wait,
            )
            return loaded, None
        if self._refresher.is_due(left_ms, policy):
            return self._refresh(key, value, left_ms, load, policy, tags, server), None
        return value, text

    def get_many_or_load(
        self,
        names: Sequence[str],
        load: Callable[[Sequence[str]], Mapping[str, Any]],
        policy: Policy,
        *,
        tags: Iterable[str] = (),
    ) -> dict[str, Any]:
        """The values of all `names`. Those that are not cached come from one `load(missing)`.

        A name that is not in the result of `load` has the value None. It neither waits for other
        loaders nor refreshes. All values carry the `tags`. One round trip if all values are cached,
        else three.
        """
        tags = keys_of(tags)
        server, trusted = self._readable(names, tags)
        texts = self._texts.read_many(trusted, policy.shape, tags)
        if server != self.client.servers_seen:  # trust was in another one
            trusted, texts = (), {}
        self._notify("miss", *(name for name in names if name not in trusted))
        found = {name: self._decode(name, text, policy.shape) for name, text in texts.items()}
        values = {name: value for name, value in found.items() if value is not _MISS}
        missing = [name for name in names if name not in values]
        if not missing:
            return values
        asked = [key for key in missing if key in trusted]
        leases = self._leases.request_many(asked, policy, tags)
        mine = [lease for lease in leases if lease.state == "mine"]
        self._notify("load", *missing)
        try:
            loaded = _in_span(missing[0], lambda: load(missing))
        except BaseException as error:
            self._release(mine, policy, error)
            raise
        values |= {name: loaded.get(name) for name in missing}
        self._publish({lease: values[lease.key] for lease in mine}, policy)
        return values

    def cached(
        self,
        key: Callable[P, str],
        policy: Policy,
        *,
        tags: Callable[P, Iterable[str]] | None = None,
    ) -> Callable[[Callable[P, T]], CachedFunction[P, T]]:
        """A decorator that caches the function's results under `key(*args)`, with `tags(*args)`.

        The function is used as the `load` of `get_or_load`, so it must read what is committed now.
        The decorated function has a method `invalidate` with the function's arguments.
        """
        get_or_load = partial(self.get_or_load, policy=policy)
        return lambda function: CachedFunction(function, key, get_or_load, self.invalidate, tags)

    def _refresh(
        self,
        key: str,
        value: Any,
        left_ms: int,
        load: Callable[[], Any],
        policy: Policy,
        tags: tuple[str, ...],
        server: int,
    ) -> Any:
        """Start a refresh, and return the value, or the new one if a stale one may wait for it."""
        stale = left_ms <= policy.stale_for * 1000
        if stale:
            self._notify("stale", key)
        future = self._refresher.refresh(key, left_ms, load, policy, tags)
        if future is None or not stale or not policy.soft_timeout:
            return value
        with suppress(TimeoutError):
            fresh = future.result(policy.soft_timeout)
            if fresh is not NO_VALUE and server == self.client.servers_seen:
                return fresh
        return value

    def _load_past(self, key: str, load: Callable[[], Any]) -> Any:
        """Load a value without Redis."""
        for event in ("miss", "load", "unfilled"):
            self._notify(event, key)
        return _in_span(key, load)

    def _load(
        self,
        key: str,
        load: Callable[[], Any],
        policy: Policy,
        tags: tuple[str, ...],
        close: Callable[[], None],
        server: int,
    ) -> tuple[Any, bool]:
        """The value, and whether its fill was accepted by the same server."""
        until = time.monotonic() + policy.wait
        pause = _FIRST_POLL
        is_unfit = False
        while True:
            lease = self._leases.request(key, policy, tags, replace_unfit=is_unfit)
            if lease.state == "hit" and server == self.client.servers_seen:
                # Not to be shared: it was read before other threads may have asked.
                return lease.value, False
            if lease.state == "mine":
                value, accepted = self._load_and_fill(lease, load, policy, close)
                return value, accepted and server == self.client.servers_seen
            is_unfit = lease.state == "unfit"
            if is_unfit:
                continue
            if lease.state != "leased" or time.monotonic() > until:
                self._notify("load", key)
                self._notify("unfilled", key)
                return _in_span(key, load), False
            self._notify("waited", key)
            time.sleep(pause)
            pause = min(2 * pause, _LONGEST_POLL)

    def _load_and_fill(
        self, lease: Lease, load: Callable[[], Any], policy: Policy, close: Callable[[], None]
    ) -> tuple[Any, bool]:
        self._notify("load", lease.key)
        started = time.monotonic()
        try:
            value = _in_span(lease.key, load)
        except BaseException as error:
            self._release([lease], policy, error)
            raise
        self._refresher.record_load_time(time.monotonic() - started, policy)
        close()
        return value, self._publish({lease: value}, policy)

    def _release(self, leases: Sequence[Lease], policy: Policy, error: BaseException) -> None:
        """Release leases after a load that raised."""
        is_expected = isinstance(error, policy.expected)
        for lease in leases:
            self._notify("unfilled" if is_expected else "failed", lease.key)
            self._leases.release(lease, 0.0 if is_expected else policy.retry)

    def _publish(self, values: Mapping[Lease, Any], policy: Policy) -> bool:
        """Fill the values; whether all fills were accepted."""
        accepted = self._leases.publish(values, policy) if values else []
        filled = zip(values, accepted, strict=True)
        self._notify("unfilled", *(lease.key for lease, stored in filled if not stored))
        return all(accepted)

    def _decode(
        self,
        key: str,
        text: Text | None,
        shape: Shape,
        decode: Callable[[Shape, Any], Any] = _new_value,
    ) -> Any:
        """The value of a text that was read, or _MISS."""
        value = _MISS
        if text is not None:
            try:
                value = decode(shape, text)
            except ValueError:
                kind = keys.kind_of(key)
                self._repairs.record(kind, "it is a miss, and the next fill replaces it")
        self._notify("miss" if value is _MISS else "hit", key)
        return value

    def _notify(self, event: CacheEvent, *names: str) -> None:
        for name in names:
            self.client.observer.cache(keys.kind_of(name), event)

    # --- around a COMMIT ---

    def fence(self, names: Collection[str], *, fills: bool = False) -> Fence:
        """Remove the values before the COMMIT that changes them, and block fills until `unfence`.

        A writer that `fills` values by `unfence` gets their leases.

        One round trip. In an outage there is no fence, and `unfence` still removes. Raises
        RedisPoolExhausted: Redis is available, so it is better not to commit than without a fence.
        """
        hold(None)
        with span("cache.fence", {"pyportal.keys": len(names)}):
            return self._fences.place(names, fills=fills)

    def unfence(self, fence: Fence, fills: Mapping[str, Fill] | None = None) -> None:
        """Remove the values again and the fence, after a COMMIT or one of unknown outcome.

        After a COMMIT that is certain, `fills` are cached instead: values of its rows, which no
        other transaction could change before it. One is not if another writer has invalidated it
        since the fence, and none if Redis has not acknowledged the fence, because it may set a late
        one after such an invalidation.

        One round trip. Raises RedisUnavailable: cached values may be older than their rows then.
        """
        hold(None)
        with span("cache.unfence", {"pyportal.keys": len(fence.keys)}):
            self._fences.remove(fence, fills)
        self._notify("invalidated", *fence.keys)


def _in_span(key: str, load: Callable[[], T]) -> T:
    """The result of `load`, which is a span in the trace of a request or a job."""
    with span("cache.load", {"pyportal.cache": keys.kind_of(key)}):
        return load()
