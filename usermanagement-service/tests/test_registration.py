"""POST /registerUser, as its callers see it."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from argon2 import PasswordHasher
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import delete, func, select

from app.models import User
from app.passwords import weakness
from app.settings import UserManagementSettings
from common.pyportal_common.cache_handlers import RateLimit, RedisClient, RedisPoolExhausted
from common.pyportal_common.db import Database
from common.pyportal_common.redis_server import RedisServer

from .conftest import JOHN, REGISTER


def users_in(database: Database) -> int:
    with database.read() as tx:
        return tx.scalar(select(func.count()).select_from(User)) or 0


class TestSuccess:
    def test_it_answers_201_with_the_user(self, client: FlaskClient) -> None:
        response = client.post(REGISTER, json=JOHN)

        assert response.status_code == 201
        assert json_of(response)["message"] == "User registered"
        user = json_of(response)["user"]
        assert list(user) == [
            "id",
            "username",
            "email",
            "emailVerified",
            "firstName",
            "lastName",
            "dateOfBirth",
            "createdAt",
            "updatedAt",
        ]
        assert user["username"] == "john_doe"
        assert user["dateOfBirth"] == "1990-01-01"
        assert user["updatedAt"] == user["createdAt"]
        created = datetime.fromisoformat(user["createdAt"])
        assert timedelta(0) <= datetime.now(UTC) - created < timedelta(minutes=1)
        assert response.headers["Location"] == f"/api/v1/airliner/users/{user['id']}"

    def test_names_and_birth_are_optional(self, client: FlaskClient) -> None:
        required = {name: JOHN[name] for name in ("username", "email", "password")}

        response = client.post(REGISTER, json=required)

        assert response.status_code == 201
        assert json_of(response)["user"]["firstName"] is None
        assert json_of(response)["user"]["dateOfBirth"] is None

    def test_the_password_is_kept_as_argon2id_only(
        self, client: FlaskClient, database: Database
    ) -> None:
        client.post(REGISTER, json=JOHN)

        with database.read() as tx:
            user = tx.scalars(select(User)).one()
        assert user.password_hash.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
        assert PasswordHasher().verify(user.password_hash, JOHN["password"])

    def test_the_user_and_the_lookups_are_in_redis(
        self, client: FlaskClient, redis_client: RedisClient
    ) -> None:
        response = client.post(REGISTER, json=JOHN)

        user = json_of(response)["user"]
        key = f"user:{user['id']}"
        assert redis_client.get_json(key) == user
        assert 3400 <= redis_client.ttl(key) <= 3600
        assert redis_client.get("user:lookup:username:john_doe") == str(user["id"])
        assert redis_client.get("user:lookup:email:john@example.com") == str(user["id"])
        everything = " ".join(str(redis_client.get(found)) for found in redis_client.scan("user:*"))
        assert "password" not in everything.lower()
        assert "argon2" not in everything

    def test_an_id_is_never_given_out_twice(self, client: FlaskClient, database: Database) -> None:
        first = client.post(REGISTER, json=JOHN).json
        with database.begin() as tx:
            tx.execute(delete(User), execution_options={"cache_keys": ()})
        second = client.post(REGISTER, json=JOHN).json

        assert first is not None
        assert second is not None
        assert second["user"]["id"] > first["user"]["id"]


class TestConflicts:
    @pytest.mark.parametrize(
        ("change", "field"),
        [
            ({"email": "other@example.com"}, "username"),
            ({"email": "other@example.com", "username": "John_DOE"}, "username"),
            ({"username": "other"}, "email"),
            ({"username": "other", "email": "JOHN@Example.COM"}, "email"),
            ({"username": "other", "email": "john@EXAMPLE.com"}, "email"),
        ],
    )
    def test_what_is_taken_is_a_409_that_names_it(
        self, client: FlaskClient, database: Database, change: dict[str, Any], field: str
    ) -> None:
        client.post(REGISTER, json=JOHN)

        response = client.post(REGISTER, json=JOHN | change)

        assert response.status_code == 409
        assert json_of(response)["error"] == "User already exists"
        assert json_of(response)["details"] == [{"field": field, "message": "is taken"}]
        assert users_in(database) == 1

    @pytest.mark.parametrize("other", ["john@strasse.example.com", "jöhn@straße.example.com"])
    def test_addresses_that_only_look_alike_are_apart(
        self, client: FlaskClient, other: str
    ) -> None:
        client.post(REGISTER, json=JOHN | {"email": "john@straße.example.com"})

        response = client.post(REGISTER, json=JOHN | {"username": "other", "email": other})

        assert response.status_code == 201

    def test_sixteen_at_once_for_one_name_make_one_user(
        self, app: Flask, database: Database
    ) -> None:
        def register(n: int) -> int:
            body = JOHN | {"email": f"john{n}@example.com"}
            return app.test_client().post(REGISTER, json=body).status_code

        with ThreadPoolExecutor(16) as pool:
            statuses = list(pool.map(register, range(16)))

        assert sorted(statuses) == [201] + [409] * 15
        assert users_in(database) == 1

    def test_many_at_once_for_different_names_all_succeed(
        self, app: Flask, database: Database
    ) -> None:
        # However busy the machine is: that there is a bound is another test's concern.
        services_of(app).passwords._wait_seconds = 60

        def register(n: int) -> int:
            body = JOHN | {"email": f"john{n}@example.com", "username": f"john-{n}"}
            return app.test_client().post(REGISTER, json=body).status_code

        with ThreadPoolExecutor(16) as pool:
            statuses = list(pool.map(register, range(48)))

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
        assert [response.headers["X-RateLimit-Remaining"] for response in responses] == list("432100")
        assert {response.headers["X-RateLimit-Limit"] for response in responses} == {"5"}
        assert all(0 < int(response.headers["X-RateLimit-Reset"]) <= 60 for response in responses)
        retry_after = int(responses[5].headers["Retry-After"])
        assert 1 <= retry_after <= 60
        assert responses[5].json == {"error": "Rate limit exceeded", "retry_after": retry_after}

    def test_asking_with_options_costs_nothing(self, client: FlaskClient) -> None:
        for _ in range(10):
            assert client.options(REGISTER).status_code == 200

        assert client.post(REGISTER, json={}).headers["X-RateLimit-Remaining"] == "4"

    def test_what_is_wrong_counts_too_and_says_what_is_left(self, client: FlaskClient) -> None:
        response = client.post(REGISTER, json={})

        assert response.status_code == 422
        assert response.headers["X-RateLimit-Remaining"] == "4"

    def test_the_variable_sets_it(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("RATE_LIMIT_REGISTER", "2/30")
        assert UserManagementSettings.load().rate_limit_register == RateLimit("register", 2, 30)

    def test_a_forged_forwarded_address_gains_nothing(self, client: FlaskClient) -> None:
        statuses = [
            client.post(REGISTER, json={}, headers={"X-Forwarded-For": f"10.0.0.{n}"}).status_code
            for n in range(6)
        ]

        assert statuses == [422] * 5 + [429]

    def test_behind_one_proxy_the_address_that_it_saw_counts(
        self, make_app: MakeApp
    ) -> None:
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

    def test_the_key_is_where_people_look_for_it(
        self, client: FlaskClient, redis_client: RedisClient
    ) -> None:
        client.post(REGISTER, json={})

        assert list(redis_client.hgetall("rate_limit:usermanagement:127.0.0.1")) == ["register/60"]


class TestPasswords:
    def test_the_same_password_typed_elsewhere_has_the_same_hash(
        self, client: FlaskClient, database: Database
    ) -> None:
        client.post(REGISTER, json=JOHN | {"password": "ca\u0301ndido-horse-battery"})

        with database.read() as tx:
            user = tx.scalars(select(User)).one()
        assert PasswordHasher().verify(user.password_hash, "c\u00e1ndido-horse-battery")

    def test_nobody_is_judged_by_the_names_of_another(self) -> None:
        """zxcvbn keeps them in a global."""

        def judge(n: int) -> str | None:
            own = "zebediahquillfeather" if n % 2 else "somebodyelsewhoisnothim"
            return weakness("zebediahquillfeathe", [own, own[:-1]])

        with ThreadPoolExecutor(8) as pool:
            verdicts = list(pool.map(judge, range(100)))

        assert all(verdicts[n] for n in range(1, 100, 2))
        assert not any(verdicts[n] for n in range(0, 100, 2))


class TestAfterTheCommit:
    def test_a_full_pool_does_not_fail_what_is_done(
        self, make_app: MakeApp, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        app = make_app()

        def exhausted(*_: object) -> None:
            raise RedisPoolExhausted("all in use")

        helper = services_of(app).redis_helper
        monkeypatch.setattr(helper._cache._client, "set_many", exhausted)

        assert app.test_client().post(REGISTER, json=JOHN).status_code == 201

    def test_a_redis_that_refuses_writes_does_not_fail_what_is_done(
        self,
        make_app: MakeApp,
        own_redis: RedisServer,
        connect: Callable[..., RedisClient],
    ) -> None:
        app = make_app(redis_url=own_redis.url)
        connect(own_redis).execute("CONFIG SET", "min-replicas-to-write", "1")

        assert app.test_client().post(REGISTER, json=JOHN).status_code == 201


class TestBusy:
    def test_more_hashing_than_slots_is_a_503_after_the_wait(
        self, make_app: MakeApp
    ) -> None:
        app = make_app(hash_concurrency=1)
        passwords = services_of(app).passwords
        passwords._wait_seconds = 0.05
        assert passwords._slots.acquire()

        response = app.test_client().post(REGISTER, json=JOHN)

        assert response.status_code == 503
        assert response.headers["Retry-After"] == "2"
