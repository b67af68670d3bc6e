"""Verifying an e-mail address, by the link that was mailed to it."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select, update

from app.models import UserToken
from app.services import Services
from common.pyportal_common.cache_handlers import RateLimit

from .conftest import API, JOHN, REGISTER, bearer, mails_in, mine_of, token_in

VERIFY = f"{API}/email/verify"
AGAIN = f"{API}/email/verification"
LogIn = Callable[[], str]


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    """A client without a cookie jar: what is presented stands in the test."""
    return app.test_client(use_cookies=False)


@pytest.fixture
def token(mine: Services, john: dict[str, Any]) -> str:  # noqa: ARG001  he is welcomed
    """What is in the link that John was welcomed with."""
    (mail,) = mails_in(mine)
    return token_in(mail)


def is_verified(client: FlaskClient, session_id: str, user: dict[str, Any]) -> bool:
    answer = client.get(f"{API}/users/{user['id']}", headers=bearer(session_id))
    assert answer.json is not None
    return bool(answer.json["user"]["emailVerified"])


def move(client: FlaskClient, session_id: str, user: dict[str, Any], email: str) -> dict[str, Any]:
    """Change the address; the user after that."""
    body = {"email": email, "password": JOHN["password"]}
    answer = client.patch(f"{API}/users/{user['id']}", json=body, headers=bearer(session_id))
    assert answer.status_code == 200
    assert answer.json is not None
    found: dict[str, Any] = answer.json["user"]
    return found


def expire_links(mine: Services) -> None:
    with mine.database.begin() as tx:
        tx.execute(update(UserToken).values(expires_at=datetime.now(UTC)))


class TestTheLink:
    def test_it_verifies_the_address_and_is_seen_at_once(
        self, client: FlaskClient, john: dict[str, Any], token: str, log_in: LogIn
    ) -> None:
        session_id = log_in()
        assert not is_verified(client, session_id, john)

        answer = client.post(VERIFY, json={"token": token})

        assert (answer.status_code, answer.data) == (204, b"")
        assert is_verified(client, session_id, john)

    def test_it_lives_for_a_week(self, mine: Services, token: str) -> None:
        assert len(token) == 43
        with mine.database.read() as tx:
            link = tx.scalars(select(UserToken)).one()
        assert link.expires_at - link.created_at == timedelta(days=7)

    def test_wrong_used_and_expired_are_one_answer(
        self, client: FlaskClient, mine: Services, token: str, log_in: LogIn
    ) -> None:
        wrong = client.post(VERIFY, json={"token": "x" * 43})
        client.post(VERIFY, json={"token": token})
        used = client.post(VERIFY, json={"token": token})
        move(client, log_in(), _me(client, log_in()), "other@example.com")
        expire_links(mine)
        expired = client.post(VERIFY, json={"token": token_in(mails_in(mine)[-1])})

        for answer in (wrong, used, expired):
            assert answer.status_code == 400
            assert answer.json is not None
            assert answer.json["error"] == "The link does not work any more"
            assert answer.json["details"] == [
                {"field": "token", "message": "is wrong, used or expired"}
            ]

    def test_of_fifty_at_once_one_verifies(self, app: Flask, token: str) -> None:
        def follow(_: int) -> int:
            client = app.test_client(use_cookies=False)
            return client.post(VERIFY, json={"token": token}).status_code

        with ThreadPoolExecutor(16) as pool:
            statuses = list(pool.map(follow, range(50)))

        assert statuses.count(204) == 1
        assert set(statuses) <= {204, 400, 503}  # 503: no connection to SQL in time

    def test_its_token_is_in_no_table_but_the_mail(self, mine: Services, token: str) -> None:
        with mine.database.read() as tx:
            link = tx.scalars(select(UserToken)).one()

        assert token not in repr(vars(link))
        assert len(link.digest) == 64

    def test_one_that_resets_a_password_verifies_nothing(
        self, client: FlaskClient, mine: Services, token: str
    ) -> None:
        with mine.database.begin() as tx:
            tx.execute(update(UserToken).values(purpose="reset"))

        assert client.post(VERIFY, json={"token": token}).status_code == 400

    def test_a_user_who_was_deleted_meanwhile_has_none(
        self, client: FlaskClient, john: dict[str, Any], token: str, log_in: LogIn
    ) -> None:
        client.delete(f"{API}/users/{john['id']}", headers=bearer(log_in()))

        assert client.post(VERIFY, json={"token": token}).status_code == 400

    @pytest.mark.parametrize(
        "body",
        [{}, {"token": ""}, {"token": 7}, {"token": None}, {"token": ["x"]}, {"token": "x" * 201}],
        ids=str,
    )
    def test_other_bodies_are_a_422_that_names_it(self, client: FlaskClient, body: Any) -> None:
        answer = client.post(VERIFY, json=body)

        assert answer.status_code == 422
        assert answer.json is not None
        assert answer.json["details"][0]["field"] == "token"

    @pytest.mark.parametrize("token", ["*", "\x00", "' OR 1=1 --", "{}", "é\u202e", "%00"])
    def test_hostile_tokens_are_a_400(self, client: FlaskClient, token: str) -> None:
        assert client.post(VERIFY, json={"token": token}).status_code == 400


class TestAnotherAddress:
    def test_it_is_not_verified_and_is_mailed_a_link(
        self,
        client: FlaskClient,
        mine: Services,
        john: dict[str, Any],
        token: str,
        log_in: LogIn,
    ) -> None:
        session_id = log_in()
        client.post(VERIFY, json={"token": token})

        moved = move(client, session_id, john, "johnny@example.com")

        assert moved["emailVerified"] is False
        (mail,) = mails_in(mine, "email_verification")
        assert mail["recipient"] == "johnny@example.com"
        assert set(mail["data"]) == {"username", "verifyUrl"}
        assert client.post(VERIFY, json={"token": token_in(mail)}).status_code == 204
        assert is_verified(client, session_id, john)

    def test_the_link_of_the_old_one_verifies_neither(
        self, client: FlaskClient, john: dict[str, Any], token: str, log_in: LogIn
    ) -> None:
        session_id = log_in()
        move(client, session_id, john, "johnny@example.com")

        assert client.post(VERIFY, json={"token": token}).status_code == 400
        assert not is_verified(client, session_id, john)
        move(client, session_id, john, JOHN["email"])
        assert client.post(VERIFY, json={"token": token}).status_code == 400

    def test_one_that_is_taken_changes_and_mails_nothing(
        self,
        client: FlaskClient,
        mine: Services,
        john: dict[str, Any],
        token: str,
        log_in: LogIn,
    ) -> None:
        jane = {**JOHN, "username": "jane", "email": "jane@example.com"}
        client.post(REGISTER, json=jane)
        client.post(VERIFY, json={"token": token})
        session_id = log_in()

        answer = client.patch(
            f"{API}/users/{john['id']}",
            json={"email": jane["email"], "password": JOHN["password"]},
            headers=bearer(session_id),
        )

        assert answer.status_code == 409
        assert is_verified(client, session_id, john)
        assert mails_in(mine, "email_verification") == []

    def test_the_same_one_stays_verified(
        self,
        client: FlaskClient,
        mine: Services,
        john: dict[str, Any],
        token: str,
        log_in: LogIn,
    ) -> None:
        client.post(VERIFY, json={"token": token})

        moved = move(client, log_in(), john, JOHN["email"])

        assert moved["emailVerified"] is True
        assert mails_in(mine, "email_verification") == []


class TestAnotherLink:
    def test_the_one_before_stops_working(
        self, client: FlaskClient, mine: Services, token: str, log_in: LogIn
    ) -> None:
        answer = client.post(AGAIN, headers=bearer(log_in()))

        assert answer.status_code == 202
        (mail,) = mails_in(mine, "email_verification")
        assert client.post(VERIFY, json={"token": token}).status_code == 400
        assert client.post(VERIFY, json={"token": token_in(mail)}).status_code == 204

    def test_whose_address_is_verified_needs_none(
        self, client: FlaskClient, token: str, log_in: LogIn
    ) -> None:
        client.post(VERIFY, json={"token": token})

        assert client.post(AGAIN, headers=bearer(log_in())).status_code == 409

    @pytest.mark.usefixtures("john")
    def test_it_needs_a_login(self, client: FlaskClient) -> None:
        assert client.post(AGAIN).status_code == 401

    def test_there_are_three_in_fifteen_minutes_for_a_user(
        self, make_app: Callable[..., Flask]
    ) -> None:
        app = make_app(rate_limit_verification=RateLimit("verification", 3, 900))
        client = app.test_client(use_cookies=False)
        client.post(REGISTER, json=JOHN)
        credentials = {"username": JOHN["username"], "password": JOHN["password"]}
        sessions = [client.post(f"{API}/login", json=credentials).json for _ in range(4)]

        statuses = [
            client.post(AGAIN, headers=bearer(session["session_id"])).status_code
            for session in sessions
            if session is not None
        ]

        assert statuses == [202] * 3 + [429]
        assert len(mails_in(mine_of(app), "email_verification")) == 3


def _me(client: FlaskClient, session_id: str) -> dict[str, Any]:
    session = client.get(f"{API}/session", headers=bearer(session_id)).json
    assert session is not None
    return {"id": session["user_id"]}
