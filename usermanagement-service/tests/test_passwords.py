"""Changing passwords, and resetting forgotten ones by a mailed link."""

import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any, NoReturn

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import func, select, update
from werkzeug.test import TestResponse

from app.models import Message, User, UserToken
from app.passwords.hashing import Hasher, weakness
from app.services import Services
from common.pyportal_common.cache_handlers import RateLimit
from common.pyportal_common.db import TooManyWaitingWriters
from common.pyportal_common.jobs.outbox_delivery import OutboxDelivery
from common.pyportal_common.redis_server import RedisServer
from common.pyportal_common.testing.kit import API, bearer, json_of, problem_of, statements_of

from .conftest import (
    CREDENTIALS,
    FORGOT,
    JANE,
    JOHN,
    LOGIN,
    NEW_PASSWORD,
    QUICK,
    Headers,
    Json,
    LogIn,
    MakeApp,
    RevocationsFail,
    mails_in,
    messages_in,
    register,
    services_of,
    session_of,
    token_in,
    user_path,
)

RESET = f"{API}/password/reset"
CHANGE = {"currentPassword": JOHN["password"], "newPassword": NEW_PASSWORD}
Forget = Callable[[], str]
Change = Callable[..., TestResponse]


@pytest.fixture
def change(client: FlaskClient, john: Json) -> Change:
    """Changes John's password: change(session_id, newPassword="x")."""

    def change(session_id: str, **body: Any) -> TestResponse:
        url = user_path(john, "password")
        return client.put(url, json={**CHANGE, **body}, headers=bearer(session_id))

    return change


@pytest.fixture
def forget(client: FlaskClient, services: Services, john: Json) -> Forget:
    """Requests a reset link for John, and returns its token."""

    def forget() -> str:
        assert client.post(FORGOT, json={"email": john["email"]}).status_code == 202
        process_requests(services)
        return token_in(mails_in(services, "password_reset")[-1])

    return forget


def process_requests(services: Services) -> None:
    """Process requests for reset links as a worker does, and post nothing."""
    OutboxDelivery(services.outbox, "usermanagement").run_pending()


def reset(client: FlaskClient, token: str, password: str = NEW_PASSWORD) -> TestResponse:
    return client.post(RESET, json={"token": token, "newPassword": password})


def can_log_in(client: FlaskClient, password: str) -> bool:
    response = client.post(LOGIN, json={**CREDENTIALS, "password": password})
    return response.status_code == 200


def is_live(client: FlaskClient, session_id: str) -> bool:
    return client.get(f"{API}/session", headers=bearer(session_id)).status_code == 200


class TestChange:
    def test_other_sessions_end_and_this_one_is_renewed(
        self, client: FlaskClient, log_in: LogIn, change: Change
    ) -> None:
        here, elsewhere = log_in(), log_in()

        response = change(here)

        renewed = json_of(response)["session_id"]
        assert response.headers["Cache-Control"] == "no-store"
        assert [is_live(client, each) for each in (here, elsewhere, renewed)] == [
            False,
            False,
            True,
        ]
        assert not can_log_in(client, JOHN["password"])
        assert can_log_in(client, NEW_PASSWORD)
        assert f"__Host-session={renewed}" in response.headers["Set-Cookie"]

    @pytest.mark.parametrize(
        ("body", "status"),
        [
            ({"currentPassword": "wrong"}, 403),
            ({"newPassword": "short"}, 422),
            ({"newPassword": "password123"}, 422),
            ({"newPassword": "john_doe"}, 422),
            ({"newPassword": None}, 422),
            ({"currentPassword": None}, 422),
            ({"currentPassword": 7}, 422),
        ],
        ids=str,
    )
    def test_a_refused_change_has_no_effect(
        self, client: FlaskClient, log_in: LogIn, change: Change, body: Json, status: int
    ) -> None:
        session_id = log_in()

        assert change(session_id, **body).status_code == status

        assert is_live(client, session_id)
        assert log_in()

    @pytest.mark.parametrize("missing", CHANGE)
    def test_both_passwords_are_required(
        self, client: FlaskClient, john: Json, headers: Headers, missing: str
    ) -> None:
        body = {name: value for name, value in CHANGE.items() if name != missing}

        response = client.put(user_path(john, "password"), json=body, headers=headers)

        assert response.status_code == 422
        assert json_of(response)["details"] == [{"field": missing, "message": "Required"}]

    def test_a_stolen_session_cannot_guess_the_password(
        self, log_in: LogIn, change: Change
    ) -> None:
        session_id = log_in()

        responses = [change(session_id, currentPassword="wrong") for _ in range(11)]

        assert [each.status_code for each in responses] == [403] * 10 + [429]
        assert "name is temporarily locked" in json_of(responses[10])["error"]

    def test_only_wrong_passwords_count_as_failures(
        self, client: FlaskClient, john: Json, log_in: LogIn, change: Change
    ) -> None:
        register(client, JANE)
        session_id = log_in()
        taken = {"password": JOHN["password"], "email": JANE["email"]}

        for _ in range(11):
            assert change(session_id, newPassword="password123").status_code == 422
            response = client.patch(user_path(john), json=taken, headers=bearer(session_id))
            assert response.status_code == 409

        assert session_of(client)

    def test_a_login_in_progress_does_not_survive_a_new_password(
        self,
        client: FlaskClient,
        services: Services,
        log_in: LogIn,
        change: Change,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        """The login has compared the old password when the new one is set."""
        session_id = log_in()
        verify = services.hasher.verify

        def verify_then_change(*given: Any) -> bool:
            right = verify(*given)
            monkeypatch.setattr(services.hasher, "verify", verify)
            assert change(session_id).status_code == 200
            return right

        monkeypatch.setattr(services.hasher, "verify", verify_then_change)

        assert client.post(LOGIN, json=CREDENTIALS).status_code == 401

    def test_redis_fails_after_the_commit_and_the_same_request_succeeds(
        self,
        client: FlaskClient,
        log_in: LogIn,
        change: Change,
        revocations_fail: RevocationsFail,
    ) -> None:
        here, elsewhere = log_in(), log_in()

        with revocations_fail():
            first = change(here)
        again = change(here)

        assert [first.status_code, again.status_code] == [503, 200]
        assert not is_live(client, elsewhere)
        assert is_live(client, json_of(again)["session_id"])

    def test_a_password_with_a_line_break_is_judged(self, log_in: LogIn, change: Change) -> None:
        assert change(log_in(), newPassword="12345\nabcdefgh").status_code in {200, 422}

    def test_reset_links_end_and_the_user_is_notified(
        self, client: FlaskClient, services: Services, log_in: LogIn, forget: Forget, change: Change
    ) -> None:
        token = forget()

        change(log_in())

        assert len(mails_in(services, "password_changed")) == 1
        assert reset(client, token, "yet-another-horse").status_code == 400


def test_concurrent_judgements_do_not_mix_their_personal_words() -> None:
    def judge(n: int) -> str | None:
        own = "zebediahquillfeather" if n % 2 else "somebodyelsewhoisnothim"
        return weakness("zebediahquillfeathe", [own, own[:-1]])

    with ThreadPoolExecutor(8) as pool:
        verdicts = list(pool.map(judge, range(100)))

    assert all(verdicts[n] for n in range(1, 100, 2))
    assert not any(verdicts[n] for n in range(0, 100, 2))


class TestForgot:
    @pytest.mark.parametrize("email", ["john@example.com", "JOHN@Example.com"])
    @pytest.mark.usefixtures("john")
    def test_the_user_is_mailed_a_link_for_half_an_hour(
        self, client: FlaskClient, services: Services, email: str
    ) -> None:
        response = client.post(FORGOT, json={"email": email})
        process_requests(services)

        assert response.status_code == 202
        (mail,) = mails_in(services, "password_reset")
        assert mail["recipient"] == "john@example.com"
        assert mail["data"]["username"] == "john_doe"
        url = mail["data"]["resetUrl"]
        assert url.startswith("http://localhost:5001/app/reset#token=")
        with services.database.read() as tx:
            link = tx.scalars(select(UserToken).where(UserToken.purpose == "reset")).one()
        assert link.expires_at - link.created_at == timedelta(minutes=30)
        assert token_in(mail) not in repr(vars(link))

    def test_an_unknown_address_gets_the_same_response_and_no_mail(
        self, client: FlaskClient, services: Services, john: Json
    ) -> None:
        known = client.post(FORGOT, json={"email": john["email"]})
        unknown = client.post(FORGOT, json={"email": "nobody@example.com"})
        process_requests(services)

        assert (unknown.status_code, unknown.data) == (known.status_code, known.data)
        assert set(unknown.headers.keys()) == set(known.headers.keys())
        mails = mails_in(services, "password_reset")
        assert [mail["recipient"] for mail in mails] == [john["email"]]

    def test_both_run_the_same_sql(
        self, client: FlaskClient, services: Services, john: Json
    ) -> None:
        """And nothing else. `benchmarks login` measures the time."""
        statements = statements_of(services.database)
        client.post(FORGOT, json={"email": john["email"]})
        for_known = statements.copy()
        statements.clear()
        client.post(FORGOT, json={"email": "nobody@example.com"})

        assert statements == for_known
        assert [each for each in statements if each.startswith("INSERT INTO events")]
        assert not [each for each in statements if "users" in each]

    def test_the_address_is_deleted_from_a_processed_request(
        self, client: FlaskClient, services: Services
    ) -> None:
        client.post(FORGOT, json={"email": "nobody@example.com"})
        process_requests(services)

        (message,) = messages_in(services)
        assert (message.status, message.body) == ("completed", {})

    @pytest.mark.usefixtures("john")
    def test_an_expired_request_mails_nothing(
        self, client: FlaskClient, services: Services
    ) -> None:
        client.post(FORGOT, json={"email": JOHN["email"]})
        with services.database.begin() as tx:
            tx.execute(
                update(Message)
                .where(Message.service == "usermanagement")
                .values(expires_at=datetime.now(UTC)),
                execution_options={"cache_keys": ()},
            )

        process_requests(services)

        assert mails_in(services, "password_reset") == []
        assert [message.status for message in messages_in(services)] == ["pending", "cancelled"]

    @pytest.mark.usefixtures("john")
    def test_a_worker_that_dies_leaves_the_request_as_it_was(
        self, client: FlaskClient, services: Services, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The link, its mail and the end of the request are one transaction."""
        client.post(FORGOT, json={"email": JOHN["email"]})
        write_mail = services.outbox.password_reset

        def write_and_die(*given: Any) -> None:
            write_mail(*given)
            raise RuntimeError("made for this test")

        with monkeypatch.context() as patch:
            patch.setattr(services.outbox, "password_reset", write_and_die)
            process_requests(services)

        with services.database.read() as tx:
            assert tx.scalar(select(func.count()).where(UserToken.purpose == "reset")) == 0
        assert mails_in(services, "password_reset") == []
        request = messages_in(services)[-1]
        assert (request.status, request.body) == ("pending", {"email": JOHN["email"]})


class TestLimits:
    @pytest.fixture
    def app(self, make_app: MakeApp) -> Flask:
        return make_app(
            rate_limit_forgot=RateLimit("forgot", 5, 900, "closed"),
            rate_limit_reset=RateLimit("reset", 10, 60),
        )

    def test_five_requests_in_fifteen_minutes_per_client(self, client: FlaskClient) -> None:
        statuses = [
            client.post(FORGOT, json={"email": f"n{n}@example.com"}).status_code for n in range(6)
        ]

        assert statuses == [202] * 5 + [429]

    @pytest.mark.parametrize("email", ["john@example.com", "nobody@example.com"])
    @pytest.mark.usefixtures("john")
    def test_five_requests_per_address_over_all_clients(
        self, client: FlaskClient, email: str
    ) -> None:
        responses = [
            client.post(
                FORGOT,
                json={"email": email.upper() if n % 2 else email},
                environ_base={"REMOTE_ADDR": f"10.0.0.{n}"},
            )
            for n in range(6)
        ]

        assert [response.status_code for response in responses] == [202] * 5 + [429]
        assert json_of(responses[5])["error"] == "Rate limit exceeded"
        assert 1 <= json_of(responses[5])["retry_after"] <= 900

    def test_ten_resets_a_minute_per_client(self, client: FlaskClient) -> None:
        statuses = [reset(client, "x").status_code for _ in range(11)]

        assert statuses == [400] * 10 + [429]

    def test_without_redis_a_request_is_a_503(
        self, make_app: MakeApp, own_redis: RedisServer
    ) -> None:
        app = make_app(redis_url=own_redis.url)
        own_redis.kill()

        response = app.test_client().post(FORGOT, json={"email": "john@example.com"})

        assert response.status_code == 503
        assert messages_in(services_of(app)) == []


class TestReset:
    def test_the_password_is_set_and_all_sessions_end(
        self, client: FlaskClient, log_in: LogIn, forget: Forget
    ) -> None:
        sessions = [log_in(), log_in()]

        response = reset(client, forget())

        assert (response.status_code, response.data) == (204, b"")
        assert response.headers["Cache-Control"] == "no-store"
        assert "Set-Cookie" not in response.headers
        assert not any(is_live(client, session_id) for session_id in sessions)
        assert can_log_in(client, NEW_PASSWORD)
        assert not can_log_in(client, JOHN["password"])

    def test_the_user_is_notified_and_the_address_is_verified(
        self, client: FlaskClient, services: Services, john: Json, forget: Forget
    ) -> None:
        reset(client, forget())

        (mail,) = mails_in(services, "password_changed")
        assert (mail["userId"], mail["recipient"]) == (john["id"], john["email"])
        assert mail["data"]["username"] == "john_doe"
        changed = datetime.fromisoformat(mail["data"]["changedAt"])
        assert timedelta(0) <= datetime.now(UTC) - changed < timedelta(minutes=1)
        with services.database.read() as tx:
            assert tx.get_one(User, john["id"]).email_verified

    def test_wrong_used_and_expired_links_get_one_response(
        self, client: FlaskClient, services: Services, forget: Forget
    ) -> None:
        used, superseded = forget(), forget()
        reset(client, used)
        expired = forget()
        with services.database.begin() as tx:
            tx.execute(update(UserToken).values(expires_at=datetime.now(UTC)))

        for token in ("x" * 43, used, superseded, expired):
            response = reset(client, token, "yet-another-horse")
            assert response.status_code == 400
            assert json_of(response)["error"] == "The link is no longer valid"
            assert problem_of(response)[1] == ["token"]
        assert can_log_in(client, NEW_PASSWORD)

    def test_of_fifty_concurrent_resets_one_sets_the_password(self, make_app: MakeApp) -> None:
        app = make_app(parts={"hasher": Hasher(concurrency=2, wait_seconds=30, argon2=QUICK)})
        client, services = app.test_client(use_cookies=False), services_of(app)
        register(client)
        client.post(FORGOT, json={"email": JOHN["email"]})
        process_requests(services)
        token = token_in(mails_in(services, "password_reset")[0])

        def follow(n: int) -> int:
            return reset(app.test_client(), token, f"{NEW_PASSWORD}-{n}").status_code

        with ThreadPoolExecutor(50) as pool:
            statuses = list(pool.map(follow, range(50)))

        assert statuses.count(204) == 1
        assert set(statuses) <= {204, 400, 503}  # 503: no SQL connection or slot to judge in time
        assert can_log_in(client, f"{NEW_PASSWORD}-{statuses.index(204)}")
        assert len(mails_in(services, "password_changed")) == 1

    def test_the_other_links_end(self, client: FlaskClient, forget: Forget) -> None:
        first, second = forget(), forget()

        assert reset(client, second).status_code == 204

        assert reset(client, first, "yet-another-horse").status_code == 400
        assert can_log_in(client, NEW_PASSWORD)

    def test_a_refused_password_does_not_use_up_the_link(
        self, client: FlaskClient, log_in: LogIn, forget: Forget
    ) -> None:
        token, session_id = forget(), log_in()

        for weak in ("password123", "john_doe", "short"):
            response = reset(client, token, weak)
            assert problem_of(response) == (422, ["newPassword"])
            assert json_of(response)["details"][0]["message"][0].isupper()

        assert is_live(client, session_id)
        assert reset(client, token).status_code == 204

    def test_a_link_to_a_former_address_is_invalid(
        self, client: FlaskClient, john: Json, headers: Headers, forget: Forget
    ) -> None:
        token = forget()
        body = {"email": "johnny@example.com", "password": JOHN["password"]}
        client.patch(user_path(john), json=body, headers=headers)

        assert reset(client, token).status_code == 400

    @pytest.mark.usefixtures("john")
    def test_a_verification_link_resets_nothing(
        self, client: FlaskClient, services: Services
    ) -> None:
        (mail,) = mails_in(services, "welcome")

        assert reset(client, token_in(mail)).status_code == 400

    def test_the_link_of_a_deleted_user_is_invalid(
        self, client: FlaskClient, john: Json, headers: Headers, forget: Forget
    ) -> None:
        token = forget()
        client.delete(user_path(john), headers=headers)

        assert reset(client, token).status_code == 400

    def test_neither_token_nor_password_is_repeated_or_logged(
        self, client: FlaskClient, forget: Forget, caplog: pytest.LogCaptureFixture
    ) -> None:
        token = forget()
        caplog.set_level("DEBUG")

        texts = reset(client, token, "password123").text + reset(client, token).text

        for secret in (token, NEW_PASSWORD, "password123"):
            assert secret not in texts + caplog.text


class TestResetFailures:
    def test_redis_fails_after_the_commit_and_the_same_request_succeeds(
        self,
        client: FlaskClient,
        log_in: LogIn,
        forget: Forget,
        revocations_fail: RevocationsFail,
    ) -> None:
        token, session_id = forget(), log_in()

        with revocations_fail():
            statuses = [reset(client, token).status_code]
        statuses += [reset(client, token).status_code for _ in range(2)]

        assert statuses == [503, 204, 400]
        assert not is_live(client, session_id)
        assert can_log_in(client, NEW_PASSWORD)

    def test_a_reset_that_may_not_wait_does_not_restore_a_link_that_another_one_has_used(
        self,
        client: FlaskClient,
        services: Services,
        forget: Forget,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        token, begin = forget(), services.database.begin

        def begin_too_late() -> NoReturn:
            monkeypatch.setattr(services.database, "begin", begin)
            assert reset(client, token).status_code == 204
            raise TooManyWaitingWriters("made for this test")

        monkeypatch.setattr(services.database, "begin", begin_too_late)

        statuses = [reset(client, token, "yet-another-horse").status_code for _ in range(2)]

        assert statuses == [503, 400]
        assert can_log_in(client, NEW_PASSWORD)

    def test_without_redis_the_password_is_still_set(
        self, make_app: MakeApp, own_redis: RedisServer
    ) -> None:
        app = make_app(redis_url=own_redis.url)
        client, services = app.test_client(use_cookies=False), services_of(app)
        register(client)
        client.post(FORGOT, json={"email": JOHN["email"]})
        process_requests(services)
        token = token_in(mails_in(services, "password_reset")[0])
        own_redis.kill()

        assert reset(client, token).status_code == 503

        with services.database.read() as tx:
            user = tx.scalars(select(User)).one()
        assert services.hasher.verify(user.password_hash, NEW_PASSWORD)
        assert user.auth_epoch == 1

    def test_a_failed_commit_leaves_the_link_and_the_password(
        self,
        client: FlaskClient,
        services: Services,
        forget: Forget,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        token = forget()

        def fail(*_: Any) -> None:
            raise RuntimeError("made for this test")

        with monkeypatch.context() as patch:
            patch.setattr(sys.modules["app.passwords.service"], "revoke_sessions", fail)
            assert reset(client, token).status_code == 500

        assert can_log_in(client, JOHN["password"])
        assert mails_in(services, "password_changed") == []
        assert reset(client, token).status_code == 204
