"""A Redis server that is up and refuses commands: it is seen while it lasts, and it ends."""

import logging
import re
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
import redis
from flask import Flask
from flask.testing import FlaskClient

from common.pyportal_common.cache_handlers import (
    KNOWN_CODES,
    Breaker,
    RedisClient,
    RedisRefused,
    RedisSettings,
    RedisUnavailable,
)
from common.pyportal_common.cache_handlers.client.troubles import Troubles
from common.pyportal_common.redis_server import RedisServer, free_port
from common.pyportal_common.testing.redis_errors import REPLIES
from common.pyportal_common.testing.refusing_relay import RefusingRelay

from .load import Connect
from .waiting import wait_until

Configure = Callable[["redis.Redis", RedisServer], object]


def prevent_saving(server: "redis.Redis", process: RedisServer) -> None:
    server.config_set("save", "3600 1")
    (process.directory / "dump.rdb").mkdir()
    server.bgsave()
    wait_until(lambda: server.info("persistence")["rdb_last_bgsave_status"] == "err")


def allow_saving(server: "redis.Redis", process: RedisServer) -> None:
    (process.directory / "dump.rdb").rmdir()
    server.bgsave()


REFUSING: dict[str, tuple[Configure, Configure]] = {
    "OOM": (
        lambda server, _: server.config_set("maxmemory", "1"),
        lambda server, _: server.config_set("maxmemory", "0"),
    ),
    "READONLY": (
        lambda server, _: server.replicaof("127.0.0.1", str(free_port())),
        lambda server, _: server.replicaof("NO", "ONE"),
    ),
    "NOREPLICAS": (
        lambda server, _: server.config_set("min-replicas-to-write", "1"),
        lambda server, _: server.config_set("min-replicas-to-write", "0"),
    ),
    "MISCONF": (prevent_saving, allow_saving),
    "NOPERM": (
        lambda server, _: server.execute_command("ACL SETUSER", "default", "-set"),
        lambda server, _: server.execute_command("ACL SETUSER", "default", "+set"),
    ),
}


@pytest.fixture
def admin(own_redis: RedisServer) -> Iterator["redis.Redis"]:
    """A client of redis-py for the configuration of the server."""
    with closing(redis.Redis(port=own_redis.port, decode_responses=True)) as admin:
        yield admin


@pytest.fixture
def web(own_client: RedisClient, make_service: Callable[..., Flask]) -> FlaskClient:
    """A service whose server the test may configure."""
    return make_service(redis_client=own_client).test_client()


def lines_about_redis(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [line for line in caplog.messages if "Redis" in line]


def health_of(web: FlaskClient) -> Any:
    return web.get("/health").json


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> Iterator[pytest.LogCaptureFixture]:
    """The log, although a service configures its own."""
    logging.getLogger().addHandler(caplog.handler)
    caplog.set_level(logging.INFO)
    yield caplog
    logging.getLogger().removeHandler(caplog.handler)


@pytest.mark.parametrize("code", REFUSING)
def test_the_operator_sees_what_is_refused_and_that_it_ended(
    code: str,
    admin: "redis.Redis",
    own_redis: RedisServer,
    own_client: RedisClient,
    web: FlaskClient,
    log: pytest.LogCaptureFixture,
) -> None:
    own_client.set("k", "v")
    begin, end = REFUSING[code]

    begin(admin, own_redis)

    for _ in range(20):
        with pytest.raises(RedisRefused) as caught:
            own_client.set("k", "w")
        assert caught.value.code == code
        assert own_client.get("k") == "v"
    health = health_of(web)
    assert (health["status"], health["checks"]["redis"]) == ("degraded", "refusing")
    assert health["redis"] == [{"name": own_client.name, "state": "refusing", "reason": code}]
    ready = web.get("/readyz")
    assert (ready.status_code, ready.json) == (200, {"status": "degraded", "redis": "refusing"})
    metrics = web.get("/metrics").text
    assert f'redis_refusing{{code="{code}"}} 1.0' in metrics
    assert f'redis_refusals_total{{code="{code}"}} 22.0' in metrics
    wait_until(lambda: lines_about_redis(log))
    (line,) = lines_about_redis(log)
    assert f"{own_client.name}, refuses commands: {code} " in line

    end(admin, own_redis)

    wait_until(lambda: health_of(web)["status"] == "ok")
    assert own_client.set("k", "w")
    assert len(lines_about_redis(log)) == 2
    assert "accepts commands again" in lines_about_redis(log)[1]
    assert f'redis_refusing{{code="{code}"}} 0.0' in web.get("/metrics").text


def test_a_health_check_shows_a_state_that_nobody_has_run_into(
    admin: "redis.Redis", web: FlaskClient
) -> None:
    admin.config_set("maxmemory", "1")

    assert health_of(web)["redis"][0]["reason"] == "OOM"


def test_each_database_has_its_own_state(
    start_redis: Callable[..., RedisServer],
    connect: Connect,
    log: pytest.LogCaptureFixture,
) -> None:
    """`databases 1`, where the caches of two services are in others."""
    first = connect(start_redis(databases="1"))
    breaker = first.breaker
    second = RedisClient.connect(_settings(first), db=1, breaker=breaker)

    for _ in range(5):
        with pytest.raises(RedisRefused, match="DB index is out of range"):
            second.get("k")
        assert first.set("k", "v")
    time.sleep(0.7)  # a probe more

    assert breaker.is_open is False
    assert breaker.status(first.name).state == "ok"
    assert breaker.status(second.name).state == "refusing"
    (line,) = lines_about_redis(log)
    assert "database 1, refuses commands" in line
    assert "set `databases 16`" in line


def test_a_server_that_returns_refusing_says_both_in_one_line_each(
    own_redis: RedisServer, own_client: RedisClient, log: pytest.LogCaptureFixture
) -> None:
    """Down, then refusing, then ok."""
    own_client.set("k", "v")
    own_redis.kill()
    with pytest.raises(RedisUnavailable):
        own_client.set("k", "v")
    own_redis._options["maxmemory"] = "1"
    own_redis.start()
    wait_until(lambda: own_client.breaker.status(own_client.name).state == "refusing")

    own_client.execute("CONFIG SET", "maxmemory", "0")
    wait_until(lambda: own_client.breaker.status(own_client.name).state == "ok")

    words = [
        re.search("is unavailable|is back|refuses commands|accepts commands again", line)
        for line in lines_about_redis(log)
    ]
    assert [word and word[0] for word in words] == [
        "is unavailable",
        "is back",
        "refuses commands",
        "accepts commands again",
    ]


def test_a_state_that_comes_and_goes_does_not_fill_the_log(log: pytest.LogCaptureFixture) -> None:
    """The probe succeeds, and yet a command is refused again and again."""
    breaker = Breaker("redis:6379", lambda: True, interval=0.01)
    refusal = RedisRefused("Redis redis:6379, refuses commands: ERR no", code="ERR")

    for _ in range(100):
        breaker.refuse("redis:6379", refusal)
        time.sleep(0.01)
    states = breaker.status("redis:6379").state
    breaker.close()

    assert states == "refusing"
    assert len(lines_about_redis(log)) <= 3


def test_an_outage_that_comes_and_goes_does_not_fill_the_log(
    log: pytest.LogCaptureFixture,
) -> None:
    breaker = Breaker("redis:6379", lambda: True, interval=0.01)
    end = time.monotonic() + 5

    while time.monotonic() < end:
        breaker.trip(ConnectionError("again"))
        time.sleep(0.01)
    breaker.close()

    assert len(lines_about_redis(log)) <= 4


@pytest.mark.parametrize("reply", REPLIES)
def test_every_error_reply_is_a_refusal_or_an_outage(
    reply: str, redis_server: RedisServer, connect: Connect
) -> None:
    with closing(RefusingRelay(redis_server.port)) as relay:
        client = connect(relay)
        relay.error = REPLIES[reply]

        for call in (client.get, client.get_json, client.hgetall, client.exists):
            with pytest.raises(RedisUnavailable):
                call("k")
        state = client.check().state

        assert state == ("unavailable" if _is_outage(reply) else "refusing")
        relay.error = None
        wait_until(lambda: client.check().state == "ok")


def test_the_table_of_replies_has_every_code_of_the_servers(redis_binary: Path) -> None:
    """A code begins an error string in the binary."""
    found = re.findall(rb"\x00-([A-Z]{3,})(?=[ \x00\r])", redis_binary.read_bytes())

    assert {code.decode() for code in found} - {"ERR"} <= {reply.split()[0] for reply in REPLIES}
    assert {text.split()[0] for text in REPLIES.values()} - KNOWN_CODES == {"MYMODULE", "something"}


class TestOddBytes:
    ODD = b"\xff\xfe{}"

    @pytest.fixture
    def client(self, redis_client: RedisClient, redis_server: RedisServer) -> RedisClient:
        with closing(redis.Redis(port=redis_server.port)) as raw:
            raw.set("odd", self.ODD)
            raw.hset("hash", b"\xff", b"\xfe")
        return redis_client

    def test_reading_them_is_no_error(self, client: RedisClient) -> None:
        odd = self.ODD.decode(errors="surrogateescape")

        assert client.get("odd") == odd
        assert client.get_many(["odd"]) == {"odd": odd}
        assert client.get_with_ttl("odd") == (odd, -1)
        assert client.hgetall("hash") == {"\udcff": "\udcfe"}
        assert client.execute("EVAL", "return redis.call('GET', 'odd')", 0) == odd

    def test_they_are_written_as_they_were_read(
        self, client: RedisClient, redis_server: RedisServer
    ) -> None:
        client.set("copy", client.get("odd") or "")

        with closing(redis.Redis(port=redis_server.port)) as raw:
            assert raw.get("copy") == self.ODD

    def test_they_are_not_json(self, client: RedisClient) -> None:
        client.set("quoted", '"\udcff"')

        for key in ("odd", "quoted"):
            with pytest.raises(ValueError, match="UTF-8"):
                client.get_json(key)


class TestConnectHooks:
    def test_an_error_reply_in_a_hook_is_a_refusal_of_that_client(
        self, own_client: RedisClient
    ) -> None:
        other = RedisClient.connect(_settings(own_client), db=1, breaker=own_client.breaker)
        other.on_connect(lambda send: send("NO SUCH COMMAND"))

        with pytest.raises(RedisRefused, match="unknown command"):
            other.get("k")

        assert own_client.breaker.is_open is False
        assert own_client.set("k", "v")

    def test_a_refusal_raised_by_a_hook_keeps_its_code(self, own_client: RedisClient) -> None:
        own_client.on_connect(Mock(side_effect=RedisRefused("READONLY made up", code="READONLY")))

        with pytest.raises(RedisRefused) as caught:
            own_client.get("k")

        assert caught.value.code == "READONLY"

    def test_another_error_in_a_hook_is_an_outage(self, own_client: RedisClient) -> None:
        own_client.on_connect(Mock(side_effect=LookupError("no such row")))

        with pytest.raises(RedisUnavailable, match="a connect hook failed: no such row"):
            own_client.get("k")

        assert own_client.breaker.is_open


def _settings(client: RedisClient) -> RedisSettings:
    address = client.breaker.address
    return RedisSettings.load(url=f"redis://{address}", _env_file=None)


def _is_outage(reply: str) -> bool:
    return reply in {"BUSY", "LOADING", "MASTERDOWN"}


def test_the_state_ends_before_its_line_after_many_relapses() -> None:
    troubles = Troubles("redis:6379")
    refusal = RedisRefused("no", code="NOPERM")
    now = 0.0
    for _ in range(8):  # each ends by a probe, and comes again
        troubles.note_refusal("db", refusal, now)
        now += 61
        troubles.settle("db", now, now)
        now += 1
    troubles.note_refusal("db", refusal, now)
    assert troubles.code_of("db") == "NOPERM"

    troubles.settle("db", now + 3, now + 3)

    assert troubles.code_of("db") is None
    assert troubles.open  # its end is not logged yet


def test_the_latest_of_several_reasons_is_named() -> None:
    troubles = Troubles("redis:6379")
    for now, code in ((1.0, "NOPERM"), (2.0, "OOM"), (1.5, "MISCONF")):
        troubles.note_refusal("db", RedisRefused("no", code=code), now)

    assert troubles.code_of("db") == "OOM"
