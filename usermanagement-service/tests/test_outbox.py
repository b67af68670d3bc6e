"""Messages to other services, and their delivery despite failures."""

import hashlib
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select, update

from app.models import LoginNetwork, Message, UserToken
from app.services import Services
from common.pyportal_common.cache_handlers import RedisClient, RedisSettings, keys
from common.pyportal_common.jobs import Hints
from common.pyportal_common.redis_server import RedisServer
from common.pyportal_common.testing.kit import API, bearer, run_schedule

from .conftest import (
    FORGOT,
    JOHN,
    REGISTER,
    Json,
    LogIn,
    MakeApp,
    Receiver,
    deliver_all,
    mails_in,
    messages_in,
    register,
    services_of,
    token_in,
    user_path,
)

NOTIFICATIONS = f"{API}/notifications"
UNCACHED = {"cache_keys": ()}


class TestWelcome:
    def test_a_new_user_is_mailed_a_link(self, john: Json, services: Services) -> None:
        (message,) = messages_in(services)

        (mail,) = mails_in(services)
        url = mail["data"].pop("verifyUrl")
        assert mail == {
            "channel": "email",
            "userId": john["id"],
            "recipient": "john@example.com",
            "template": "welcome",
            "data": {"username": "john_doe", "firstName": "John"},
        }
        assert url.startswith("http://localhost:5001/app/verify#token=")
        assert (message.service, message.path) == ("notification", NOTIFICATIONS)
        assert services.redis_client.exists(keys.job_hint("events"))
        with services.database.read() as tx:
            link = tx.scalars(select(UserToken)).one()
        assert link.digest == hashlib.sha256(url.partition("=")[2].encode()).hexdigest()

    def test_an_admin_without_a_first_name_is_welcomed_too(
        self, app: Flask, services: Services, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("ADMIN_PASSWORD", JOHN["password"])
        app.test_cli_runner().invoke(
            args=["users", "create-admin", "--username", "root", "--email", "root@example.com"]
        )

        (mail,) = mails_in(services, "welcome")
        assert (mail["recipient"], mail["data"]["firstName"]) == ("root@example.com", None)

    @pytest.mark.usefixtures("john")
    def test_a_refused_registration_mails_nothing(
        self, client: FlaskClient, services: Services
    ) -> None:
        assert client.post(REGISTER, json=JOHN).status_code == 409

        assert len(messages_in(services)) == 1

    def test_a_failed_hint_fails_no_registration(
        self, make_app: MakeApp, own_redis: RedisServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        app = make_app()
        hints = Hints.at(RedisSettings.load(url=own_redis.url, _env_file=None), 0)
        monkeypatch.setattr(services_of(app).outbox, "_hints", hints)
        own_redis.kill()

        register(app.test_client())

        assert len(mails_in(services_of(app), "welcome")) == 1

    def test_the_token_of_a_link_is_not_in_redis(
        self, services: Services, john: Json, redis_client: RedisClient
    ) -> None:
        (mail,) = mails_in(services)

        assert token_in(mail) not in str(redis_client.get(f"user:{john['id']}"))


class TestDelivery:
    @pytest.fixture
    def services(self, receiver: Receiver, make_app: MakeApp) -> Services:  # noqa: ARG002  first
        app = make_app()
        register(app.test_client())
        return services_of(app)

    def test_a_delivered_message_is_emptied(self, receiver: Receiver, services: Services) -> None:
        (mail,) = mails_in(services)

        deliver_all(services)

        (message,) = messages_in(services)
        assert receiver.paths == [NOTIFICATIONS]
        assert receiver.bodies == [mail]
        assert receiver.headers[0]["X-Service-Token"] == "the-token-of-users"
        assert receiver.headers[0]["Idempotency-Key"] == message.key
        assert (message.status, message.body) == ("completed", {})

    def test_an_expired_message_is_not_delivered(
        self, receiver: Receiver, services: Services
    ) -> None:
        with services.database.begin() as tx:
            tx.execute(
                update(Message).values(expires_at=datetime.now(UTC)), execution_options=UNCACHED
            )

        deliver_all(services)

        (message,) = messages_in(services)
        assert receiver.paths == []
        assert (message.status, message.body) == ("cancelled", {})


class TestDeletion:
    """A deleted user gets no more mail, and the other services are notified."""

    @pytest.fixture
    def app(self, receiver: Receiver, make_app: MakeApp) -> Flask:  # noqa: ARG002  first
        return make_app()

    @pytest.fixture
    def delete_john(self, client: FlaskClient, john: Json, log_in: LogIn) -> Callable[[], None]:
        headers = bearer(log_in())

        def delete() -> None:
            assert client.delete(user_path(john), headers=headers).status_code == 204

        return delete

    def test_other_services_are_notified(
        self, receiver: Receiver, services: Services, john: Json, delete_john: Callable[[], None]
    ) -> None:
        deliver_all(services)
        delete_john()
        deliver_all(services)

        path = user_path(john, "anonymise")
        assert receiver.paths == [NOTIFICATIONS, path, path]
        assert receiver.bodies[1:] == [{}, {}]
        assert {message.service for message in messages_in(services)} == {
            "notification",
            "taskprocessing",
        }

    def test_undelivered_messages_are_cancelled_and_emptied(
        self, receiver: Receiver, services: Services, delete_john: Callable[[], None]
    ) -> None:
        delete_john()
        deliver_all(services)

        assert NOTIFICATIONS not in receiver.paths
        welcome = messages_in(services)[0]
        assert (welcome.status, welcome.body) == ("cancelled", {})
        assert rows_in(services)[1:] == [0, 0]

    @pytest.mark.parametrize("status", [202, 503])
    def test_a_message_in_delivery_arrives_before_the_deletion(
        self, receiver: Receiver, services: Services, delete_john: Callable[[], None], status: int
    ) -> None:
        receiver.before_response, receiver.status = delete_john, status
        deliver_all(services)
        assert receiver.paths == [NOTIFICATIONS]

        receiver.before_response, receiver.status = lambda: None, 202
        make_due(services)
        deliver_all(services)

        assert len(receiver.paths) == 3
        assert NOTIFICATIONS not in receiver.paths[1:]
        messages = messages_in(services)
        assert [message.status for message in messages] == ["cancelled"] + ["completed"] * 2
        assert [message.body for message in messages] == [{}] * 3

    def test_a_deleted_user_gets_no_reset_link(
        self, client: FlaskClient, services: Services, delete_john: Callable[[], None]
    ) -> None:
        client.post(FORGOT, json={"email": JOHN["email"]})
        delete_john()
        deliver_all(services)

        assert mails_in(services) == []


@pytest.mark.usefixtures("john")
def test_housekeeping_deletes_expired_links_and_messages_that_ended_a_week_ago(
    services: Services,
) -> None:
    delete_old(services)
    assert rows_in(services) == [1, 1, 0]

    long_ago = datetime.now(UTC) - timedelta(days=7, seconds=1)
    with services.database.begin() as tx:
        tx.execute(update(Message).values(finished_at=long_ago), execution_options=UNCACHED)
        tx.execute(update(UserToken).values(expires_at=datetime.now(UTC)))
    delete_old(services)

    assert rows_in(services) == [0, 0, 0]


def delete_old(services: Services) -> None:
    """What workers do with links and messages at certain times."""
    for name in ("delete-expired-links", "delete-messages"):
        run_schedule(services, name)


def rows_in(services: Services) -> list[int]:
    """The numbers of messages, links and login networks."""
    with services.database.read() as tx:
        columns = (Message.id, UserToken.id, LoginNetwork.user_id)
        return [len(tx.scalars(select(column)).all()) for column in columns]


def make_due(services: Services) -> None:
    """Make every waiting message due."""
    with services.database.begin() as tx:
        tx.execute(
            update(Message).where(Message.status == "pending").values(due_at=datetime.now(UTC)),
            execution_options=UNCACHED,
        )
