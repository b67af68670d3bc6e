"""The client: redis-py with short timeouts, a circuit breaker and errors that name outages."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from time import perf_counter
from typing import Any, Self

import redis
import redis.client

from .breaker import Breaker
from .connections import ConnectHook, breaker_for, open_pool, read_reply
from .errors import RedisLayerError, RedisRefused, code_of, outage_in
from .observer import SILENT, Observer, Trip
from .scripts import Script
from .settings import RedisSettings
from .values import Value, from_json, milliseconds, to_json


class RedisClient:
    """A Redis database. Values are strings, times to live are seconds.

    Every method except `ping` raises RedisRefused, a RedisUnavailable, for every error that the
    server answers, and RedisUnavailable while the server is down or hung:
    the first time within REDIS_CONNECT_TIMEOUT + REDIS_READ_TIMEOUT, then at once until the
    breaker's probe succeeds. If the pool has no free connection, RedisPoolExhausted is raised.
    Callers decide what an outage means for them.

    Each method is one round trip, unless its docstring says otherwise.
    """

    def __init__(
        self,
        connection: "redis.Redis",
        breaker: Breaker,
        connect_hooks: list[ConnectHook] | None = None,
    ) -> None:
        self._redis = connection
        self._connect_hooks = connect_hooks if connect_hooks is not None else []
        self.breaker = breaker
        """The circuit breaker of the server."""
        self.observer = SILENT
        self._trusts: list[Callable[[str], bool]] = []

    @classmethod
    def connect(cls, settings: RedisSettings, *, db: int, breaker: Breaker | None = None) -> Self:
        """A client with its own pool. It connects when it is first used."""
        connect_hooks: list[ConnectHook] = []
        pool = open_pool(settings, db, connect_hooks)
        return cls(
            redis.Redis(connection_pool=pool), breaker or breaker_for(settings), connect_hooks
        )

    def on_connect(self, hook: ConnectHook) -> None:
        """Call `hook` on every new connection, before any other command is sent on it.

        Its argument sends a command on that connection and returns the reply. An exception counts
        as an outage, and the connection is not used. redis-py reconnects silently, so a hook is
        the only place that notices every restart of the server.
        """
        self._connect_hooks.append(hook)
        self._redis.connection_pool.disconnect()  # the hook has not run on these

    def require_trust(self, allows: Callable[[str], bool]) -> None:
        """Have every `Cache` of this client read only the keys that `allows`. See Trust."""
        self._trusts.append(allows)

    def trusts(self, key: str) -> bool:
        """Whether a cached value may be read under `key`."""
        return all(allows(key) for allows in self._trusts)

    def observe(self, observer: Observer) -> None:
        """Send events of this client, of its breaker and of all that uses it to `observer`."""
        self.observer = self.breaker.observer = observer

    def close(self) -> None:
        """Close every connection. The client reconnects when it is used again."""
        self._redis.connection_pool.disconnect()

    # --- strings ---

    def get(self, key: str) -> str | None:
        """The value, or None if there is no such key."""
        value: str | None = self.execute("GET", key)
        return value

    def get_with_ttl(self, key: str) -> tuple[str | None, int]:
        """The value and its remaining ms: -1 if the key does not expire, -2 if there is none.

        The value of a key of another type is None.
        """
        text, left_ms = self.guard(self._send_together, ("GET", key), ("PTTL", key))
        return text, left_ms

    def set(self, key: str, value: Value, ttl: float | None = None) -> bool:
        """Store `value`, for `ttl` seconds or without expiry."""
        expiry = () if ttl is None else ("PX", milliseconds(ttl))
        return bool(self.execute("SET", key, value, *expiry))

    def get_many(self, keys: Sequence[str]) -> dict[str, str]:
        """The values of the `keys` that exist. No round trip for no keys."""
        if not keys:
            return {}
        values: list[str | None] = self.execute("MGET", *keys)
        return {key: value for key, value in zip(keys, values, strict=True) if value is not None}

    def set_many(self, values: Mapping[str, Value], ttl: float | None = None) -> None:
        """Store all `values` in one transaction, for `ttl` seconds or without expiry."""
        px = None if ttl is None else milliseconds(ttl)
        with closing(self.pipeline()) as pipeline:
            for key, value in values.items():
                pipeline.set(key, value, px=px)
            pipeline.execute()

    # --- JSON ---

    def get_json(self, key: str) -> Any:
        """The decoded value, or None if there is no such key. ValueError if it is not JSON.

        A document that a service cached is returned without its version.
        """
        text = self.get(key)
        return None if text is None else from_json(text)

    def set_json(self, key: str, data: Any, ttl: float | None = None) -> bool:
        """Store `data` as plain JSON, for `ttl` seconds or without expiry.

        Dates and times become ISO 8601 strings, UUID and Decimal strings. TypeError for types
        without a JSON form, ValueError for NaN and infinity; nothing is stored then.
        """
        return self.set(key, to_json(data), ttl)

    # --- keys ---

    def delete(self, *keys: str) -> int:
        """Remove the keys and return how many existed. Memory is freed in the background."""
        return int(self.execute("UNLINK", *keys)) if keys else 0

    def exists(self, *keys: str) -> int:
        """How many of the keys exist."""
        return int(self.execute("EXISTS", *keys)) if keys else 0

    def expire(self, key: str, ttl: float) -> bool:
        """Let `key` expire `ttl` seconds from now. False if there is no such key."""
        return bool(self.execute("PEXPIRE", key, milliseconds(ttl)))

    def ttl(self, key: str) -> int:
        """The remaining seconds, rounded; -1 if the key does not expire, -2 if there is none."""
        return int(self.execute("TTL", key))

    def scan(self, match: str = "*", *, count: int = 500) -> Iterator[str]:
        """Every key that matches the glob `match`. One round trip for each `count` keys examined.

        As with SCAN, a key may be returned twice, and one that is added or removed meanwhile may
        be missing.
        """
        cursor = 0
        while True:
            cursor, found = self.execute("SCAN", cursor, "MATCH", match, "COUNT", count)
            yield from found
            if cursor == 0:
                return

    # --- hashes ---

    def hset(self, key: str, field: str, value: Value) -> int:
        """Set a field, and return 1 if it is new, else 0."""
        return int(self.execute("HSET", key, field, value))

    def hget(self, key: str, field: str) -> str | None:
        """The field's value, or None if there is no such field."""
        value: str | None = self.execute("HGET", key, field)
        return value

    def hgetall(self, key: str) -> dict[str, str]:
        """All fields and values; empty if there is no such key."""
        fields: dict[str, str] = self.execute("HGETALL", key)
        return fields

    def hdel(self, key: str, *fields: str) -> int:
        """Remove the fields and return how many existed."""
        return int(self.execute("HDEL", key, *fields)) if fields else 0

    # --- the rest of Redis ---

    def ping(self) -> bool:
        """Whether the server answers. Never raises."""
        try:
            return bool(self.execute("PING"))
        except (RedisLayerError, redis.RedisError):
            return False

    def pipeline(self, *, transaction: bool = True) -> "Pipeline":
        """Queue commands, then send them all with `execute()` in one round trip.

        Use it in a `with` block. It has redis-py's methods and raises this client's errors.
        """
        return Pipeline(self.guard, self._redis, transaction)

    def run(self, script: Script, keys: Sequence[str], args: Sequence[Value]) -> Any:
        """Run a script atomically. Two round trips if the server does not know it yet."""
        try:
            return self.execute("EVALSHA", script.sha, len(keys), *keys, *args)
        except redis.exceptions.NoScriptError:
            return self.execute("EVAL", script.text, len(keys), *keys, *args)

    def run_many(
        self, commands: Sequence[tuple[Script, Sequence[str], Sequence[Value]]]
    ) -> list[Any]:
        """Run scripts one after the other and return their replies. One round trip.

        If the server does not know a script yet, one more for each.
        """
        with self.pipeline(transaction=False) as pipeline:
            for script, keys, args in commands:
                pipeline.evalsha(script.sha, len(keys), *keys, *args)
            try:
                return pipeline.execute()
            except redis.exceptions.NoScriptError:
                return [self.run(*command) for command in commands]

    def _send_together(self, *commands: tuple[Value, ...]) -> list[Any]:
        """Send commands as a pipeline does, in a third of its time.

        The reply for a key of another type is None.
        """
        pool = self._redis.connection_pool
        connection = pool.get_connection()
        try:
            connection.send_packed_command(connection.pack_commands(commands))
            replies = [read_reply(connection) for _ in commands]
        finally:
            pool.release(connection)
        for reply in replies:
            if isinstance(reply, redis.ResponseError) and code_of(reply) != "WRONGTYPE":
                raise reply
        return [None if isinstance(reply, redis.ResponseError) else reply for reply in replies]

    def execute(self, *command: Value) -> Any:
        """Send any command, given as its words, and return the reply as redis-py parses it."""
        return self.guard(self._redis.execute_command, *command)

    def guard(self, call: Callable[..., Any], *args: Any) -> Any:
        """Call redis-py, with the breaker and this layer's errors."""
        self.breaker.check()
        started = perf_counter()
        try:
            reply = call(*args)
        except redis.RedisError as error:
            outage = outage_in(error)
            trip: Trip = "failed" if outage is not None else "refused"
            self.observer.round_trip(trip, perf_counter() - started)
            if outage is not None:
                raise self.breaker.trip(outage) from error
            if isinstance(error, redis.exceptions.NoScriptError):
                raise  # see `run`
            if not isinstance(error, redis.ResponseError):
                raise  # a WATCH failed, or an argument is invalid
            message = f"Redis {self.breaker.address} refuses: {error}"
            raise RedisRefused(message, code=code_of(error)) from error
        self.observer.round_trip("ok", perf_counter() - started)
        return reply


class Pipeline(redis.client.Pipeline):
    """redis-py's pipeline, with the breaker and the errors of the client that created it."""

    def __init__(
        self, guard: Callable[..., Any], connection: "redis.Redis", transaction: bool
    ) -> None:
        super().__init__(
            connection.connection_pool, connection.response_callbacks, transaction, None
        )
        self._guard = guard

    def execute(self, raise_on_error: bool = True) -> list[Any]:
        """Send the queued commands and return their replies in order."""
        replies: list[Any] = self._guard(super().execute, raise_on_error)
        return replies

    def immediate_execute_command(self, *args: Any, **options: Any) -> Any:
        """Send a command at once, as WATCH and the reads after it do."""
        send = super().immediate_execute_command
        return self._guard(lambda: send(*args, **options))  # type: ignore[no-untyped-call]  # redis-py's

    def annotate_exception(self, exception: Exception, number: int, command: Any) -> None:
        """Name the failed command without its arguments, because errors are logged."""
        message = str(exception.args[0]) if exception.args else ""
        exception.args = (f"{message} (command {number} of a pipeline, {command[0]})",)

    def reset(self) -> None:  # type: ignore[override]  # of the pipeline, not the command
        """End a WATCH and release the connection, even if the server does not answer.

        redis-py's own method never releases the connection if UNWATCH times out.
        """
        try:
            super().reset()
        except redis.RedisError:
            if self.connection is not None:
                self.connection.disconnect()
            self.watching = False
            super().reset()
