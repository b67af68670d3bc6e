"""Notifications over HTTP, and what becomes of them."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import event, func, select
from werkzeug.test import TestResponse

from app.models import Attempt, Notification
from app.services import Services
from app.users import User
from common.pyportal_common.cache_handlers import RateLimit, get_redis_client

from .conftest import (
    API,
    NOTE,
    NOTIFICATIONS,
    SERVICE,
    WEBHOOKS,
    WELCOME,
    logged_in,
    mails_in,
    work_off,
)

Headers = dict[str, str]
Users = dict[int, User]


def of(answer: TestResponse) -> dict[str, Any]:
    assert answer.json is not None, answer.text
    found: dict[str, Any] = answer.json["notification"]
    return found


def fields_of(answer: TestResponse) -> list[str]:
    assert answer.json is not None, answer.text
    return [detail["field"] for detail in answer.json["details"]]


class TestByServices:
    def test_a_mail_to_anybody_is_accepted_and_goes_out(
        self, client: FlaskClient, mine: Services
    ) -> None:
        answer = client.post(NOTIFICATIONS, json=WELCOME, headers=SERVICE)

        accepted = of(answer)
        assert answer.status_code == 202
        assert (accepted["status"], accepted["source"]) == ("queued", "usermanagement")
        work_off(mine)
        sent = of(client.get(answer.headers["Location"], headers=SERVICE))
        assert (sent["status"], sent["attempts"], sent["error"]) == ("sent", 1, None)
        (mail,) = mails_in(mine.settings.data_dir)
        assert mail["To"] == "john@example.com"
        assert mail["Subject"] == "Welcome to the portal, john_doe"
        assert mail["Message-ID"] == f"<{accepted['messageId']}@localhost>"
        plain, html = mail.get_body(("plain",)), mail.get_body(("html",))
        assert plain is not None
        assert html is not None
        assert WELCOME["data"]["verifyUrl"] in plain.get_content()
        assert "Welcome, John!" in plain.get_content()
        assert "<strong>john_doe</strong>" in html.get_content()

    @pytest.mark.parametrize("token", ["", "a-token", "a-token-of-user-managemenT", "\u00e9" * 20])
    def test_a_wrong_token_is_a_401(self, client: FlaskClient, token: str) -> None:
        environ = {"HTTP_X_SERVICE_TOKEN": token}

        answer = client.post(NOTIFICATIONS, json=WELCOME, environ_overrides=environ)

        assert answer.status_code == 401

    def test_two_tokens_of_a_service_are_valid_while_one_replaces_the_other(
        self, make_app: Callable[..., Flask]
    ) -> None:
        tokens = "usermanagement:the-old-token-of-it,usermanagement:the-new-token-of-it"
        client = make_app(service_tokens=tokens).test_client()

        for token in ("the-old-token-of-it", "the-new-token-of-it"):
            headers = {"X-Service-Token": token}
            answer = client.post(NOTIFICATIONS, json=WELCOME, headers=headers)
            assert of(answer)["source"] == "usermanagement"

    def test_the_address_of_a_user_is_found_when_it_goes_out(
        self, client: FlaskClient, mine: Services, users: Users
    ) -> None:
        body = {name: value for name, value in WELCOME.items() if name != "recipient"}
        accepted = of(client.post(NOTIFICATIONS, json=body, headers=SERVICE))
        assert accepted["recipient"] is None
        users[7] = User("new@example.com", email_verified=False)

        work_off(mine)

        (mail,) = mails_in(mine.settings.data_dir)
        assert mail["To"] == "new@example.com"

    def test_a_user_who_is_gone_gets_none(
        self, client: FlaskClient, mine: Services, users: Users
    ) -> None:
        body = {name: value for name, value in WELCOME.items() if name != "recipient"}
        answer = client.post(NOTIFICATIONS, json=body, headers=SERVICE)
        del users[7]

        work_off(mine)

        found = of(client.get(answer.headers["Location"], headers=SERVICE))
        assert found["status"] == "suppressed"
        assert found["error"] == "There is no such user any more"
        assert mails_in(mine.settings.data_dir) == []

    def test_one_event_is_one_notification_for_ever(
        self, client: FlaskClient, mine: Services
    ) -> None:
        key = SERVICE | {"Idempotency-Key": "event-1"}
        first = client.post(NOTIFICATIONS, json=WELCOME, headers=key)
        work_off(mine)
        assert list(get_redis_client(2).scan("idempotency:*")) == []  # SQL alone knows it
        with mine.database.begin() as tx:
            for row in tx.scalars(select(Notification)):
                row.created_at -= timedelta(days=30)

        again = client.post(NOTIFICATIONS, json=WELCOME, headers=key)

        assert again.status_code == 202
        assert of(again)["notificationId"] == of(first)["notificationId"]
        assert len(mails_in(mine.settings.data_dir)) == 1

    def test_one_event_that_is_posted_many_times_at_once_is_one_notification(
        self, app: Flask, mine: Services
    ) -> None:
        key = SERVICE | {"Idempotency-Key": "event-1"}

        def post(_: int) -> TestResponse:
            return app.test_client().post(NOTIFICATIONS, json=WELCOME, headers=key)

        with ThreadPoolExecutor(8) as pool:
            answers = list(pool.map(post, range(16)))

        assert {answer.status_code for answer in answers} == {202}
        assert len({of(answer)["notificationId"] for answer in answers}) == 1
        with mine.database.read() as tx:
            assert tx.scalar(select(func.count()).select_from(Notification)) == 1


class TestByUsers:
    def test_they_write_to_themselves(
        self, client: FlaskClient, mine: Services, john: Headers, users: Users
    ) -> None:
        assert users
        answer = client.post(NOTIFICATIONS, json=NOTE, headers=john)

        assert answer.status_code == 202
        assert (of(answer)["userId"], of(answer)["source"]) == (7, "user=7")
        work_off(mine)
        (mail,) = mails_in(mine.settings.data_dir)
        assert (mail["To"], mail["Subject"]) == ("john@example.com", "Admission")

    @pytest.mark.parametrize(
        ("change", "field"),
        [
            ({"recipient": "jane@example.com"}, "recipient"),
            ({"userId": 8}, "userId"),
            ({"channel": "webhook", "recipient": "https://example.com/"}, "recipient"),
        ],
    )
    def test_and_to_nobody_else(
        self,
        client: FlaskClient,
        john: Headers,
        users: Users,
        change: dict[str, Any],
        field: str,
    ) -> None:
        assert users
        answer = client.post(NOTIFICATIONS, json=NOTE | change, headers=john)

        assert answer.status_code == 403
        assert fields_of(answer) == [field]

    def test_an_address_has_to_be_verified_first(
        self, client: FlaskClient, john: Headers, users: Users
    ) -> None:
        users[7] = User("john@example.com", email_verified=False)

        assert client.post(NOTIFICATIONS, json=NOTE, headers=john).status_code == 403

    def test_while_user_management_is_away_it_is_a_503(
        self, client: FlaskClient, john: Headers
    ) -> None:
        answer = client.post(NOTIFICATIONS, json=NOTE, headers=john)

        assert answer.status_code == 503
        assert answer.headers["Retry-After"] == "5"

    def test_they_are_limited(self, make_app: Callable[..., Flask], users: Users) -> None:
        assert users
        client = make_app(rate_limit_notifications=RateLimit("notifications", 2, 60)).test_client()
        john = logged_in(7)

        statuses = [client.post(NOTIFICATIONS, json=NOTE, headers=john).status_code for _ in "123"]

        assert statuses == [202, 202, 429]
        assert client.post(NOTIFICATIONS, json=WELCOME, headers=SERVICE).status_code == 202

    def test_anothers_notification_is_a_404(self, client: FlaskClient, jane: Headers) -> None:
        path = client.post(NOTIFICATIONS, json=WELCOME, headers=SERVICE).headers["Location"]

        for answer in (
            client.get(path, headers=jane),
            client.get(f"{path}/status", headers=jane),
            client.get(f"{path}/attempts", headers=jane),
            client.post(f"{path}/retry", headers=jane),
        ):
            assert answer.status_code == 404
        assert client.get(f"{path}/status").status_code == 401


class TestStatus:
    def test_it_is_in_redis_before_anybody_asks(
        self, client: FlaskClient, mine: Services, john: Headers
    ) -> None:
        found = of(client.post(NOTIFICATIONS, json=WELCOME, headers=SERVICE))
        work_off(mine)

        cached = get_redis_client(2).get_json(f"notification:status:{found['notificationId']}")
        assert cached == {**cached, "status": "sent", "attempts": 1, "userId": 7}
        answer = client.get(f"{NOTIFICATIONS}/{found['notificationId']}/status", headers=john)
        assert answer.json == cached

    def test_polls_ask_no_sql(self, client: FlaskClient, mine: Services, john: Headers) -> None:
        found = of(client.post(NOTIFICATIONS, json=WELCOME, headers=SERVICE))
        work_off(mine)
        path = f"{NOTIFICATIONS}/{found['notificationId']}/status"
        client.get(path, headers=john)
        asked: list[str] = []
        event.listen(
            mine.database.engine, "before_cursor_execute", lambda *given: asked.append(given[2])
        )

        assert [client.get(path, headers=john).status_code for _ in range(20)] == [200] * 20
        assert asked == []

    def test_of_many_polls_from_its_acceptance_to_its_end_few_ask_sql(
        self, app: Flask, client: FlaskClient, mine: Services, john: Headers
    ) -> None:
        accepted = client.post(NOTIFICATIONS, json=WELCOME, headers=SERVICE)
        path = f"{accepted.headers['Location']}/status"
        asked: list[str] = []

        def note(_: object, __: object, statement: str, *___: object) -> None:
            if threading.current_thread().name.startswith("poll"):
                asked.append(statement)

        def poll(_: int) -> str:
            answer = app.test_client().get(path, headers=john)
            assert answer.json is not None
            return str(answer.json["status"])

        event.listen(mine.database.engine, "before_cursor_execute", note)
        with ThreadPoolExecutor(8, thread_name_prefix="poll") as pool:
            before = list(pool.map(poll, range(200)))
            work_off(mine)
            after = list(pool.map(poll, range(200)))

        assert (set(before), set(after)) == ({"queued"}, {"sent"})
        selects = [statement for statement in asked if statement.startswith("SELECT")]
        assert len(selects) <= 0.05 * len(before + after)


class TestList:
    def test_ones_own_the_newest_first(
        self, client: FlaskClient, john: Headers, jane: Headers
    ) -> None:
        made = [
            of(client.post(NOTIFICATIONS, json=WELCOME, headers=SERVICE))["notificationId"]
            for _ in range(51)
        ]
        first = client.get(NOTIFICATIONS, headers=john).json
        assert first is not None
        second = client.get(f"{NOTIFICATIONS}?cursor={first['next']}", headers=john).json
        assert second is not None

        shown = [one["notificationId"] for one in first["items"] + second["items"]]
        assert shown == made[::-1]
        assert client.get(NOTIFICATIONS, headers=jane).json == {"items": [], "next": None}
        assert len(get_redis_client(2).get_json("user:notifications:7")) == 51

    def test_by_status_and_channel(
        self, client: FlaskClient, mine: Services, john: Headers
    ) -> None:
        client.post(NOTIFICATIONS, json=WELCOME, headers=SERVICE)
        work_off(mine)
        client.post(NOTIFICATIONS, json=WELCOME, headers=SERVICE)

        def count(question: str) -> int:
            answer = client.get(f"{NOTIFICATIONS}?{question}", headers=john)
            assert answer.json is not None
            return len(answer.json["items"])

        assert count("status=sent") == 1
        assert count("status=queued&channel=email") == 1
        assert count("channel=webhook") == 0
        assert client.get(f"{NOTIFICATIONS}?status=done", headers=john).status_code == 422


class TestPrivacy:
    def test_links_that_work_once_are_shown_to_nobody_and_not_kept(
        self, client: FlaskClient, mine: Services, john: Headers
    ) -> None:
        answer = client.post(NOTIFICATIONS, json=WELCOME, headers=SERVICE)
        assert "token=abc" not in answer.text
        assert "token=abc" not in client.get(answer.headers["Location"], headers=john).text

        work_off(mine)

        with mine.database.read() as tx:
            assert tx.scalars(select(Notification.data)).one() == {}

    def test_a_deleted_user_is_forgotten(
        self, client: FlaskClient, mine: Services, john: Headers, users: Users
    ) -> None:
        assert users
        client.post(NOTIFICATIONS, json=NOTE, headers=john)
        work_off(mine)
        client.post(NOTIFICATIONS, json=WELCOME, headers=SERVICE)
        client.post(WEBHOOKS, json={"url": "https://example.com/"}, headers=john)
        path = f"{API}/users/7/anonymise"
        assert client.post(path, headers=john).status_code == 401

        assert client.post(path, headers=SERVICE).status_code == 204

        with mine.database.read() as tx:
            rows = tx.scalars(select(Notification).order_by(Notification.id)).all()
            assert [row.status for row in rows] == ["sent", "suppressed"]
            kept = str([{name: str(value) for name, value in vars(row).items()} for row in rows])
            assert tx.scalar(select(func.count()).select_from(Attempt)) == 1
            assert tx.scalars(select(Attempt.answer)).all() == [None]
        for gone in ("john", "Admission", "gate 7", "token=abc", "user=7"):
            assert gone not in kept
        assert client.get(NOTIFICATIONS, headers=john).json == {"items": [], "next": None}
        assert client.get(WEBHOOKS, headers=john).json == {"items": [], "next": None}
