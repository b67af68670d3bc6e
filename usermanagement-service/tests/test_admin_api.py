"""The admin API: what all services have, and the sessions and messages of this one."""

import json
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import update
from werkzeug.test import TestResponse

from app.models import Message
from app.services import Services
from common.pyportal_common.cache_handlers import (
    Charge,
    RateLimit,
    RedisClient,
    RedisUnavailable,
    SessionStore,
    keys,
)
from common.pyportal_common.db.audit import AUDIT
from common.pyportal_common.operations import selection
from common.pyportal_common.testing.kit import API, json_of, problem_of, session_headers

from .conftest import CREDENTIALS, JOHN, LOGIN, Headers, Json, LogIn, MakeApp, messages_in, register

ADMIN = f"{API}/admin"
FAILED_LOGINS = RateLimit("login-failures", 10, 900)


class Admin:
    """An admin with a recent login. Each request is checked to have a status."""

    def __init__(self, app: Flask, user_id: int = 901) -> None:
        self._client = app.test_client(use_cookies=False)
        self.name = f"user={user_id}"
        self._headers = session_headers(user_id, "admin")

    def send(self, method: str, path: str, body: Any = None) -> TestResponse:
        """Any response."""
        return self._client.open(f"{ADMIN}/{path}", method=method, json=body, headers=self._headers)

    def get(self, path: str) -> Any:
        """What a GET shows."""
        response = self.send("GET", path)
        assert response.status_code == 200, response.text
        return json_of(response)

    def act(self, method: str, path: str, body: Any = None, *, status: int = 200) -> Any:
        """What an act answers."""
        response = self.send(method, path, body)
        assert response.status_code == status, response.text
        return None if status == 204 else json_of(response)

    def audit(self) -> list[tuple[str, str, int | None]]:
        """What this admin did, the newest first."""
        found = self.get(f"audit?actor={self.name}")["items"]
        assert all(entry["requestId"] for entry in found)
        return [(entry["action"], entry["target"], entry["count"]) for entry in found]


@pytest.fixture
def admin(app: Flask) -> Admin:
    return Admin(app)


class TestSessions:
    def test_they_are_listed_without_their_ids(
        self, admin: Admin, john: Json, log_in: LogIn
    ) -> None:
        session_id = log_in()

        [shown] = admin.get(f"users/{john['id']}/sessions")["items"]

        assert set(shown) == {
            *("id", "createdAt", "authAt", "lastUsedAt", "expiresAt", "device", "network"),
        }
        assert session_id not in json.dumps(shown)
        assert admin.audit() == []  # nor are other lists

    def test_all_end(
        self, admin: Admin, client: FlaskClient, john: Json, headers: Headers, log_in: LogIn
    ) -> None:
        log_in()

        assert admin.act("DELETE", f"users/{john['id']}/sessions") == {
            "count": 2,
            "pending": False,
        }

        assert client.get(f"{API}/session", headers=headers).status_code == 401
        assert admin.audit() == [("sessions revoke", f"user={john['id']}", 2)]

    def test_one_ends(
        self, admin: Admin, client: FlaskClient, john: Json, headers: Headers
    ) -> None:
        path = f"users/{john['id']}/sessions"
        [shown] = admin.get(path)["items"]

        admin.act("DELETE", f"{path}/{shown['id']}", status=204)

        assert client.get(f"{API}/session", headers=headers).status_code == 401
        assert admin.audit()[0] == ("sessions revoke", f"user={john['id']}", 1)
        assert admin.send("DELETE", f"{path}/{shown['id']}").status_code == 404

    def test_what_ends_when_redis_is_back_is_pending(
        self, admin: Admin, john: Json, log_in: LogIn, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def fail(*_: object, **__: object) -> None:
            raise RedisUnavailable("made for this test")

        monkeypatch.setattr(SessionStore, "revoke_as", fail)
        path = f"users/{john['id']}/sessions"
        log_in()

        assert admin.act("DELETE", path) == {"count": 1, "pending": True}

        assert admin.audit() == [("sessions revoke", f"user={john['id']}", 1)]

    def test_nobody_has_none_to_end(self, admin: Admin) -> None:
        assert admin.act("DELETE", "users/77/sessions") == {"count": 0, "pending": False}
        assert admin.get("users/77/sessions")["items"] == []


class TestOutbox:
    @pytest.fixture
    def refused(self, client: FlaskClient, services: Services) -> list[int]:
        """The ids of three messages that were refused."""
        for number in range(3):
            register(
                client, JOHN | {"username": f"user_{number}", "email": f"u{number}@example.com"}
            )
        with services.database.begin(changes_cached=False) as tx:
            tx.execute(
                update(Message).values(status="failed", error="It answered 422", due_at=None),
                execution_options={"cache_keys": ()},
            )
        return [message.id for message in messages_in(services)]

    def test_messages_are_listed_in_pages_without_content(
        self, admin: Admin, refused: list[int]
    ) -> None:
        first = admin.get("outbox?limit=2")
        second = admin.get(f"outbox?limit=2&cursor={first['next']}")

        ids = [each["id"] for page in (first, second) for each in page["items"]]
        assert ids == sorted(refused, reverse=True)
        assert second["next"] is None
        assert first["items"][0]["template"] == "welcome"
        assert "example.com" not in json.dumps(first)
        assert len(admin.get("outbox?service=notification")["items"]) == 3
        assert admin.get("outbox?service=nobody")["items"] == []

    def test_a_dry_run_counts_and_changes_nothing(self, admin: Admin, refused: list[int]) -> None:
        counted = admin.act("POST", "outbox/discard", {"all": True, "dryRun": True})

        assert counted == {"count": 3, "left": 0, "dryRun": True}
        assert len(admin.get("outbox")["items"]) == len(refused)
        assert admin.audit() == []

    def test_they_are_sent_again(self, admin: Admin, refused: list[int]) -> None:
        body = {"ids": refused[:2], "service": "notification"}

        assert admin.act("POST", "outbox/resend", body)["count"] == 2
        assert admin.act("POST", "outbox/resend", body)["count"] == 0

        assert [each["id"] for each in admin.get("outbox")["items"]] == refused[2:]
        assert admin.audit() == [("outbox resend", "", 2)]

    def test_they_are_discarded(self, admin: Admin, refused: list[int], services: Services) -> None:
        assert admin.act("POST", "outbox/discard", {"all": True})["count"] == 3

        assert {message.status for message in messages_in(services)} == {"cancelled"}
        assert admin.audit() == [("outbox discard", "", len(refused))]

    def test_they_are_filtered_by_time_and_error(
        self, admin: Admin, refused: list[int], services: Services
    ) -> None:
        old = Message.id == refused[0]
        at = datetime.now(UTC) - timedelta(hours=3)
        with services.database.engine.begin() as connection:
            connection.execute(update(Message).where(old).values(created_at=at, error="It is 503"))

        def ids(query: str) -> list[int]:
            return [each["id"] for each in admin.get(f"outbox?{query}")["items"]]

        assert ids("since=2h") == ids("error=ANSWERED") == refused[:0:-1]
        assert ids("until=2h") == ids("error=503&service=notification") == refused[:1]
        assert admin.act("POST", "outbox/resend", {"until": "2h", "error": "422"})["count"] == 0
        moment = (at + timedelta(minutes=1)).isoformat()
        assert admin.act("POST", "outbox/discard", {"until": moment, "error": "503"})["count"] == 1
        assert ids("") == refused[:0:-1]
        [entry] = admin.get(f"audit?actor={admin.name}")["items"]
        assert entry["filter"] == {"until": moment, "error": "503"}

    @pytest.mark.parametrize(
        ("field", "value"),
        [("since", "2w"), ("since", "2026-11-26T08:15"), ("until", ""), ("error", " ")],
    )
    def test_a_wrong_time_or_text_is_refused(
        self, admin: Admin, refused: list[int], field: str, value: str
    ) -> None:
        assert problem_of(admin.send("GET", f"outbox?{field}={value}")) == (422, [field])
        for act in ("resend", "discard"):
            response = admin.send("POST", f"outbox/{act}", {field: value})
            assert problem_of(response) == (422, [field])
        assert len(admin.get("outbox")["items"]) == len(refused)

    def test_a_page_may_be_empty_and_have_a_next_one(
        self, admin: Admin, refused: list[int], services: Services, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(selection, "_EXAMINED", 2)
        oldest = Message.id == refused[0]
        with services.database.engine.begin() as connection:
            connection.execute(update(Message).where(oldest).values(error="It is 503"))

        first = admin.get("outbox?error=503")
        second = admin.get(f"outbox?error=503&cursor={first['next']}")

        assert (first["items"], first["next"]) == ([], str(refused[1]))
        assert [each["id"] for each in second["items"]] == refused[:1]
        assert second["next"] is None

    @pytest.mark.parametrize(
        ("body", "field"),
        [
            ({}, "all"),
            ({"dryRun": True}, "all"),
            ({"ids": [1], "all": True}, "all"),
            ({"ids": []}, "ids"),
            ({"ids": [0]}, "ids.0"),
            ({"ids": ["1"]}, "ids.0"),
            ({"ids": list(range(1, 1002))}, "ids"),
            ({"service": ""}, "service"),
            ({"service": 1}, "service"),
            ({"all": "true"}, "all"),
            ({"all": True, "dryRun": 1}, "dryRun"),
        ],
    )
    def test_an_invalid_body_is_refused(self, admin: Admin, body: Json, field: str) -> None:
        for act in ("resend", "discard"):
            assert problem_of(admin.send("POST", f"outbox/{act}", body)) == (422, [field])


class TestKinds:
    def test_they_are_counted(self, admin: Admin, john: Json) -> None:  # noqa: ARG002  a mail
        [events] = admin.get("jobs")["items"]

        assert events["lateSeconds"] >= 0
        assert (events["kind"], events["waiting"], events["failed"], events["paused"]) == (
            "events",
            1,
            0,
            None,
        )

    def test_one_is_paused_and_resumed(self, admin: Admin, services: Services) -> None:
        paused = admin.act("PUT", "pauses/events", {"reason": "It rains"})

        assert (paused["pausedBy"], paused["reason"]) == ("user=901", "It rains")
        assert admin.get("pauses/events") == paused
        assert admin.get("pauses")["items"] == [paused]
        assert admin.get("jobs")["items"][0]["paused"] == paused
        assert [each.kind for each in services.pauses.all()] == ["events"]
        admin.act("DELETE", "pauses/events", status=204)
        assert admin.get("pauses")["items"] == []
        assert admin.send("GET", "pauses/events").status_code == 404
        assert admin.send("DELETE", "pauses/events").status_code == 404
        assert admin.audit() == [("jobs resume", "events", 1), ("jobs pause", "events", 1)]

    def test_a_schedule_is_paused(self, admin: Admin) -> None:
        admin.act("PUT", "pauses/delete-messages", {})

        shown = {each["name"]: each["paused"] for each in admin.get("schedules")["items"]}
        assert shown.pop("delete-messages")
        assert set(shown.values()) == {False}

    def test_a_reason_is_at_most_500_characters(self, admin: Admin) -> None:
        assert problem_of(admin.send("PUT", "pauses/events", {"reason": "x" * 501})) == (
            422,
            ["reason"],
        )


class TestLimits:
    def test_a_rate_is_replaced_and_restored(self, admin: Admin) -> None:
        changed = admin.act("PUT", "limits/login", {"rate": "20/60;shadow", "role": "user"})

        assert changed.pop("changedAt")
        assert changed == {
            "name": "login",
            "role": "user",
            "rate": "20/60;shadow",
            "version": 1,
            "changedBy": "user=901",
        }
        shown = {each["name"]: each["overrides"] for each in admin.get("limits")["items"]}
        assert shown["login"] == ["20/60;shadow for user by user=901"]
        admin.act("DELETE", "limits/login", status=204)  # that of everybody: there is none
        assert admin.get("limits")["items"] != []
        admin.act("DELETE", "limits/login?role=user", status=204)
        shown = {each["name"]: each["overrides"] for each in admin.get("limits")["items"]}
        assert shown["login"] == []
        assert admin.audit() == [("limits clear", "login", 1), ("limits set", "login", 1)]

    @pytest.mark.parametrize(
        ("body", "field"),
        [
            ({}, "rate"),
            ({"rate": "10"}, "rate"),
            ({"rate": "0/60"}, "rate"),
            ({"rate": "10/0"}, "rate"),
            ({"rate": "9999999999/60"}, "rate"),
            ({"rate": "10/60;SHADOW"}, "rate"),
            ({"rate": "1٢/60"}, "rate"),
            ({"rate": 10}, "rate"),
            ({"rate": "10/60", "role": "A"}, "role"),
            ({"rate": "10/60", "role": "manager"}, "role"),
            ({"rate": "10/60", "role": "x" * 21}, "role"),
        ],
    )
    def test_an_invalid_rate_is_refused(self, admin: Admin, body: Json, field: str) -> None:
        assert problem_of(admin.send("PUT", "limits/login", body)) == (422, [field])
        assert admin.audit() == []

    def test_an_unknown_limit_is_a_404(self, admin: Admin) -> None:
        assert admin.send("PUT", "limits/nothing", {"rate": "1/60"}).status_code == 404
        assert admin.send("DELETE", "limits/nothing").status_code == 404

    def test_an_invalid_role_in_the_query_is_refused(self, admin: Admin) -> None:
        response = admin.send("DELETE", "limits/login?role=A")

        assert problem_of(response) == (422, ["role"])
        assert "No role A: choose from user, admin" in response.text

    def test_all_that_is_wrong_with_an_override_is_shown(self, admin: Admin) -> None:
        response = admin.send("PUT", "limits/login", {"rate": "often", "role": "manager"})

        assert problem_of(response) == (422, ["rate", "role"])

    @pytest.mark.parametrize(
        "name",
        [
            "name:john",
            "192.0.2.1",
            "2001:db8::/64",
            "unknown",
            "name:50%",
            "name:a b/c//d?é#",
            "x:%2F",
        ],
    )
    def test_what_a_client_has_used_is_shown_and_cleared(
        self, admin: Admin, services: Services, name: str
    ) -> None:
        services.limiter.hit(Charge(FAILED_LOGINS, name))

        for path in {f"limits/usage/{quote(name)}", f"limits/usage/{quote(name, safe='')}"}:
            [used] = admin.get(path)["items"]
            assert (used["identifier"], used["used"], used["limit"]) == (name, 1, 10)
        shown = [each["identifier"] for each in admin.get("limits/nearest")["items"]]
        assert sorted(shown) == sorted([name, "user:901"])
        assert admin.act("DELETE", f"limits/usage/{quote(name, safe='')}") == {"count": 1}
        assert admin.get(f"limits/usage/{quote(name)}")["items"] == []
        assert admin.audit() == [("limits clear", name, 1)]

    def test_a_locked_name_is_admitted_again(
        self,
        admin: Admin,
        client: FlaskClient,
        john: Json,  # noqa: ARG002  logs in
    ) -> None:
        wrong = CREDENTIALS | {"password": "wrong-horse-battery"}
        while client.post(LOGIN, json=wrong).status_code != 429:
            pass

        [nearest] = admin.get("limits/nearest?limit=1")["items"]
        admin.act("DELETE", f"limits/usage/{nearest['identifier']}")

        assert client.post(LOGIN, json=CREDENTIALS).status_code == 200

    @pytest.mark.parametrize(
        "query", ["limit=0", "limit=101", "limit=x", "budget=0", "budget=100001"]
    )
    def test_bounds_are_checked(self, admin: Admin, query: str) -> None:
        field = query.partition("=")[0]
        assert problem_of(admin.send("GET", f"limits/nearest?{query}")) == (422, [field])


class TestCaches:
    @pytest.fixture
    def cached(self, client: FlaskClient, john: Json, headers: Headers) -> str:
        """The key of a cached value."""
        client.get(f"{API}/users/{john['id']}", headers=headers)
        return keys.user(john["id"])

    def test_a_value_is_described_and_not_shown(self, admin: Admin, cached: str) -> None:
        shown = admin.get(f"caches/{cached}")

        assert shown["bytes"] > 50
        assert (shown["key"], shown["isFenced"]) == (cached, False)
        assert shown["nextRead"].startswith("returns the cached value")
        assert "john" not in json.dumps(shown)

    def test_a_value_is_removed(self, admin: Admin, cached: str, services: Services) -> None:
        admin.act("DELETE", f"caches/{cached}", status=204)

        assert admin.get(f"caches/{cached}")["bytes"] is None
        assert services.redis_client.get(cached) is None
        assert admin.audit() == [("cache invalidate", cached, 1)]

    def test_a_key_with_odd_characters_is_found(self, admin: Admin, services: Services) -> None:
        key = keys.username_lookup("a/b% :ü")
        services.redis_client.set(key, "7", ttl=60)

        assert admin.get(f"caches/{quote(key, safe='')}")["bytes"] == 1
        assert admin.get(f"caches/{quote(key)}")["key"] == key

    @pytest.mark.parametrize(
        "key", ["session:x", "user:sessions:7", "user:", "no:such", "user:7:8"]
    )
    def test_a_key_of_no_cache_is_a_404(self, admin: Admin, key: str) -> None:
        for method in ("GET", "DELETE"):
            assert admin.send(method, f"caches/{key}").status_code == 404
        assert admin.audit() == []

    def test_kinds_are_counted(self, admin: Admin, cached: str) -> None:
        counted = {each["kind"]: each for each in admin.get("caches")["items"]}

        assert counted[keys.kind_of(cached)]["keys"] == 1
        assert counted[keys.kind_of(cached)]["meanBytes"] > 50
        assert problem_of(admin.send("GET", "caches?budget=0")) == (422, ["budget"])

    def test_values_are_compared_with_sql(
        self, make_app: MakeApp, cached: str, services: Services
    ) -> None:
        admin = Admin(make_app(cache_trust_seconds=0.2))
        kind = keys.kind_of(cached)
        fine = admin.act("POST", "caches/verify", {"caches": [kind]})
        text = services.redis_client.get(cached) or ""
        found: Json = {"stale": []}

        until = time.monotonic() + 30
        while not found["stale"] and time.monotonic() < until:
            # Again, because with sentinels the invalidations before it are repeated once.
            services.redis_client.set(cached, text.replace("John", "Jack"), ttl=60)
            found = admin.act("POST", "caches/verify", {})

        assert (fine["outcomes"]["same"], fine["stale"], fine["isComplete"]) == (1, [], True)
        assert found["stale"] == [{"cache": kind, "key": cached, "digest": keys.digest_of(cached)}]
        assert admin.act("POST", "caches/verify", {"limit": 1})["outcomes"] != {}

    @pytest.mark.parametrize(
        ("body", "field"),
        [
            ({"caches": ["nothing"]}, "caches.0"),
            ({"caches": "user"}, "caches"),
            ({"caches": ["user"] * 21}, "caches"),
            ({"limit": 0}, "limit"),
            ({"limit": 5001}, "limit"),
            ({"limit": "5"}, "limit"),
        ],
    )
    def test_an_invalid_comparison_is_refused(self, admin: Admin, body: Json, field: str) -> None:
        assert problem_of(admin.send("POST", "caches/verify", body)) == (422, [field])


class TestDatabases:
    def test_the_server_is_described(self, admin: Admin) -> None:
        for name in ("caches", "sessions"):
            shown = admin.get(f"redis/{name}")

            assert shown["info"]["role"] == "master"
            assert shown["memory"]["used_memory"] > 0

    def test_keys_are_listed_without_sessions(
        self, admin: Admin, services: Services, headers: Headers
    ) -> None:
        services.redis_client.set(keys.user("x"), "1", ttl=60)

        listed = admin.get("redis/sessions/keys?limit=1000")["items"]

        session_id = headers["Authorization"].removeprefix("Bearer ")
        assert session_id not in json.dumps(listed)
        assert admin.get("redis/caches/keys?prefix=user:x")["items"] == [{"key": keys.user("x")}]
        assert admin.get("redis/caches/keys?prefix=*")["items"] == []

    def test_a_key_that_is_not_unicode_is_listed(
        self, admin: Admin, redis_client: RedisClient
    ) -> None:
        redis_client.set("odd:\udcff", "1", ttl=60)

        assert admin.get("redis/caches/keys?prefix=odd")["items"] == [{"key": "odd:\\udcff"}]

    def test_slow_commands_have_no_values_and_identifiers(
        self, admin: Admin, redis_client: RedisClient, headers: Headers
    ) -> None:
        redis_client.execute("CONFIG", "SET", "slowlog-log-slower-than", "0")
        redis_client.set(keys.user("secret"), "secret", ttl=60)
        admin.get("users/7/sessions")
        redis_client.execute("CONFIG", "SET", "slowlog-log-slower-than", "-1")

        shown = admin.get("redis/caches/slowlog?limit=128")["items"]

        assert {"SET", "EVALSHA"} <= {each["command"] for each in shown}
        kinds = {each["kind"] for each in shown}
        assert {"user", "session"} <= kinds
        session_id = headers["Authorization"].removeprefix("Bearer ")
        assert "secret" not in json.dumps(shown)
        assert session_id not in json.dumps(shown)
        assert len(admin.get("redis/caches/slowlog?limit=1")["items"]) == 1

    @pytest.mark.parametrize(
        ("path", "field"),
        [
            ("keys?limit=0", "limit"),
            ("keys?limit=1001", "limit"),
            ("keys?budget=100001", "budget"),
            (f"keys?prefix={'x' * 201}", "prefix"),
            ("slowlog?limit=129", "limit"),
            ("slowlog?limit=0", "limit"),
        ],
    )
    def test_bounds_are_checked(self, admin: Admin, path: str, field: str) -> None:
        assert problem_of(admin.send("GET", f"redis/caches/{path}")) == (422, [field])

    def test_another_database_is_a_404(self, admin: Admin) -> None:
        for path in ("redis/15", "redis/15/keys", "redis/15/slowlog"):
            assert admin.send("GET", path).status_code == 404


class TestAudit:
    @pytest.fixture
    def entries(self, admin: Admin) -> Callable[[str], list[str]]:
        """The targets of the entries that a query finds."""
        for name in ("name:a", "name:b", "name:c"):
            admin.act("DELETE", f"limits/usage/{name}")
        admin.act("PUT", "pauses/events", {})
        return lambda query: [each["target"] for each in admin.get(f"audit?{query}")["items"]]

    def test_it_is_filtered(self, entries: Callable[[str], list[str]]) -> None:
        assert entries("") == ["events", "name:c", "name:b", "name:a"]
        assert entries("action=limits%20clear") == ["name:c", "name:b", "name:a"]
        assert entries("target=name:b") == ["name:b"]
        assert entries("actor=user=901&action=jobs pause") == ["events"]
        assert entries("actor=user=902") == []

    def test_it_is_filtered_by_time(
        self, entries: Callable[[str], list[str]], services: Services
    ) -> None:
        at = datetime.now(UTC) - timedelta(hours=3)
        with services.database.engine.begin() as connection:
            connection.execute(update(AUDIT).where(AUDIT.c.target == "name:a").values(at=at))

        assert entries("since=2h") == ["events", "name:c", "name:b"]
        assert entries("until=2h") == ["name:a"]
        assert entries("since=4h&until=2h&action=limits%20clear") == ["name:a"]
        assert entries(f"since={quote(at.isoformat())}&until=150m") == ["name:a"]

    @pytest.mark.usefixtures("entries")
    def test_it_has_pages(self, admin: Admin) -> None:
        response = admin.send("GET", "audit?limit=3")
        first = json_of(response)
        second = admin.get(f"audit?limit=3&cursor={first['next']}")

        assert [each["target"] for each in second["items"]] == ["name:a"]
        assert response.headers["Link"].endswith(f'cursor={first["next"]}>; rel="next"')

    @pytest.mark.parametrize(
        "query",
        [
            "limit=0",
            "limit=101",
            "cursor=x",
            "cursor=0",
            "actor=",
            f"action={'x' * 251}",
            "target=",
            "since=2w",
            "since=2026-11-26T08:15",
            "until=",
            "until=9999-12-31T23:59:59Z",
            "error=x",
        ],
    )
    def test_an_invalid_query_is_refused(self, admin: Admin, query: str) -> None:
        field = query.partition("=")[0]
        assert problem_of(admin.send("GET", f"audit?{query}")) == (422, [field])


def test_the_doctor_is_asked(admin: Admin) -> None:
    found = {each["check"]: each["state"] for each in admin.get("doctor")["items"]}

    assert (found["sql"], found["redis caches"], found["workers"]) == ("ok", "ok", "wrong")
