"""RedisClient, on every kind of server."""

import time
from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
import redis

from common.pyportal_common.cache_handlers import (
    RedisClient,
    RedisSettings,
    RedisUnavailable,
    Script,
    get_redis_client,
)
from common.pyportal_common.redis_server import RedisServer
from common.pyportal_common.testing.plugin import settings_for

from .waiting import wait_until


def client_of(url: str) -> RedisClient:
    return get_redis_client(settings=RedisSettings.load(url=url, _env_file=None))


class TestStrings:
    def test_a_value_is_returned_as_stored(self, client: RedisClient) -> None:
        assert client.set("ключ", "值 🛫 é", ttl=60) is True
        client.set("number", 7)

        assert client.get("ключ") == "值 🛫 é"
        assert client.get("number") == "7"
        assert client.get("nothing") is None

    def test_a_ttl_is_seconds_and_none_means_no_expiry(self, client: RedisClient) -> None:
        client.set("key", "value", ttl=60)
        assert 59 <= client.ttl("key") <= 60

        client.set("key", "value")
        assert client.ttl("key") == -1

    @pytest.mark.parametrize("ttl", [0, -1, 0.0001])
    def test_a_ttl_below_a_millisecond_is_refused(self, client: RedisClient, ttl: float) -> None:
        with pytest.raises(ValueError, match="greater than 0"):
            client.set("key", "value", ttl=ttl)

        assert client.exists("key") == 0

    @pytest.mark.parametrize("ttl", ["60", True, [60]])
    def test_a_ttl_of_another_type_is_refused(self, client: RedisClient, ttl: Any) -> None:
        with pytest.raises(TypeError, match="number of seconds"):
            client.set("key", "value", ttl=ttl)

    def test_many_values_in_one_call(self, client: RedisClient) -> None:
        client.set_many({"a": "1", "b": "2"}, ttl=60)

        assert client.get_many(["a", "missing", "b"]) == {"a": "1", "b": "2"}
        assert 59 <= client.ttl("a") <= 60

    def test_no_keys_give_nothing(self, client: RedisClient) -> None:
        assert client.get_many([]) == {}
        assert client.delete() == 0
        assert client.exists() == 0


class TestJson:
    def test_a_document_is_stored_as_plain_json(self, client: RedisClient) -> None:
        data = {"name": "John", "tags": ["a", None, 1.5, True], "inner": {"é": "🛫"}}

        client.set_json("user:123", data, ttl=3600)

        assert client.get_json("user:123") == data
        assert str(client.get("user:123")).startswith('{"name":"John","tags":["a",null,1.5,true]')
        assert 3599 <= client.ttl("user:123") <= 3600
        assert client.get_json("nothing") is None

    def test_values_of_databases_have_a_json_form(self, client: RedisClient) -> None:
        identifier = UUID("12345678123456781234567812345678")
        created = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)

        client.set_json("row", [date(1990, 1, 1), created, identifier, Decimal("9.90")])

        assert client.get_json("row") == [
            "1990-01-01", "2026-01-02T03:04:05+00:00", str(identifier), "9.90",
        ]  # fmt: skip

    @pytest.mark.parametrize("data", [float("nan"), {"a": float("inf")}])
    def test_numbers_without_a_json_form_are_refused(self, client: RedisClient, data: Any) -> None:
        with pytest.raises(ValueError, match="JSON"):
            client.set_json("key", data)

        assert client.exists("key") == 0

    def test_the_error_names_a_type_without_json_form(self, client: RedisClient) -> None:
        with pytest.raises(TypeError, match="set has no JSON form"):
            client.set_json("key", {"a": {1, 2}})

    def test_a_lone_surrogate_is_preserved(self, client: RedisClient) -> None:
        client.set_json("key", {"name": "\ud800"})

        assert client.get_json("key") == {"name": "\ud800"}


def test_hashes(client: RedisClient) -> None:
    assert client.hset("user:123:profile", "email", "john@example.com") == 1
    assert client.hset("user:123:profile", "age", 30) == 1
    assert client.hset("user:123:profile", "age", 31) == 0

    assert client.hget("user:123:profile", "email") == "john@example.com"
    assert client.hget("user:123:profile", "missing") is None
    assert client.hgetall("user:123:profile") == {"email": "john@example.com", "age": "31"}
    assert client.hgetall("nothing") == {}
    assert client.hdel("user:123:profile", "email", "missing") == 1
    assert client.hgetall("user:123:profile") == {"age": "31"}


class TestKeys:
    def test_delete_returns_how_many_existed(self, client: RedisClient) -> None:
        client.set_many({"a": "1", "b": "2"})

        assert client.delete("a", "b", "missing") == 2
        assert client.exists("a", "b") == 0

    def test_expire_sets_a_ttl(self, client: RedisClient) -> None:
        client.set("key", "value")

        assert client.expire("key", 30) is True
        assert 29 <= client.ttl("key") <= 30
        assert client.expire("nothing", 30) is False
        assert client.ttl("nothing") == -2

    def test_scan_finds_every_match(self, client: RedisClient) -> None:
        client.set_many({f"user:{n}": "x" for n in range(300)} | {"other": "x"})

        assert set(client.scan("user:*", count=50)) == {f"user:{n}" for n in range(300)}

    def test_ping(self, client: RedisClient) -> None:
        assert client.ping() is True


class TestPipelinesAndScripts:
    def test_a_pipeline_returns_replies_in_order(self, client: RedisClient) -> None:
        with client.pipeline() as pipeline:
            pipeline.set("a", 1)
            pipeline.incr("a")
            pipeline.get("a")

            assert pipeline.execute() == [True, 2, "2"]

    def test_a_change_of_a_watched_key_aborts_the_transaction(self, client: RedisClient) -> None:
        with client.pipeline() as pipeline:
            pipeline.watch("a")
            client.set("a", "meanwhile")
            pipeline.multi()
            pipeline.set("a", "mine")

            with pytest.raises(redis.WatchError):
                pipeline.execute()

    def test_scripts_run_after_a_script_flush(self, client: RedisClient) -> None:
        script = Script.of("return redis.call('INCRBY', KEYS[1], ARGV[1])")

        assert client.run(script, ["n"], [2]) == 2
        client.execute("SCRIPT FLUSH")
        assert client.run(script, ["n"], [2]) == 4
        client.execute("SCRIPT FLUSH")
        assert client.run_many([(script, ["n"], [1]), (script, ["n"], [1])]) == [5, 6]


class TestConnections:
    def test_a_unix_socket(self, start_redis: Callable[..., RedisServer], tmp_path: Path) -> None:
        socket = tmp_path / "redis.sock"
        server = start_redis(unixsocket=str(socket), unixsocketperm="700")
        client = client_of(f"unix://{socket}?db=3")

        client.set("key", "value")

        assert client.get("key") == "value"
        client.breaker.trip(ConnectionError("an outage"))
        wait_until(lambda: not client.breaker.is_open)  # the probe uses the socket too
        server.kill()
        assert client.ping() is False

    def test_tls_to_a_server_without_it_is_an_outage(self, redis_server: RedisServer) -> None:
        client = client_of(f"rediss://127.0.0.1:{redis_server.port}")

        assert client.ping() is False
        time.sleep(0.2)  # the probe fails too
        assert client.breaker.is_open

    def test_a_wrong_password_is_an_outage_whose_error_does_not_contain_it(
        self, start_redis: Callable[..., RedisServer]
    ) -> None:
        server = start_redis(requirepass="right")
        client = client_of(f"redis://:geheim@127.0.0.1:{server.port}")

        with pytest.raises(RedisUnavailable) as caught:
            client.get("key")

        assert "geheim" not in str(caught.value)

    def test_ping_never_raises(self, redis_server: RedisServer) -> None:
        assert client_of(f"{redis_server.url}/99").ping() is False


class TestGetRedisClient:
    @pytest.fixture(autouse=True)
    def empty_environment(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        for name in ("URL", "HOST", "PORT", "DB", "USERNAME", "PASSWORD"):
            monkeypatch.delenv(f"REDIS_{name}", raising=False)
        monkeypatch.chdir(tmp_path)

    def test_one_client_for_each_database(self, redis_server: RedisServer) -> None:
        settings = settings_for(redis_server)

        first = get_redis_client(db=3, settings=settings)
        first.set("key", "three")

        assert get_redis_client(db=3, settings=settings) is first
        assert get_redis_client(db=4, settings=settings).get("key") is None

    def test_it_reads_the_environment(
        self, redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("REDIS_HOST", "127.0.0.1")
        monkeypatch.setenv("REDIS_PORT", str(redis_server.port))

        assert get_redis_client().ping() is True

    def test_it_reads_an_env_file(self, redis_server: RedisServer, tmp_path: Path) -> None:
        (tmp_path / ".env").write_text(
            "REDIS_HOST=127.0.0.1       # Redis host\n"
            f"REDIS_PORT={redis_server.port}           # Redis port\n"
            "REDIS_DB=0                # Redis database number\n"
            "REDIS_PASSWORD=           # Redis password (optional)\n"
        )

        assert get_redis_client().ping() is True

    def test_db_wins_over_the_url_over_the_variable_over_the_default(
        self, redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for db in range(4):
            get_redis_client(db=db, settings=settings_for(redis_server)).set("which", db)

        monkeypatch.setenv("REDIS_URL", redis_server.url)
        assert get_redis_client(default_db=1).get("which") == "1"
        monkeypatch.setenv("REDIS_DB", "2")
        assert get_redis_client(default_db=1).get("which") == "2"
        monkeypatch.setenv("REDIS_URL", f"{redis_server.url}/3")
        assert get_redis_client(default_db=1).get("which") == "3"
        assert get_redis_client(0, default_db=1).get("which") == "0"
