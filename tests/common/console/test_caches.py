"""The pages about caches: counts, the consistency monitor, one key, and comparing with SQL."""

from collections.abc import Iterator
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from common.pyportal_common.cache_handlers import RedisClient, keys
from common.pyportal_common.redis_server import RedisServer
from common.pyportal_common.testing.kit import API, json_of, session_headers
from common.pyportal_common.web.pages import NOTHING

from .pages import ADMIN_DATA, Headers, MakeApp, audited, confirm, size_of, text_of
from .service import BOOKING_CACHING, Services

SECRET = "secret@example.com"


@pytest.fixture
def redis(services: Services) -> RedisClient:
    return services.redis_client


def put_booking(services: Services, booking_id: int = 7, cached: str = SECRET) -> None:
    """Cache a booking, which differs from that in SQL if `cached` is not SECRET."""
    services.bookings[booking_id] = {"passenger": SECRET}
    services.cache.get_or_load(
        keys.booking(booking_id), lambda: {"passenger": cached}, BOOKING_CACHING
    )


class TestCounts:
    def test_reads_are_counted_by_cache(
        self, client: FlaskClient, admin: Headers, services: Services
    ) -> None:
        put_booking(services)
        for _ in range(3):
            put_booking(services)

        text = text_of(client.get("/console/caches", headers=admin))

        assert "booking 3 0 1 75 % 1 0 0 0" in text
        assert f"user:bookings 0 0 0 {NOTHING} 0 0 0 0" in text

    def test_the_admin_api_lists_the_same_counts(
        self, client: FlaskClient, admin: Headers, services: Services
    ) -> None:
        for _ in range(4):
            put_booking(services)

        found = json_of(client.get(f"{API}/admin/caches", headers=admin))["items"]

        shown = {each["kind"]: each for each in found}
        booking, bookings = shown["booking"], shown["user:bookings"]
        assert (booking["keys"], booking["reads"], booking["hitRatio"]) == (1, 4, 0.75)
        assert booking["events"] == {"hit": 3, "miss": 1, "load": 1}
        assert (booking["audits"], booking["staleSeconds"]) == ({}, 0)
        assert (bookings["keys"], bookings["reads"], bookings["hitRatio"]) == (0, None, None)

    def test_keys_are_counted_only_when_asked_for(
        self,
        client: FlaskClient,
        admin: Headers,
        services: Services,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        put_booking(services, 7)
        put_booking(services, 8)
        services.redis_client.set("other:x", "1", ttl=60)
        scans, scan = [], RedisClient.scan

        def counted(*arguments: Any, **given: Any) -> Iterator[str]:
            scans.append(given)
            return scan(*arguments, **given)

        monkeypatch.setattr(RedisClient, "scan", counted)

        client.get("/console/caches", headers=admin)
        assert scans == []
        page = client.get("/console/caches?budget=1000", headers=admin)

        assert scans == [{"budget": 1000}]
        assert "booking 0 0 2 0 % 2 0 0 0 2 " in text_of(page)
        size = size_of(services.redis_client)
        assert f"Read all {size} keys of the database" in text_of(page)
        assert "Other kinds of key, the most frequent first Kind Keys " in text_of(page)
        assert " other 1 " in text_of(page)
        assert "data-refresh" not in page.text  # a scan is not repeated by itself

    def test_a_part_of_a_large_database_is_read(
        self, client: FlaskClient, admin: Headers, redis: RedisClient
    ) -> None:
        redis.set_many({f"booking:{number}": "{}" for number in range(3000)}, ttl=60)

        text = text_of(client.get("/console/caches?budget=500", headers=admin))

        assert f"of {size_of(redis)} keys of the database" in text
        assert "Read all" not in text

    @pytest.mark.parametrize("query", ["budget=0", "budget=x", "budget=1000000", "other=1"])
    def test_a_wrong_query_is_explained(
        self, client: FlaskClient, admin: Headers, query: str
    ) -> None:
        page = client.get(f"/console/caches?{query}", headers=admin)

        assert query.partition("=")[0] in text_of(page, 422)

    def test_keys_of_others_are_escaped(
        self, client: FlaskClient, admin: Headers, redis: RedisClient
    ) -> None:
        for key in ("<script>alert(1)</script>:1", "a\x00\u202eb:1", "x"):
            redis.set(key, "1", ttl=60)
        redis.execute("SET", b"\xff\xfe:1", "1")

        page = client.get("/console/caches?budget=100", headers=admin)

        assert "<script>alert" not in page.text
        assert "<script>alert(1)</script>" in text_of(page)
        assert r"a\x00\u202eb" in text_of(page)
        assert r"\udcff\udcfe" in text_of(page)
        assert "without a colon" in text_of(page)


class TestMonitor:
    def test_a_stale_value_is_a_warning_with_its_runbook(
        self, app: Flask, client: FlaskClient, admin: Headers
    ) -> None:
        metrics = app.extensions["metrics"]
        assert "stale values" not in client.get("/console/caches", headers=admin).text
        metrics.audit("booking", "same")
        metrics.audit("booking", "stale")
        metrics.staleness("booking", 12.0)

        page = client.get("/console/caches", headers=admin)

        assert "Redis holds stale values: booking for 12 s" in text_of(page)
        assert "docs/operations.md#cachestale" in text_of(page)
        assert "booking 1 0 0 1 0 12 s" in text_of(page)
        assert 'role="alert"' in page.text

    def test_values_are_compared_with_sql_when_asked_for(
        self, client: FlaskClient, admin: Headers, services: Services
    ) -> None:
        put_booking(services)

        asked = text_of(client.get("/console/caches/verify", headers=admin))
        found = text_of(client.get("/console/caches/verify?limit=10&cache=booking", headers=admin))

        assert "Outcomes" not in asked
        assert "No value is stale. Outcomes Outcome Values same 1" in found

    def test_a_stale_value_is_named_by_its_key_and_its_digest(self, make_app: MakeApp) -> None:
        app = make_app(cache_trust_seconds=0.1)
        client, headers = app.test_client(use_cookies=False), session_headers(1, **ADMIN_DATA)
        put_booking(app.extensions["services"], cached="other@example.com")

        page = client.get("/console/caches/verify?limit=10", headers=headers)

        assert "1 stale value." in text_of(page)
        assert f"booking booking:7 {keys.digest_of(keys.booking(7))}" in text_of(page)
        assert "/console/caches/key?key=booking%3A7" in page.text
        assert "@example.com" not in page.text

    def test_an_unknown_cache_is_a_404(self, client: FlaskClient, admin: Headers) -> None:
        page = client.get("/console/caches/verify?limit=2&cache=user", headers=admin)

        assert "No cache user: choose from booking" in text_of(page, 404)

    def test_a_part_is_compared(
        self, client: FlaskClient, admin: Headers, services: Services
    ) -> None:
        for number in (7, 8, 9):
            put_booking(services, number)

        text = text_of(client.get("/console/caches/verify?limit=2", headers=admin))

        assert "No value is stale among those that were compared: the database has more." in text


class TestKey:
    def test_a_value_is_described_and_never_shown(
        self, client: FlaskClient, admin: Headers, services: Services
    ) -> None:
        put_booking(services)

        page = client.get("/console/caches/key?key=booking:7", headers=admin)

        assert "booking:7 Value cached Size" in text_of(page)
        assert "The next read returns the cached value" in text_of(page)
        assert SECRET not in page.text

    def test_a_key_without_a_value_is_explained(
        self, client: FlaskClient, admin: Headers, redis: RedisClient
    ) -> None:
        redis.execute("ZADD", keys.fence("booking:7"), 2**41, "token")

        page = client.get("/console/caches/key?key=booking:7", headers=admin)

        assert f"Size {NOTHING} Expires in {NOTHING} Being loaded no Fenced by a writer yes" in (
            text_of(page)
        )
        assert "The next read loads it from SQL and caches nothing: a writer" in text_of(page)
        assert "Invalidate" not in text_of(page)

    @pytest.mark.parametrize(
        "command", ["RPUSH booking:7 x", "HSET booking:7 a b", "ZADD booking:7 1 a"]
    )
    def test_a_value_of_another_type_is_no_value(
        self, client: FlaskClient, admin: Headers, redis: RedisClient, command: str
    ) -> None:
        redis.execute(*command.split())

        page = client.get("/console/caches/key?key=booking:7", headers=admin)

        assert "Value not cached" in text_of(page)
        assert "it has another type" in text_of(page)

    @pytest.mark.parametrize("key", ["session:x", "user:7", "<b>", "booking:", "x\x00"])
    def test_keys_of_no_cache_are_refused(
        self, client: FlaskClient, admin: Headers, key: str
    ) -> None:
        page = client.get("/console/caches/key", query_string={"key": key}, headers=admin)
        act = client.post("/console/caches/invalidate", data={"key": key}, headers=admin)

        assert "choose from booking:*" in text_of(page, 404)
        assert act.status_code == 404
        assert "<b>" not in page.text

    def test_a_key_is_invalidated_after_a_confirmation(
        self, app: Flask, client: FlaskClient, admin: Headers, services: Services
    ) -> None:
        put_booking(services)

        asked = client.post("/console/caches/invalidate", data={"key": "booking:7"}, headers=admin)
        assert "Invalidate booking:7?" in text_of(asked)
        assert services.redis_client.exists("booking:7")
        done = confirm(client, admin, asked)

        assert done.headers["Location"] == "/console/caches/key?key=booking%3A7"
        assert not services.redis_client.exists("booking:7")
        assert audited(app) == [("user=1", "cache invalidate", "booking:7", 1)]

    def test_a_key_with_html_is_escaped(
        self, client: FlaskClient, admin: Headers, redis: RedisClient
    ) -> None:
        key = 'booking:"><script>alert(1)</script>'
        redis.set(key, "1", ttl=60)

        page = client.get("/console/caches/key", query_string={"key": key}, headers=admin)
        asked = client.post("/console/caches/invalidate", data={"key": key}, headers=admin)

        for each in (page, asked):
            assert "<script>alert" not in each.text
            assert key in text_of(each)


class TestOutage:
    def test_while_the_caches_are_down_the_pages_say_what_they_could_not_see(
        self,
        make_app: MakeApp,
        own_redis: RedisServer,
        redis_server: RedisServer,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setenv("SESSION_REDIS_URL", redis_server.url)
        app = make_app(redis_url=own_redis.url)
        client, headers = app.test_client(use_cookies=False), session_headers(1, **ADMIN_DATA)
        put_booking(app.extensions["services"])
        own_redis.kill()

        counted = client.get("/console/caches?budget=100", headers=headers)
        key = client.get("/console/caches/key?key=booking:7", headers=headers)
        verified = client.get("/console/caches/verify?limit=10", headers=headers)

        assert "booking 0 0 1 0 % 1" in text_of(counted)
        assert "No keys were counted." in text_of(counted)
        assert "The key was not looked up." in text_of(key, 503)
        assert "The next read loads it from SQL and caches nothing" in text_of(key, 503)
        assert "Nothing was compared." in text_of(verified, 503)
