"""The pages about the Redis databases: state, memory, keys by prefix, slow log."""

import pytest
from flask import Flask
from flask.testing import FlaskClient

from common.pyportal_common.cache_handlers import RedisClient, SessionStore
from common.pyportal_common.redis_server import RedisServer
from common.pyportal_common.testing.kit import session_headers

from .pages import ADMIN_DATA, Headers, MakeApp, size_of, text_of
from .service import Services


@pytest.fixture
def redis(services: Services) -> RedisClient:
    return services.redis_client


def test_each_database_is_shown_with_its_size(
    client: FlaskClient, admin: Headers, redis: RedisClient
) -> None:
    for number in range(1234):
        redis.set(f"booking:{number}", "x", ttl=60)

    text = text_of(client.get("/console/redis", headers=admin))
    page = text_of(client.get("/console/redis/caches", headers=admin))

    assert "caches ok " in text
    assert "sessions ok " in text
    size = size_of(redis)
    assert f" {size} " in text
    assert f"{size} keys at" in page
    assert "Role master" in page
    assert "Used memory" in page
    assert "Maxmemory no limit" in page


@pytest.mark.parametrize("path", ["other", "other/keys", "other/slowlog", "other/keys?budget=9"])
def test_an_unknown_database_is_a_404(client: FlaskClient, admin: Headers, path: str) -> None:
    page = client.get(f"/console/redis/{path}", headers=admin)

    assert "No database other: choose from caches, sessions" in text_of(page, 404)


class TestKeys:
    def test_keys_are_found_by_prefix_when_asked_for(
        self, client: FlaskClient, admin: Headers, redis: RedisClient
    ) -> None:
        for key in ("booking:7", "booking:8", "book*", "other:1"):
            redis.set(key, "secret-value", ttl=60)

        asked = text_of(client.get("/console/redis/caches/keys?prefix=book", headers=admin))
        page = client.get("/console/redis/caches/keys?prefix=book&budget=100", headers=admin)
        star = client.get("/console/redis/caches/keys?prefix=book*&budget=100", headers=admin)

        assert "booking:7" not in asked
        size = size_of(redis)
        assert f"The database has {size} keys" in asked
        assert f"Keys Key book* booking:7 booking:8 Read all {size} keys" in text_of(page)
        assert "Keys Key book* Read all" in text_of(star)
        assert "secret-value" not in page.text

    def test_sessions_are_not_listed(
        self, client: FlaskClient, admin: Headers, services: Services
    ) -> None:
        session = SessionStore(services.session_store.client).create(7, {"role": "user"})

        for prefix in ("", "session:", f"session:{session.session_id[:5]}"):
            query = {"prefix": prefix, "budget": "1000"}
            page = client.get("/console/redis/sessions/keys", query_string=query, headers=admin)
            assert session.session_id not in page.text
            assert admin["Authorization"].split()[1] not in page.text
            assert ("user:sessions:7" in page.text) == (prefix == "")

    def test_keys_with_html_or_no_text_are_escaped(
        self, client: FlaskClient, admin: Headers, redis: RedisClient
    ) -> None:
        redis.set("a<script>alert(1)</script>", "1", ttl=60)
        redis.execute("SET", b"a\xff\n\x00", "1")

        page = client.get("/console/redis/caches/keys?prefix=a&budget=100", headers=admin)

        assert "<script>alert" not in page.text
        assert "a<script>alert(1)</script>" in text_of(page)
        assert r"a\udcff\n\x00" in text_of(page)

    def test_a_part_of_many_keys_is_listed(
        self, client: FlaskClient, admin: Headers, redis: RedisClient
    ) -> None:
        redis.set_many({f"booking:{number}": "1" for number in range(3000)}, ttl=60)

        many = client.get("/console/redis/caches/keys?prefix=&budget=10000", headers=admin)
        none = client.get("/console/redis/caches/keys?prefix=x&budget=500", headers=admin)

        assert f"The first 200 that were found, of {size_of(redis)} keys" in text_of(many)
        assert many.text.count("<td") == 200
        assert f"No key matches. Read about 500 of {size_of(redis)} keys" in text_of(none)


def test_slow_commands_are_shown_without_arguments(
    make_app: MakeApp, own_redis: RedisServer
) -> None:
    app = make_app(redis_url=own_redis.url)
    client, headers = app.test_client(use_cookies=False), session_headers(1, **ADMIN_DATA)
    redis = app.extensions["services"].session_store.client
    redis.execute("CONFIG", "SET", "slowlog-log-slower-than", "2000")
    redis.execute("EVAL", "for _ = 1, 3000000 do end", "1", "session:secret", "secret")

    page = client.get("/console/redis/sessions/slowlog", headers=headers)

    assert " ms EVAL session 4 " in text_of(page)
    assert "secret" not in page.text
    assert headers["Authorization"].split()[1] not in page.text


def test_a_database_that_is_down_is_shown_as_that(
    make_app: MakeApp,
    own_redis: RedisServer,
    redis_server: RedisServer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SESSION_REDIS_URL", redis_server.url)
    app: Flask = make_app(redis_url=own_redis.url)
    client, headers = app.test_client(use_cookies=False), session_headers(1, **ADMIN_DATA)
    own_redis.kill()

    text = text_of(client.get("/console/redis", headers=headers))

    assert "caches unavailable" in text
    assert "sessions ok" in text
    for path in ("caches", "caches/slowlog", "caches/keys", "caches/keys?budget=9"):
        page = client.get(f"/console/redis/{path}", headers=headers)
        assert "unavailable" in text_of(page, 503)
