"""Redis Sentinel: which server is the master now, and connections to it.

See "Guidelines for Redis clients with support for Redis Sentinel" in the documentation of Redis.
"""

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Self
from urllib.parse import unquote, urlsplit

import redis

logger = logging.getLogger(__name__)

MASTER_KNOWN_FOR_SECONDS = 1.0
"""A command is sent to a server that a sentinel has named at most so long ago, if one answers."""

_ASK_AGAIN_AFTER = MASTER_KNOWN_FOR_SECONDS / 2
_ASK_SECONDS = 0.5  # no further sentinel is asked after this time
_LEFT_OUT_SECONDS = 5.0  # a sentinel that did not answer, as long as others do
_PORT = 26379
_ACCOUNT = "see REDIS_SENTINEL_USERNAME and REDIS_SENTINEL_PASSWORD"

Address = tuple[str, int]


@dataclass(frozen=True, slots=True)
class Sentinels:
    """The addresses of sentinels, and the name that they have for the master."""

    addresses: tuple[Address, ...]
    master: str

    @classmethod
    def parse(cls, text: str, master: str) -> Self:
        """Those of a text such as `host:26379,[::1]:26380`. Raises ValueError."""
        addresses = tuple(_address(part.strip()) for part in text.split(","))
        return cls(addresses, master)

    def __str__(self) -> str:
        return f"{self.master} of sentinels {','.join(map(_text, self.addresses))}"


@dataclass(frozen=True, slots=True)
class SentinelUrl:
    """A URL such as `redis+sentinel://user:password@host1:26379,host2:26379/mymaster/0`."""

    hosts: str
    master: str
    plain: str
    """A `redis://` or `rediss://` URL with the rest, for redis-py."""

    @classmethod
    def parse(cls, url: str) -> Self | None:
        """The parts of such a URL; None if it is another one. Raises ValueError."""
        kind, _, rest = url.partition("://")
        if kind not in {"redis+sentinel", "rediss+sentinel"}:
            return None
        place, mark, query = rest.partition("?")
        netloc, _, path = place.partition("/")
        account, at, hosts = netloc.rpartition("@")
        master, slash, database = path.strip("/").partition("/")
        if database and not database.isdigit():
            raise ValueError(
                "the path must be the name of the master and the number of the database, as in"
                " redis+sentinel://host:26379/mymaster/0"
            )
        Sentinels.parse(hosts, "")
        scheme = kind.partition("+")[0]
        plain = f"{scheme}://{account}{at}sentinel{slash}{database}{mark}{query}"
        return cls(hosts, unquote(master), plain)


def _address(text: str) -> Address:
    parts = urlsplit(f"//{text}")
    try:
        host, port = parts.hostname, parts.port or _PORT
    except ValueError:
        host = None
    if not host or parts.path or "@" in text:
        raise ValueError("must be host:port of each sentinel, as in host1:26379,host2:26379")
    return host, port


def _text(address: Address) -> str:
    host, port = address
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


class Master:
    """The address of the master, by the newest answer of the sentinels.

    All of them are asked in turn, for half a second at most, and the answer with the greatest epoch
    counts: a sentinel that is cut off from the others goes on naming the server that was the master
    before. One that does not answer is asked last, and left out for a while.

    `options` are those of redis-py's connections to sentinels.
    """

    def __init__(
        self,
        sentinels: Sentinels,
        options: dict[str, Any],
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._name = sentinels.master
        self._sentinels = [_Sentinel(each, options) for each in sentinels.addresses]
        self._clock = clock
        self._address: Address | None = None
        self._why_unknown = ""
        self._on_move: list[Callable[[], None]] = []
        self.reset()

    def on_move(self, call: Callable[[], None]) -> None:
        """Call this when another server has become the master."""
        self._on_move.append(call)

    def reset(self) -> None:
        """Forget who holds the lock. Called in a forked child, too."""
        self._lock = threading.Lock()
        self.forget()

    def forget(self) -> None:
        """Ask before the next connection: the server of the last answer cannot be used."""
        self._asked_at = float("-inf")

    def find(self) -> Address:
        """The address for a new connection. Raises redis.ConnectionError if none is known.

        If no sentinel answers, it is the last one that was known.
        """
        with self._lock:
            if self._clock() - self._asked_at > _ASK_AGAIN_AFTER:
                self._ask()
            if self._address is None:
                raise redis.ConnectionError(self._why_unknown)
            return self._address

    def confirm(self) -> None:
        """Notice it if another server has become the master. Call before each use of a connection.

        One round trip to each sentinel, twice a second at most. Of several threads one asks, and
        the others go on with an answer that is a second old at most. Never raises.
        """
        age = self._clock() - self._asked_at
        if age <= _ASK_AGAIN_AFTER:
            return
        if not self._lock.acquire(blocking=age > MASTER_KNOWN_FOR_SECONDS):
            return
        try:
            if self._clock() - self._asked_at > _ASK_AGAIN_AFTER:
                self._ask()
        finally:
            self._lock.release()

    def close(self) -> None:
        """Close the connections to the sentinels."""
        for sentinel in self._sentinels:
            sentinel.close()

    def _ask(self) -> None:
        asked_at = self._clock()
        answers = self._answers(asked_at + _ASK_SECONDS)
        known = [answer for answer in answers if answer.address is not None]
        if known:
            self._set(max(known, key=lambda each: each.epoch).address)
        elif answers:
            self._why_unknown = (
                f"no sentinel knows a master {self._name!r}: see REDIS_SENTINEL_MASTER"
            )
        self._asked_at = asked_at

    def _answers(self, until: float) -> "list[_Answer]":
        found: list[_Answer] = []
        failures = []
        for sentinel in sorted(self._sentinels, key=lambda each: each.left_out_until):
            now = self._clock()
            if now > until or (found and sentinel.left_out_until > now):
                break
            try:
                found.append(sentinel.ask(self._name))
                sentinel.left_out_until = 0.0
            except redis.RedisError as error:
                sentinel.left_out_until = self._clock() + _LEFT_OUT_SECONDS
                failures.append(_advice(error))
        if not found:
            reasons = "; ".join(dict.fromkeys(failures))
            self._why_unknown = f"no sentinel answered: {reasons}"
        return found

    def _set(self, address: Address | None) -> None:
        before, self._address = self._address, address
        if before is None or address is None or before == address:
            return
        logger.warning(
            "Redis %s: the master is %s now, and was %s",
            self._name,
            _text(address),
            _text(before),
        )
        for call in self._on_move:
            call()


@dataclass(frozen=True, slots=True)
class _Answer:
    address: Address | None
    epoch: int = -1


class _Sentinel:
    def __init__(self, address: Address, options: dict[str, Any]) -> None:
        host, port = address
        pool = redis.ConnectionPool(host=host, port=port, **options)
        self._redis = redis.Redis(connection_pool=pool)
        self.left_out_until = 0.0

    def close(self) -> None:
        """Close its connections."""
        self._redis.connection_pool.disconnect()

    def ask(self, name: str) -> _Answer:
        """Its answer, without an address if it knows no such master. One round trip."""
        with self._redis.pipeline(transaction=False) as pipeline:
            # During a failover only the first one names the new master.
            pipeline.execute_command("SENTINEL GET-MASTER-ADDR-BY-NAME", name)
            pipeline.execute_command("SENTINEL MASTER", name)
            address, state = pipeline.execute(raise_on_error=False)
        for reply in (address, state):
            if isinstance(reply, redis.RedisError) and "No such master" not in str(reply):
                raise reply
        if not address or isinstance(state, Exception):
            return _Answer(None)
        return _Answer(address, state["config-epoch"])


def _advice(error: redis.RedisError) -> str:
    text = str(error).rstrip(".")
    is_account = isinstance(error, redis.AuthenticationError | redis.ResponseError)
    return f"{text}: {_ACCOUNT}" if is_account else text


class ToMaster(redis.Connection):
    """A connection to the master. A replica that answers is refused, as an outage."""

    def __init__(self, *, master: Master, **options: Any) -> None:
        self._master = master
        super().__init__(**options)

    def _connect(self) -> Any:
        self.host, self.port = self._master.find()
        try:
            return super()._connect()
        except OSError:
            self._master.forget()
            raise

    def on_connect_check_health(self, check_health: bool = True) -> None:
        """See redis.Connection."""
        super().on_connect_check_health(check_health)
        self.send_command("INFO", "replication", check_health=False)
        reply: bytes = self.read_response(disable_decoding=True)
        if b"role:master" not in reply:
            self._master.forget()
            raise redis.ConnectionError(f"{self.host}:{self.port} is a replica")


class ToMasterByTls(ToMaster, redis.SSLConnection):
    """The same, encrypted."""


def connection_class(given: type[Any] | None) -> type[Any]:
    """The class of connections to the master in place of a class of redis-py."""
    is_encrypted = given is not None and issubclass(given, redis.SSLConnection)
    return ToMasterByTls if is_encrypted else ToMaster


def sentinel_options(options: dict[str, Any], *, encrypted: bool) -> dict[str, Any]:
    """Options for connections to sentinels, from those for connections to Redis."""
    common = ("socket_connect_timeout", "socket_timeout", "retry", "protocol", "driver_info")
    chosen = {name: options[name] for name in common} | {"decode_responses": True}
    for name in ("socket_connect_timeout", "socket_timeout"):
        chosen[name] = min(chosen[name], _ASK_SECONDS / 2)
    if encrypted:
        tls = {name: value for name, value in options.items() if name.startswith("ssl_")}
        chosen |= tls | {"connection_class": redis.SSLConnection}
    return chosen
