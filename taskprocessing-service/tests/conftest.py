"""The service over a real Redis and a real SQL database, SQLite and PostgreSQL in turn."""

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import create_engine, select

from app import MIGRATIONS, create_app, tasks
from app.models import Task
from app.services import NAME, Services
from app.settings import TaskProcessingSettings
from common.pyportal_common.cache_handlers import SessionStore, get_session_client
from common.pyportal_common.db import Base
from common.pyportal_common.db.migrations import migrate
from common.pyportal_common.jobs import JobHandler, JobRunner
from common.pyportal_common.redis_server import RedisServer

API = "/api/v1/airliner"
TASKS = f"{API}/tasks"
FLIGHTS = f"{API}/flights"

FLIGHT: dict[str, Any] = {
    "flightNumber": "PY101",
    "origin": "LIS",
    "destination": "OSL",
    "departsAt": "2099-01-31T09:30:00Z",
    "totalSeats": 100,
}


@pytest.fixture(scope="session", params=["sqlite", "postgresql"])
def migrated_url(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A database with the newest schema, of each kind."""
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path_factory.mktemp('sql') / 'tasks.sqlite3'}"
    else:
        url = request.getfixturevalue("postgres_url")
    migrate(url, MIGRATIONS)
    return url


@pytest.fixture
def empty_url(migrated_url: str) -> str:
    """That database, with nothing in it."""
    engine = create_engine(migrated_url)
    with engine.begin() as connection:
        for table in reversed(Base.metadata.sorted_tables):
            connection.execute(table.delete())
    engine.dispose()
    return migrated_url


@pytest.fixture
def make_app(
    empty_url: str,
    redis_server: RedisServer,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> Iterator[Callable[..., Flask]]:
    """Makes the service: make_app(export_days=1)."""
    made: list[Flask] = []
    monkeypatch.chdir(tmp_path)
    for name in ("REDIS_HOST", "REDIS_PORT", "REDIS_DB", "REDIS_PASSWORD"):
        monkeypatch.delenv(name, raising=False)

    def make(*, redis_url: str = redis_server.url, **settings: Any) -> Flask:
        monkeypatch.setenv("REDIS_URL", redis_url)
        app = create_app(TaskProcessingSettings.load(database_url=empty_url, **settings))
        made.append(app)
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
    """A client of `app`, without a cookie jar."""
    return app.test_client(use_cookies=False)


@pytest.fixture
def john(app: Flask) -> dict[str, str]:  # noqa: ARG001  it says where sessions are
    """Headers of a user's session."""
    return logged_in(7)


@pytest.fixture
def jane(app: Flask) -> dict[str, str]:  # noqa: ARG001  it says where sessions are
    """Headers of another user's session."""
    return logged_in(8)


@pytest.fixture
def admin(app: Flask) -> dict[str, str]:  # noqa: ARG001  it says where sessions are
    """Headers of an admin's session."""
    return logged_in(1, "admin")


def logged_in(user_id: int, role: str = "user") -> dict[str, str]:
    """Headers of a session of that user, as User Management would begin it."""
    session = SessionStore(get_session_client()).create(user_id, {"role": role})
    return {"Authorization": f"Bearer {session.session_id}"}


@pytest.fixture
def flight(client: FlaskClient, admin: dict[str, str]) -> dict[str, Any]:
    """A flight of a hundred seats, as the API shows it."""
    answer = client.post(FLIGHTS, json=FLIGHT, headers=admin)
    assert answer.json is not None, answer.text
    found: dict[str, Any] = answer.json["flight"]
    return found


def work_off(mine: Services) -> None:
    """Do, one after the other and in here, every task that waits."""
    runner = JobRunner(mine.jobs, perform(mine))
    while waiting := _waiting(mine):
        for task_id in waiting:
            runner.do(task_id)


def perform(mine: Services) -> JobHandler:
    """What a worker does with a task."""
    return lambda run: tasks.perform(run, mine)


def _waiting(mine: Services) -> Sequence[int]:
    with mine.database.read() as tx:
        return tx.scalars(
            select(Task.id).where(Task.status == "pending", Task.due_at <= datetime.now(UTC))
        ).all()
