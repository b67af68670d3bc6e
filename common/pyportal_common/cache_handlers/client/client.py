"""The client: redis-py with bounds on time, under a breaker, with errors that say what failed."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from time import perf_counter
from typing import Any, Self

import redis.client

import redis

from .breaker import Breaker
from .connections import ConnectHook, answer_of, breaker_for, open_pool
from .errors import RedisLayerError, RedisWriteRefused, outage_in, refuses_writes
from .observer import SILENT, Observer, Trip
from .scripts import Script
from .settings import RedisSettings
from .values import Value, milliseconds, to_json


class RedisClient:
    """Redis as the services use it. Strings in, strings out; times to live in seconds.

    It is honest about outages: every method but `ping` raises RedisUnavailable when the server is
    down, hung or refuses, within REDIS_CONNECT_TIMEOUT + REDIS_READ_TIMEOUT the first time and at
    once from then on, until the breaker's probe finds the server back. A pool with no free
    connection raises RedisPoolExhausted. Callers decide what that means for them.

    Each method is one round trip, unless it says otherwise.
    """

    def __init__(
        self,
        connection: "redis.Redis",
        breaker: Breaker,
        connect_hooks: list[ConnectHook] | None = None,
    ) -> None:
        self._redis = connection
        self._greetings = connect_hooks if connect_hooks is not None else []
        self._breaker = breaker
        self.observer = SILENT

    @classmethod
    def connect(cls, settings: RedisSettings, *, db: int, breaker: Breaker | None = None) -> Self:
        """A client with a pool of its own. Nothing is sent before the first command."""
        connect_hooks: list[ConnectHook] = []
        pool = open_pool(settings, db, connect_hooks)
        return cls(
            redis.Redis(connection_pool=pool), breaker or breaker_for(settings), connect_hooks
        )

    @property
    def breaker(self) -> Breaker:
        """What decides whether the server counts as available."""
        return self._breaker

    def on_connect(self, greeting: ConnectHook) -> None:
        """Call `greeting` on every new connection, before anything else is sent there.

        It gets a function that sends a command on that connection and returns the answer. What it
        raises counts as an outage: the connection is not used. redis-py connects anew silently,
        so this is the one place that sees each server that has started anew.
        """
        self._greetings.append(greeting)
        self._redis.connection_pool.disconnect()  # those that were not greeted

    def observe(self, observer: Observer) -> None:
        """Tell `observer` what happens, here, in the breaker, and in all that stands on this."""
        self.observer = self._breaker.observer = observer

    def close(self) -> None:
        """Close every connection. The client opens new ones when it is used again."""
        self._redis.connection_pool.disconnect()

    # --- strings ---

    def get(self, key: str) -> str | None:
        """The value, or None where there is none."""
        value: str | None = self.execute("GET", key)
        return value

    def get_with_ttl(self, key: str) -> tuple[str | None, int]:
        """The value and the ms that it has left: -1 for a key that stays, -2 where there is none.

        A key of another type has no value.
        """
        answers = self.guard(self._send_together, ("GET", key), ("PTTL", key))
        text, left_ms = answers
        return (None if isinstance(text, redis.ResponseError) else text), left_ms

    def set(self, key: str, value: Value, ttl: float | None = None) -> bool:
        """Store `value`, for `ttl` seconds or for ever."""
        return bool(self.execute("SET", key, value, *_expiry(ttl)))

    def get_many(self, keys: Sequence[str]) -> dict[str, str]:
        """The values of those of `keys` that exist. No keys: no trip."""
        if not keys:
            return {}
        values: list[str | None] = self.execute("MGET", *keys)
        return {key: value for key, value in zip(keys, values, strict=True) if value is not None}

    def set_many(self, values: Mapping[str, Value], ttl: float | None = None) -> None:
        """Store all `values` in one transaction, each for `ttl` seconds or for ever."""
        px = None if ttl is None else milliseconds(ttl)
        with closing(self.pipeline()) as pipeline:
            for key, value in values.items():
                pipeline.set(key, value, px=px)
            pipeline.execute()

    # --- JSON ---

    def get_json(self, key: str) -> Any:
        """The value, decoded, or None where there is none. ValueError when it is not JSON."""
        text = self.get(key)
        return None if text is None else json.loads(text)

    def set_json(self, key: str, data: Any, ttl: float | None = None) -> bool:
        """Store `data` as plain JSON, for `ttl` seconds or for ever.

        Dates and times become ISO 8601 strings, UUID and Decimal strings. TypeError for what has
        no JSON form, ValueError for NaN and infinities; nothing is stored then.
        """
        return self.set(key, to_json(data), ttl)

    # --- keys ---

    def delete(self, *keys: str) -> int:
        """Remove the keys; how many there were. The server frees the memory in the background."""
        return int(self.execute("UNLINK", *keys)) if keys else 0

    def exists(self, *keys: str) -> int:
        """How many of the keys exist."""
        return int(self.execute("EXISTS", *keys)) if keys else 0

    def expire(self, key: str, ttl: float) -> bool:
        """Give `key` another `ttl` seconds from now. False where there is no such key."""
        return bool(self.execute("PEXPIRE", key, milliseconds(ttl)))

    def ttl(self, key: str) -> int:
        """Seconds left, rounded; -1 for a key that stays, -2 where there is no such key."""
        return int(self.execute("TTL", key))

    def scan(self, match: str = "*", *, count: int = 500) -> Iterator[str]:
        """Every key that matches the glob `match`. A trip for each `count` keys looked at.

        A key may come twice, and one that comes or goes meanwhile may be missing, as with SCAN.
        """
        cursor = 0
        while True:
            cursor, found = self.execute("SCAN", cursor, "MATCH", match, "COUNT", count)
            yield from found
            if cursor == 0:
                return

    # --- hashes ---

    def hset(
        self,
        key: str,
        field: str | None = None,
        value: Value | None = None,
        *,
        mapping: Mapping[str, Value] | None = None,
    ) -> int:
        """Set one field, or those of `mapping`, or both; how many of them are new."""
        pairs: dict[str, Value] = dict(mapping or {})
        if field is not None:
            if value is None:
                raise TypeError(f"hset of field {field!r} needs a value")
            pairs[field] = value
        if not pairs:
            raise TypeError("hset needs a field and a value, or a mapping")
        return int(self.execute("HSET", key, *(part for pair in pairs.items() for part in pair)))

    def hget(self, key: str, field: str) -> str | None:
        """The field's value, or None where there is none."""
        value: str | None = self.execute("HGET", key, field)
        return value

    def hgetall(self, key: str) -> dict[str, str]:
        """All fields and values; empty where there is no such key."""
        fields: dict[str, str] = self.execute("HGETALL", key)
        return fields

    def hdel(self, key: str, *fields: str) -> int:
        """Remove the fields; how many there were."""
        return int(self.execute("HDEL", key, *fields)) if fields else 0

    # --- the rest of Redis ---

    def ping(self) -> bool:
        """Whether the server answers. The one method that never raises."""
        try:
            return bool(self.execute("PING"))
        except (RedisLayerError, redis.RedisError):
            return False

    def pipeline(self, *, transaction: bool = True) -> "Pipeline":
        """Commands to send together: queue them, then `execute()`. One round trip in all.

        Use it in a `with` block. It has redis-py's methods, and this client's errors.
        """
        return Pipeline(self.guard, self._redis, transaction)

    def run(self, script: Script, keys: Sequence[str], args: Sequence[Value]) -> Any:
        """Run a script atomically. A second trip when the server has forgotten its text."""
        try:
            return self.execute("EVALSHA", script.sha, len(keys), *keys, *args)
        except redis.exceptions.NoScriptError:
            return self.execute("EVAL", script.text, len(keys), *keys, *args)

    def run_many(
        self, commands: Sequence[tuple[Script, Sequence[str], Sequence[Value]]]
    ) -> list[Any]:
        """Run scripts one after the other, and return their answers. One round trip.

        Two more when the server has forgotten a text.
        """
        try:
            return self._run_many(commands)
        except redis.exceptions.NoScriptError:
            for script in {script for script, _, _ in commands}:
                self.execute("SCRIPT LOAD", script.text)
            return self._run_many(commands)

    def _run_many(
        self, commands: Sequence[tuple[Script, Sequence[str], Sequence[Value]]]
    ) -> list[Any]:
        with self.pipeline(transaction=False) as pipeline:
            for script, keys, args in commands:
                pipeline.evalsha(script.sha, len(keys), *keys, *args)
            return pipeline.execute()

    def _send_together(self, *commands: tuple[Value, ...]) -> list[Any]:
        """What a pipeline does, in a third of its time: for commands that many requests send."""
        pool = self._redis.connection_pool
        connection = pool.get_connection()
        try:
            connection.send_packed_command(connection.pack_commands(commands))
            return [answer_of(connection) for _ in commands]
        finally:
            pool.release(connection)

    def execute(self, *command: Value) -> Any:
        """Send any command, as its words, and return redis-py's reading of the answer."""
        return self.guard(self._redis.execute_command, *command)

    def guard(self, call: Callable[..., Any], *args: Any) -> Any:
        """Make a call to redis-py, under the breaker and with this layer's errors."""
        self._breaker.check()
        began = perf_counter()
        try:
            answer = call(*args)
        except redis.RedisError as error:
            outage = outage_in(error)
            trip: Trip = "failed" if outage is not None else "refused"
            self.observer.round_trip(trip, perf_counter() - began)
            if outage is not None:
                raise self._breaker.trip(outage) from error
            if refuses_writes(error):
                raise RedisWriteRefused(f"Redis {self._breaker.address}: {error}") from error
            raise
        self.observer.round_trip("ok", perf_counter() - began)
        return answer


class Pipeline(redis.client.Pipeline):
    """redis-py's pipeline, under the breaker of the client that made it."""

    def __init__(
        self, guard: Callable[..., Any], connection: "redis.Redis", transaction: bool
    ) -> None:
        super().__init__(
            connection.connection_pool, connection.response_callbacks, transaction, None
        )
        self._guard = guard

    def execute(self, raise_on_error: bool = True) -> list[Any]:
        """Send what was queued. The answers, in order."""
        answers: list[Any] = self._guard(super().execute, raise_on_error)
        return answers

    def immediate_execute_command(self, *args: Any, **options: Any) -> Any:
        """Send a command at once: what WATCH and the reads after it do."""
        send = super().immediate_execute_command
        return self._guard(lambda: send(*args, **options))  # type: ignore[no-untyped-call]  # redis-py's

    def annotate_exception(self, exception: Exception, number: int, command: Any) -> None:
        """Name the command that failed, without its arguments: errors are logged."""
        said = str(exception.args[0]) if exception.args else ""
        exception.args = (f"{said} (command {number} of a pipeline, {command[0]})",)

    def reset(self) -> None:  # type: ignore[override]  # of the pipeline, not the command
        """End a WATCH and give the connection back, even when the server does not answer.

        redis-py's own keeps the connection for ever when UNWATCH times out.
        """
        try:
            super().reset()
        except redis.RedisError:
            if self.connection is not None:
                self.connection.disconnect()
            self.watching = False
            super().reset()


def _expiry(ttl: float | None) -> tuple[str, int] | tuple[()]:
    return () if ttl is None else ("PX", milliseconds(ttl))
