"""What every service must do when a key in Redis holds an odd value: subclass `OddValueChecks`.

The keys are those that the service uses, by kind: a new kind in `keys.KINDS` is covered by itself,
or fails until `exercise` uses it.
"""

# ruff: noqa: S101  assertions: these are tests

import re
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pytest
from flask.testing import FlaskClient

from ..cache_handlers import RedisClient, keys
from ..cache_handlers.keys import KINDS, KeyKind
from ..redis_server import RedisServer
from .kit import ServiceUnderTest
from .monitoring import monitored
from .plugin import settings_for

EARLIER = "earlier session: "

Key = tuple[int, str]  # the database, and the key in it

_OTHER_TYPES: dict[str, list[tuple[str, ...]]] = {
    "string": [("SET", "x")],
    "hash": [("HSET", "a", "b")],
    "zset": [("ZADD", "9e15", "x", "1", "y")],
    "list": [("RPUSH", "x")],
    "set": [("SADD", "x")],
}
_TEXTS: list[str | bytes] = [
    "",
    "not json",
    "[]",
    "7",
    '{"a":1}',
    '{"_v":1,"a":1}',
    '[{"_v":1,"a":1}]',
    '{"id":1,"id":2}',
    b"\xff\xfe",
    b'{"a":"\xff"}',
    "NaN",
    "1e999",
    "-1",
    "9" * 5000,
    "[" * 50_000,
]


@dataclass(frozen=True)
class OddValue:
    """Something that a key should not hold, and how to put it there."""

    name: str
    plant: Callable[[RedisClient, str], object]


def odd_values_of(kind: KeyKind) -> list[OddValue]:
    """Every odd value of a key of this kind."""
    others = [
        OddValue(f"a {name}", _replacing(command))
        for name, commands in _OTHER_TYPES.items()
        if name != kind.type
        for command in commands
    ]
    return [*others, *_OF_TYPE[kind.type], OddValue("no expiry", _persist)]


def _replacing(command: Sequence[str | bytes]) -> Callable[[RedisClient, str], object]:
    def plant(client: RedisClient, key: str) -> None:
        client.delete(key)
        client.execute(command[0], key, *command[1:])

    return plant


def _persist(client: RedisClient, key: str) -> None:
    client.execute("PERSIST", key)


def _garble_fields(client: RedisClient, key: str) -> None:
    fields = client.execute("HKEYS", key) if client.execute("TYPE", key) == "hash" else ["a"]
    client.delete(key)
    for field in fields:
        client.execute("HSET", key, field, b"\xff 9 9 9:9")


_OF_TYPE = {
    "string": [OddValue(f"the text {text[:20]!r}", _replacing(("SET", text))) for text in _TEXTS],
    "zset": [
        OddValue("odd members", _replacing(("ZADD", "inf", b"\xff\xfe", "9e15", "", "1", "x y")))
    ],
    "hash": [OddValue("odd fields", _garble_fields)],
    "stream": [OddValue("an odd entry", _replacing(("XADD", "*", "key", b"\xff\xfe")))],
}


def kind_of(key: str) -> KeyKind | None:
    """The kind of a key: that with the longest matching beginning."""
    beginnings = {kind.pattern.partition("*")[0]: kind for kind in KINDS}
    found = [
        one
        for one in beginnings
        if key == one or ("*" in beginnings[one].pattern and key.startswith(one))
    ]
    return beginnings[max(found, key=len)] if found else None


class OddValueChecks(ABC):
    """Puts odd values at every key, and calls the service over HTTP.

    `prepare` makes what a run needs from before. `exercise` uses every kind of key, and returns the
    status of each request by its name. Every request must succeed, except those whose names begin
    with `EARLIER`: they use a session from before, which may be no session any more.
    """

    def prepare(self) -> Any:
        """What a run needs from before the odd value; nothing by default."""
        return None

    @abstractmethod
    def exercise(self, client: FlaskClient, prepared: Any) -> Mapping[str, int]:
        """The statuses of requests that use every kind of key."""

    @pytest.fixture
    def connected(self, redis_server: RedisServer) -> Iterator[Callable[[int], RedisClient]]:
        """Clients of the test's own, by database."""
        clients: dict[int, RedisClient] = {}

        def client_of(db: int) -> RedisClient:
            if db not in clients:
                clients[db] = RedisClient.connect(settings_for(redis_server), db=db)
            return clients[db]

        yield client_of
        for each in clients.values():
            each.close()

    @pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.pattern)
    def test_an_odd_value_is_no_outage(
        self,
        kind: KeyKind,
        client: FlaskClient,
        service: ServiceUnderTest,
        redis_server: RedisServer,
        connected: Callable[[int], RedisClient],
    ) -> None:
        if kind.service not in (None, service.name):
            pytest.skip(f"{service.name} has no such keys")
        self.exercise(client, self.prepare())
        used, expected = _keys_used_by(redis_server, lambda: self.exercise(client, self.prepare()))
        if kind == kind_of(keys.tag("any")) and not any(kind_of(key) == kind for _, key in used):
            pytest.skip(f"{service.name} has no tags")
        used |= {(db, kind.example) for db in range(3) if "*" not in kind.pattern}
        faults = []
        for odd in odd_values_of(kind):
            prepared = self.prepare()
            present = {(db, key) for db in range(3) for key in connected(db).scan()}
            found = [(db, key) for db, key in used | present if kind_of(key) == kind]
            assert found, "`exercise` uses no such key"
            for db, key in found:
                odd.plant(connected(db), key)
            _close_connections(connected(0))

            statuses = self.exercise(client, prepared)

            faults += [
                f"{odd.name}: {name} {code}, not {expected[name]}"
                for name, code in statuses.items()
                if code != expected[name] and (code >= 500 or not name.startswith(EARLIER))
            ]
        assert faults == []


def _keys_used_by(
    server: RedisServer, call: Callable[[], Mapping[str, int]]
) -> tuple[set[Key], Mapping[str, int]]:
    """The keys in all commands during a call, also those of scripts; and its result."""
    with monitored(server) as commands:
        result = call()
    used: set[Key] = set()
    for line in commands.lines:
        words = re.findall(r'"((?:[^"\\]|\\.)*)"', line)
        db = int(line.partition("[")[2].split()[0])
        used.update((db, word) for word in words[1:] if kind_of(word))
    return used, result


def _close_connections(client: RedisClient) -> None:
    """Close all other connections: the service connects again, and its connect hooks run."""
    client.execute("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
    time.sleep(0.02)  # a connection that was used a moment ago is not looked at: see Pool
