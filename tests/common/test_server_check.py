"""What the start-up check says about servers that cannot work, or not well."""

import logging
import re
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
import redis
from flask import Flask

from common.pyportal_common.cache_handlers import (
    Cache,
    Policy,
    RedisClient,
    RedisSettings,
    ServerReport,
    check_server,
    get_redis_client,
    keys,
)
from common.pyportal_common.cache_handlers.client import commands
from common.pyportal_common.redis_server import RedisServer, embedded_server, free_port
from common.pyportal_common.testing.plugin import missing, settings_for

from .load import ROOT
from .waiting import wait_until

LAYER = ROOT / "common/pyportal_common"


def check(server: RedisServer, *, db: int = 0, user: str = "") -> list[str]:
    url = server.url.replace("redis://", f"redis://{user}")
    settings = RedisSettings.load(url=url, _env_file=None)
    report = check_server(settings, db, service="usermanagement")
    return [*report.refusals, *report.warnings]


@pytest.fixture(params=["redis", "valkey"])
def start(
    request: pytest.FixtureRequest, start_redis: Callable[..., RedisServer], tmp_path: Path
) -> Iterator[Callable[..., RedisServer]]:
    """Starts a server of each kind with options: start(databases="1")."""
    if request.param == "redis":
        yield start_redis
        return
    binary = embedded_server()
    if binary is None:
        missing("valkey")
    started: list[RedisServer] = []

    def start(**options: str) -> RedisServer:
        started.append(RedisServer(binary, tmp_path / f"valkey{len(started)}", options=options))
        started[-1].start()
        return started[-1]

    yield start
    for server in started:
        server.kill()


@pytest.fixture
def allow(start: Callable[..., RedisServer]) -> Callable[[str], RedisServer]:
    """Starts a server that gives the user `pyportal` these rules: allow("~* +@all -info")."""

    def allow(rules: str) -> RedisServer:
        server = start()
        with closing(redis.Redis(port=server.port)) as admin:
            admin.execute_command("ACL SETUSER", "pyportal", "on", ">secret", *rules.split())
        return server

    return allow


def test_nothing_is_wrong_with_a_server_as_ours(start: Callable[..., RedisServer]) -> None:
    server = start()

    assert check(server, db=0) == check(server, db=15) == []


def test_the_check_changes_nothing(redis_server: RedisServer, redis_client: RedisClient) -> None:
    for kind in keys.KINDS:
        redis_client.execute("SET", kind.example, "as before")
        redis_client.execute("SET", kind.pattern, "as before")
    redis_client.execute("SAVE")
    before = {key: redis_client.get_with_ttl(key) for key in redis_client.scan()}

    assert check(redis_server) == []

    after = {key: redis_client.get_with_ttl(key) for key in redis_client.scan()}
    for values in (before, after):
        values.pop(keys.PROBE, None)
    assert after == before


@pytest.mark.parametrize(
    ("rules", "missing_rules"),
    [
        ("~* +@all -info", "+info"),
        ("~* +@all -eval", "+eval"),
        ("~* +@all -evalsha", "+evalsha"),
        ("~* +@all -select", "+select"),
        ("~* +@all -time -pexpire -xadd", "+time +pexpire +xadd"),
        ("~* +@all -set", "+set"),
        (
            "~user:* ~session:* ~rate_limit:* ~fence:* ~*:marker ~cache:* ~pyportal:* +@all",
            "~lease",
        ),
        (
            "~user:* ~session:* ~lease:* ~fence:* ~*:marker ~cache:* ~pyportal:* +@all",
            "~rate_limit",
        ),
        ("+@all", "~pyportal:probe ~user:*"),
    ],
)
def test_a_permission_that_is_missing_is_named(
    rules: str, missing_rules: str, allow: Callable[[str], RedisServer]
) -> None:
    (line,) = check(allow(rules), db=1, user="pyportal:secret@")

    assert "NOPERM" in line
    for rule in missing_rules.split():
        assert rule in line
    assert "secret" not in line
    if rules.startswith("~* ") and "select" not in rules:
        assert f"user pyportal lacks {missing_rules}:" in line


def test_the_rules_in_the_readme_are_enough(allow: Callable[[str], RedisServer]) -> None:
    """And each command in them is needed."""
    page = (ROOT / "redis/README.md").read_text("utf-8")
    (rules,) = re.findall(r"^user pyportal on >\S+ (.+)$", page, re.MULTILINE)

    assert check(allow(rules), user="pyportal:secret@") == []
    for rule in rules.split():
        if rule.startswith("+") and rule not in {"+ping", "+bzpopmin", "+slowlog|get"}:
            less = rules.replace(rule + " ", "") + f" -{rule[1:]}"
            (line,) = check(allow(less), db=1, user="pyportal:secret@")
            assert rule in line


def test_the_rules_in_the_readme_are_enough_for_tags_and_with_some_more_for_lists(
    allow: Callable[[str], RedisServer],
) -> None:
    page = (ROOT / "redis/README.md").read_text("utf-8")
    (rules,) = re.findall(r"^user pyportal on >\S+ (.+)$", page, re.MULTILINE)
    more = " ".join(re.findall(r"\(`(\+.+?)`\)", page))
    url = allow(f"{rules} {more}").url.replace("redis://", "redis://pyportal:secret@")
    client = RedisClient.connect(RedisSettings.load(url=url, _env_file=None), db=0)
    cache = Cache(client)

    cache.get_or_load("user:7", lambda: 1, Policy(ttl=60), tags=["users"])
    cache.unfence(cache.fence([keys.tag("users")]))
    cache.invalidate_tag("users")

    assert cache.get_or_load("user:7", lambda: 2, Policy(ttl=60), tags=["users"]) == 2
    assert client.incr("user:visits", ttl=60) == 1
    assert client.lpush("user:last", "a", "b", "c", ttl=60, max_length=2) == 2
    assert client.rpush("user:last", "d", ttl=60) == 3
    assert [client.lpop("user:last"), client.rpop("user:last")] == ["c", "d"]
    assert (client.lrange("user:last"), client.llen("user:last")) == (["b"], 1)
    client.close()


@pytest.mark.parametrize(
    ("options", "db", "words"),
    [
        ({"databases": "1"}, 1, ["database 1", "set `databases 16`", "REDIS_DB"]),
        ({"databases": "1"}, 5, ["database 5", "set `databases 16`"]),
        ({"cluster-enabled": "yes"}, 0, ["Redis Cluster is not supported"]),
        ({"requirepass": "secret"}, 0, ["NOAUTH", "REDIS_PASSWORD"]),
        ({"maxmemory": "1"}, 0, ["OOM", "maxmemory"]),
        ({"min-replicas-to-write": "1"}, 0, ["NOREPLICAS", "min-replicas-to-write"]),
        ({"replicaof": "127.0.0.1 1"}, 0, ["READONLY", "connect to the master"]),
        (
            {"replicaof": "127.0.0.1 1", "replica-read-only": "no"},
            0,
            ["is a replica", "connect to the master"],
        ),
        (
            {"maxmemory": "100mb", "maxmemory-policy": "volatile-ttl"},
            0,
            ["evicts sessions", "volatile-ttl", "noeviction", "SESSION_REDIS_URL"],
        ),
    ],
)
def test_a_server_that_cannot_work_is_described_in_one_line(
    options: dict[str, str], db: int, words: list[str], start: Callable[..., RedisServer]
) -> None:
    if "cluster-enabled" in options:
        options = {**options, "cluster-port": str(free_port()), "cluster-config-file": "nodes"}

    (line,) = check(start(**options), db=db)

    assert "\n" not in line
    for word in words:
        assert word in line


def test_a_wrong_password_is_not_in_the_line(start: Callable[..., RedisServer]) -> None:
    (line,) = check(start(requirepass="right"), user=":wrong-one@")

    assert "REDIS_PASSWORD" in line
    assert "wrong-one" not in line


def test_a_server_that_does_not_answer_is_said_to_be_unavailable(tmp_path: Path) -> None:
    (line,) = check(RedisServer(tmp_path, tmp_path, port=free_port()))

    assert "is unavailable" in line


def test_an_eviction_policy_of_caches_alone_is_no_finding(
    start: Callable[..., RedisServer],
) -> None:
    server = start(maxmemory="100mb", **{"maxmemory-policy": "allkeys-lru"})

    assert check_server(settings_for(server), 1, service="notification", sessions=False) == (
        ServerReport([], [])
    )


class TestInAProcess:
    @pytest.fixture
    def log(self, caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
        caplog.set_level(logging.INFO)
        return caplog

    def test_findings_are_logged_once_and_nothing_waits(
        self, start_redis: Callable[..., RedisServer], log: pytest.LogCaptureFixture
    ) -> None:
        server = start_redis(maxmemory="100mb", **{"maxmemory-policy": "allkeys-lru"})
        client = get_redis_client(0, settings=settings_for(server))
        client.uses(keys.kinds_in("sessions", "usermanagement"))

        for _ in range(3):
            client.check_soon()
        wait_until(lambda: "evicts sessions" in log.text)
        wait_until(lambda: not client.breaker._probing)

        assert log.text.count("evicts sessions") == 1
        assert client.check().state == "ok"

    def test_a_missing_permission_is_logged_before_anybody_needs_it(
        self, own_redis: RedisServer, log: pytest.LogCaptureFixture
    ) -> None:
        with closing(redis.Redis(port=own_redis.port)) as admin:
            admin.execute_command("ACL SETUSER", "default", "resetkeys", "~user:*", "~pyportal:*")
            client = get_redis_client(0, settings=settings_for(own_redis))
            client.uses(keys.kinds_in("caches", "usermanagement"))

            client.check_soon()
            wait_until(lambda: "lacks ~lease:{*}" in log.text)
            assert client.check().reason == "NOPERM"

            admin.execute_command("ACL SETUSER", "default", "allkeys")
            wait_until(lambda: client.check().state == "ok")

    def test_a_server_that_is_down_is_used_when_it_comes(
        self, own_redis: RedisServer, log: pytest.LogCaptureFixture
    ) -> None:
        own_redis.kill()
        client = get_redis_client(0, settings=settings_for(own_redis))

        client.check_soon()
        wait_until(lambda: client.breaker.is_open)
        own_redis.start()
        wait_until(lambda: not client.breaker.is_open)

        assert "is back after" in log.text

    def test_a_service_names_its_databases(self, make_service: Callable[..., Flask]) -> None:
        """For the hook of gunicorn that checks them."""
        clients = make_service().extensions["redis_clients"]

        assert all(isinstance(client, RedisClient) for client in clients)
        assert clients


class TestCommands:
    """The table of commands, held against the code."""

    LUA = re.compile(r"redis\.p?call\(\s*'(\w+)'")
    PYTHON = re.compile(
        r"""\b(?:(?:execute|execute_command|send|send_command)\(|guard\(self\._send,)\s*"([A-Z]+)["\s]"""
    )
    SQL = frozenset({"UPDATE", "PRAGMA", "BEGIN"})

    def found(self, pattern: re.Pattern[str], suffix: str) -> set[str]:
        files = [
            path
            for folder in ("cache_handlers", "db", "jobs", "operations", "web")
            for path in (LAYER / folder).rglob(f"*.{suffix}")
            if path.name != "self_test.lua"
        ]
        assert files
        return {name for path in files for name in pattern.findall(path.read_text("utf-8"))}

    def test_it_has_every_command_that_the_code_sends(self) -> None:
        sent = self.found(self.LUA, "lua") | self.found(self.PYTHON, "py")

        assert sent - self.SQL == self.in_the_table()

    def in_the_table(self) -> set[str]:
        of_keys = {name for names in commands.SENT.values() for name in names.split()}
        others = (
            *commands.WITHOUT_A_KEY.split(),
            *commands.SENT_BY_THE_INSPECTION.split(),
            *commands.SENT_BY_WORKERS.split(),
            *commands.SENT_TO_SENTINELS.split(),
            *commands.SENT_FOR_OPERATORS.split(),
            *commands.ONLY_FOR_CALLERS.split(),
        )
        return of_keys | set(others)

    def test_it_has_harmless_arguments_for_each(self) -> None:
        of_keys = {name for names in commands.SENT.values() for name in names.split()}

        assert of_keys | {"SCAN"} == set(commands.ARGUMENTS)

    def test_it_has_commands_for_every_kind_of_key(self) -> None:
        for kind in keys.KINDS:
            assert commands.SENT[kind.database, kind.type]
