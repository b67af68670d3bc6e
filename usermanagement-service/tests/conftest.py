"""The service over a real Redis and a real SQL database, SQLite and PostgreSQL in turn."""

import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select

from app import MIGRATIONS, create_app, deliveries
from app.models import Event
from app.services import NAME, Services
from app.settings import UserManagementSettings
from common.pyportal_common.cache_handlers import RateLimit
from common.pyportal_common.db import Base, Database
from common.pyportal_common.db.migrations import migrate
from common.pyportal_common.jobs import JobRunner
from common.pyportal_common.redis_server import RedisServer

API = "/api/v1/airliner"
REGISTER = f"{API}/registerUser"
LOGIN = f"{API}/login"

JOHN: dict[str, Any] = {
    "username": "john_doe",
    "email": "john@example.com",
    "password": "correct-horse-battery",
    "firstName": "John",
    "lastName": "Doe",
    "dateOfBirth": "1990-01-01",
}


@pytest.fixture(scope="session", params=["sqlite", "postgresql"])
def migrated_url(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A database with the newest schema, of each kind."""
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path_factory.mktemp('sql') / 'users.sqlite3'}"
    else:
        url = request.getfixturevalue("postgres_url")
    migrate(url, MIGRATIONS)
    return url


@pytest.fixture
def database(migrated_url: str) -> Iterator[Database]:
    """That database, empty."""
    database = Database(migrated_url)
    with database.begin() as tx:
        for table in reversed(Base.metadata.sorted_tables):
            tx.execute(table.delete(), execution_options={"cache_keys": ()})
    yield database
    database.close()


@pytest.fixture
def make_app(
    database: Database,  # noqa: ARG001  an empty one
    migrated_url: str,
    redis_server: RedisServer,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> Iterator[Callable[..., Flask]]:
    """Makes the service: make_app(proxy_hops=1). Addresses are not limited, if not told."""
    made: list[Flask] = []
    monkeypatch.chdir(tmp_path)
    for name in ("REDIS_HOST", "REDIS_PORT", "REDIS_DB", "REDIS_PASSWORD"):
        monkeypatch.delenv(name, raising=False)

    def make(*, redis_url: str = redis_server.url, **settings: Any) -> Flask:
        monkeypatch.setenv("REDIS_URL", redis_url)
        given = {
            "rate_limit_register": RateLimit("register", 100_000, 60),
            "rate_limit_login": RateLimit("login", 100_000, 60),
            "rate_limit_verification": RateLimit("verification", 100_000, 60),
            "rate_limit_forgot": RateLimit("forgot", 100_000, 60, "closed"),
            "rate_limit_reset": RateLimit("reset", 100_000, 60),
            **settings,
        }
        app = create_app(UserManagementSettings.load(database_url=migrated_url, **given))
        made.append(app)
        mine_of(app).destinations._pause = 0  # or who is away once is left alone for a while
        return app

    yield make
    for app in made:
        mine_of(app).close()


@pytest.fixture
def app(make_app: Callable[..., Flask]) -> Flask:
    """The service with its defaults."""
    return make_app()


def mine_of(app: Flask) -> Services:
    """What the service works with."""
    found: Services = app.extensions[NAME]
    return found


@pytest.fixture
def mine(app: Flask) -> Services:
    """What the service works with."""
    return mine_of(app)


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    """A client of `app`."""
    return app.test_client()


@pytest.fixture
def john(client: FlaskClient) -> dict[str, Any]:
    """A registered user, as the API shows him."""
    answer = client.post(REGISTER, json=JOHN)
    assert answer.json is not None
    user: dict[str, Any] = answer.json["user"]
    return user


@pytest.fixture
def log_in(app: Flask, john: dict[str, Any]) -> Callable[[], str]:
    """Logs John in, from a client of its own each time, and gives the session id."""

    def log_in() -> str:
        body = {"username": john["username"], "password": JOHN["password"]}
        answer = app.test_client(use_cookies=False).post(LOGIN, json=body)
        assert answer.json is not None
        return str(answer.json["session_id"])

    return log_in


def bearer(session_id: str) -> dict[str, str]:
    """Headers that present a session."""
    return {"Authorization": f"Bearer {session_id}"}


def events_in(mine: Services) -> list[Event]:
    """All events, in the order in which they were written."""
    with mine.database.read() as tx:
        return list(tx.scalars(select(Event).order_by(Event.id)))


def mails_in(mine: Services, template: str | None = None) -> list[dict[str, Any]]:
    """The mails among them that wait, or those of one template."""
    bodies = [event.body for event in events_in(mine) if event.service == "notification"]
    return [body for body in bodies if body and template in (None, body["template"])]


def token_in(mail: dict[str, Any]) -> str:
    """The token of the link in a mail."""
    (url,) = [value for name, value in mail["data"].items() if name.endswith("Url")]
    return str(url).partition("#token=")[2]


def work_off(mine: Services) -> None:
    """See to every event that is due, one after the other and in here."""
    runner = JobRunner(mine.events, lambda run: deliveries.perform(run, mine))
    while waiting := _waiting(mine):
        for event_id in waiting:
            runner.do(event_id)


def _waiting(mine: Services) -> list[int]:
    now = datetime.now(UTC)
    with mine.database.read() as tx:
        due = select(Event.id).where(Event.status == "pending", Event.due_at <= now)
        return list(tx.scalars(due.order_by(Event.id)))


@dataclass
class Receiver:
    """Stands for the other services: notes what is posted, and answers `status`."""

    status: int = 202
    paths: list[str] = field(default_factory=list)
    bodies: list[Any] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    meanwhile: Callable[[], object] = lambda: None


@pytest.fixture
def receiver(monkeypatch: pytest.MonkeyPatch) -> Iterator[Receiver]:
    """Where events go. Ask for it before `app`."""
    found = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            raw = self.rfile.read(int(self.headers["Content-Length"]))
            found.paths.append(self.path)
            found.bodies.append(json.loads(raw))
            found.headers.append(dict(self.headers))
            found.meanwhile()
            self.send_response(found.status)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        url = f"http://127.0.0.1:{server.server_port}"
        for name in ("NOTIFICATION_URL", "TASKPROCESSING_URL"):
            monkeypatch.setenv(name, url)
        monkeypatch.setenv("SERVICE_TOKEN", "the-token-of-users")
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield found
        server.shutdown()
        thread.join()
