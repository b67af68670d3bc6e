"""Outbox messages on their way to another service."""

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from sqlalchemy import select
from sqlalchemy.orm import DeclarativeBase

from common.pyportal_common.db import Database
from common.pyportal_common.jobs import JobRunner, Jobs, WorkerSettings, job_indexes
from common.pyportal_common.jobs.outbox import (
    OutboxMessage,
    OutboxSettings,
    forget_old,
    outbox_jobs,
    post,
    publish,
)
from common.pyportal_common.outbound import CircuitBreakers

TOKEN = "the-token-of-this-service"

Send = Callable[[dict[str, Any]], int]
Work = Callable[[int], None]


class Base(DeclarativeBase):
    """The tables of these tests."""


class Message(OutboxMessage, Base):
    """A message to the other service."""

    __tablename__ = "events"
    __table_args__ = (*job_indexes("events"), {"sqlite_autoincrement": True})


class Receiver:
    """A service that records requests, and responds with the statuses that the test sets."""

    def __init__(self) -> None:
        self.requests: list[tuple[str, dict[str, str], Any]] = []
        self.statuses: list[int] = []  # of the next responses; 0 hangs up; then 202
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                receiver.requests.append((self.path, dict(self.headers), json.loads(body)))
                status = receiver.statuses.pop(0) if receiver.statuses else 202
                if status:
                    self.send_response(status)
                    self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    receiver = Receiver()
    yield receiver
    receiver.close()


@pytest.fixture
def database(sql_url: str) -> Iterator[Database]:
    database = Database(sql_url)
    Base.metadata.drop_all(database.engine)
    Base.metadata.create_all(database.engine)
    yield database
    Base.metadata.drop_all(database.engine)
    database.close()


@pytest.fixture
def jobs(database: Database) -> Jobs[OutboxMessage]:
    return outbox_jobs(database, Message, WorkerSettings())


@pytest.fixture
def send(database: Database, jobs: Jobs[OutboxMessage]) -> Send:
    """Writes a message with this body, and returns its id."""

    def send(body: dict[str, Any]) -> int:
        with database.begin() as tx:
            message = publish(tx, Message(), jobs=jobs, body=body)
        return message.id

    return send


@pytest.fixture
def make_work(jobs: Jobs[OutboxMessage], receiver: Receiver) -> Callable[[float], Work]:
    """A worker whose circuit breakers pause for so many seconds."""
    url = f"http://127.0.0.1:{receiver.server.server_port}"
    settings = OutboxSettings(notification_url=url, service_token=TOKEN)

    def make(pause_seconds: float) -> Work:
        breakers = CircuitBreakers(pause_seconds)
        return JobRunner(jobs, lambda run: post(run, settings, breakers)).do

    return make


@pytest.fixture
def work(make_work: Callable[[float], Work]) -> Work:
    """What a worker does with the message of this id, if it is due."""
    return make_work(0)


def row(database: Database, message_id: int) -> Message:
    with database.read() as tx:
        return tx.get_one(Message, message_id)


def test_it_is_posted_once_with_its_key_and_the_token(
    database: Database, receiver: Receiver, send: Send, work: Work
) -> None:
    message_id = send({"template": "welcome"})

    work(message_id)
    work(message_id)  # its hint arrived twice

    [(path, headers, body)] = receiver.requests
    assert path == "/api/v1/airliner/notifications"
    assert body == {"template": "welcome"}
    assert headers["X-Service-Token"] == TOKEN
    assert headers["Idempotency-Key"] == row(database, message_id).key
    assert row(database, message_id).status == "completed"
    assert row(database, message_id).body == {}


def test_a_message_of_a_rolled_back_transaction_does_not_exist(
    database: Database, jobs: Jobs[OutboxMessage]
) -> None:
    def publish_and_fail() -> None:
        with database.begin() as tx:
            publish(tx, Message(), jobs=jobs, body={})
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        publish_and_fail()

    with database.read() as tx:
        assert tx.scalars(select(Message)).all() == []


def test_after_a_lost_response_it_is_posted_again_with_the_same_key(
    database: Database, receiver: Receiver, send: Send, work: Work
) -> None:
    message_id = send({"template": "welcome"})
    receiver.statuses = [0]

    work(message_id)
    assert row(database, message_id).status == "pending"
    with database.begin() as tx:  # end the pause before the next attempt
        message = tx.get_one(Message, message_id)
        message.due_at = message.created_at
    work(message_id)

    assert row(database, message_id).status == "completed"
    first, second = receiver.requests
    assert first[1]["Idempotency-Key"] == second[1]["Idempotency-Key"]
    assert first[2] == second[2]


@pytest.mark.parametrize("status", [401, 403, 404, 408, 409, 425, 429, 500, 502, 503])
def test_after_a_temporary_error_it_is_retried(
    database: Database, receiver: Receiver, send: Send, work: Work, status: int
) -> None:
    message_id = send({})
    receiver.statuses = [status]

    work(message_id)

    message = row(database, message_id)
    assert (message.status, message.error) == ("pending", f"notification answered {status}")
    assert message.due_at is not None


@pytest.mark.parametrize("status", [400, 405, 413, 422])
def test_after_a_permanent_error_it_has_failed_and_that_is_logged(
    database: Database,
    receiver: Receiver,
    send: Send,
    work: Work,
    status: int,
    caplog: pytest.LogCaptureFixture,
) -> None:
    message_id = send({})
    receiver.statuses = [status]

    work(message_id)

    assert row(database, message_id).status == "failed"
    assert f"notification answered {status}" in caplog.text


def test_while_the_receiver_is_down_it_waits(
    database: Database, receiver: Receiver, send: Send, work: Work
) -> None:
    receiver.close()
    message_id = send({})

    work(message_id)

    message = row(database, message_id)
    assert message.status == "pending"
    assert message.error is not None
    assert message.error.startswith("notification: ")
    assert message.body == {}


def test_while_the_circuit_is_open_it_waits_without_an_attempt(
    database: Database, receiver: Receiver, send: Send, make_work: Callable[[float], Work]
) -> None:
    work = make_work(60)
    receiver.statuses = [0]
    first, second = send({}), send({})

    work(first)
    work(second)

    assert len(receiver.requests) == 1
    assert (row(database, first).attempts, row(database, second).attempts) == (1, 0)
    assert row(database, second).status == "pending"


def test_old_messages_that_have_ended_are_deleted(
    database: Database, send: Send, work: Work
) -> None:
    posted, waiting = send({}), send({})
    work(posted)
    with database.begin() as tx:
        for message in tx.scalars(select(Message)):
            if message.finished_at is not None:
                message.finished_at = message.finished_at.replace(year=2001)
            message.created_at = message.created_at.replace(year=2001)

    forget_old(database, Message)

    with database.read() as tx:
        assert tx.scalars(select(Message.id)).all() == [waiting]
