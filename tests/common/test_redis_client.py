"""What RedisClient promises, on every kind of server: the same tests for all of them."""

import hashlib
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


class TestStrings:
    def test_a_value_comes_back_as_it_was_stored(self, client: RedisClient) -> None:
        assert client.set("key", "value", ttl=60) is True

        assert client.get("key") == "value"

    def test_a_missing_key_is_none(self, client: RedisClient) -> None:
        assert client.get("nothing") is None

    def test_a_ttl_is_seconds(self, client: RedisClient) -> None:
        client.set("key", "value", ttl=60)

        assert 59 <= client.ttl("key") <= 60

    def test_without_a_ttl_a_key_stays(self, client: RedisClient) -> None:
        client.set("key", "value")

        assert client.ttl("key") == -1

    def test_setting_anew_without_a_ttl_removes_the_old_one(self, client: RedisClient) -> None:
        client.set("key", "old", ttl=60)

        client.set("key", "new")

        assert client.ttl("key") == -1

    @pytest.mark.parametrize("ttl", [0, -1, 0.0001])
    def test_a_ttl_that_is_no_time_is_refused(self, client: RedisClient, ttl: float) -> None:
        with pytest.raises(ValueError, match="greater than 0"):
            client.set("key", "value", ttl=ttl)

        assert client.exists("key") == 0

    @pytest.mark.parametrize("ttl", ["60", True, [60]])
    def test_a_ttl_that_is_no_number_is_refused(self, client: RedisClient, ttl: Any) -> None:
        with pytest.raises(TypeError, match="number of seconds"):
            client.set("key", "value", ttl=ttl)

    def test_numbers_come_back_as_text(self, client: RedisClient) -> None:
        client.set("key", 7)

        assert client.get("key") == "7"

    def test_text_of_any_script_survives(self, client: RedisClient) -> None:
        client.set("ключ", "值 🛫 é")

        assert client.get("ключ") == "值 🛫 é"

    def test_many_values_in_one_call(self, client: RedisClient) -> None:
        client.set_many({"a": "1", "b": "2"}, ttl=60)

        assert client.get_many(["a", "missing", "b"]) == {"a": "1", "b": "2"}
        assert 59 <= client.ttl("a") <= 60

    def test_no_keys_give_nothing(self, client: RedisClient) -> None:
        assert client.get_many([]) == {}
        assert client.delete() == 0
        assert client.exists() == 0


class TestJson:
    def test_a_document_comes_back_equal(self, client: RedisClient) -> None:
        data = {"name": "John", "age": 30, "tags": ["a", None, 1.5, True], "inner": {"é": "🛫"}}

        client.set_json("user:123", data, ttl=3600)

        assert client.get_json("user:123") == data
        assert 3599 <= client.ttl("user:123") <= 3600

    def test_it_is_plain_json(self, client: RedisClient) -> None:
        client.set_json("user:123", {"name": "John", "age": 30})

        assert client.get("user:123") == '{"name":"John","age":30}'

    def test_what_databases_return_has_a_json_form(self, client: RedisClient) -> None:
        identifier = UUID("12345678123456781234567812345678")
        client.set_json(
            "row",
            {
                "born": date(1990, 1, 1),
                "created": datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
                "id": identifier,
                "price": Decimal("9.90"),
            },
        )

        assert client.get_json("row") == {
            "born": "1990-01-01",
            "created": "2026-01-02T03:04:05+00:00",
            "id": str(identifier),
            "price": "9.90",
        }

    @pytest.mark.parametrize("data", [float("nan"), {"a": float("inf")}])
    def test_what_json_cannot_say_is_refused(self, client: RedisClient, data: Any) -> None:
        with pytest.raises(ValueError, match="JSON"):
            client.set_json("key", data)

        assert client.exists("key") == 0

    def test_a_type_without_json_form_is_refused_by_name(self, client: RedisClient) -> None:
        with pytest.raises(TypeError, match="set has no JSON form"):
            client.set_json("key", {"a": {1, 2}})

    def test_a_missing_document_is_none(self, client: RedisClient) -> None:
        assert client.get_json("nothing") is None

    def test_a_lone_surrogate_survives(self, client: RedisClient) -> None:
        client.set_json("key", {"name": "\ud800"})

        assert client.get_json("key") == {"name": "\ud800"}


class TestHashes:
    def test_fields_come_back(self, client: RedisClient) -> None:
        client.hset("user:123:profile", "email", "john@example.com")

        assert client.hget("user:123:profile", "email") == "john@example.com"
        assert client.hgetall("user:123:profile") == {"email": "john@example.com"}

    def test_hset_counts_new_fields(self, client: RedisClient) -> None:
        assert client.hset("h", "a", 1) == 1
        assert client.hset("h", mapping={"a": 2, "b": 3}) == 1

    def test_missing_fields_and_hashes(self, client: RedisClient) -> None:
        assert client.hget("nothing", "field") is None
        assert client.hgetall("nothing") == {}

    def test_fields_can_be_removed(self, client: RedisClient) -> None:
        client.hset("h", mapping={"a": 1, "b": 2})

        assert client.hdel("h", "a", "missing") == 1
        assert client.hgetall("h") == {"b": "2"}

    def test_hset_of_nothing_is_refused(self, client: RedisClient) -> None:
        with pytest.raises(TypeError, match="needs a field and a value"):
            client.hset("h")
        with pytest.raises(TypeError, match="needs a value"):
            client.hset("h", "field")


class TestKeys:
    def test_delete_says_how_many_there_were(self, client: RedisClient) -> None:
        client.set_many({"a": "1", "b": "2"})

        assert client.delete("a", "b", "missing") == 2
        assert client.exists("a", "b") == 0

    def test_expire_gives_a_key_an_end(self, client: RedisClient) -> None:
        client.set("key", "value")

        assert client.expire("key", 30) is True
        assert 29 <= client.ttl("key") <= 30

    def test_expire_of_nothing_is_false(self, client: RedisClient) -> None:
        assert client.expire("nothing", 30) is False
        assert client.ttl("nothing") == -2

    def test_scan_finds_every_match(self, client: RedisClient) -> None:
        client.set_many({f"user:{n}": "x" for n in range(300)} | {"other": "x"})

        assert set(client.scan("user:*", count=50)) == {f"user:{n}" for n in range(300)}

    def test_ping_of_a_server_that_is_there(self, client: RedisClient) -> None:
        assert client.ping() is True


class TestPipelinesAndScripts:
    def test_a_pipeline_answers_in_order(self, client: RedisClient) -> None:
        with client.pipeline() as pipeline:
            pipeline.set("a", 1)
            pipeline.incr("a")
            pipeline.get("a")

            assert pipeline.execute() == [True, 2, "2"]

    def test_a_watched_key_that_changed_stops_the_transaction(self, client: RedisClient) -> None:
        with client.pipeline() as pipeline:
            pipeline.watch("a")
            client.set("a", "meanwhile")
            pipeline.multi()
            pipeline.set("a", "mine")

            with pytest.raises(redis.WatchError):
                pipeline.execute()

    def test_a_script_runs_though_the_server_forgot_it(self, client: RedisClient) -> None:
        text = "return redis.call('INCRBY', KEYS[1], ARGV[1])"
        script = Script(text, hashlib.sha1(text.encode()).hexdigest())

        assert client.run(script, ["n"], [2]) == 2
        client.execute("SCRIPT FLUSH")
        assert client.run(script, ["n"], [2]) == 4


class TestWaysToConnect:
    def test_a_unix_socket(self, start_redis: Callable[..., RedisServer], tmp_path: Path) -> None:
        socket = tmp_path / "redis.sock"
        server = start_redis(unixsocket=str(socket))
        settings = RedisSettings.load(url=f"unix://{socket}?db=3", _env_file=None)
        client = RedisClient.connect(settings, db=settings.database())

        client.set("key", "value")

        assert client.get("key") == "value"
        assert client.breaker._probe() is True
        server.kill()
        assert client.ping() is False
        client.breaker.close()
        client.close()

    def test_a_probe_over_tls_can_fail_and_say_so(self, redis_server: RedisServer) -> None:
        settings = RedisSettings.load(url=f"rediss://127.0.0.1:{redis_server.port}", _env_file=None)
        client = RedisClient.connect(settings, db=0)

        assert client.ping() is False
        assert client.breaker._probe() is False
        client.breaker.close()
        client.close()

    def test_a_wrong_password_is_an_outage_that_does_not_tell_it(
        self, start_redis: Callable[..., RedisServer]
    ) -> None:
        server = start_redis(requirepass="right")
        url = f"redis://:geheim@127.0.0.1:{server.port}"
        client = RedisClient.connect(RedisSettings.load(url=url, _env_file=None), db=0)

        with pytest.raises(RedisUnavailable) as caught:
            client.get("key")

        assert "geheim" not in str(caught.value)
        client.breaker.close()
        client.close()

    def test_ping_never_raises(self, redis_server: RedisServer) -> None:
        client = RedisClient.connect(settings_for(redis_server), db=99)

        assert client.ping() is False
        client.close()


class TestGetRedisClient:
    @pytest.fixture(autouse=True)
    def here(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        for name in ("URL", "HOST", "PORT", "DB", "USERNAME", "PASSWORD"):
            monkeypatch.delenv(f"REDIS_{name}", raising=False)
        monkeypatch.chdir(tmp_path)

    def test_one_client_a_process_and_database(self, redis_server: RedisServer) -> None:
        settings = settings_for(redis_server)

        first = get_redis_client(db=3, settings=settings)

        assert get_redis_client(db=3, settings=settings) is first
        assert get_redis_client(db=4, settings=settings) is not first

    def test_databases_are_apart(self, redis_server: RedisServer) -> None:
        settings = settings_for(redis_server)
        get_redis_client(db=3, settings=settings).set("key", "three")

        assert get_redis_client(db=4, settings=settings).get("key") is None
        assert get_redis_client(db=3, settings=settings).get("key") == "three"

    def test_the_environment_says_where_redis_is(
        self, redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("REDIS_HOST", "127.0.0.1")
        monkeypatch.setenv("REDIS_PORT", str(redis_server.port))

        assert get_redis_client().ping() is True

    def test_an_env_file_does_too(self, redis_server: RedisServer, tmp_path: Path) -> None:
        (tmp_path / ".env").write_text(
            "REDIS_HOST=127.0.0.1       # Redis host\n"
            f"REDIS_PORT={redis_server.port}           # Redis port\n"
            "REDIS_DB=0                # Redis database number\n"
            "REDIS_PASSWORD=           # Redis password (optional)\n"
        )

        assert get_redis_client().ping() is True

    def test_the_database_of_the_caller_beats_the_url_beats_the_variable_beats_the_default(
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
