"""RedisClient, on every kind of server."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
import redis

from common.pyportal_common.cache_handlers import (
    RedisClient,
    RedisRefused,
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


class TestCounters:
    def test_a_counter_counts_and_expires_after_its_creation(self, client: RedisClient) -> None:
        assert client.incr("visits", ttl=60) == 1
        assert 59 <= client.ttl("visits") <= 60
        client.expire("visits", 30)

        assert client.incr("visits", 41, ttl=60) == 42
        assert client.decr("visits", ttl=60) == 41
        assert client.decr("visits", 50, ttl=60) == -9
        assert client.incr("visits", -1, ttl=60) == -10
        assert 29 <= client.ttl("visits") <= 30
        assert client.get("visits") == "-10"

    def test_a_number_without_expiry_gets_one(self, client: RedisClient) -> None:
        client.set("visits", 5)

        assert client.incr("visits", ttl=60) == 6
        assert 59 <= client.ttl("visits") <= 60

    def test_large_numbers_are_exact(self, client: RedisClient) -> None:
        assert client.incr("visits", 2**62 + 1, ttl=60) == 2**62 + 1
        assert client.decr("visits", ttl=60) == 2**62

    @pytest.mark.parametrize("text", ["five", "", "1.5", " 5", b"\xff", 2**63 - 1, 2**70])
    def test_what_is_no_number_of_64_bits_is_an_error_and_remains(
        self, client: RedisClient, text: Any
    ) -> None:
        client.set("visits", text, ttl=30)
        before = client.get("visits")

        with pytest.raises(ValueError, match="visits holds no whole number"):
            client.incr("visits", ttl=60)

        assert client.get("visits") == before
        assert client.ttl("visits") <= 30

    @pytest.mark.parametrize("amount", [1.5, "many", 2**64])
    def test_only_whole_numbers_are_added(self, client: RedisClient, amount: Any) -> None:
        with pytest.raises(ValueError, match="whole number"):
            client.incr("visits", amount, ttl=60)

        assert client.exists("visits") == 0

    def test_a_key_of_another_type_is_refused(self, client: RedisClient) -> None:
        client.hset("visits", "field", 1)

        with pytest.raises(RedisRefused, match="WRONGTYPE"):
            client.incr("visits", ttl=60)

    @pytest.mark.parametrize("ttl", [0, -1])
    def test_a_ttl_is_needed(self, client: RedisClient, ttl: float) -> None:
        with pytest.raises(ValueError, match="greater than 0"):
            client.incr("visits", ttl=ttl)

        assert client.exists("visits") == 0

    def test_concurrent_requests_are_all_counted(self, redis_client: RedisClient) -> None:
        with ThreadPoolExecutor(8) as pool:
            numbers = list(pool.map(lambda _: redis_client.incr("visits", ttl=60), range(200)))

        assert sorted(numbers) == list(range(1, 201))


class TestLists:
    def test_values_are_pushed_and_popped_at_both_sides(self, client: RedisClient) -> None:
        assert client.rpush("queue", "a", "b", ttl=60) == 2
        assert client.lpush("queue", "c", 4, ttl=60) == 4

        assert client.lrange("queue") == ["4", "c", "a", "b"]
        assert client.lrange("queue", 1, 2) == ["c", "a"]
        assert client.lrange("queue", -1) == ["b"]
        assert client.llen("queue") == 4
        assert [client.lpop("queue"), client.rpop("queue")] == ["4", "b"]
        assert [client.lpop("queue"), client.lpop("queue"), client.lpop("queue")] == [
            "c",
            "a",
            None,
        ]
        assert client.rpop("queue") is None
        assert (client.lrange("queue"), client.llen("queue")) == ([], 0)

    def test_the_newest_values_stay(self, client: RedisClient) -> None:
        for number in range(5):
            assert client.lpush("left", number, ttl=60, max_length=3) == min(number + 1, 3)
        assert client.rpush("right", *range(5), ttl=60, max_length=3) == 3

        assert client.lrange("left") == ["4", "3", "2"]
        assert client.lrange("right") == ["2", "3", "4"]

    def test_each_push_extends_the_time_to_live(self, client: RedisClient) -> None:
        client.lpush("queue", "a", ttl=30)
        assert 29 <= client.ttl("queue") <= 30

        client.rpush("queue", "b", ttl=60)
        assert 59 <= client.ttl("queue") <= 60

    def test_many_values_in_one_call(self, client: RedisClient) -> None:
        assert client.rpush("queue", *range(20_000), ttl=60) == 20_000
        assert client.lrange("queue", -2) == ["19998", "19999"]

    @pytest.mark.parametrize(
        ("values", "options"),
        [
            ([], {"ttl": 60}),
            (["a"], {"ttl": 0}),
            (["a"], {"ttl": 60, "max_length": 0}),
            (["a"], {"ttl": 60, "max_length": -1}),
        ],
    )
    def test_invalid_arguments_change_nothing(
        self, client: RedisClient, values: list[str], options: dict[str, Any]
    ) -> None:
        client.rpush("queue", "first", ttl=60)

        for push in (client.lpush, client.rpush):
            with pytest.raises(ValueError, match=r"push needs|greater than 0"):
                push("queue", *values, **options)

        assert client.lrange("queue") == ["first"]

    def test_a_key_of_another_type_is_refused_and_remains(self, client: RedisClient) -> None:
        client.set("queue", "text", ttl=60)
        calls: list[Callable[[], object]] = [
            lambda: client.lpush("queue", "a", ttl=9999),
            lambda: client.rpush("queue", "a", ttl=9999, max_length=1),
            lambda: client.lrange("queue"),
            lambda: client.lpop("queue"),
            lambda: client.rpop("queue"),
            lambda: client.llen("queue"),
        ]

        for call in calls:
            with pytest.raises(RedisRefused, match="WRONGTYPE"):
                call()

        assert client.get("queue") == "text"
        assert client.ttl("queue") <= 60


class TestKeys:
    def test_many_keys_are_removed_in_parts(self, client: RedisClient) -> None:
        client.set_many({f"user:{n}": "x" for n in range(2500)} | {"other": "x"}, ttl=60)

        assert client.delete_many(client.scan("user:*")) == 2500
        assert client.delete_many(["other", "missing"]) == 1
        assert client.delete_many([]) == 0
        assert client.execute("DBSIZE") == 0

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
