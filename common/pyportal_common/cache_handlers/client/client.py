"""The client: redis-py with short timeouts, a circuit breaker and errors that name outages."""

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from time import perf_counter
from typing import Any, Self

import redis

from ..keys import PROBE, KeyKind
from .breaker import Breaker, Status
from .companions import Companions
from .connections import (
    ConnectHook,
    SendCommand,
    exchange,
    master_of,
    new_connection,
    open_pool,
    run_hooks,
)
from .errors import RedisLayerError, RedisRefused, code_of, is_reply, outage_in, reply_of
from .inspection import Inspection, denied, inspect, refusal_line
from .key_events import KeyEvents
from .keyspace import Keyspace
from .observer import SILENT, Observer, Trip
from .pipeline import Pipeline
from .pool import Pool
from .scripts import Script
from .sentinel import Master
from .settings import RedisSettings
from .values import Value

logger = logging.getLogger(__name__)


class RedisClient(Keyspace):
    """A Redis database. Values are strings, times to live are seconds. See Keyspace for its keys.

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
        *,
        name: str | None = None,
    ) -> None:
        self._redis = connection
        self._pool: Any = connection.connection_pool
        self._connect_hooks = connect_hooks if connect_hooks is not None else []
        self._kinds: list[KeyKind] = []
        self._warnings: set[str] = set()
        self.name = name or breaker.address
        """The server and the database, for logs."""
        self.db = 0
        """The number of the database."""
        self.breaker = breaker
        """The circuit breaker of the server."""
        self.observer = SILENT
        self.key_events = KeyEvents()
        """What the caches of this client did last."""
        self.servers_seen = 0
        """How many servers, or runs of one, this process has found here. See RestartDetector."""
        self._trusts: list[Callable[[str], bool]] = []
        self.companions = Companions(self)

    @classmethod
    def connect(
        cls,
        settings: RedisSettings,
        *,
        db: int,
        breaker: Breaker | None = None,
        master: Master | None = None,
    ) -> Self:
        """A client with its own pool. It connects when it is first used.

        Clients of the same server may share its `breaker`, and what finds the `master`.
        """
        connect_hooks: list[ConnectHook] = []
        pool = open_pool(settings, db, connect_hooks, master or master_of(settings))
        breaker = breaker or Breaker(settings.address)
        name = f"{settings.address}, database {db}"
        client = cls(redis.Redis(connection_pool=pool), breaker, connect_hooks, name=name)
        client.db = db
        breaker.watch(name, client._probe, pool.reconnect)
        return client

    def on_connect(self, hook: ConnectHook) -> None:
        """Call `hook` on every new connection, before any other command is sent on it.

        Its argument sends a command on that connection and returns the reply. An error reply counts
        as a refusal, any other exception as an outage, and the connection is not used. redis-py
        reconnects silently, so a hook is the only place that notices every restart of the server.
        """
        self._connect_hooks.append(hook)
        self.reconnect()  # the hook has not run on these

    def run_connect_hooks(self, send: SendCommand) -> None:
        """Call every hook with `send`, on a connection of another client to this database."""
        for hook in self._connect_hooks:
            hook(send)

    def reconnect(self) -> None:
        """Open new connections from now on. Those in use are closed when they are released."""
        if isinstance(self._pool, Pool):  # not that of a fake
            self._pool.reconnect()

    @property
    def master(self) -> Master | None:
        """What finds the server, if sentinels name it, so that another one may take its place."""
        return self._pool.master if isinstance(self._pool, Pool) else None

    def require_trust(self, allows: Callable[[str], bool]) -> None:
        """Have every `Cache` of this client read only the keys that `allows`. See Trust."""
        self._trusts.append(allows)

    def trusts(self, key: str) -> bool:
        """Whether a cached value may be read under `key`."""
        for allows in self._trusts:  # noqa: SIM110  twice as fast as `all`
            if not allows(key):
                return False
        return True

    def observe(self, observer: Observer) -> None:
        """Send events of this client, of its breaker and of all that uses it to `observer`."""
        self.observer = self.breaker.observer = observer
        if self.master is not None:
            self.master.observer = observer

    def uses(self, kinds: Iterable[KeyKind]) -> None:
        """Check from now on that the server allows every command on these kinds of keys."""
        self._kinds.extend(kinds)

    @contextmanager
    def own_connection(self) -> Iterator[Any]:
        """A connection beside those of the pool, on which no hook has run.

        It raises redis-py's errors.
        """
        with new_connection(self._pool) as connection:
            yield connection

    def inspect(self) -> Inspection:
        """What is wrong with the database, found on a new connection in a few round trips.

        Raises RedisUnavailable, also if a connect hook fails.
        """
        try:
            with new_connection(self._pool) as connection:
                found = inspect(connection, self._kinds)
                if found.code is None:
                    run_hooks(self._connect_hooks, connection)
                return found
        except redis.RedisError as error:
            failure = self._failure_of(error)
            if not isinstance(failure, RedisRefused):
                raise failure from error
            return Inspection(failure.code, reply_of(error))

    def denied(self, commands: Iterable[Sequence[str]]) -> list[str]:
        """The names of the commands that the server does not allow, by sending each.

        On a new connection, so that the process goes on as if it had not asked. Raises as others.
        """
        try:
            with new_connection(self._pool) as connection:
                return denied(connection, commands)
        except redis.RedisError as error:
            raise self._failure_of(error) from error

    def check_soon(self) -> None:
        """Inspect the database in the background, and log what is wrong. Returns at once."""
        self.breaker.check_soon()

    def check(self) -> Status:
        """Write a key, and return the state of the database. One round trip; never raises."""
        with suppress(RedisLayerError):
            self.execute("SET", PROBE, "1", "PX", 1000)
        return self.breaker.status(self.name)

    @property
    def connections_in_use(self) -> int:
        """The connections of the pool that callers have at this moment."""
        return int(self._pool.in_use)

    @property
    def max_connections(self) -> int:
        """The connections that callers may have at a time."""
        return int(self._pool.max_connections)

    def close(self) -> None:
        """Close every connection. The client reconnects when it is used again."""
        self.companions.close()
        self._pool.disconnect()

    def get_with_ttl(self, key: str) -> tuple[str | None, int]:
        """The value and its remaining ms: -1 if the key does not expire, -2 if there is none.

        The value of a key of another type is None.
        """
        text, left_ms = self.guard(self._send_together, ("GET", key), ("PTTL", key))
        return text, left_ms

    def read_bytes(self, *commands: tuple[Value, ...]) -> list[Any]:
        """Send commands that read, and return their replies, with bytes in place of texts.

        The reply for a key of another type is None.
        """
        replies: list[Any] = self.guard(partial(self._send_together, *commands, raw=True))
        return replies

    def ping(self) -> bool:
        """Whether the server answers. Never raises."""
        try:
            return bool(self.execute("PING"))
        except (RedisLayerError, redis.RedisError):
            return False

    def pipeline(self, *, transaction: bool = True) -> Pipeline:
        """Queue commands, then send them all with `execute()` in one round trip.

        Use it in a `with` block. It has redis-py's methods and raises this client's errors.
        """
        return Pipeline(self.guard, self._redis, transaction)

    def run(self, script: Script, keys: Sequence[str], args: Sequence[Value]) -> Any:
        """Run a script atomically. Two round trips if the server does not know it yet."""
        try:
            return self.guard(self._send, "EVALSHA", script.sha, len(keys), *keys, *args)
        except RedisRefused as refusal:
            if refusal.code != "NOSCRIPT":
                raise
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
            except RedisRefused as refusal:
                if refusal.code != "NOSCRIPT":
                    raise
                return [self.run(*command) for command in commands]

    def execute(self, *command: Value) -> Any:
        """Send any command, given as its words, and return the reply as redis-py parses it."""
        return self.guard(self._send, *command)

    def _send(self, *command: Value) -> Any:
        (reply,) = exchange(self._pool, command)
        if isinstance(reply, redis.ResponseError):
            raise reply
        parse = self._redis.response_callbacks.get(command[0])
        return reply if parse is None else parse(reply)

    def _send_together(self, *commands: tuple[Value, ...], raw: bool = False) -> list[Any]:
        """Send commands, as a pipeline does. The reply for a key of another type is None."""
        replies = exchange(self._pool, *commands, raw=raw)
        for reply in replies:
            if isinstance(reply, redis.ResponseError) and code_of(reply) != "WRONGTYPE":
                raise reply
        return [None if isinstance(reply, redis.ResponseError) else reply for reply in replies]

    def guard(self, call: Callable[..., Any], *args: Any) -> Any:
        """Call what talks to Redis, with the breaker and this layer's errors."""
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
            failure = self._failure_of(error)
            if isinstance(failure, RedisRefused):
                self._note(failure, args)
            raise failure from error
        self.observer.round_trip("ok", perf_counter() - started)
        return reply

    def _failure_of(self, error: redis.RedisError) -> Exception:
        """This layer's error for one of redis-py, or the same if it says nothing of the server."""
        outage = outage_in(error)
        if outage is not None:
            return self.breaker.unavailable(outage)
        if is_reply(error):
            return self._refusal(code_of(error), reply_of(error))
        return error  # a WATCH failed, or an argument is invalid

    def _refusal(self, code: str, reply: str) -> RedisRefused:
        return RedisRefused(refusal_line(self.name, reply), code=code)

    def _note(self, refusal: RedisRefused, args: tuple[Any, ...]) -> None:
        self.observer.refused(refusal.code)
        # See `run`, and `run_many`, whose pipeline has another first argument.
        word = args[0] if args else None
        may_be_new_script = word == "EVALSHA" or not isinstance(word, str)
        if not (refusal.code == "NOSCRIPT" and may_be_new_script):
            self.breaker.refuse(self.name, refusal)

    def _probe(self) -> None:
        found = self.inspect()
        for warning in found.warnings(self.name):
            if warning not in self._warnings:
                self._warnings.add(warning)
                logger.warning("%s", warning)
        if found.code is not None:
            raise self._refusal(found.code, found.refusal)
