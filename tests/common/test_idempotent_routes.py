"""`@idempotent`: repetitions of requests with an Idempotency-Key."""

import json
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import Any

import pytest
from flask import Flask, Response, jsonify, make_response
from prometheus_client.parser import text_string_to_metric_families
from pydantic import SecretStr
from sqlalchemy import Column, Integer, String, Table, insert, select
from sqlalchemy.exc import OperationalError
from werkzeug.test import TestResponse

from common.pyportal_common.cache_handlers import RedisClient, SessionStore
from common.pyportal_common.db import Base, Database, IdempotencyKey, idempotency
from common.pyportal_common.db.idempotency import KEYS, IdempotencyKeys
from common.pyportal_common.redis_server import RedisServer
from common.pyportal_common.settings import ServiceSettings
from common.pyportal_common.web import (
    CommonProblem,
    Detail,
    Problem,
    Schema,
    body,
    idempotency_key,
    idempotent,
    login_required,
    request_key,
)
from common.pyportal_common.web.app import SecretsNotCompared
from common.pyportal_common.web.keyed_requests import keyed_request
from common.pyportal_common.web.keys_in_flight import KeysInFlight

KEY = {"Idempotency-Key": "8e03978e-40d5-43e8-bc93-6894a57f9324"}
PASSWORD = "correct-horse-battery"
TOKEN = "a-token-of-a-service-that-is-long-enough"
MALFORMED_KEYS = [
    "", " ", '""', '"', '"open', 'a"b', '"a"b"', r'"a\b"', '"a";b=1', '"a","b"', "a,b", "a b",
    "a\tb", "a\x00b", "a\x7fb", "é", "a" * 256, '"' + "a" * 256 + '"', "a" * 10_000,
]  # fmt: skip

THINGS = Table(
    "things",
    Base.metadata,
    Column("id", Integer, primary_key=True),
    Column("name", String),
    Column("password", String),
)


class Thing(Schema):
    """What a client wants to be made."""

    name: str = ""
    size: int | None = None
    more: dict[str, Any] | None = None


class SecretThing(Thing):
    """The same, with a password."""

    password: SecretStr | None = None


class Things:
    """A service that makes things. `during` is called in the transaction that makes one."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.during: Callable[[], object] = lambda: None

    def make(self, thing: Thing, key: IdempotencyKey) -> int:
        """Make a thing, and return its id."""
        password = password_of(thing)
        with self.database.begin() as tx, key.claim(tx) as keep:
            made = insert(THINGS).values(name=thing.name, password=password).returning(THINGS.c.id)
            thing_id: int = tx.execute(made).scalar_one()
            self.during()
            keep(thing_id, user_id=thing_id + 100)
        return thing_id

    def all(self) -> list[str]:
        """The names of all things."""
        with self.database.read() as tx:
            return list(tx.scalars(select(THINGS.c.name).order_by(THINGS.c.id)))

    def has_password(self, thing: Thing, user_id: int) -> bool:
        """Whether the thing that is about this user was made with the same password."""
        with self.database.read() as tx:
            found = tx.scalar(select(THINGS.c.password).where(THINGS.c.id == user_id - 100))
        return found == password_of(thing)


def password_of(thing: Thing) -> str | None:
    secret = getattr(thing, "password", None)
    return secret.get_secret_value() if secret else None


class Api:
    """A service with idempotent routes, and its things. `called` are the processed requests."""

    def __init__(self, app: Flask, database: Database) -> None:
        self.things = Things(database)
        self.called: list[Any] = []
        add_routes(app, self)
        self.idempotency = app.extensions["idempotency"]
        self.idempotency.in_flight = KeysInFlight(wait_seconds=0.05)
        self.client = app.test_client(use_cookies=False)

    def post(self, path: str = "/things", **options: Any) -> TestResponse:
        """Send a request, with KEY and an empty body unless it has others."""
        if "data" not in options:
            options = {"json": {}} | options
        return self.client.post(path, **{"headers": KEY} | options)

    def rows(self) -> list[dict[str, Any]]:
        """All keys in SQL."""
        with self.things.database.read() as tx:
            return [dict(row) for row in tx.execute(select(KEYS)).mappings()]


@pytest.fixture
def database(sql_url: str) -> Iterator[Database]:
    database = Database(sql_url, pool_size=60)
    Base.metadata.drop_all(database.engine, [KEYS, THINGS])
    Base.metadata.create_all(database.engine, [KEYS, THINGS])
    yield database
    Base.metadata.drop_all(database.engine, [KEYS, THINGS])
    database.close()


@pytest.fixture
def api(make_service: Callable[..., Flask], database: Database) -> Api:
    settings = ServiceSettings.load(service_tokens=SecretStr(f"other:{TOKEN}"))
    return Api(make_service(settings, database=database), database)


def made(thing_id: int) -> Response:
    response = make_response(jsonify(number=thing_id), 201)
    response.set_cookie("secret", "cookie")
    response.headers.update({"Location": f"/things/{thing_id}", "X-Other": "other"})
    return response


def add_routes(app: Flask, api: Api) -> None:
    _add_things(app, api)
    _add_errors(app, api)


def _add_things(app: Flask, api: Api) -> None:
    things = api.things

    @app.route("/things", methods=["POST", "PATCH"])
    @app.post("/things/<name>")
    @body(Thing)
    @idempotent
    def make_thing(body: Thing, **_: str) -> Response:
        api.called.append(body.name)
        return made(things.make(body, request_key(made)))

    @app.post("/others")
    @body(Thing)
    @idempotent
    def make_other(body: Thing) -> Response:
        return made(things.make(body, request_key(made)))

    @app.post("/secrets")
    @body(SecretThing)
    @idempotent(same_secrets=things.has_password)
    def make_secret(body: SecretThing) -> Response:
        api.called.append(body.name)
        return made(things.make(body, request_key(made)))

    @app.post("/mine")
    @login_required(allow_services=True)
    @body(Thing)
    @idempotent
    def make_mine(body: Thing) -> Response:
        api.called.append(idempotency_key())
        return made(things.make(body, request_key(made)))

    @app.post("/empty")
    @idempotent
    def make_empty() -> Response:
        return made(things.make(Thing(), request_key(made)))

    @app.post("/plain")
    @body(Thing)
    def make_plain(body: Thing) -> Response:
        return made(things.make(body, request_key(made)))


def _add_errors(app: Flask, api: Api) -> None:
    @app.post("/status/<int:status>")
    @body(Thing)
    @idempotent
    def refuse(status: int, body: Thing) -> Response:
        api.called.append(body.name)
        raise Problem(CommonProblem.BAD_REQUEST, status=status)

    @app.post("/secret-errors")
    @login_required()
    @body(SecretThing)
    @idempotent(same_secrets=lambda *_: False)
    def refuse_secret(body: SecretThing) -> Response:
        raise Problem(CommonProblem.BAD_REQUEST, [Detail("name", body.name)], status=409)

    @app.post("/returned/<int:status>")
    @idempotent
    def return_status(status: int) -> tuple[str, int]:
        api.called.append(status)
        return "text", status

    @app.post("/faulty")
    @idempotent
    def fail() -> Response:
        api.called.append("faulty")
        raise LookupError

    @app.post("/forgetful")
    @idempotent
    def forget() -> str:
        return "done"


def session_headers_of(client: RedisClient, user_id: int) -> dict[str, str]:
    session_id = SessionStore(client).create(user_id, {}).session_id
    return {"Authorization": f"Bearer {session_id}"}


def is_replay(response: TestResponse) -> bool:
    headers = (response.headers.get(f"Idempoten{end}-Replayed") for end in ("cy", "t"))
    return set(headers) == {"true"}


def refusal(response: TestResponse) -> tuple[int, str]:
    """The status of an error, and the field that it names."""
    return response.status_code, json.loads(response.text)["details"][0]["field"]


class TestReplay:
    def test_the_response_is_replayed_byte_for_byte(self, api: Api) -> None:
        first = api.post(json={"name": "a"})
        again = api.post(json={"name": "a"})

        assert api.things.all() == ["a"]
        assert (first.status_code, again.status_code) == (201, 201)
        assert again.data == first.data
        assert (is_replay(first), is_replay(again)) == (False, True)

    def test_only_safe_headers_are_replayed(self, api: Api) -> None:
        first = api.post()
        again = api.post()

        assert "Set-Cookie" in first.headers
        assert set(again.headers.keys()) == {
            "Content-Type",
            "Content-Length",
            "Location",
            "Idempotency-Replayed",
            "Idempotent-Replayed",
            "X-Request-ID",
            "Content-Security-Policy",
            "Referrer-Policy",
            "X-Content-Type-Options",
        }
        assert again.headers["Location"] == first.headers["Location"] == "/things/1"
        assert again.headers["X-Request-ID"] != first.headers["X-Request-ID"]

    def test_requests_without_the_header_are_not_affected(self, api: Api) -> None:
        responses = [api.post(headers={}) for _ in range(2)]

        assert [response.status_code for response in responses] == [201, 201]
        assert len(api.things.all()) == 2
        assert api.rows() == []

    def test_a_route_without_the_decorator_ignores_keys(self, api: Api) -> None:
        for _ in range(2):
            api.post("/plain")

        assert len(api.things.all()) == 2
        assert api.rows() == []

    def test_a_route_without_a_body_may_have_keys(self, api: Api) -> None:
        responses = [api.post("/empty") for _ in range(2)]

        assert [is_replay(response) for response in responses] == [False, True]

    def test_options_requests_take_no_key(self, api: Api) -> None:
        assert api.client.options("/things", headers=KEY).status_code == 200
        assert not is_replay(api.post())

    def test_a_key_in_quotes_is_the_same_key(self, api: Api) -> None:
        api.post(headers={"Idempotency-Key": "a-b"})

        assert is_replay(api.post(headers={"Idempotency-Key": '"a-b"'}))
        assert not is_replay(api.post(headers={"Idempotency-Key": r'"a\"b"'}))
        assert is_replay(api.post(headers={"Idempotency-Key": r'"a\"b"'}))

    def test_the_order_of_members_makes_no_difference(self, api: Api) -> None:
        api.post(data='{"name": "a", "more": {"x": 1, "y": 2}}', content_type="application/json")

        again = api.post(json={"more": {"y": 2, "x": 1}, "name": "a"})

        assert is_replay(again)


class TestDifferentRequest:
    @pytest.mark.parametrize(
        ("method", "path", "body"),
        [
            ("POST", "/things", {"name": "b"}),
            ("POST", "/things", {"name": "a "}),
            ("POST", "/things", {}),
            ("POST", "/things", {"name": "a", "size": None}),
            ("POST", "/things", {"name": "a", "more": {"x": 1}}),
            ("POST", "/things?a=1", {"name": "a"}),
            ("POST", "/things/7", {"name": "a"}),
            ("PATCH", "/things", {"name": "a"}),
        ],
    )
    def test_it_is_a_422_that_names_the_header(
        self, api: Api, method: str, path: str, body: dict[str, Any]
    ) -> None:
        api.post(json={"name": "a"})

        response = api.client.open(path, method=method, json=body, headers=KEY)

        assert refusal(response) == (422, "Idempotency-Key")
        assert api.called == ["a"]

    def test_a_key_belongs_to_one_route(self, api: Api) -> None:
        api.post()

        assert api.post("/others").status_code == 201
        assert len(api.things.all()) == 2


class TestSecrets:
    """A field that is a SecretStr is not in the fingerprint; the route compares it."""

    BODY = {"name": "a", "password": PASSWORD}  # noqa: RUF012

    def test_the_same_secret_gets_the_response_and_another_is_a_422(self, api: Api) -> None:
        api.post("/secrets", json=self.BODY)

        assert is_replay(api.post("/secrets", json=self.BODY))
        other = api.post("/secrets", json=self.BODY | {"password": "another-horse"})
        assert refusal(other) == (422, "Idempotency-Key")
        assert api.called == ["a"]

    def test_a_secret_changes_no_fingerprint(self, api: Api) -> None:
        things = [SecretThing(name="a", password=SecretStr(text)) for text in ("one", "other")]

        with api.client.application.test_request_context("/secrets"):
            fingerprints = {keyed_request("key", thing).fingerprint for thing in things}

        assert len(fingerprints) == 1

    def test_a_route_must_say_how_to_compare_secrets(self, api: Api) -> None:
        @body(SecretThing)
        @idempotent
        def make(body: SecretThing) -> Response:
            raise AssertionError(f"not registered, but called with {body}")

        app = type(api.client.application)("another")
        app.rate_limits = {}  # type: ignore[attr-defined]
        with pytest.raises(SecretsNotCompared, match="/unsafe"):
            app.add_url_rule("/unsafe", view_func=make)

    def test_sql_contains_neither_the_key_nor_the_body(self, api: Api) -> None:
        api.post("/secrets", json={"name": "a-name", "password": PASSWORD})

        (row,) = api.rows()
        for text in (KEY["Idempotency-Key"], "a-name", PASSWORD, "argon2"):
            assert text not in str(row)
        assert (row["scope"], len(row["key_digest"])) == ("make_secret/anyone", 64)

    def test_a_secret_is_not_compared_with_an_error(
        self, api: Api, redis_client: RedisClient
    ) -> None:
        """Nothing was created, and the error says nothing about the secret."""
        headers = KEY | session_headers_of(redis_client, 7)
        api.post("/secret-errors", json=self.BODY, headers=headers)

        other = self.BODY | {"password": "another"}
        again = api.post("/secret-errors", json=other, headers=headers)

        assert again.status_code == 409
        assert is_replay(again)


class TestUsers:
    def test_a_key_belongs_to_one_user(self, api: Api, redis_client: RedisClient) -> None:
        sessions = SessionStore(redis_client)
        tokens = [sessions.create(user_id, {}).session_id for user_id in (7, 8, 7)]

        responses = [
            api.post("/mine", headers=KEY | {"Authorization": f"Bearer {token}"})
            for token in tokens
        ]

        assert [response.json for response in responses] == [{"number": n} for n in (1, 2, 1)]
        assert [is_replay(response) for response in responses] == [False, False, True]

    def test_without_a_session_nothing_is_replayed(
        self, api: Api, redis_client: RedisClient
    ) -> None:
        session = SessionStore(redis_client).create(7, {})
        headers = KEY | {"Authorization": f"Bearer {session.session_id}"}
        api.post("/mine", headers=headers)

        assert api.post("/mine").status_code == 401
        SessionStore(redis_client).revoke(session.session_id)
        assert api.post("/mine", headers=headers).status_code == 401

    def test_keys_of_services_are_left_to_the_route(self, api: Api) -> None:
        digest = "2c70e12b7a0646f92279f427c7b38e7334d8e5389cff167a1dc30e73f826b683"  # of "key"
        headers = {"X-Service-Token": TOKEN, "Idempotency-Key": '"key"'}

        responses = [api.post("/mine", headers=headers) for _ in range(2)]

        assert [response.status_code for response in responses] == [201, 201]
        assert api.called == [digest, digest]
        assert api.rows() == []
        malformed = api.post("/mine", headers=headers | {"Idempotency-Key": "a b"})
        assert refusal(malformed) == (400, "Idempotency-Key")


class TestInFlight:
    def test_a_repetition_during_the_request_is_a_409_with_retry_after(self, api: Api) -> None:
        repetitions: list[TestResponse] = []

        def repeat() -> None:
            api.things.during = lambda: None
            repetitions.append(api.post())

        api.things.during = repeat
        first = api.post()

        assert first.status_code == 201
        assert refusal(repetitions[0]) == (409, "Idempotency-Key")
        assert repetitions[0].headers["Retry-After"] == "1"
        assert is_replay(api.post())
        assert len(api.things.all()) == 1

    def test_a_repetition_waits_for_the_response(self, api: Api) -> None:
        api.idempotency.in_flight = KeysInFlight(wait_seconds=60)
        repetitions: list[Future[TestResponse]] = []

        with ThreadPoolExecutor(1) as pool:
            api.things.during = lambda: repetitions.append(pool.submit(api.post))
            first = api.post()
            again = repetitions[0].result()

        assert is_replay(again)
        assert again.data == first.data
        assert len(api.called) == 1

    def test_it_takes_over_if_the_first_request_fails(self, api: Api) -> None:
        api.idempotency.in_flight = KeysInFlight(wait_seconds=60)
        repetitions: list[Future[TestResponse]] = []

        def repeat_and_fail() -> None:
            api.things.during = lambda: None
            repetitions.append(pool.submit(api.post))
            raise LookupError

        with ThreadPoolExecutor(1) as pool:
            api.things.during = repeat_and_fail
            first = api.post()
            again = repetitions[0].result()

        assert (first.status_code, again.status_code) == (500, 201)
        assert not is_replay(again)
        assert len(api.things.all()) == 1

    def test_few_requests_wait_and_more_are_a_409_at_once(self, api: Api) -> None:
        """Or they would take the threads of all other requests."""
        api.idempotency.in_flight = KeysInFlight(wait_seconds=60, max_waiting=1)
        refused: list[TestResponse] = []

        def repeat_twice() -> None:
            repetitions = [pool.submit(api.post) for _ in range(2)]
            done, waiting = wait(repetitions, return_when=FIRST_COMPLETED)
            refused.extend(each.result() for each in done)
            waited.extend(waiting)

        waited: list[Future[TestResponse]] = []
        with ThreadPoolExecutor(2) as pool:
            api.things.during = repeat_twice
            api.post()
            (last,) = waited
            assert is_replay(last.result())

        assert [refusal(each) for each in refused] == [(409, "Idempotency-Key")]

    def test_a_request_that_loses_against_another_process_gets_its_response(
        self, api: Api, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Neither sees the key of the other before one of them commits."""
        first = api.post(json={"name": "a"})
        find, blind = IdempotencyKeys.find, iter([True])
        monkeypatch.setattr(
            IdempotencyKeys,
            "find",
            lambda keys, asked: None if next(blind, False) else find(keys, asked),
        )

        second = api.post(json={"name": "a"})

        assert is_replay(second)
        assert second.data == first.data
        assert api.called == ["a", "a"]  # it was processed,
        assert api.things.all() == ["a"]  # and rolled back

    def test_an_error_that_loses_against_another_process_gets_its_response(
        self, api: Api, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """As a unique name that the other request with the key has taken."""
        first = api.post(json={"name": "a"})
        find, blind = IdempotencyKeys.find, iter([True])
        monkeypatch.setattr(
            IdempotencyKeys,
            "find",
            lambda keys, asked: None if next(blind, False) else find(keys, asked),
        )
        api.things.make = lambda *_: fail_with(Problem(CommonProblem.SESSION_CHANGED))  # type: ignore[method-assign]

        second = api.post(json={"name": "a"})

        assert (second.status_code, second.data) == (201, first.data)
        assert is_replay(second)

    def test_on_postgresql_a_transaction_of_another_process_is_a_409(
        self, api: Api, database: Database, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        if database.engine.dialect.name == "sqlite":
            pytest.skip("SQLite has one writer at a time")
        monkeypatch.setattr(idempotency, "WAIT_SECONDS", 0.05)
        api.post()  # for the row, which is inserted again below
        (row,) = api.rows()
        with database.begin() as tx:
            tx.execute(KEYS.delete())

        with database.begin() as tx:
            tx.execute(insert(KEYS).values(row))
            in_flight = api.post()

        assert refusal(in_flight) == (409, "Idempotency-Key")
        assert in_flight.headers["Retry-After"] == "1"
        assert is_replay(api.post())

    def test_a_key_that_was_deleted_meanwhile_is_a_409(
        self, api: Api, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        api.post()
        monkeypatch.setattr(IdempotencyKeys, "find", lambda *_: None)

        assert refusal(api.post()) == (409, "Idempotency-Key")


def fail_with(error: Exception) -> int:
    raise error


class TestKeptResponses:
    @pytest.mark.parametrize("status", [403, 404, 409, 410])
    def test_a_final_error_is_replayed(self, api: Api, status: int) -> None:
        first = api.post(f"/status/{status}")
        again = api.post(f"/status/{status}")

        assert len(api.called) == 1
        assert (again.status_code, again.data) == (status, first.data)
        assert is_replay(again)
        assert again.content_type == "application/json"

    def test_an_error_that_a_route_returns_is_replayed(self, api: Api) -> None:
        responses = [api.post("/returned/409") for _ in range(2)]

        assert [is_replay(response) for response in responses] == [False, True]
        assert responses[1].text == "text"

    @pytest.mark.parametrize("status", [400, 401, 408, 413, 415, 422, 425, 429, 500, 502, 503, 504])
    def test_other_errors_do_not_use_the_key_up(self, api: Api, status: int) -> None:
        for name in ("a", "a", "corrected"):
            response = api.post(f"/status/{status}", json={"name": name})
            assert response.status_code == status
            assert not is_replay(response)

        assert api.called == ["a", "a", "corrected"]
        assert api.rows() == []

    def test_an_unexpected_error_does_not_use_the_key_up(self, api: Api) -> None:
        for _ in range(2):
            assert api.post("/faulty").status_code == 500

        assert len(api.called) == 2
        assert api.rows() == []

    def test_an_error_that_cannot_be_kept_is_sent_all_the_same(
        self, api: Api, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        failure = OperationalError("INSERT", {}, Exception("disk full"))
        monkeypatch.setattr(IdempotencyKeys, "keep", lambda *_: fail_with(failure))

        assert api.post("/status/409").status_code == 409
        assert api.rows() == []

    def test_a_route_that_does_not_claim_the_key_is_a_mistake(self, api: Api) -> None:
        assert api.post("/forgetful").status_code == 500
        assert api.post("/forgetful", headers={}).status_code == 200

    def test_the_decorators_must_be_in_order(self) -> None:
        with pytest.raises(TypeError, match="below @body"):

            @idempotent
            @body(Thing)
            def make(body: Thing) -> Response:
                raise AssertionError(f"not registered, but called with {body}")


class TestHeader:
    @pytest.mark.parametrize("key", MALFORMED_KEYS)
    def test_a_malformed_key_is_a_400_that_names_the_header(self, api: Api, key: str) -> None:
        environ = {"HTTP_IDEMPOTENCY_KEY": key}

        response = api.post(headers={}, environ_overrides=environ)

        assert refusal(response) == (400, "Idempotency-Key")
        assert api.called == []

    def test_two_headers_are_a_400(self, api: Api) -> None:
        headers = [("Idempotency-Key", "one"), ("Idempotency-Key", "two")]

        assert api.post(headers=headers).status_code == 400

    @pytest.mark.parametrize(
        "key",
        ["a", "a" * 255, '"' + "a" * 255 + '"', "{}:*", "../..%00", "*", '"a, b"', "+/=;~", "';--"],
    )
    def test_every_well_formed_key_works(self, api: Api, key: str) -> None:
        responses = [api.post(headers={"Idempotency-Key": key}) for _ in range(2)]

        assert [is_replay(response) for response in responses] == [False, True]


class TestBody:
    @pytest.mark.parametrize(
        ("status", "data"),
        [(413, b"x" * 20_000), (400, b"{"), (422, b'{"name": 7}'), (422, b'{"unknown": 1}')],
    )
    def test_an_invalid_body_does_not_use_the_key_up(
        self, api: Api, status: int, data: bytes
    ) -> None:
        response = api.post(data=data, content_type="application/json")

        assert response.status_code == status
        assert api.rows() == []
        assert api.post().status_code == 201


class TestOutage:
    @pytest.fixture
    def redis_client(self, own_client: RedisClient) -> RedisClient:
        return own_client

    def test_keys_work_without_redis(self, api: Api, own_redis: RedisServer) -> None:
        own_redis.kill()

        responses = [api.post() for _ in range(2)]

        assert [response.status_code for response in responses] == [201, 201]
        assert [is_replay(response) for response in responses] == [False, True]
        assert len(api.things.all()) == 1

    def test_without_sql_it_is_a_503(self, api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
        failure = OperationalError("SELECT", {}, Exception("gone"))
        monkeypatch.setattr(IdempotencyKeys, "find", lambda *_: fail_with(failure))

        assert api.post().status_code == 503
        assert api.things.all() == []


def test_outcomes_are_counted(api: Api) -> None:
    api.post()
    api.post()
    api.post(json={"name": "other"})
    api.post("/faulty")
    api.things.during = lambda: api.post(headers={"Idempotency-Key": "b"})
    api.post(headers={"Idempotency-Key": "b"})

    families = text_string_to_metric_families(api.client.get("/metrics").text)
    counted = {
        sample.labels["outcome"]: sample.value
        for family in families
        for sample in family.samples
        if sample.name == "idempotency_keys_total"
    }
    assert counted == {"processed": 3, "replayed": 1, "reused": 1, "in_flight": 1}
