"""Events on their way to another service, which is one of this test's own."""

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
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


class Base(DeclarativeBase):
    """Of the table of this test."""


class Event(OutboxMessage, Base):
    """What the other service is told."""

    __tablename__ = "events"
    __table_args__ = (*job_indexes("events"), {"sqlite_autoincrement": True})


class Other:
    """A service that notes what it is told, and answers what the test wants."""

    def __init__(self) -> None:
        self.told: list[tuple[str, dict[str, str], Any]] = []
        self.statuses: list[int] = []  # of the next answers; 0 hangs up; else 202
        other = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                other.told.append((self.path, dict(self.headers), json.loads(body)))
                status = other.statuses.pop(0) if other.statuses else 202
                if status:
                    self.send_response(status)
                    self.end_headers()

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_port}"

    @property
    def keys(self) -> list[str]:
        return [headers["Idempotency-Key"] for _, headers, _ in self.told]


@pytest.fixture
def other() -> Iterator[Other]:
    other = Other()
    yield other
    other.server.shutdown()
    other.server.server_close()


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    url = f"sqlite:///{tmp_path / 'events.sqlite3'}"
    if request.param == "postgresql":
        url = request.getfixturevalue("postgres_url")
    database = Database(url)
    Base.metadata.drop_all(database.engine)
    Base.metadata.create_all(database.engine)
    yield database
    Base.metadata.drop_all(database.engine)
    database.close()


@pytest.fixture
def jobs(database: Database) -> Jobs[OutboxMessage]:
    return outbox_jobs(database, Event, WorkerSettings())


@pytest.fixture
def tell(database: Database, jobs: Jobs[OutboxMessage]) -> Callable[..., int]:
    """Writes an event down: tell(body), its id."""

    def tell(body: dict[str, Any]) -> int:
        with database.begin() as tx:
            event = publish(tx, Event(), jobs=jobs, body=body)
        return event.id

    return tell


@pytest.fixture
def destinations() -> CircuitBreakers:
    return CircuitBreakers(0)


@pytest.fixture
def work(
    jobs: Jobs[OutboxMessage], other: Other, destinations: CircuitBreakers
) -> Callable[[int], None]:
    """What a worker does with an event, as soon as it is due."""
    settings = OutboxSettings(notification_url=other.url, service_token=TOKEN)

    def work(event_id: int) -> None:
        JobRunner(jobs, lambda run: post(run, settings, destinations)).do(event_id)

    return work


def row(database: Database, event_id: int) -> Event:
    with database.read() as tx:
        return tx.get_one(Event, event_id)


def let_be_due(database: Database, event_id: int) -> None:
    """Take the pause before the next attempt away."""
    with database.begin() as tx:
        event = tx.get_one(Event, event_id)
        event.due_at = event.created_at


Tell = Callable[..., int]
Work = Callable[[int], None]


def test_it_is_posted_once_with_its_key_and_the_token(
    database: Database, other: Other, tell: Tell, work: Work
) -> None:
    event_id = tell({"template": "welcome"})

    work(event_id)
    work(event_id)  # a message that came twice

    [(path, headers, body)] = other.told
    assert path == "/api/v1/airliner/notifications"
    assert body == {"template": "welcome"}
    assert headers["X-Service-Token"] == TOKEN
    assert headers["Idempotency-Key"] == row(database, event_id).key
    assert row(database, event_id).status == "completed"
    assert row(database, event_id).body == {}


def test_what_was_rolled_back_is_told_to_nobody(
    database: Database, jobs: Jobs[OutboxMessage]
) -> None:
    def tell_and_fail() -> None:
        with database.begin() as tx:
            publish(tx, Event(), jobs=jobs, body={})
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        tell_and_fail()

    with database.read() as tx:
        assert tx.scalars(select(Event)).all() == []


def test_an_answer_that_is_lost_is_asked_for_again_under_the_same_key(
    database: Database, other: Other, tell: Tell, work: Work
) -> None:
    event_id = tell({"template": "welcome"})
    other.statuses = [0]

    work(event_id)
    assert row(database, event_id).status == "pending"
    let_be_due(database, event_id)
    work(event_id)

    assert row(database, event_id).status == "completed"
    assert len(other.keys) == 2
    assert len(set(other.keys)) == 1
    assert other.told[0][2] == other.told[1][2]


@pytest.mark.parametrize("status", [401, 403, 404, 408, 409, 425, 429, 500, 502, 503])
def test_what_may_pass_is_tried_again(
    database: Database, other: Other, tell: Tell, work: Work, status: int
) -> None:
    event_id = tell({})
    other.statuses = [status]

    work(event_id)

    event = row(database, event_id)
    assert (event.status, event.error) == ("pending", f"notification answered {status}")
    assert event.due_at is not None


@pytest.mark.parametrize("status", [400, 405, 413, 422])
def test_what_will_not_pass_fails_and_is_logged(
    database: Database,
    other: Other,
    tell: Tell,
    work: Work,
    status: int,
    caplog: pytest.LogCaptureFixture,
) -> None:
    event_id = tell({})
    other.statuses = [status]

    work(event_id)

    assert row(database, event_id).status == "failed"
    assert f"notification answered {status}" in caplog.text


def test_while_the_other_is_away_it_waits(
    database: Database, other: Other, tell: Tell, work: Work
) -> None:
    other.server.shutdown()
    other.server.server_close()
    event_id = tell({})

    work(event_id)

    event = row(database, event_id)
    assert event.status == "pending"
    assert event.error is not None
    assert event.error.startswith("notification: ")
    assert event.body == {}


def test_who_was_away_a_moment_ago_is_left_alone_and_that_is_no_attempt(
    database: Database, other: Other, tell: Tell, work: Work, destinations: CircuitBreakers
) -> None:
    destinations._pause = 60
    other.statuses = [0]
    first, second = tell({}), tell({})

    work(first)
    work(second)

    assert len(other.told) == 1
    assert (row(database, first).attempts, row(database, second).attempts) == (1, 0)
    assert row(database, second).status == "pending"


def test_old_ones_are_forgotten_when_they_have_ended(
    database: Database, tell: Tell, work: Work
) -> None:
    told, waiting = tell({}), tell({})
    work(told)
    with database.begin() as tx:
        for event in tx.scalars(select(Event)):
            if event.finished_at is not None:
                event.finished_at = event.finished_at.replace(year=2001)
            event.created_at = event.created_at.replace(year=2001)

    forget_old(database, Event)

    with database.read() as tx:
        assert tx.scalars(select(Event.id)).all() == [waiting]
