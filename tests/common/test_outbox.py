"""Outbox messages on their way to another service."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from sqlalchemy import select
from sqlalchemy.orm import DeclarativeBase

from common.pyportal_common.db import Database
from common.pyportal_common.jobs import JobRunner, WorkerSettings, job_indexes
from common.pyportal_common.jobs.outbox import (
    OutboxMessage,
    OutboxSettings,
    forget_old,
    outbox_jobs,
    post,
    publish,
)
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


class Outbox:
    """The messages of a service, and the worker that posts them."""

    def __init__(self, url: str, receiver: Receiver) -> None:
        self.database = Database(url)
        self.jobs = outbox_jobs(self.database, Message, WorkerSettings())
        self.breakers = CircuitBreakers(0)
        receiver_url = receiver.server.url.rstrip("/")
        self._settings = OutboxSettings(notification_url=receiver_url, service_token=TOKEN)

    def send(self, **body: Any) -> int:
        """Write a message with this body. Returns its id."""
        with self.database.begin() as tx:
            message = publish(tx, Message(), jobs=self.jobs, body=body)
        return message.id

    def work(self, message_id: int) -> Message:
        """Do what a worker does with a message, if it is due. Returns the row after that."""
        JobRunner(self.jobs, lambda run: post(run, self._settings, self.breakers)).do(message_id)
        with self.database.read() as tx:
            return tx.get_one(Message, message_id)

    def ids(self) -> list[int]:
        """The ids of all messages."""
        with self.database.read() as tx:
            return list(tx.scalars(select(Message.id)))


@pytest.fixture
def outbox(sql_url: str, receiver: Receiver) -> Iterator[Outbox]:
    outbox = Outbox(sql_url, receiver)
    Base.metadata.drop_all(outbox.database.engine)
    Base.metadata.create_all(outbox.database.engine)
    yield outbox
    Base.metadata.drop_all(outbox.database.engine)
    outbox.database.close()


def test_it_is_posted_once_with_its_key_and_the_token(outbox: Outbox, receiver: Receiver) -> None:
    message_id = outbox.send(template="welcome")

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
        publish(tx, Message(), jobs=outbox.jobs, body={})
        raise ZeroDivisionError

    assert outbox.ids() == []


def test_after_a_lost_response_it_is_posted_again_with_the_same_key(
    outbox: Outbox, receiver: Receiver
) -> None:
    message_id = outbox.send(template="welcome")
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

    message = outbox.work(outbox.send())

    assert (message.status, message.error) == ("pending", f"notification answered {status}")
    assert message.due_at is not None


@pytest.mark.parametrize("status", [400, 405, 413, 422])
def test_after_a_permanent_error_it_has_failed_and_that_is_logged(
    outbox: Outbox, receiver: Receiver, status: int, caplog: pytest.LogCaptureFixture
) -> None:
    receiver.statuses = [status]

    assert outbox.work(outbox.send()).status == "failed"

    assert f"notification answered {status}" in caplog.text


def test_while_the_receiver_is_down_it_waits(outbox: Outbox, receiver: Receiver) -> None:
    receiver.server.close()

    message = outbox.work(outbox.send())

    assert message.status == "pending"
    assert message.error is not None
    assert message.error.startswith("notification: ")
    assert message.body == {}


def test_while_the_circuit_is_open_it_waits_without_an_attempt(
    outbox: Outbox, receiver: Receiver
) -> None:
    outbox.breakers = CircuitBreakers(60)
    receiver.statuses = [0]

    first, second = (outbox.work(outbox.send()) for _ in range(2))

    assert len(receiver.requests) == 1
    assert (first.attempts, second.attempts) == (1, 0)
    assert second.status == "pending"


def test_old_messages_that_have_ended_are_deleted(outbox: Outbox) -> None:
    posted, waiting = outbox.send(), outbox.send()
    outbox.work(posted)
    with outbox.database.begin() as tx:
        for message in tx.scalars(select(Message)):
            if message.finished_at is not None:
                message.finished_at = message.finished_at.replace(year=2001)
            message.created_at = message.created_at.replace(year=2001)

    forget_old(outbox.database, Message)

    assert outbox.ids() == [waiting]
