"""Verifying an e-mail address by the link that was mailed to it."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select, update

from app.models import UserToken
from app.services import Services
from common.pyportal_common.cache_handlers import RateLimit
from common.pyportal_common.jobs.outbox import EVENTS
from common.pyportal_common.testing.kit import API, bearer, json_of

from .conftest import (
    JANE,
    JOHN,
    Headers,
    Json,
    MakeApp,
    mails_in,
    messages_in,
    register,
    services_of,
    session_of,
    token_in,
    user_path,
)

VERIFY = f"{API}/email/verify"
NEW_LINK = f"{API}/email/verification"
ADDRESS = "johnny@example.com"


@pytest.fixture
def token(services: Services, john: Json) -> str:  # noqa: ARG001  he is welcomed
    """The token of the link in John's welcome e-mail."""
    (mail,) = mails_in(services)
    return token_in(mail)


def verify(client: FlaskClient, token: str) -> int:
    """The status of a verification."""
    return client.post(VERIFY, json={"token": token}).status_code


def is_verified(client: FlaskClient, headers: Headers, user: Json) -> bool:
    user = json_of(client.get(user_path(user), headers=headers))["user"]
    return bool(user["emailVerified"])


def change_address(client: FlaskClient, headers: Headers, user: Json, email: str = ADDRESS) -> Json:
    """The user with the new address."""
    body = {"email": email, "password": JOHN["password"]}
    response = client.patch(user_path(user), json=body, headers=headers)
    changed: Json = json_of(response)["user"]
    return changed


class TestLink:
    def test_it_verifies_the_address_at_once(
        self, client: FlaskClient, john: Json, token: str, headers: Headers
    ) -> None:
        assert not is_verified(client, headers, john)

        response = client.post(VERIFY, json={"token": token})

        assert (response.status_code, response.data) == (204, b"")
        assert is_verified(client, headers, john)

    def test_it_publishes_an_event_once(
        self, client: FlaskClient, services: Services, john: Json, token: str
    ) -> None:
        for _ in range(2):
            verify(client, token)

        (event,) = [each.body for each in messages_in(services) if each.path == EVENTS]
        assert (event["type"], event["userId"]) == ("user.verified", john["id"])
        assert event["data"]["username"] == john["username"]
        assert set(event["data"]) == {"username", "verifiedAt"}

    def test_it_is_valid_for_a_week_and_its_token_is_not_stored(
        self, services: Services, token: str
    ) -> None:
        with services.database.read() as tx:
            link = tx.scalars(select(UserToken)).one()

        assert link.expires_at - link.created_at == timedelta(days=7)
        assert token not in repr(vars(link))
        assert (len(token), len(link.digest)) == (43, 64)

    def test_wrong_used_and_expired_links_get_one_response(
        self, client: FlaskClient, services: Services, john: Json, token: str, headers: Headers
    ) -> None:
        wrong = client.post(VERIFY, json={"token": "x" * 43})
        assert verify(client, token) == 204
        used = client.post(VERIFY, json={"token": token})
        change_address(client, headers, john)
        with services.database.begin() as tx:
            tx.execute(update(UserToken).values(expires_at=datetime.now(UTC)))
        expired = client.post(VERIFY, json={"token": token_in(mails_in(services)[-1])})

        for response in (wrong, used, expired):
            assert response.status_code == 400
            assert json_of(response)["error"] == "The link is no longer valid"
            assert json_of(response)["details"] == [
                {"field": "token", "message": "Wrong, used or expired"}
            ]

    def test_of_fifty_concurrent_requests_one_verifies(self, app: Flask, token: str) -> None:
        with ThreadPoolExecutor(16) as pool:
            statuses = list(pool.map(lambda _: verify(app.test_client(), token), range(50)))

        assert statuses.count(204) == 1
        assert set(statuses) <= {204, 400, 503}  # 503: no SQL connection in time

    def test_a_reset_link_verifies_nothing(
        self, client: FlaskClient, services: Services, token: str
    ) -> None:
        with services.database.begin() as tx:
            tx.execute(update(UserToken).values(purpose="reset"))

        assert verify(client, token) == 400

    def test_the_link_of_a_deleted_user_is_invalid(
        self, client: FlaskClient, john: Json, token: str, headers: Headers
    ) -> None:
        client.delete(user_path(john), headers=headers)

        assert verify(client, token) == 400

    @pytest.mark.parametrize("token", ["*", "\x00", "' OR 1=1 --", "{}", "é\u202e", "%00"])
    def test_hostile_tokens_are_a_400(self, client: FlaskClient, token: str) -> None:
        assert verify(client, token) == 400


class TestNewAddress:
    def test_it_is_unverified_and_is_mailed_a_link(
        self, client: FlaskClient, services: Services, john: Json, token: str, headers: Headers
    ) -> None:
        verify(client, token)

        changed = change_address(client, headers, john)

        assert changed["emailVerified"] is False
        (mail,) = mails_in(services, "email_verification")
        assert mail["recipient"] == ADDRESS
        assert set(mail["data"]) == {"username", "verifyUrl"}
        assert verify(client, token_in(mail)) == 204
        assert is_verified(client, headers, john)

    def test_the_link_to_the_former_one_verifies_neither(
        self, client: FlaskClient, john: Json, token: str, headers: Headers
    ) -> None:
        change_address(client, headers, john)

        assert verify(client, token) == 400
        assert not is_verified(client, headers, john)
        change_address(client, headers, john, JOHN["email"])
        assert verify(client, token) == 400

    def test_a_taken_one_changes_and_mails_nothing(
        self, client: FlaskClient, services: Services, john: Json, token: str, headers: Headers
    ) -> None:
        register(client, JANE)
        verify(client, token)
        body = {"email": JANE["email"], "password": JOHN["password"]}

        response = client.patch(user_path(john), json=body, headers=headers)

        assert response.status_code == 409
        assert is_verified(client, headers, john)
        assert mails_in(services, "email_verification") == []

    def test_the_same_one_stays_verified(
        self, client: FlaskClient, services: Services, john: Json, token: str, headers: Headers
    ) -> None:
        verify(client, token)

        changed = change_address(client, headers, john, JOHN["email"])

        assert changed["emailVerified"] is True
        assert mails_in(services, "email_verification") == []


class TestNewLink:
    def test_the_earlier_link_stops_working(
        self, client: FlaskClient, services: Services, token: str, headers: Headers
    ) -> None:
        response = client.post(NEW_LINK, headers=headers)

        assert response.status_code == 202
        (mail,) = mails_in(services, "email_verification")
        assert verify(client, token) == 400
        assert verify(client, token_in(mail)) == 204

    def test_for_a_verified_address_it_is_a_409(
        self, client: FlaskClient, token: str, headers: Headers
    ) -> None:
        verify(client, token)

        assert client.post(NEW_LINK, headers=headers).status_code == 409

    @pytest.mark.usefixtures("john")
    def test_it_requires_a_login(self, client: FlaskClient) -> None:
        assert client.post(NEW_LINK).status_code == 401

    def test_three_in_fifteen_minutes_per_user(self, make_app: MakeApp) -> None:
        app = make_app(rate_limit_verification=RateLimit("verification", 3, 900))
        client = app.test_client(use_cookies=False)
        register(client)
        sessions = [session_of(client) for _ in range(4)]

        statuses = [client.post(NEW_LINK, headers=bearer(each)).status_code for each in sessions]

        assert statuses == [202] * 3 + [429]
        assert len(mails_in(services_of(app), "email_verification")) == 3
