"""Passkeys as second factors."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Barrier

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import func, select

from app.models import FactorChallenge
from app.services import Services
from common.pyportal_common.cache_handlers import RateLimit
from common.pyportal_common.db import Database
from common.pyportal_common.testing.kit import API, bearer, json_of, problem_of, run_schedule

from .conftest import JANE, JOHN, Headers, Json, MakeApp, age_login, mails_in, register, session_of
from .factors import (
    CHALLENGE,
    OPTIONS,
    PASSKEYS,
    Authenticator,
    add_app,
    add_passkey,
    challenge,
    log_in_with,
)

FACTORS = f"{API}/factors"
REAUTHENTICATE = f"{API}/session/reauthenticate"


@pytest.fixture
def device() -> Authenticator:
    """John's phone."""
    return Authenticator()


@pytest.fixture
def added(client: FlaskClient, headers: Headers, device: Authenticator) -> Headers:
    """Headers of the session in which John has added a passkey."""
    return add_passkey(client, headers, device)


class TestRegistration:
    def test_it_turns_the_second_factor_on(
        self, client: FlaskClient, services: Services, headers: Headers, device: Authenticator
    ) -> None:
        options = json_of(client.post(OPTIONS, headers=headers))["options"]
        body = {"name": "My phone", "credential": device.create(options)}

        response = client.post(PASSKEYS, json=body, headers=headers)

        assert len(json_of(response)["backupCodes"]) == 10
        session = bearer(json_of(response)["session"]["session_id"])
        shown = json_of(client.get(FACTORS, headers=session))
        assert [each["name"] for each in shown["passkeys"]] == ["My phone"]
        assert json_of(client.get(f"{API}/session", headers=session))["amr"] == [
            *("pop", "pwd"),
            "mfa",
        ]
        assert log_in_with(client).status_code == 401
        changes = [mail["data"]["change"] for mail in mails_in(services, "factors_changed")]
        assert changes == ["passkey_added"]

    def test_the_options_ask_for_a_discoverable_passkey_that_is_new(
        self, client: FlaskClient, added: Headers, device: Authenticator
    ) -> None:
        options = json_of(client.post(OPTIONS, headers=added))["options"]

        assert options["rp"]["id"] == "localhost"
        assert options["authenticatorSelection"]["residentKey"] == "required"
        known = [each["id"] for each in options["excludeCredentials"]]
        assert known == [device.sign("AA")["id"]]

    @pytest.mark.parametrize(
        "forged",
        [
            Authenticator(origin="https://evil.example"),
            Authenticator(origin="http://localhost:5002"),
            Authenticator(host="evil.example"),
        ],
    )
    def test_one_of_another_page_is_refused(
        self, client: FlaskClient, headers: Headers, forged: Authenticator
    ) -> None:
        options = json_of(client.post(OPTIONS, headers=headers))["options"]
        body = {"name": "x", "credential": forged.create(options)}

        assert problem_of(client.post(PASSKEYS, json=body, headers=headers)) == (
            422,
            ["credential"],
        )

    def test_a_challenge_is_for_one_attempt_of_its_user(
        self, client: FlaskClient, headers: Headers, device: Authenticator
    ) -> None:
        register(client, JANE)
        jane = bearer(session_of(client, "jane_doe"))
        options = json_of(client.post(OPTIONS, headers=headers))["options"]
        body = {"name": "x", "credential": device.create(options)}

        assert client.post(PASSKEYS, json=body, headers=jane).status_code == 422
        first = client.post(PASSKEYS, json=body, headers=headers)
        again = bearer(json_of(first)["session"]["session_id"])
        assert client.post(PASSKEYS, json=body, headers=again).status_code == 422

    def test_a_challenge_to_log_in_registers_nothing(
        self, client: FlaskClient, headers: Headers, device: Authenticator
    ) -> None:
        body = {"name": "x", "credential": device.create({"challenge": challenge(client)})}

        assert client.post(PASSKEYS, json=body, headers=headers).status_code == 422

    def test_a_passkey_belongs_to_one_user(
        self,
        client: FlaskClient,
        added: Headers,  # noqa: ARG002
        device: Authenticator,
    ) -> None:
        register(client, JANE)
        jane = bearer(session_of(client, "jane_doe"))
        options = json_of(client.post(OPTIONS, headers=jane))["options"]
        body = {"name": "x", "credential": device.create(options)}

        assert client.post(PASSKEYS, json=body, headers=jane).status_code == 409

    def test_a_user_has_ten_at_most(self, client: FlaskClient, headers: Headers) -> None:
        for _ in range(10):
            headers = add_passkey(client, headers, Authenticator())

        assert client.post(OPTIONS, headers=headers).status_code == 409

    @pytest.mark.parametrize(
        "credential",
        [{}, {"id": 1}, {"response": {"clientDataJSON": "e30"}}, {"response": []}, {"id": "\x00"}],
    )
    def test_odd_answers_are_refused(
        self, client: FlaskClient, headers: Headers, credential: Json
    ) -> None:
        body = {"name": "x", "credential": credential}

        assert client.post(PASSKEYS, json=body, headers=headers).status_code == 422
        assert log_in_with(client, passkey=credential).status_code == 200  # John has no factor

    def test_one_is_removed_by_its_owner_only(self, client: FlaskClient, added: Headers) -> None:
        (passkey,) = json_of(client.get(FACTORS, headers=added))["passkeys"]
        path = f"{PASSKEYS}/{passkey['id']}"
        register(client, JANE)
        jane = bearer(session_of(client, "jane_doe"))

        assert client.delete(path, headers=jane).status_code == 404
        assert client.delete(path, headers=added).status_code == 204
        assert log_in_with(client).status_code == 200


@pytest.mark.usefixtures("added")
class TestLogin:
    def test_a_signature_is_a_second_factor(
        self, client: FlaskClient, device: Authenticator
    ) -> None:
        response = log_in_with(client, passkey=device.sign(challenge(client)))

        session = bearer(json_of(response)["session_id"])
        shown = json_of(client.get(FACTORS, headers=session))
        assert shown["passkeys"][0]["lastUsedAt"] is not None
        assert json_of(client.get(f"{API}/session", headers=session))["amr"] == [
            *("pop", "pwd"),
            "mfa",
        ]

    def test_the_options_are_the_same_for_everyone(self, client: FlaskClient) -> None:
        first, second = (json_of(client.post(CHALLENGE))["options"] for _ in range(2))

        assert first.pop("challenge") != second.pop("challenge")
        assert first == second
        assert first["allowCredentials"] == []

    def test_a_challenge_is_for_one_attempt(
        self, client: FlaskClient, device: Authenticator
    ) -> None:
        asked = challenge(client)
        signed = device.sign(asked)

        assert log_in_with(client, passkey=signed).status_code == 200
        assert log_in_with(client, passkey=signed).status_code == 401
        assert log_in_with(client, passkey=device.sign(asked)).status_code == 401

    def test_a_failed_attempt_uses_up_the_challenge(
        self, client: FlaskClient, device: Authenticator
    ) -> None:
        asked = challenge(client)
        forged = device.sign(asked)
        forged["response"]["signature"] = "AAAA"

        assert log_in_with(client, passkey=forged).status_code == 401
        assert log_in_with(client, passkey=device.sign(asked)).status_code == 401

    def test_an_old_challenge_is_refused(
        self, client: FlaskClient, services: Services, device: Authenticator,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:  # fmt: skip
        asked = challenge(client)
        later = services.database.now() + timedelta(minutes=6)
        monkeypatch.setattr("app.factors.challenges.current_time", lambda _: later)

        assert log_in_with(client, passkey=device.sign(asked)).status_code == 401

    def test_an_invented_challenge_is_refused(
        self, client: FlaskClient, device: Authenticator
    ) -> None:
        signed = device.sign("aW52ZW50ZWQ")

        assert log_in_with(client, passkey=signed).status_code == 401

    def test_a_challenge_to_register_is_no_challenge_to_log_in(
        self, client: FlaskClient, added: Headers, device: Authenticator
    ) -> None:
        asked = json_of(client.post(OPTIONS, headers=added))["options"]["challenge"]

        assert log_in_with(client, passkey=device.sign(asked)).status_code == 401

    def test_the_passkey_of_another_user_is_refused(self, client: FlaskClient) -> None:
        register(client, JANE)
        of_jane = Authenticator()
        add_passkey(client, bearer(session_of(client, "jane_doe")), of_jane)

        response = log_in_with(client, passkey=of_jane.sign(challenge(client)))

        assert response.status_code == 401

    @pytest.mark.parametrize("name", ["origin", "host"])
    def test_a_signature_for_another_page_is_refused(
        self, client: FlaskClient, device: Authenticator, name: str
    ) -> None:
        setattr(device, name, "https://evil.example")

        signed = device.sign(challenge(client))

        assert log_in_with(client, passkey=signed).status_code == 401

    def test_a_copy_of_the_passkey_is_recognised_by_its_counter(
        self, client: FlaskClient, device: Authenticator
    ) -> None:
        assert log_in_with(client, passkey=device.sign(challenge(client))).status_code == 200

        copied = device.sign(challenge(client), counted=False)

        assert log_in_with(client, passkey=copied).status_code == 401

    def test_of_many_logins_with_one_signature_at_once_one_succeeds(
        self, app: Flask, client: FlaskClient, device: Authenticator
    ) -> None:
        signed, barrier = device.sign(challenge(client)), Barrier(4)

        def call(_: int) -> int:
            own = app.test_client(use_cookies=False)
            barrier.wait()
            return int(log_in_with(own, passkey=signed).status_code)

        with ThreadPoolExecutor(4) as pool:
            statuses = sorted(pool.map(call, range(4)))

        assert statuses == [200, 401, 401, 401]

    def test_the_other_origins_of_the_portal_may_use_it(
        self, make_app: MakeApp, device: Authenticator
    ) -> None:
        device.origin = "http://localhost:3000"
        made = make_app(cors_origins=frozenset({device.origin})).test_client(use_cookies=False)

        assert log_in_with(made, passkey=device.sign(challenge(made))).status_code == 200


class TestStepUp:
    def test_a_passkey_proves_the_factor_whichever_was_used_before(
        self, client: FlaskClient, services: Services, headers: Headers, device: Authenticator
    ) -> None:
        headers = add_app(client, headers).headers
        headers = add_passkey(client, headers, device)
        age_login(services, headers)
        proof = {"passkey": device.sign(challenge(client))}

        response = client.post(
            REAUTHENTICATE, json={"password": JOHN["password"], **proof}, headers=headers
        )

        fresh = bearer(json_of(response)["session_id"])
        assert json_of(client.get(f"{API}/session", headers=fresh))["amr"] == [
            *("pop", "pwd"),
            "mfa",
        ]
        assert client.delete(f"{FACTORS}/app", headers=fresh).status_code == 204


def test_both_proofs_at_once_are_a_422(client: FlaskClient) -> None:
    assert log_in_with(client, code="123456", passkey={}).status_code == 422


def test_challenges_are_limited_for_each_address(make_app: MakeApp) -> None:
    limit = RateLimit("challenges", 2, 60)
    client = make_app(rate_limit_challenges=limit).test_client(use_cookies=False)

    assert [client.post(CHALLENGE).status_code for _ in range(3)] == [200, 200, 429]


def test_expired_challenges_are_deleted(
    client: FlaskClient, services: Services, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    challenge(client)
    later = services.database.now() + timedelta(minutes=6)
    with monkeypatch.context() as patch:
        patch.setattr(services.database, "now", lambda: later)
        run_schedule(services, "delete-expired-challenges")

    with database.read() as tx:
        assert tx.scalar(select(func.count()).select_from(FactorChallenge)) == 0
