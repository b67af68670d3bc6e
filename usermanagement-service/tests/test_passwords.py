"""Forgotten passwords: asking for a link, which tells nobody anything, and setting a new one."""

import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import event as sql_event
from sqlalchemy import func, select, update
from werkzeug.test import TestResponse

from app import deliveries
from app.models import Event, User, UserToken
from app.services import Services
from common.pyportal_common.cache_handlers import RateLimit, RedisUnavailable
from common.pyportal_common.jobs import JobRunner
from common.pyportal_common.redis_server import RedisServer

from .conftest import (
    API,
    JOHN,
    LOGIN,
    REGISTER,
    bearer,
    events_in,
    mails_in,
    mine_of,
    token_in,
)

FORGOT = f"{API}/password/forgot"
RESET = f"{API}/password/reset"
NEW = "another-horse-battery"
LogIn = Callable[[], str]
Forget = Callable[[], str]


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    """A client without a cookie jar: what is presented stands in the test."""
    return app.test_client(use_cookies=False)


@pytest.fixture
def forget(client: FlaskClient, mine: Services, john: dict[str, Any]) -> Forget:
    """Has John forget his password, and gives the token that he is mailed."""

    def forget() -> str:
        assert client.post(FORGOT, json={"email": john["email"]}).status_code == 202
        see_to_forgotten(mine)
        return token_in(mails_in(mine, "password_reset")[-1])

    return forget


def see_to_forgotten(mine: Services) -> None:
    """Do what a worker does with forgotten passwords, and post nothing."""
    runner = JobRunner(mine.events, lambda run: deliveries.perform(run, mine))
    for event in events_in(mine):
        if event.service == "usermanagement":
            runner.do(event.id)


def reset(client: FlaskClient, token: str, password: str = NEW) -> TestResponse:
    return client.post(RESET, json={"token": token, "newPassword": password})


def can_log_in(client: FlaskClient, password: str) -> bool:
    answer = client.post(LOGIN, json={"username": JOHN["username"], "password": password})
    return answer.status_code == 200


def links_in(mine: Services, purpose: str) -> list[UserToken]:
    with mine.database.read() as tx:
        return list(tx.scalars(select(UserToken).where(UserToken.purpose == purpose)))


@contextmanager
def statements(mine: Services) -> Iterator[list[str]]:
    """What SQL is asked in the block, without values."""
    asked: list[str] = []

    def note(*given: Any) -> None:
        asked.append(given[2])

    sql_event.listen(mine.database.engine, "before_cursor_execute", note)
    yield asked
    sql_event.remove(mine.database.engine, "before_cursor_execute", note)


class TestForgetting:
    @pytest.mark.parametrize("email", ["john@example.com", "JOHN@Example.com"])
    @pytest.mark.usefixtures("john")
    def test_who_has_the_address_is_mailed_a_link_for_half_an_hour(
        self, client: FlaskClient, mine: Services, email: str
    ) -> None:
        answer = client.post(FORGOT, json={"email": email})
        see_to_forgotten(mine)

        assert answer.status_code == 202
        (mail,) = mails_in(mine, "password_reset")
        assert mail["recipient"] == "john@example.com"
        assert mail["data"]["username"] == "john_doe"
        url = mail["data"]["resetUrl"]
        assert url.startswith("http://localhost:5001/account/reset#token=")
        (link,) = links_in(mine, "reset")
        assert link.expires_at - link.created_at == timedelta(minutes=30)
        assert token_in(mail) not in repr(vars(link))

    def test_an_address_that_nobody_has_gets_the_same_answer_and_no_mail(
        self, client: FlaskClient, mine: Services, john: dict[str, Any]
    ) -> None:
        known = client.post(FORGOT, json={"email": john["email"]})
        unknown = client.post(FORGOT, json={"email": "nobody@example.com"})
        see_to_forgotten(mine)

        assert (unknown.status_code, unknown.data) == (known.status_code, known.data)
        assert set(unknown.headers.keys()) == set(known.headers.keys())
        assert [mail["recipient"] for mail in mails_in(mine, "password_reset")] == [john["email"]]

    def test_sql_is_asked_the_same_for_both(
        self, client: FlaskClient, mine: Services, john: dict[str, Any]
    ) -> None:
        """And it is all that is asked: `benchmarks forgot` shows what that comes to in time."""
        with statements(mine) as of_known:
            client.post(FORGOT, json={"email": john["email"]})
        with statements(mine) as of_unknown:
            client.post(FORGOT, json={"email": "nobody@example.com"})

        assert of_known == of_unknown
        assert [statement for statement in of_known if statement.startswith("INSERT INTO events")]
        assert not [statement for statement in of_known if "users" in statement]

    def test_the_submitted_address_is_forgotten_when_it_is_seen_to(
        self, client: FlaskClient, mine: Services
    ) -> None:
        client.post(FORGOT, json={"email": "nobody@example.com"})
        see_to_forgotten(mine)

        (event,) = events_in(mine)
        assert (event.status, event.body) == ("completed", {})

    def test_a_request_that_waited_too_long_mails_nothing(
        self, client: FlaskClient, mine: Services, john: dict[str, Any]
    ) -> None:
        client.post(FORGOT, json={"email": john["email"]})
        with mine.database.begin() as tx:
            late = update(Event).where(Event.service == "usermanagement")
            tx.execute(
                late.values(expires_at=datetime.now(UTC)), execution_options={"cache_keys": ()}
            )

        see_to_forgotten(mine)

        assert mails_in(mine, "password_reset") == []
        assert [event.status for event in events_in(mine)] == ["pending", "cancelled"]

    @pytest.mark.parametrize(
        "body",
        [{}, {"email": "x"}, {"email": 7}, {"email": None}, {"email": "john@example.com\x00"}],
        ids=str,
    )
    def test_other_bodies_are_a_422_that_names_it(
        self, client: FlaskClient, mine: Services, body: Any
    ) -> None:
        answer = client.post(FORGOT, json=body)

        assert answer.status_code == 422
        assert answer.json is not None
        assert answer.json["details"][0]["field"] == "email"
        assert events_in(mine) == []


class TestLimits:
    @pytest.fixture
    def app(self, make_app: Callable[..., Flask]) -> Flask:
        return make_app(
            rate_limit_forgot=RateLimit("forgot", 5, 900, "closed"),
            rate_limit_reset=RateLimit("reset", 10, 60),
        )

    def test_five_in_fifteen_minutes_for_a_client(self, client: FlaskClient) -> None:
        statuses = [
            client.post(FORGOT, json={"email": f"n{n}@example.com"}).status_code for n in range(6)
        ]

        assert statuses == [202] * 5 + [429]

    @pytest.mark.parametrize("email", ["john@example.com", "nobody@example.com"])
    @pytest.mark.usefixtures("john")
    def test_five_for_an_address_whoever_asks_and_whoever_has_it(
        self, client: FlaskClient, email: str
    ) -> None:
        answers = [
            client.post(
                FORGOT,
                json={"email": email.upper() if n % 2 else email},
                environ_base={"REMOTE_ADDR": f"10.0.0.{n}"},
            )
            for n in range(6)
        ]

        assert [answer.status_code for answer in answers] == [202] * 5 + [429]
        assert answers[5].json is not None
        assert 1 <= answers[5].json["retry_after"] <= 900

    def test_ten_resets_a_minute_for_a_client(self, client: FlaskClient) -> None:
        statuses = [reset(client, "x").status_code for _ in range(11)]

        assert statuses == [400] * 10 + [429]

    def test_without_redis_nobody_gets_a_link(
        self, make_app: Callable[..., Flask], own_redis: RedisServer
    ) -> None:
        app = make_app(redis_url=own_redis.url)
        own_redis.kill()

        answer = app.test_client().post(FORGOT, json={"email": "john@example.com"})

        assert answer.status_code == 503
        assert events_in(mine_of(app)) == []


class TestResetting:
    def test_it_sets_the_password_and_ends_all_sessions(
        self, client: FlaskClient, log_in: LogIn, forget: Forget
    ) -> None:
        sessions = [log_in(), log_in()]

        answer = reset(client, forget())

        assert (answer.status_code, answer.data) == (204, b"")
        assert "Set-Cookie" not in answer.headers
        for session_id in sessions:
            assert client.get(f"{API}/session", headers=bearer(session_id)).status_code == 401
        assert can_log_in(client, NEW)
        assert not can_log_in(client, JOHN["password"])

    def test_the_user_is_told(
        self, client: FlaskClient, mine: Services, john: dict[str, Any], forget: Forget
    ) -> None:
        reset(client, forget())

        (mail,) = mails_in(mine, "password_changed")
        assert (mail["userId"], mail["recipient"]) == (john["id"], john["email"])
        assert mail["data"]["username"] == "john_doe"
        changed = datetime.fromisoformat(mail["data"]["changedAt"])
        assert timedelta(0) <= datetime.now(UTC) - changed < timedelta(minutes=1)

    def test_wrong_used_and_expired_are_one_answer(
        self, client: FlaskClient, mine: Services, forget: Forget
    ) -> None:
        used, expiring = forget(), forget()
        reset(client, used)
        late = forget()
        with mine.database.begin() as tx:
            tx.execute(update(UserToken).values(expires_at=datetime.now(UTC)))

        for token in ("x" * 43, used, expiring, late):
            answer = reset(client, token, "yet-another-horse")
            assert answer.status_code == 400
            assert answer.json is not None
            assert answer.json["error"] == "The link does not work any more"
            assert answer.json["details"][0]["field"] == "token"
        assert can_log_in(client, NEW)

    def test_of_fifty_at_once_one_sets_the_password(
        self, app: Flask, mine: Services, forget: Forget
    ) -> None:
        token = forget()
        mine.passwords._wait_seconds = 30

        def follow(n: int) -> int:
            return reset(app.test_client(use_cookies=False), token, f"{NEW}-{n}").status_code

        with ThreadPoolExecutor(50) as pool:
            statuses = list(pool.map(follow, range(50)))

        assert statuses.count(204) == 1
        assert set(statuses) <= {204, 400, 503}  # 503: no connection to SQL or turn to judge
        client = app.test_client(use_cookies=False)
        assert can_log_in(client, f"{NEW}-{statuses.index(204)}")
        assert len(mails_in(mine, "password_changed")) == 1

    def test_the_other_links_end_with_it(self, client: FlaskClient, forget: Forget) -> None:
        first, second = forget(), forget()

        assert reset(client, second).status_code == 204

        assert reset(client, first, "yet-another-horse").status_code == 400
        assert can_log_in(client, NEW)

    def test_a_password_that_is_refused_does_not_use_it_up(
        self, client: FlaskClient, log_in: LogIn, forget: Forget
    ) -> None:
        token, session_id = forget(), log_in()

        for weak in ("password123", "john_doe", "short"):
            answer = reset(client, token, weak)
            assert answer.status_code == 422
            assert answer.json is not None
            assert answer.json["details"][0]["field"] == "newPassword"

        assert client.get(f"{API}/session", headers=bearer(session_id)).status_code == 200
        assert reset(client, token).status_code == 204

    def test_it_verifies_the_address_that_the_link_went_to(
        self, client: FlaskClient, mine: Services, john: dict[str, Any], forget: Forget
    ) -> None:
        reset(client, forget())

        with mine.database.read() as tx:
            assert tx.get_one(User, john["id"]).email_verified

    def test_a_link_that_went_to_an_old_address_resets_nothing(
        self, client: FlaskClient, john: dict[str, Any], log_in: LogIn, forget: Forget
    ) -> None:
        token = forget()
        body = {"email": "johnny@example.com", "password": JOHN["password"]}
        client.patch(f"{API}/users/{john['id']}", json=body, headers=bearer(log_in()))

        assert reset(client, token).status_code == 400

    def test_a_link_that_verifies_resets_nothing(
        self, client: FlaskClient, mine: Services, john: dict[str, Any]
    ) -> None:
        (mail,) = mails_in(mine, "welcome")
        assert mail["userId"] == john["id"]

        assert reset(client, token_in(mail)).status_code == 400

    def test_a_new_password_by_the_old_one_ends_links_and_is_told(
        self,
        client: FlaskClient,
        mine: Services,
        john: dict[str, Any],
        log_in: LogIn,
        forget: Forget,
    ) -> None:
        token = forget()

        client.put(
            f"{API}/users/{john['id']}/password",
            json={"currentPassword": JOHN["password"], "newPassword": NEW},
            headers=bearer(log_in()),
        )

        assert len(mails_in(mine, "password_changed")) == 1
        assert reset(client, token, "yet-another-horse").status_code == 400

    def test_a_user_who_was_deleted_meanwhile_has_no_password(
        self, client: FlaskClient, john: dict[str, Any], log_in: LogIn, forget: Forget
    ) -> None:
        token = forget()
        client.delete(f"{API}/users/{john['id']}", headers=bearer(log_in()))

        assert reset(client, token).status_code == 400

    @pytest.mark.parametrize(
        ("change", "field"),
        [
            ({"token": None}, "token"),
            ({"token": ""}, "token"),
            ({"token": ["x"]}, "token"),
            ({"token": "x" * 201}, "token"),
            ({"newPassword": 7}, "newPassword"),
            ({"newPassword": "x" * 129}, "newPassword"),
            ({"userId": 1}, "userId"),
        ],
        ids=str,
    )
    def test_other_bodies_are_a_422_that_names_it(
        self, client: FlaskClient, change: dict[str, Any], field: str
    ) -> None:
        answer = client.post(RESET, json={"token": "x", "newPassword": NEW} | change)

        assert answer.status_code == 422
        assert answer.json is not None
        assert [detail["field"] for detail in answer.json["details"]] == [field]

    def test_neither_token_nor_password_is_repeated_or_logged(
        self, client: FlaskClient, forget: Forget, caplog: pytest.LogCaptureFixture
    ) -> None:
        token = forget()
        caplog.set_level("DEBUG")

        said = reset(client, token, "password123").text + reset(client, token).text

        for secret in (token, NEW, "password123"):
            assert secret not in said + caplog.text


class TestOutage:
    def test_redis_dies_before_the_sessions_end_and_the_same_request_works_again(
        self,
        client: FlaskClient,
        mine: Services,
        log_in: LogIn,
        forget: Forget,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        token, session_id = forget(), log_in()
        revoke_as = mine.sessions.revoke_as

        def die_once(*_: Any, **__: Any) -> None:
            monkeypatch.setattr(mine.sessions, "revoke_as", revoke_as)
            raise RedisUnavailable("made for this test")

        monkeypatch.setattr(mine.sessions, "revoke_as", die_once)

        statuses = [reset(client, token).status_code for _ in range(3)]

        assert statuses == [503, 204, 400]
        assert client.get(f"{API}/session", headers=bearer(session_id)).status_code == 401
        assert can_log_in(client, NEW)

    def test_without_redis_the_password_is_set_all_the_same(
        self, make_app: Callable[..., Flask], own_redis: RedisServer
    ) -> None:
        app = make_app(redis_url=own_redis.url)
        client, mine = app.test_client(use_cookies=False), mine_of(app)
        client.post(REGISTER, json=JOHN)
        client.post(FORGOT, json={"email": JOHN["email"]})
        see_to_forgotten(mine)
        token = token_in(mails_in(mine, "password_reset")[0])
        own_redis.kill()

        assert reset(client, token).status_code == 503

        with mine.database.read() as tx:
            user = tx.scalars(select(User)).one()
        assert mine.passwords.verify(user.password_hash, NEW)
        assert user.auth_epoch == 1

    def test_a_commit_that_fails_leaves_the_link_and_the_password(
        self,
        client: FlaskClient,
        mine: Services,
        forget: Forget,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        token = forget()

        def fail(*_: Any) -> None:
            raise RuntimeError("made for this test")

        with monkeypatch.context() as patch:
            patch.setattr(sys.modules["app.new_passwords"], "revoke_sessions", fail)
            assert reset(client, token).status_code == 500

        assert can_log_in(client, JOHN["password"])
        assert mails_in(mine, "password_changed") == []
        assert reset(client, token).status_code == 204


def test_nothing_is_left_of_a_worker_that_dies_in_the_middle(
    client: FlaskClient, mine: Services, john: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The link, its mail and the end of the request are one transaction."""
    client.post(FORGOT, json={"email": john["email"]})

    def die(*_: Any, **__: Any) -> None:
        raise RuntimeError("made for this test")

    with monkeypatch.context() as patch:
        patch.setattr(mine.outbox, "_mail", die)
        see_to_forgotten(mine)

    with mine.database.read() as tx:
        assert tx.scalar(select(func.count()).where(UserToken.purpose == "reset")) == 0
    forgotten = events_in(mine)[-1]
    assert (forgotten.status, forgotten.body) == ("pending", {"email": john["email"]})
