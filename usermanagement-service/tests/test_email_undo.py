"""An address changes: the old one is notified, and can undo it."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from threading import Barrier
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select, update

from app.models import UserToken
from app.services import Services
from common.pyportal_common.cache_handlers import RateLimit
from common.pyportal_common.testing.kit import API, bearer, json_of, problem_of

from .conftest import (
    FORGOT,
    JANE,
    JOHN,
    NEW_PASSWORD,
    Headers,
    Json,
    MakeApp,
    RevocationsFail,
    deliver_all,
    mails_in,
    register,
    session_of,
    token_in,
    user_path,
)

ME = f"{API}/users/me"
UNDO = f"{API}/email/undo"
OLD, NEW, NEWER = JOHN["email"], "mallory@example.com", "mallory2@example.com"


@pytest.fixture
def verified(client: FlaskClient, services: Services, john: Json) -> Json:
    """John, whose address is verified."""
    verify(client, services, OLD)
    return john


def verify(client: FlaskClient, services: Services, address: str) -> None:
    """Open the latest link that verifies the address."""
    mail = [
        mail
        for mail in mails_in(services)
        if mail["recipient"] == address and "verifyUrl" in mail["data"]
    ][-1]
    response = client.post(f"{API}/email/verify", json={"token": token_in(mail)})
    assert response.status_code == 204


def change(client: FlaskClient, headers: Headers, email: str) -> int:
    """Change John's address."""
    body = {"email": email, "password": JOHN["password"]}
    return client.patch(ME, json=body, headers=headers).status_code


def undo_token(services: Services, address: str = OLD) -> str:
    """The token of the latest link that was mailed to the address."""
    mails = [mail for mail in mails_in(services, "email_changed") if mail["recipient"] == address]
    return token_in(mails[-1])


def undo(client: FlaskClient, token: str, password: str = NEW_PASSWORD) -> int:
    response = client.post(UNDO, json={"token": token, "newPassword": password})
    return response.status_code


def email_of(client: FlaskClient, password: str = NEW_PASSWORD) -> tuple[str, bool]:
    """John's address, and whether it is verified, after a login."""
    headers = bearer(session_of(client, password=password))
    user = json_of(client.get(ME, headers=headers))["user"]
    return user["email"], user["emailVerified"]


class TestNotice:
    def test_the_old_address_gets_a_link_and_the_new_one_another(
        self, client: FlaskClient, services: Services, verified: Json, headers: Headers
    ) -> None:
        assert change(client, headers, NEW) == 200

        (notice,) = mails_in(services, "email_changed")
        (verification,) = mails_in(services, "email_verification")
        assert (notice["recipient"], notice["userId"]) == (OLD, verified["id"])
        assert notice["data"]["undoUrl"].startswith("http://localhost:5001/app/undo#token=")
        assert notice["data"]["username"] == "john_doe"
        assert NEW not in str(notice)
        assert verification["recipient"] == NEW

    @pytest.mark.usefixtures("verified")
    def test_another_case_is_no_other_address(
        self, client: FlaskClient, services: Services, headers: Headers
    ) -> None:
        mails = len(mails_in(services, "email_verification"))

        other_case = OLD.replace("john", "JOHN")

        assert change(client, headers, other_case) == 200

        assert email_of(client, JOHN["password"]) == (other_case, True)
        assert mails_in(services, "email_changed") == []
        assert len(mails_in(services, "email_verification")) == mails

    @pytest.mark.usefixtures("john")
    def test_an_address_that_was_never_verified_cannot_undo_it(
        self, client: FlaskClient, services: Services, headers: Headers
    ) -> None:
        """It may be a stranger's, mistyped by the user who corrects it now."""
        change(client, headers, NEW)

        (notice,) = mails_in(services, "email_changed")
        assert notice["recipient"] == OLD
        assert set(notice["data"]) == {"username", "changedAt"}

    @pytest.mark.usefixtures("verified")
    def test_it_is_in_the_transaction_of_the_change(
        self, client: FlaskClient, services: Services, headers: Headers
    ) -> None:
        register(client, JANE)

        assert change(client, headers, JANE["email"]) == 409
        assert change(client, headers, OLD) == 200  # no change

        assert mails_in(services, "email_changed") == []

    @pytest.mark.usefixtures("verified")
    def test_the_token_is_stored_as_a_digest_for_a_week(
        self, client: FlaskClient, services: Services, headers: Headers
    ) -> None:
        change(client, headers, NEW)

        with services.database.read() as tx:
            link = tx.scalars(select(UserToken).where(UserToken.purpose == "undo")).one()
        assert undo_token(services) not in str(vars(link))
        assert link.expires_at - link.created_at == timedelta(days=7)
        assert link.email == OLD


@pytest.mark.usefixtures("verified")
class TestUndo:
    def test_it_restores_the_address_and_locks_everyone_else_out(
        self, client: FlaskClient, services: Services, headers: Headers
    ) -> None:
        change(client, headers, NEW)
        (verification,) = mails_in(services, "email_verification")
        client.post(FORGOT, json={"email": NEW})
        deliver_all(services)
        resets = mails_in(services, "password_reset")
        assert len(resets) == 1

        assert undo(client, undo_token(services)) == 204

        assert client.get(ME, headers=headers).status_code == 401
        assert email_of(client) == (OLD, True)
        login = {"username": JOHN["username"], "password": JOHN["password"]}
        assert client.post(f"{API}/login", json=login).status_code == 401
        used = client.post(f"{API}/email/verify", json={"token": token_in(verification)})
        assert used.status_code == 400
        for mail in resets:
            body = {"token": token_in(mail), "newPassword": "mallorys-horse-battery"}
            assert client.post(f"{API}/password/reset", json=body).status_code == 400

    def test_both_addresses_are_notified(
        self, client: FlaskClient, services: Services, headers: Headers
    ) -> None:
        change(client, headers, NEW)
        undo(client, undo_token(services))

        (changed,) = mails_in(services, "password_changed")
        _, left = mails_in(services, "email_changed")
        assert (changed["recipient"], left["recipient"]) == (OLD, NEW)
        assert "undoUrl" not in left["data"]

    def test_a_new_password_does_not_prevent_it(
        self, client: FlaskClient, services: Services, headers: Headers
    ) -> None:
        change(client, headers, NEW)
        passwords = {"currentPassword": JOHN["password"], "newPassword": "mallorys-horse-battery"}
        client.put(f"{ME}/password", json=passwords, headers=headers)

        assert undo(client, undo_token(services)) == 204
        assert email_of(client) == (OLD, True)

    def test_no_stale_lookup_is_left(
        self, client: FlaskClient, services: Services, headers: Headers
    ) -> None:
        find = services.users.find_by_name
        for address in (OLD, NEW):
            find(email=address)
        change(client, headers, NEW)
        for address in (OLD, NEW):
            find(email=address)

        undo(client, undo_token(services))

        found = find(email=OLD)
        assert (found and found["email"], find(email=NEW)) == (OLD, None)

    def test_it_works_once(self, client: FlaskClient, services: Services, headers: Headers) -> None:
        change(client, headers, NEW)
        token = undo_token(services)

        assert [undo(client, token), undo(client, token)] == [204, 400]

    def test_of_two_at_once_one_works(
        self, app: Flask, client: FlaskClient, services: Services, headers: Headers
    ) -> None:
        change(client, headers, NEW)
        token, barrier = undo_token(services), Barrier(2)

        def undo_at_once(number: int) -> int:
            barrier.wait()
            other_client = app.test_client(use_cookies=False)
            return undo(other_client, token, f"{NEW_PASSWORD}-{number}")

        with ThreadPoolExecutor(2) as pool:
            statuses = list(pool.map(undo_at_once, range(2)))

        assert sorted(statuses) == [204, 400]
        assert email_of(client, f"{NEW_PASSWORD}-{statuses.index(204)}") == (OLD, True)

    def test_it_expires_after_a_week(
        self, client: FlaskClient, services: Services, headers: Headers
    ) -> None:
        change(client, headers, NEW)
        with services.database.begin(changes_cached=False) as tx:
            tx.execute(
                update(UserToken)
                .where(UserToken.purpose == "undo")
                .values(expires_at=datetime.now(UTC) - timedelta(seconds=1))
            )

        assert undo(client, undo_token(services)) == 400

    def test_wrong_tokens_get_one_response(
        self, client: FlaskClient, services: Services, headers: Headers, verified: Json
    ) -> None:
        change(client, headers, NEW)
        (verification,) = mails_in(services, "email_verification")
        of_deleted = undo_token(services)
        as_reset = {"token": of_deleted, "newPassword": NEW_PASSWORD}
        assert client.post(f"{API}/password/reset", json=as_reset).status_code == 400
        client.delete(user_path(verified), headers=headers)

        responses = [
            client.post(UNDO, json={"token": token, "newPassword": NEW_PASSWORD})
            for token in ("x", token_in(verification), of_deleted)
        ]

        assert [problem_of(each) for each in responses] == [(400, ["token"])] * 3
        assert len({json_of(each)["error"] for each in responses}) == 1

    def test_a_weak_password_leaves_the_link_unused(
        self, client: FlaskClient, services: Services, headers: Headers
    ) -> None:
        change(client, headers, NEW)
        token = undo_token(services)

        assert undo(client, token, "password1") == 422
        assert undo(client, "x", "password1") == 400  # reveals nothing about a user
        assert undo(client, token) == 204

    @pytest.mark.parametrize(
        ("body", "fields"),
        [
            ({}, ["token", "newPassword"]),
            ({"token": "x"}, ["newPassword"]),
            ({"token": "x", "newPassword": "short"}, ["newPassword"]),
            ({"token": "", "newPassword": NEW_PASSWORD}, ["token"]),
            ({"token": ["x"], "newPassword": NEW_PASSWORD}, ["token"]),
            ({"token": "x", "newPassword": NEW_PASSWORD, "email": OLD}, ["email"]),
        ],
    )
    def test_an_invalid_body_is_a_422(
        self, client: FlaskClient, body: Json, fields: list[str]
    ) -> None:
        assert problem_of(client.post(UNDO, json=body)) == (422, fields)

    def test_guesses_are_limited_by_address(self, make_app: MakeApp) -> None:
        client = make_app(rate_limit_reset=RateLimit("reset", 2, 60)).test_client()

        assert [undo(client, "x") for _ in range(3)] == [400, 400, 429]

    def test_when_redis_fails_after_the_commit_it_can_be_repeated(
        self,
        client: FlaskClient,
        services: Services,
        headers: Headers,
        revocations_fail: RevocationsFail,
    ) -> None:
        change(client, headers, NEW)
        token = undo_token(services)

        with revocations_fail():
            assert undo(client, token) == 503
        assert undo(client, token) == 204

        assert client.get(ME, headers=headers).status_code == 401
        assert email_of(client) == (OLD, True)
        assert undo(client, token) == 400


@pytest.mark.usefixtures("verified")
class TestSeveralChanges:
    @pytest.fixture
    def twice(self, client: FlaskClient, services: Services, headers: Headers) -> tuple[str, str]:
        """The tokens of two changes, between which the second address was verified."""
        change(client, headers, NEW)
        verify(client, services, NEW)
        change(client, headers, NEWER)
        return undo_token(services), undo_token(services, NEW)

    def test_the_first_link_wins_over_later_ones(
        self, client: FlaskClient, twice: tuple[str, str]
    ) -> None:
        first, second = twice

        assert [undo(client, first), undo(client, second)] == [204, 400]
        assert email_of(client) == (OLD, True)

    def test_a_later_link_does_not_prevent_the_first(
        self, client: FlaskClient, twice: tuple[str, str]
    ) -> None:
        first, second = twice

        assert undo(client, second, "mallorys-horse-battery") == 204
        assert email_of(client, "mallorys-horse-battery") == (NEW, True)
        assert undo(client, first) == 204
        assert email_of(client) == (OLD, True)

    def test_an_address_that_was_changed_back_is_kept(
        self, client: FlaskClient, services: Services, headers: Headers
    ) -> None:
        change(client, headers, NEW)
        token = undo_token(services)
        change(client, headers, OLD)

        assert undo(client, token) == 204
        assert email_of(client) == (OLD, True)

    @pytest.mark.parametrize("password", [JOHN["password"], None])
    def test_a_change_that_began_before_the_undo_fails_after_it(
        self,
        app: Flask,
        client: FlaskClient,
        services: Services,
        headers: Headers,
        monkeypatch: pytest.MonkeyPatch,
        password: str | None,
    ) -> None:
        change(client, headers, NEW)
        token, make_change = undo_token(services), services.users.change

        def undo_then_change(*arguments: Any, **options: Any) -> Json:
            assert undo(app.test_client(use_cookies=False), token) == 204
            return make_change(*arguments, **options)

        monkeypatch.setattr(services.users, "change", undo_then_change)
        response = client.patch(ME, json={"email": NEWER, "password": password}, headers=headers)

        assert response.status_code == 401
        assert email_of(client) == (OLD, True)

    def test_many_changes_and_an_undo_at_once(
        self, app: Flask, client: FlaskClient, services: Services, headers: Headers
    ) -> None:
        change(client, headers, NEW)
        token, barrier = undo_token(services), Barrier(4)

        def act(number: int) -> int:
            other_client = app.test_client(use_cookies=False)
            barrier.wait()
            if number == 0:
                return undo(other_client, token)
            return change(other_client, headers, f"mallory{number}@example.org")

        with ThreadPoolExecutor(4) as pool:
            statuses = list(pool.map(act, range(4)))

        assert statuses[0] == 204
        assert set(statuses[1:]) <= {200, 401, 403}  # 403: the password is another one
        assert email_of(client) == (OLD, True)


@pytest.mark.usefixtures("verified")
def test_while_another_user_has_the_address_it_is_a_409_and_the_link_stays_valid(
    client: FlaskClient, services: Services, headers: Headers
) -> None:
    change(client, headers, NEW)
    token = undo_token(services)
    squatter = register(client, {**JANE, "email": OLD.upper()})

    response = client.post(UNDO, json={"token": token, "newPassword": NEW_PASSWORD})

    assert problem_of(response) == (409, ["email"])
    assert client.get(ME, headers=headers).status_code == 200  # nothing has changed
    # The owner of the address can reset the other user's password, and delete that user.
    client.post(FORGOT, json={"email": OLD})
    deliver_all(services)
    (mail,) = mails_in(services, "password_reset")
    assert mail["recipient"] == squatter["email"]
    body = {"token": token_in(mail), "newPassword": NEW_PASSWORD}
    client.post(f"{API}/password/reset", json=body)
    janes = bearer(session_of(client, "jane_doe", NEW_PASSWORD))
    assert client.delete(user_path(squatter), headers=janes).status_code == 204
    assert undo(client, token) == 204
    assert email_of(client) == (OLD, True)
