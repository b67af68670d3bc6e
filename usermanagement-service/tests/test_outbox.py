"""What other services hear of users, and that they hear of it whatever fails."""

import hashlib
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select, update

from app import deliveries
from app.models import Event, LoginAddress, User, UserToken
from app.services import Services
from common.pyportal_common.cache_handlers import RedisClient
from common.pyportal_common.redis_server import RedisServer

from .conftest import (
    API,
    JOHN,
    REGISTER,
    Receiver,
    bearer,
    events_in,
    mails_in,
    mine_of,
    token_in,
    work_off,
)

NOTIFICATIONS = "/api/v1/airliner/notifications"
UNSEEN = {"cache_keys": ()}


class TestWelcome:
    def test_who_registers_is_welcomed_with_a_link(
        self, john: dict[str, Any], mine: Services
    ) -> None:
        (event,) = events_in(mine)

        (mail,) = mails_in(mine)
        url = mail["data"].pop("verifyUrl")
        assert mail == {
            "channel": "email",
            "userId": john["id"],
            "recipient": "john@example.com",
            "template": "welcome",
            "data": {"username": "john_doe", "firstName": "John"},
        }
        assert url.startswith("http://localhost:5001/account/verify#token=")
        assert (event.service, event.path) == ("notification", NOTIFICATIONS)
        with mine.database.read() as tx:
            link = tx.scalars(select(UserToken)).one()
        assert link.digest == hashlib.sha256(url.partition("=")[2].encode()).hexdigest()

    def test_so_is_an_admin_and_who_has_no_first_name(
        self, app: Flask, mine: Services, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("ADMIN_PASSWORD", JOHN["password"])
        app.test_cli_runner().invoke(
            args=["users", "create-admin", "--username", "root", "--email", "root@example.com"]
        )

        (mail,) = mails_in(mine, "welcome")
        assert (mail["recipient"], mail["data"]["firstName"]) == ("root@example.com", None)

    @pytest.mark.usefixtures("john")
    def test_who_cannot_register_is_not(self, client: FlaskClient, mine: Services) -> None:
        assert client.post(REGISTER, json=JOHN).status_code == 409

        assert len(events_in(mine)) == 1

    @pytest.mark.usefixtures("john")
    def test_workers_hear_of_it_at_once(self, mine: Services) -> None:
        assert mine.queue.size("events", "normal") == 1

    def test_a_queue_that_is_away_fails_nothing_and_costs_next_to_nothing(
        self,
        make_app: Callable[..., Flask],
        own_redis: RedisServer,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setenv("QUEUE_REDIS_URL", own_redis.url)
        app = make_app()
        own_redis.kill()

        answer = app.test_client().post(REGISTER, json=JOHN)

        assert answer.status_code == 201
        assert len(mails_in(mine_of(app), "welcome")) == 1


class TestDelivery:
    def test_the_worker_posts_it_and_forgets_what_is_in_it(
        self, receiver: Receiver, make_app: Callable[..., Flask]
    ) -> None:
        app = make_app()
        app.test_client().post(REGISTER, json=JOHN)
        mine = mine_of(app)
        (mail,) = mails_in(mine)

        work_off(mine)

        (event,) = events_in(mine)
        assert receiver.paths == [NOTIFICATIONS]
        assert receiver.bodies == [mail]
        assert receiver.headers[0]["X-Service-Token"] == "the-token-of-users"
        assert receiver.headers[0]["Idempotency-Key"] == event.key
        assert (event.status, event.body) == ("completed", {})

    def test_it_waits_while_notification_is_away(
        self, receiver: Receiver, make_app: Callable[..., Flask]
    ) -> None:
        app = make_app()
        app.test_client().post(REGISTER, json=JOHN)
        mine = mine_of(app)
        receiver.status = 503
        work_off(mine)

        receiver.status = 202
        make_due(mine)
        work_off(mine)

        first, *_, last = receiver.headers
        assert first["Idempotency-Key"] == last["Idempotency-Key"]
        assert [event.status for event in events_in(mine)] == ["completed"]

    def test_one_that_comes_too_late_is_not_posted(
        self, receiver: Receiver, make_app: Callable[..., Flask]
    ) -> None:
        app = make_app()
        app.test_client().post(REGISTER, json=JOHN)
        mine = mine_of(app)
        with mine.database.begin() as tx:
            tx.execute(update(Event).values(expires_at=now()), execution_options=UNSEEN)

        work_off(mine)

        (event,) = events_in(mine)
        assert receiver.paths == []
        assert (event.status, event.body) == ("cancelled", {})


@pytest.mark.usefixtures("receiver")
class TestDeletion:
    """A deleted user gets no more mail, and the other services hear of it."""

    @pytest.fixture
    def delete_john(
        self, client: FlaskClient, john: dict[str, Any], log_in: Callable[[], str]
    ) -> Callable[[], None]:
        headers = bearer(log_in())

        def delete() -> None:
            path = f"{API}/users/{john['id']}"
            assert client.delete(path, headers=headers).status_code == 204

        return delete

    def test_other_services_are_told(
        self,
        receiver: Receiver,
        mine: Services,
        john: dict[str, Any],
        delete_john: Callable[[], None],
    ) -> None:
        work_off(mine)
        delete_john()
        work_off(mine)

        path = f"{API}/users/{john['id']}/anonymise"
        assert receiver.paths == [NOTIFICATIONS, path, path]
        assert receiver.bodies[1:] == [{}, {}]
        assert {event.service for event in events_in(mine)} == {"notification", "taskprocessing"}

    def test_what_was_not_posted_ends_and_is_forgotten(
        self, receiver: Receiver, mine: Services, delete_john: Callable[[], None]
    ) -> None:
        delete_john()
        work_off(mine)

        assert NOTIFICATIONS not in receiver.paths
        welcome = events_in(mine)[0]
        assert (welcome.status, welcome.body) == ("cancelled", {})
        assert stored(mine)[1:] == [[], []]

    @pytest.mark.parametrize("status", [202, 503])
    def test_what_is_being_posted_comes_before_they_are_told(
        self,
        receiver: Receiver,
        mine: Services,
        delete_john: Callable[[], None],
        status: int,
    ) -> None:
        receiver.meanwhile, receiver.status = delete_john, status
        work_off(mine)
        assert receiver.paths == [NOTIFICATIONS]

        receiver.meanwhile, receiver.status = lambda: None, 202
        make_due(mine)
        work_off(mine)

        assert len(receiver.paths) == 3
        assert NOTIFICATIONS not in receiver.paths[1:]
        assert [event.status for event in events_in(mine)] == ["cancelled"] + ["completed"] * 2
        assert [event.body for event in events_in(mine)] == [{}] * 3

    def test_who_forgot_a_password_and_is_gone_gets_no_link(
        self, client: FlaskClient, mine: Services, delete_john: Callable[[], None]
    ) -> None:
        client.post(f"{API}/password/forgot", json={"email": JOHN["email"]})
        delete_john()
        work_off(mine)

        assert mails_in(mine) == []


class TestForgetting:
    @pytest.mark.usefixtures("john")
    def test_links_that_expired_and_events_that_ended_a_week_ago(self, mine: Services) -> None:
        deliveries.forget_old(mine.database)
        assert [len(rows) for rows in stored(mine)] == [1, 1, 0]

        long_ago = now() - timedelta(days=7, seconds=1)
        with mine.database.begin() as tx:
            tx.execute(update(Event).values(finished_at=long_ago), execution_options=UNSEEN)
            tx.execute(update(UserToken).values(expires_at=now()))
        deliveries.forget_old(mine.database)

        assert stored(mine) == [[], [], []]


def test_users_of_older_versions_are_unverified(client: FlaskClient, mine: Services) -> None:
    with mine.database.begin() as tx:
        tx.add(
            User(
                username="old",
                username_key="old",
                email="old@example.com",
                email_key="old@example.com",
                password_hash=mine.passwords.hash(JOHN["password"]),
                created_at=now(),
                updated_at=now(),
            )
        )

    answer = client.post(
        "/api/v1/airliner/login", json={"username": "old", "password": JOHN["password"]}
    )

    assert answer.json is not None
    assert answer.json["user"]["emailVerified"] is False


def test_nothing_of_a_link_is_in_redis(
    mine: Services, john: dict[str, Any], redis_client: RedisClient
) -> None:
    (mail,) = mails_in(mine)

    assert token_in(mail) not in str(redis_client.get(f"user:{john['id']}"))


def stored(mine: Services) -> list[list[int]]:
    with mine.database.read() as tx:
        columns = (Event.id, UserToken.id, LoginAddress.user_id)
        return [list(tx.scalars(select(column))) for column in columns]


def make_due(mine: Services) -> None:
    """Let all that waits be due."""
    with mine.database.begin() as tx:
        tx.execute(
            update(Event).where(Event.status == "pending").values(due_at=now()),
            execution_options=UNSEEN,
        )


def now() -> datetime:
    return datetime.now(UTC)
