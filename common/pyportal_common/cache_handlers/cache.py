"""Cached values: plain JSON under a key, exactly as redis-cli shows it."""

import json
import logging
import random
import secrets
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import redis

from . import keys
from .client import RedisClient, Script, milliseconds, to_json
from .exceptions import RedisPoolExhausted, RedisUnavailable
from .observer import CacheEvent
from .resilience import Use, during_outage
from .single_flight import SingleFlight

logger = logging.getLogger(__name__)

_MISS = object()
_POLL = 0.01  # seconds, doubled up to eight times as long


@dataclass(frozen=True, slots=True)
class Policy:
    """How a kind of value is cached. Times are seconds.

    ttl           how long a value lives
    negative_ttl  how long it is remembered that there is none (a load that gave None); 0: not
    jitter        the share of the time to live that chance may take off, so that values that were
                  filled together do not end together
    lease         how long a load may take until others may try
    wait          how long others wait for the one that loads, before they load for themselves
    retry         how long nobody tries again after a load that failed
    """

    ttl: float
    negative_ttl: float = 30.0
    jitter: float = 0.05
    lease: float = 10.0
    wait: float = 2.0
    retry: float = 0.5


@dataclass(frozen=True, slots=True)
class Fence:
    """What a writer put up around its COMMIT: take it to `Cache.lift`."""

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
        self._scripts = {
            name: Script.load(f"cache_{name}")
            for name in ("miss", "publish", "release", "fence", "lift")
        }

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
        try:
            text = during_outage(Use.CACHE_READ, lambda: self._client.get(key), lambda: None)
            value = default if text is None else json.loads(text)
        except (ValueError, RecursionError, redis.ResponseError):
            logger.warning("Redis holds no JSON under a key of %s: a miss", _kind(key))
            text, value = None, default
        self._tell("miss" if text is None else "hit", key)
        return value

    def put(self, key: str, value: Any, ttl: float) -> bool:
        """Cache `value` for `ttl` seconds. False when an outage prevented it. One round trip."""
        return self.put_many({key: value}, ttl)

    def put_many(self, values: Mapping[str, Any], ttl: float) -> bool:
        """Cache all `values` for `ttl` seconds. False when an outage, or a full pool, prevented it.

        One round trip. TypeError or ValueError for what has no JSON form, as set_json.
        """
        texts = {key: to_json(value) for key, value in values.items()}

        def fill() -> bool:
            try:
                self._client.set_many(texts, ttl)
            except RedisPoolExhausted:
                return False  # what was to be cached is done: it must not fail for that
            return True

        return during_outage(Use.CACHE_FILL, fill, lambda: False)

    def invalidate(self, *names: str) -> int:
        """Remove the values, and the right to fill of whoever loads them now; how many there were.

        One round trip. Raises RedisUnavailable on an outage, because the old values would stay.
        """
        if not names:
            return 0

        def remove() -> int:
            with self._client.pipeline(transaction=False) as pipeline:
                # The leases first: who holds one could fill again between the two.
                pipeline.unlink(*map(keys.lease, names))
                pipeline.unlink(*names)
                return int(pipeline.execute()[1])

        removed = during_outage(Use.INVALIDATION, remove, lambda: 0)
        self._tell("invalidated", *names)
        return removed

    # --- loaded once ---

    def get_or_load(self, key: str, load: Callable[[], Any], policy: Policy) -> Any:
        """The cached value, else what `load()` gives, which is cached. None is a value too.

        `load` must read what is committed now, in a SQL session of its own. It runs once for all
        threads and processes that miss together; those that waited `policy.wait` seconds in vain
        load for themselves and cache nothing. What `load` raises is raised, to all that loaded.
        One round trip for a hit, three for the one that loads. In an outage `load()`.
        """
        value = self.get(key, _MISS)
        if value is not _MISS:
            return value
        return self._flights.load(
            key, lambda close: self._load(key, load, policy, close), wait_seconds=policy.wait
        )

    def get_many_or_load(
        self,
        names: Sequence[str],
        load: Callable[[Sequence[str]], Mapping[str, Any]],
        policy: Policy,
    ) -> dict[str, Any]:
        """The values of all `names`; those that are not cached by one `load(missing)`.

        A name that `load` leaves out has the value None. Nobody waits for another's load. One
        round trip when all are there, else three.
        """
        values = self._get_many(names)
        missing = [name for name in names if name not in values]
        if not missing:
            return values
        token = secrets.token_hex(8)
        states = self._ask_for_leases(missing, token, policy)
        self._tell("load", *missing)
        loaded = load(missing)
        fills = {name: loaded.get(name) for name in missing}
        self._publish({name: fills[name] for name in missing if states[name]}, token, policy)
        return values | fills

    def _load(
        self, key: str, load: Callable[[], Any], policy: Policy, close: Callable[[], None]
    ) -> tuple[Any, bool]:
        """The value, and whether it was filled."""
        token = secrets.token_hex(8)
        until = time.monotonic() + policy.wait
        pause = _POLL
        while True:
            state, value = self._after_miss(key, token, policy)
            if state == "hit":
                return value, False  # read before others may have asked: not theirs to share
            if state == "mine":
                return self._fill(key, load, token, policy, close)
            if state != "leased" or time.monotonic() > until:
                self._tell("load", key)
                self._tell("unfilled", key)
                return load(), False
            time.sleep(pause)
            pause = min(2 * pause, 8 * _POLL)

    def _fill(
        self,
        key: str,
        load: Callable[[], Any],
        token: str,
        policy: Policy,
        close: Callable[[], None],
    ) -> tuple[Any, bool]:
        self._tell("load", key)
        try:
            value = load()
        except BaseException:
            self._tell("failed", key)
            self._quietly("release", [keys.lease(key)], [token, milliseconds(policy.retry)])
            raise
        close()
        return value, self._publish({key: value}, token, policy)

    def _after_miss(self, key: str, token: str, policy: Policy) -> tuple[str, Any]:
        names = [key, keys.lease(key), keys.fence(key)]
        answer = self._quietly("miss", names, [token, milliseconds(policy.lease)])
        if answer is None:
            return "unavailable", None
        if answer[0] == "hit":
            try:
                return "hit", json.loads(answer[1])
            except (ValueError, RecursionError):
                return "odd", None
        return answer[0], None

    def _ask_for_leases(self, names: Sequence[str], token: str, policy: Policy) -> dict[str, bool]:
        script, lease_ms = self._scripts["miss"], milliseconds(policy.lease)
        commands: list[tuple[Script, list[str], list[str | int]]] = [
            (script, [name, keys.lease(name), keys.fence(name)], [token, lease_ms])
            for name in names
        ]
        answers = self._quietly_many(commands)
        if answers is None:
            return dict.fromkeys(names, False)
        return {name: answer[0] == "mine" for name, answer in zip(names, answers, strict=True)}

    def _publish(self, values: Mapping[str, Any], token: str, policy: Policy) -> bool:
        """Whether every value was accepted."""
        commands: list[tuple[Script, list[str], list[str | int]]] = []
        for name, value in values.items():
            ttl = policy.negative_ttl if value is None else policy.ttl
            if ttl <= 0:
                commands.append((self._scripts["release"], [keys.lease(name)], [token, 0]))
                continue
            lives_ms = milliseconds(ttl * random.uniform(1 - policy.jitter, 1))  # noqa: S311
            names = [name, keys.lease(name)]
            commands.append((self._scripts["publish"], names, [token, to_json(value), lives_ms]))
        answers = self._quietly_many(commands) or [0] * len(commands)
        self._tell(
            "unfilled", *(name for name, stored in zip(values, answers, strict=True) if not stored)
        )
        return all(answers)

    def _get_many(self, names: Sequence[str]) -> dict[str, Any]:
        texts = during_outage(
            Use.CACHE_READ, lambda: self._client.get_many(names), lambda: dict[str, str]()
        )
        values = {}
        for name, text in texts.items():
            try:
                values[name] = json.loads(text)
            except (ValueError, RecursionError):
                logger.warning("Redis holds no JSON under a key of %s: a miss", _kind(name))
        self._tell("hit", *values)
        self._tell("miss", *(name for name in names if name not in values))
        return values

    def _tell(self, event: CacheEvent, *names: str) -> None:
        for name in names:
            self._client.observer.cache(_kind(name), event)

    def _quietly(self, name: str, names: list[str], args: list[str | int]) -> Any:
        """What a script answers, or None where it cannot be asked: SQL has the answer then."""
        try:
            return self._client.run(self._scripts[name], names, args)
        except (RedisUnavailable, RedisPoolExhausted):
            return None

    def _quietly_many(
        self, commands: Sequence[tuple[Script, list[str], list[str | int]]]
    ) -> list[Any] | None:
        if not commands:
            return []
        try:
            return self._client.run_many(commands)
        except (RedisUnavailable, RedisPoolExhausted):
            return None

    # --- around a COMMIT ---

    def fence(self, names: Collection[str]) -> Fence:
        """Remove the values before the COMMIT that changes them; nobody fills until `lift`.

        One round trip. In an outage there is no fence, and `lift` still removes. Raises
        RedisPoolExhausted: Redis is there, so better no COMMIT than one without a fence.
        """
        fence = Fence(tuple(sorted(set(names))), secrets.token_hex(8))
        if fence.keys:
            with suppress(RedisUnavailable):
                self._client.run(
                    self._scripts["fence"], self._triples(fence), [fence.token, self._fence_ms]
                )
        return fence

    def lift(self, fence: Fence) -> None:
        """Remove the values again after the COMMIT, or one of unknown outcome, and the fence.

        One round trip. Raises RedisUnavailable: what is cached may be older than the row then.
        """
        if fence.keys:
            self._client.run(self._scripts["lift"], self._triples(fence), [fence.token])
            self._tell("invalidated", *fence.keys)

    @staticmethod
    def _triples(fence: Fence) -> list[str]:
        return [name for key in fence.keys for name in (key, keys.lease(key), keys.fence(key))]


def _kind(key: str) -> str:
    """The key without its identifier, which may be an e-mail address."""
    return key.rpartition(":")[0]
