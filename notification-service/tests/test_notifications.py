"""Notifications: creating, showing, listing and anonymising them."""

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlalchemy import event, func, select

from app.models import Attempt, Notification
from app.users import User
from common.pyportal_common.cache_handlers import RateLimit, get_redis_client
from common.pyportal_common.db.idempotency import KEYS
from common.pyportal_common.redis_server import free_port
from common.pyportal_common.testing.kit import (
    API,
    json_of,
    problem_of,
    session_headers,
    statements_of,
)

from .conftest import NOTE, WELCOME, Headers, MakeApp, Users, mails_in
from .sender import NOTIFICATIONS, SERVICE, WEBHOOKS, Sender

WITHOUT_RECIPIENT = {name: value for name, value in WELCOME.items() if name != "recipient"}


class TestByServices:
    def test_an_email_to_anyone_is_accepted_and_sent(self, sender: Sender) -> None:
        accepted = sender.accept(WELCOME)
        assert (accepted["status"], accepted["source"]) == ("queued", "usermanagement")

        sender.deliver()

        assert sender.status_of(accepted) == ("sent", 1, None)
        (mail,) = mails_in(sender.data_dir)
        assert mail["To"] == "john@example.com"
        assert mail["Subject"] == "Welcome to the portal, john_doe"
        assert mail["Message-ID"] == f"<{accepted['messageId']}@localhost>"
        for kind in ("plain", "html"):
            part = mail.get_body((kind,))
            assert part is not None
            for text in ("Welcome, John!", "john_doe", WELCOME["data"]["verifyUrl"]):
                assert text in part.get_content()

    @pytest.mark.parametrize("token", ["", "a-token", "a-token-of-user-managemenT", "\u00e9" * 20])
    def test_a_wrong_token_is_a_401(self, client: FlaskClient, token: str) -> None:
        environ = {"HTTP_X_SERVICE_TOKEN": token}

        response = client.post(NOTIFICATIONS, json=WELCOME, environ_overrides=environ)

        assert response.status_code == 401

    def test_both_tokens_of_a_service_are_valid_while_one_is_replaced(
        self, make_app: MakeApp
    ) -> None:
        tokens = "usermanagement:the-old-token-of-it,usermanagement:the-new-token-of-it"
        sender = Sender(make_app(service_tokens=tokens))

        for token in ("the-old-token-of-it", "the-new-token-of-it"):
            accepted = sender.accept(WELCOME, {"X-Service-Token": token})
            assert accepted["source"] == "usermanagement"

    def test_the_address_of_a_user_is_looked_up_when_the_email_is_sent(
        self, sender: Sender, users: Users
    ) -> None:
        accepted = sender.accept(WITHOUT_RECIPIENT)
        assert accepted["recipient"] is None
        users[7] = User("new@example.com", email_verified=False)

        sender.deliver()

        (mail,) = mails_in(sender.data_dir)
        assert mail["To"] == "new@example.com"

    def test_a_notification_to_a_deleted_user_is_suppressed(
        self, sender: Sender, users: Users
    ) -> None:
        accepted = sender.accept(WITHOUT_RECIPIENT)
        del users[7]

        sender.deliver()

        assert sender.status_of(accepted) == ("suppressed", 1, "The user does not exist any more")
        assert mails_in(sender.data_dir) == []

    def test_an_event_is_one_notification_forever(self, sender: Sender) -> None:
        key = SERVICE | {"Idempotency-Key": "event-1"}
        first = sender.send(WELCOME, key)
        with sender.services.database.begin() as tx:
            for row in tx.scalars(select(Notification)):
                row.created_at -= timedelta(days=30)

        again = sender.send(WELCOME, key)

        assert again["notificationId"] == first["notificationId"]
        assert len(mails_in(sender.data_dir)) == 1

    def test_an_event_sent_concurrently_is_one_notification(self, sender: Sender) -> None:
        key = SERVICE | {"Idempotency-Key": "event-1"}

        with ThreadPoolExecutor(8) as pool:
            accepted = list(pool.map(lambda _: Sender(sender.app).accept(WELCOME, key), range(16)))

        assert len({one["notificationId"] for one in accepted}) == 1
        with sender.services.database.read() as tx:
            assert tx.scalar(select(func.count()).select_from(Notification)) == 1


class TestByUsers:
    def test_a_user_can_notify_themselves(self, sender: Sender, john: Headers) -> None:
        accepted = sender.send(NOTE, john)

        assert (accepted["userId"], accepted["source"]) == (7, "user=7")
        (mail,) = mails_in(sender.data_dir)
        assert (mail["To"], mail["Subject"]) == ("john@example.com", "Admission")

    def test_a_repeated_request_is_one_notification(self, sender: Sender, john: Headers) -> None:
        key = john | {"Idempotency-Key": "a-note"}
        first = sender.post(NOTE, key)
        again = sender.post(NOTE, key)
        other = sender.post(NOTE | {"subject": "Other"}, key)

        assert (first.status_code, again.status_code) == (202, 202)
        assert again.data == first.data
        assert again.headers["Idempotency-Replayed"] == "true"
        assert problem_of(other) == (422, ["Idempotency-Key"])
        sender.deliver()
        assert len(mails_in(sender.data_dir)) == 1

    def test_deleting_a_user_deletes_the_kept_responses(
        self, sender: Sender, john: Headers
    ) -> None:
        sender.post(NOTE, john | {"Idempotency-Key": "a-note"})

        sender.services.notifications.anonymise(7)

        with sender.services.database.read() as tx:
            assert tx.execute(select(KEYS)).all() == []
            assert tx.scalars(select(Notification.idempotency_key)).all() == [None]

    def test_an_error_that_is_kept_is_deleted_with_the_user(
        self, sender: Sender, john: Headers
    ) -> None:
        key = john | {"Idempotency-Key": "a-note"}
        refused = [sender.post(NOTE | {"userId": 8}, key) for _ in range(2)]

        sender.services.notifications.anonymise(7)

        assert [each.status_code for each in refused] == [403, 403]
        assert refused[1].headers["Idempotency-Replayed"] == "true"
        with sender.services.database.read() as tx:
            assert tx.execute(select(KEYS)).all() == []

    @pytest.mark.parametrize(
        ("change", "field"),
        [
            ({"recipient": "jane@example.com"}, "recipient"),
            ({"userId": 8}, "userId"),
            ({"channel": "webhook", "recipient": "https://example.com/"}, "recipient"),
        ],
    )
    def test_a_user_cannot_notify_others(
        self, client: FlaskClient, john: Headers, change: dict[str, Any], field: str
    ) -> None:
        response = client.post(NOTIFICATIONS, json=NOTE | change, headers=john)

        assert problem_of(response) == (403, [field])

    def test_a_user_must_verify_the_address_first(
        self, client: FlaskClient, john: Headers, users: Users
    ) -> None:
        users[7] = User("john@example.com", email_verified=False)

        assert client.post(NOTIFICATIONS, json=NOTE, headers=john).status_code == 403

    def test_while_user_management_is_down_users_get_a_503_and_deliveries_are_retried(
        self, make_app: MakeApp, john: Headers, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("USERMANAGEMENT_URL", f"http://127.0.0.1:{free_port()}")
        sender = Sender(make_app(delivery_backoff_seconds=3600))

        response = sender.client.post(NOTIFICATIONS, json=NOTE, headers=john)
        sent = sender.send(WITHOUT_RECIPIENT)

        assert (response.status_code, response.headers["Retry-After"]) == (503, "5")
        sender.check_status(sent, "queued", 1, "User Management cannot be reached: ")

    def test_users_are_limited_and_services_are_not(self, make_app: MakeApp, users: Users) -> None:
        assert users
        client = make_app(rate_limit_notifications=RateLimit("notifications", 2, 60)).test_client()
        john = session_headers(7)

        statuses = [client.post(NOTIFICATIONS, json=NOTE, headers=john).status_code for _ in "123"]

        assert statuses == [202, 202, 429]
        assert client.post(NOTIFICATIONS, json=WELCOME, headers=SERVICE).status_code == 202

    def test_the_notification_of_another_user_is_a_404(
        self, client: FlaskClient, jane: Headers
    ) -> None:
        path = client.post(NOTIFICATIONS, json=WELCOME, headers=SERVICE).headers["Location"]

        for response in (
            client.get(path, headers=jane),
            client.get(f"{path}/status", headers=jane),
            client.get(f"{path}/attempts", headers=jane),
            client.post(f"{path}/retry", headers=jane),
        ):
            assert response.status_code == 404
        assert client.get(f"{path}/status").status_code == 401


class TestStatus:
    def test_the_worker_caches_the_status_and_polls_do_not_query_sql(
        self, sender: Sender, john: Headers
    ) -> None:
        notification_id = sender.send(WELCOME)["notificationId"]
        cached = get_redis_client(2).get_json(f"notification:status:{notification_id}")
        statements = statements_of(sender.services.database)

        polls = [
            sender.client.get(f"{NOTIFICATIONS}/{notification_id}/status", headers=john).json
            for _ in range(20)
        ]

        assert cached == {**cached, "status": "sent", "attempts": 1, "userId": 7}
        assert polls == [cached] * 20
        assert statements == []

    def test_at_most_a_twentieth_of_concurrent_polls_query_sql(
        self, sender: Sender, john: Headers
    ) -> None:
        path = f"{NOTIFICATIONS}/{sender.accept(WELCOME)['notificationId']}/status"
        statements: list[str] = []

        def record(_: object, __: object, statement: str, *___: object) -> None:
            if threading.current_thread().name.startswith("poll"):
                statements.append(statement)

        def poll(_: int) -> str:
            return str(json_of(sender.app.test_client().get(path, headers=john))["status"])

        event.listen(sender.services.database.engine, "before_cursor_execute", record)
        with ThreadPoolExecutor(8, thread_name_prefix="poll") as pool:
            before = list(pool.map(poll, range(200)))
            sender.deliver()
            after = list(pool.map(poll, range(200)))

        assert (set(before), set(after)) == ({"queued"}, {"sent"})
        selects = [statement for statement in statements if statement.startswith("SELECT")]
        assert len(selects) <= 0.05 * len(before + after)


class TestList:
    def test_users_see_their_own_notifications_the_newest_first(
        self, sender: Sender, john: Headers, jane: Headers
    ) -> None:
        created = [sender.accept(WELCOME)["notificationId"] for _ in range(51)]
        first = json_of(sender.client.get(NOTIFICATIONS, headers=john))
        url = f"{NOTIFICATIONS}?cursor={first['next']}"
        second = json_of(sender.client.get(url, headers=john))

        shown = [one["notificationId"] for one in first["items"] + second["items"]]
        assert shown == created[::-1]
        empty = sender.client.get(NOTIFICATIONS, headers=jane).json
        assert empty == {"items": [], "next": None}
        two = sender.client.get(f"{NOTIFICATIONS}?limit=2", headers=john)
        assert json_of(two)["items"] == first["items"][:2]
        target = f"{NOTIFICATIONS}?limit=2&cursor={created[-2]}"
        assert two.headers["Link"] == f'<{target}>; rel="next"'
        assert len(get_redis_client(2).get_json("user:notifications:7")) == 51

    def test_a_list_is_filtered_by_status_and_channel(self, sender: Sender, john: Headers) -> None:
        sender.send(WELCOME)
        sender.accept(WELCOME)

        def count(query: str) -> int:
            response = sender.client.get(f"{NOTIFICATIONS}?{query}", headers=john)
            return len(json_of(response)["items"])

        assert count("status=sent") == 1
        assert count("status=queued&channel=email") == 1
        assert count("channel=webhook") == 0
        refused = sender.client.get(f"{NOTIFICATIONS}?status=done", headers=john)
        assert refused.status_code == 422


class TestPrivacy:
    def test_links_are_never_shown_and_not_kept_after_sending(
        self, sender: Sender, john: Headers
    ) -> None:
        response = sender.client.post(NOTIFICATIONS, json=WELCOME, headers=SERVICE)
        assert "token=abc" not in response.text
        shown = sender.client.get(response.headers["Location"], headers=john)
        assert "token=abc" not in shown.text

        sender.deliver()

        with sender.services.database.read() as tx:
            assert tx.scalars(select(Notification.data)).one() == {}

    def test_anonymising_removes_every_trace_of_a_user(self, sender: Sender, john: Headers) -> None:
        sender.send(NOTE, john)
        sender.accept(WELCOME)
        sender.register("https://example.com/", john)
        path = f"{API}/users/7/anonymise"
        assert sender.client.post(path, headers=john).status_code == 401

        assert sender.client.post(path, headers=SERVICE).status_code == 204

        with sender.services.database.read() as tx:
            rows = tx.scalars(select(Notification).order_by(Notification.id)).all()
            assert [row.status for row in rows] == ["sent", "suppressed"]
            kept = str([{name: str(value) for name, value in vars(row).items()} for row in rows])
            assert tx.scalars(select(Attempt.answer)).all() == [None]
        for removed in ("john", "Admission", "gate 7", "token=abc", "user=7"):
            assert removed not in kept
        for url in (NOTIFICATIONS, WEBHOOKS):
            response = sender.client.get(url, headers=john)
            assert response.json == {"items": [], "next": None}
