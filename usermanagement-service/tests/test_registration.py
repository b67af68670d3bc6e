"""POST /registerUser, as its callers see it."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from argon2 import PasswordHasher
from flask.testing import FlaskClient
from sqlalchemy import delete, select
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from app.models import User
from app.passwords.hashing import Hasher
from app.services import Services
from app.settings import UserManagementSettings
from app.users.schemas import UserUpdate
from common.pyportal_common.cache_handlers import (
    RateLimit,
    RedisClient,
    keys,
)
from common.pyportal_common.db import Database
from common.pyportal_common.redis_server import RedisServer
from common.pyportal_common.testing.kit import json_of, problem_of

from .conftest import JOHN, QUICK, REGISTER, Json, MakeApp, register, services_of, users_in


class TestSuccess:
    def test_it_is_a_201_with_the_user(self, client: FlaskClient) -> None:
        response = client.post(REGISTER, json=JOHN)

        assert response.status_code == 201
        assert json_of(response)["message"] == "User registered"
        user = json_of(response)["user"]
        assert list(user) == [
            "id",
            "username",
            "email",
            "emailVerified",
            "role",
            "firstName",
            "lastName",
            "dateOfBirth",
            "createdAt",
            "updatedAt",
        ]
        assert user["username"] == "john_doe"
        assert user["role"] == "user"
        assert user["dateOfBirth"] == "1990-01-01"
        assert user["updatedAt"] == user["createdAt"]
        created = datetime.fromisoformat(user["createdAt"])
        assert timedelta(0) <= datetime.now(UTC) - created < timedelta(minutes=1)
        assert response.headers["Location"] == f"/api/v1/airliner/users/{user['id']}"
        assert response.headers["Cache-Control"] == "no-store"

    def test_personal_names_and_date_of_birth_are_optional(self, client: FlaskClient) -> None:
        user = register(client, {name: JOHN[name] for name in ("username", "email", "password")})

        assert user["firstName"] is None
        assert user["dateOfBirth"] is None

    @pytest.mark.parametrize(
        ("password", "normalized"),
        [
            (JOHN["password"], JOHN["password"]),
            ("ca\u0301ndido-horse-battery", "c\u00e1ndido-horse-battery"),
        ],
    )
    def test_only_the_argon2id_hash_of_the_normalized_password_is_stored(
        self, make_app: MakeApp, database: Database, password: str, normalized: str
    ) -> None:
        client = make_app(parts={"hasher": Hasher(concurrency=1)}).test_client(use_cookies=False)

        register(client, JOHN | {"password": password})

        with database.read() as tx:
            user = tx.scalars(select(User)).one()
        assert user.password_hash.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
        assert PasswordHasher().verify(user.password_hash, normalized)

    def test_the_user_and_the_lookups_are_in_redis(
        self, client: FlaskClient, redis_client: RedisClient
    ) -> None:
        user = register(client)

        key = f"user:{user['id']}"
        assert redis_client.get_json(key) == user
        assert 3400 <= redis_client.ttl(key) <= 3600
        assert redis_client.get("user:lookup:username:john_doe") == str(user["id"])
        assert redis_client.get("user:lookup:email:john@example.com") == str(user["id"])
        everything = " ".join(str(redis_client.get(found)) for found in redis_client.scan("user:*"))
        assert "password" not in everything.lower()
        assert "argon2" not in everything

    def test_an_id_is_never_reused(self, client: FlaskClient, database: Database) -> None:
        first = register(client)
        with database.begin() as tx:
            tx.execute(delete(User), execution_options={"cache_keys": ()})

        assert register(client)["id"] > first["id"]


class TestConflicts:
    @pytest.mark.parametrize(
        ("change", "fields"),
        [
            ({}, ["username", "email"]),
            ({"username": "John_DOE", "email": "JOHN@example.com"}, ["username", "email"]),
            ({"email": "other@example.com"}, ["username"]),
            ({"email": "other@example.com", "username": "John_DOE"}, ["username"]),
            ({"username": "other"}, ["email"]),
            ({"username": "other", "email": "JOHN@Example.COM"}, ["email"]),
            ({"username": "other", "email": "john@EXAMPLE.com"}, ["email"]),
        ],
    )
    def test_a_409_names_every_taken_field(
        self, client: FlaskClient, database: Database, change: Json, fields: list[str]
    ) -> None:
        register(client)

        response = client.post(REGISTER, json=JOHN | change)

        assert response.status_code == 409
        assert json_of(response)["error"] == "User already exists"
        assert json_of(response)["details"] == [
            {"field": field, "message": "Already taken"} for field in fields
        ]
        assert users_in(database) == 1

    def test_both_fields_are_named_when_two_users_have_them(self, client: FlaskClient) -> None:
        register(client)
        register(client, JOHN | {"username": "other", "email": "other@example.com"})

        response = client.post(REGISTER, json=JOHN | {"email": "other@example.com"})

        assert problem_of(response)[1] == ["username", "email"]

    @pytest.mark.parametrize("other", ["john@strasse.example.com", "jöhn@straße.example.com"])
    def test_addresses_that_only_look_alike_are_different(
        self, client: FlaskClient, other: str
    ) -> None:
        register(client, JOHN | {"email": "john@straße.example.com"})

        response = client.post(REGISTER, json=JOHN | {"username": "other", "email": other})

        assert response.status_code == 201

    def test_sixteen_concurrent_requests_for_one_name_create_one_user(
        self, make_app: MakeApp, database: Database
    ) -> None:
        app = make_app(parts={"hasher": Hasher(concurrency=2, wait_seconds=60, argon2=QUICK)})

        def post(n: int) -> int:
            body = JOHN | {"email": f"john{n}@example.com"}
            return app.test_client().post(REGISTER, json=body).status_code

        with ThreadPoolExecutor(16) as pool:
            statuses = list(pool.map(post, range(16)))

        assert sorted(statuses) == [201] + [409] * 15
        assert users_in(database) == 1

    def test_concurrent_requests_for_different_names_all_succeed(
        self, make_app: MakeApp, database: Database
    ) -> None:
        # However busy the machine is; TestBusy tests the bound on the wait.
        app = make_app(parts={"hasher": Hasher(concurrency=2, wait_seconds=60, argon2=QUICK)})

        def post(n: int) -> int:
            body = JOHN | {"email": f"john{n}@example.com", "username": f"john-{n}"}
            return app.test_client().post(REGISTER, json=body).status_code

        with ThreadPoolExecutor(16) as pool:
            statuses = list(pool.map(post, range(48)))

        assert statuses == [201] * 48
        assert users_in(database) == 48


class TestRateLimit:
    @pytest.fixture
    def client(self, make_app: MakeApp) -> FlaskClient:
        return make_app(rate_limit_register=RateLimit("register", 5, 60)).test_client()

    def test_sixth_registration_in_a_minute_is_refused(self, client: FlaskClient) -> None:
        responses = [
            client.post(
                REGISTER, json=JOHN | {"username": f"john{n}", "email": f"j{n}@example.com"}
            )
            for n in range(6)
        ]

        assert [response.status_code for response in responses] == [201] * 5 + [429]
        headers = [response.headers for response in responses]
        assert [each["X-RateLimit-Remaining"] for each in headers] == list("432100")
        assert {each["X-RateLimit-Limit"] for each in headers} == {"5"}
        assert all(0 < int(each["X-RateLimit-Reset"]) <= 60 for each in headers)
        retry_after = int(headers[5]["Retry-After"])
        assert 1 <= retry_after <= 60
        assert responses[5].json == {
            "error": "Rate limit exceeded",
            "code": "rate-limit-exceeded",
            "retry_after": retry_after,
        }

    def test_options_requests_do_not_count(self, client: FlaskClient) -> None:
        for _ in range(10):
            assert client.options(REGISTER).status_code == 200

        assert client.post(REGISTER, json={}).headers["X-RateLimit-Remaining"] == "4"

    def test_an_invalid_request_counts_in_the_hash_of_its_client(
        self, client: FlaskClient, redis_client: RedisClient
    ) -> None:
        response = client.post(REGISTER, json={})

        assert response.status_code == 422
        assert response.headers["X-RateLimit-Remaining"] == "4"
        assert list(redis_client.hgetall("rate_limit:usermanagement:127.0.0.1")) == ["register/60"]

    def test_the_variable_sets_it(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("RATE_LIMIT_REGISTER", "2/30")
        assert UserManagementSettings.load().rate_limit_register == RateLimit("register", 2, 30)

    def test_a_forged_forwarded_address_gains_nothing(self, client: FlaskClient) -> None:
        statuses = [
            client.post(REGISTER, json={}, headers={"X-Forwarded-For": f"10.0.0.{n}"}).status_code
            for n in range(6)
        ]

        assert statuses == [422] * 5 + [429]

    def test_behind_one_proxy_the_address_that_it_saw_counts(self, make_app: MakeApp) -> None:
        limit = RateLimit("register", 1, 60)
        client = make_app(proxy_hops=1, rate_limit_register=limit).test_client()

        def post(forwarded_for: str) -> int:
            headers = {"X-Forwarded-For": forwarded_for}
            return client.post(REGISTER, json={}, headers=headers).status_code

        assert post("10.0.0.1") == 422
        assert post("10.0.0.2") == 422
        assert post("6.6.6.6, 10.0.0.1") == 429
        assert post("10.0.0.1:4711") == 429
        assert post("no address") == 422
        assert post("nor this") == 429

    @pytest.mark.parametrize(
        ("one", "other", "status"),
        [
            ("2001:db8:1:2::1", "2001:db8:1:2:ffff::9", 429),
            ("2001:db8:1:2::1", "2001:db8:1:3::1", 422),
            ("::ffff:10.0.0.1", "10.0.0.1", 429),
        ],
    )
    def test_an_ipv6_network_of_64_bits_counts_as_one_client(
        self, make_app: MakeApp, one: str, other: str, status: int
    ) -> None:
        client = make_app(rate_limit_register=RateLimit("register", 1, 60)).test_client()
        client.post(REGISTER, json={}, environ_base={"REMOTE_ADDR": one})

        response = client.post(REGISTER, json={}, environ_base={"REMOTE_ADDR": other})

        assert response.status_code == status


class TestAfterTheCommit:
    def test_the_user_is_cached_as_a_read_finds_them(
        self, client: FlaskClient, services: Services, redis_client: RedisClient
    ) -> None:
        user_id = register(client)["id"]
        names = [
            keys.user(user_id),
            keys.username_lookup("john_doe"),
            keys.email_lookup("john@example.com"),
        ]
        filled = [redis_client.get(name) for name in names]
        redis_client.delete(*names)

        services.users.find(user_id)
        services.users.find_by_name(username="john_doe")
        services.users.find_by_name(email="john@example.com")

        assert filled == [redis_client.get(name) for name in names]
        assert None not in filled
        assert redis_client.exists(*map(keys.lease, names)) == 0

    def test_a_change_right_after_the_commit_is_not_overwritten(
        self,
        client: FlaskClient,
        services: Services,
        make_app: MakeApp,
        redis_client: RedisClient,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        other = services_of(make_app())
        unfence = services.cache.unfence

        def change_first(*arguments: Any) -> None:
            update = UserUpdate.model_validate({"firstName": "Jack"})
            user_id = max(services.users.page(0, limit=100).items, key=lambda user: user.id).id
            other.users.change(user_id, update)
            unfence(*arguments)

        monkeypatch.setattr(services.cache, "unfence", change_first)

        user_id = register(client)["id"]

        assert redis_client.get(f"user:{user_id}") is None
        assert services.users.find(user_id).value["firstName"] == "Jack"

    def test_a_user_whose_commit_failed_is_not_cached(
        self,
        client: FlaskClient,
        services: Services,
        redis_client: RedisClient,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        def fail(*_: object) -> None:
            raise OperationalError("COMMIT", {}, Exception("made for this test"))

        with monkeypatch.context() as patch:
            patch.setattr(Session, "commit", fail)
            assert client.post(REGISTER, json=JOHN).status_code == 503

        assert list(redis_client.scan("user:*")) == []
        assert users_in(services.database) == 0

    def test_a_redis_that_refuses_writes_does_not_fail_the_registration(
        self, make_app: MakeApp, own_redis: RedisServer, connect: Callable[..., RedisClient]
    ) -> None:
        app = make_app(redis_url=own_redis.url)
        connect(own_redis).execute("CONFIG SET", "min-replicas-to-write", "1")

        assert app.test_client().post(REGISTER, json=JOHN).status_code == 201


class TestBusy:
    def test_without_a_free_hashing_slot_it_is_a_503(self, make_app: MakeApp) -> None:
        app = make_app(parts={"hasher": Hasher(concurrency=0, wait_seconds=0.05)})

        response = app.test_client().post(REGISTER, json=JOHN)

        assert response.status_code == 503
        assert response.headers["Retry-After"] == "2"


def test_dates_of_birth_from_1900_to_yesterday_are_accepted(client: FlaskClient) -> None:
    today = datetime.now(UTC).date()

    def status(day: date, number: int) -> int:
        person = {**JOHN, "username": f"john_{number}", "email": f"john{number}@example.com"}
        return client.post(REGISTER, json=person | {"dateOfBirth": str(day)}).status_code

    assert status(date(1900, 1, 1), 1) == status(today - timedelta(days=1), 2) == 201
    assert status(date(1899, 12, 31), 3) == status(today, 4) == 422


def test_the_range_of_births_is_in_the_message_and_in_the_description(client: FlaskClient) -> None:
    response = client.post(REGISTER, json={**JOHN, "dateOfBirth": "1850-01-01"})
    schemas = json_of(client.get("/openapi.json"))["components"]["schemas"]

    [detail] = json_of(response)["details"]
    assert detail == {"field": "dateOfBirth", "message": "Must be from 1900-01-01 to yesterday"}
    for name in ("Registration", "UserUpdate"):
        assert "1900-01-01" in str(schemas[name]["properties"]["dateOfBirth"])
