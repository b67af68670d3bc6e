"""Outbox messages on their way to another service."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from sqlalchemy import select
from sqlalchemy.orm import DeclarativeBase

from common.pyportal_common.db import Database
from common.pyportal_common.jobs import (
    JobQueue,
    JobRunner,
    QueueSettings,
    WorkerSettings,
    job_indexes,
)
from common.pyportal_common.jobs.outbox import BaseOutbox, OutboxMessage, OutboxSettings
from common.pyportal_common.outbound import CircuitBreakers
from common.pyportal_common.testing.raw_servers import Conversation, RawServer

TOKEN = "the-token-of-this-service"


class Base(DeclarativeBase):
    """The tables of these tests."""


class Message(OutboxMessage, Base):
    """A message to the other service."""

    __tablename__ = "events"
    __table_args__ = (*job_indexes("events"), {"sqlite_autoincrement": True})


class Receiver:
    """A service that records requests, and responds with the statuses that the test sets."""

    def __init__(self, serve: Callable[..., RawServer]) -> None:
        self.requests: list[tuple[str, dict[str, str], Any]] = []
        self.statuses: list[int] = []  # of the next responses; 0 hangs up; then 202
        self.server = serve(self._talk)

    def _talk(self, client: Conversation) -> None:
        head, _, body = client.hear().decode().partition("\r\n\r\n")
        first, *lines = head.split("\r\n")
        headers = dict(line.split(": ", 1) for line in lines)
        self.requests.append((first.split()[1], headers, json.loads(body)))
        status = self.statuses.pop(0) if self.statuses else 202
        if status:
            client.say(f"HTTP/1.1 {status} -\r\nContent-Length: 0\r\n\r\n".encode())


@pytest.fixture
def receiver(serve: Callable[..., RawServer]) -> Receiver:
    return Receiver(serve)


class Outbox(BaseOutbox[Message]):
    """The messages of a service, which can be posted by `work`."""

    def __init__(self, url: str, receiver: Receiver, *, pause_seconds: float = 0) -> None:
        self.database = Database(url)
        receiver_url = receiver.server.url.rstrip("/")
        settings = OutboxSettings(notification_url=receiver_url, service_token=TOKEN)
        queue = JobQueue("test", QueueSettings.load())
        breakers = CircuitBreakers(pause_seconds)
        super().__init__(Message, self.database, queue, WorkerSettings(), settings, breakers)

    def add(self, **body: Any) -> int:
        """Write a message with this body. Returns its id."""
        with self.database.begin() as tx:
            message = self.publish(tx, Message(), body)
        return message.id

    def work(self, message_id: int) -> Message:
        """Do what a worker does with a message, if it is due. Returns the row after that."""
        JobRunner(self.jobs, self.deliver).do(message_id)
        with self.database.read() as tx:
            return tx.get_one(Message, message_id)

    def ids(self) -> list[int]:
        """The ids of all messages."""
        with self.database.read() as tx:
            return list(tx.scalars(select(Message.id)))


@pytest.fixture
def make_outbox(sql_url: str, receiver: Receiver) -> Iterator[Callable[[float], Outbox]]:
    made: list[Outbox] = []

    def make(pause_seconds: float) -> Outbox:
        made.append(Outbox(sql_url, receiver, pause_seconds=pause_seconds))
        Base.metadata.drop_all(made[-1].database.engine)
        Base.metadata.create_all(made[-1].database.engine)
        return made[-1]

    yield make
    for outbox in made:
        Base.metadata.drop_all(outbox.database.engine)
        outbox.database.close()


@pytest.fixture
def outbox(make_outbox: Callable[[float], Outbox]) -> Outbox:
    return make_outbox(0)


def test_it_is_posted_once_with_its_key_and_the_token(outbox: Outbox, receiver: Receiver) -> None:
    message_id = outbox.add(template="welcome")

    outbox.work(message_id)
    message = outbox.work(message_id)  # its hint arrived twice

    [(path, headers, body)] = receiver.requests
    assert path == "/api/v1/airliner/notifications"
    assert body == {"template": "welcome"}
    assert headers["X-Service-Token"] == TOKEN
    assert headers["Idempotency-Key"] == message.key
    assert (message.status, message.body) == ("completed", {})


def test_a_message_of_a_rolled_back_transaction_does_not_exist(outbox: Outbox) -> None:
    with pytest.raises(ZeroDivisionError), outbox.database.begin() as tx:  # noqa: PT012
        outbox.publish(tx, Message(), {})
        raise ZeroDivisionError

    assert outbox.ids() == []


def test_after_a_lost_response_it_is_posted_again_with_the_same_key(
    outbox: Outbox, receiver: Receiver
) -> None:
    message_id = outbox.add(template="welcome")
    receiver.statuses = [0]

    assert outbox.work(message_id).status == "pending"
    with outbox.database.begin() as tx:  # end the pause before the next attempt
        message = tx.get_one(Message, message_id)
        message.due_at = message.created_at

    assert outbox.work(message_id).status == "completed"
    first, second = receiver.requests
    assert first[1]["Idempotency-Key"] == second[1]["Idempotency-Key"]
    assert first[2] == second[2]


@pytest.mark.parametrize("status", [401, 403, 404, 408, 409, 425, 429, 500, 502, 503])
def test_after_a_temporary_error_it_is_retried(
    outbox: Outbox, receiver: Receiver, status: int
) -> None:
    receiver.statuses = [status]

    message = outbox.work(outbox.add())

    assert (message.status, message.error) == ("pending", f"notification answered {status}")
    assert message.due_at is not None


@pytest.mark.parametrize("status", [400, 405, 413, 422])
def test_after_a_permanent_error_it_has_failed_and_that_is_logged(
    outbox: Outbox, receiver: Receiver, status: int, caplog: pytest.LogCaptureFixture
) -> None:
    receiver.statuses = [status]

    assert outbox.work(outbox.add()).status == "failed"

    assert f"notification answered {status}" in caplog.text


def test_while_the_receiver_is_down_it_waits(outbox: Outbox, receiver: Receiver) -> None:
    receiver.server.close()

    message = outbox.work(outbox.add())

    assert message.status == "pending"
    assert message.error is not None
    assert message.error.startswith("notification: ")
    assert message.body == {}


def test_while_the_circuit_is_open_it_waits_without_an_attempt(
    make_outbox: Callable[[float], Outbox], receiver: Receiver
) -> None:
    outbox = make_outbox(60)
    receiver.statuses = [0]

    first, second = (outbox.work(outbox.add()) for _ in range(2))

    assert len(receiver.requests) == 1
    assert (first.attempts, second.attempts) == (1, 0)
    assert second.status == "pending"


def test_old_messages_that_have_ended_are_deleted(outbox: Outbox) -> None:
    posted, waiting = outbox.add(), outbox.add()
    outbox.work(posted)
    with outbox.database.begin() as tx:
        for message in tx.scalars(select(Message)):
            if message.finished_at is not None:
                message.finished_at = message.finished_at.replace(year=2001)
            message.created_at = message.created_at.replace(year=2001)

    outbox.delete_old()

    assert outbox.ids() == [waiting]
