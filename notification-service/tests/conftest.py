"""The service over a real Redis and a real SQL database, SQLite and PostgreSQL in turn."""

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import create_engine, select

from app import MIGRATIONS, create_app, deliveries
from app.models import Notification
from app.services import NAME, Services
from app.settings import NotificationSettings
from app.users import User
from common.pyportal_common.cache_handlers import SessionStore, get_session_client
from common.pyportal_common.db import Base
from common.pyportal_common.db.migrations import migrate
from common.pyportal_common.jobs import JobRunner
from common.pyportal_common.redis_server import RedisServer

API = "/api/v1/airliner"
NOTIFICATIONS = f"{API}/notifications"
WEBHOOKS = f"{API}/webhooks"

TOKEN = "a-token-of-user-management"
SERVICE = {"X-Service-Token": TOKEN}

WELCOME: dict[str, Any] = {
    "channel": "email",
    "userId": 7,
    "recipient": "john@example.com",
    "template": "welcome",
    "data": {
        "username": "john_doe",
        "firstName": "John",
        "verifyUrl": "http://localhost:5001/account/verify#token=abc",
    },
}
NOTE: dict[str, Any] = {"channel": "email", "subject": "Admission", "message": "It is gate 7."}


@pytest.fixture(scope="session", params=["sqlite", "postgresql"])
def migrated_url(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A database with the newest schema, of each kind."""
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path_factory.mktemp('sql') / 'notifications.sqlite3'}"
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
    """Makes the service: make_app(smtp_host="127.0.0.1")."""
    made: list[Flask] = []
    monkeypatch.chdir(tmp_path)
    for name in ("REDIS_HOST", "REDIS_PORT", "REDIS_DB", "REDIS_PASSWORD"):
        monkeypatch.delenv(name, raising=False)

    def make(*, redis_url: str = redis_server.url, **settings: Any) -> Flask:
        monkeypatch.setenv("REDIS_URL", redis_url)
        given = {"service_tokens": f"usermanagement:{TOKEN}", **settings}
        app = create_app(NotificationSettings.load(database_url=empty_url, **given))
        made.append(app)
        mine_of(app).destinations._pause = 0  # tests of that say otherwise
        return app

    yield make
    for app in made:
        mine_of(app).close()


@pytest.fixture
def app(make_app: Callable[..., Flask]) -> Flask:
    """The service with its defaults: mails are files."""
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
def users(monkeypatch: pytest.MonkeyPatch) -> dict[int, User]:
    """What User Management knows, in place of asking it: John and Jane, both verified."""
    known = {
        7: User("john@example.com", email_verified=True),
        8: User("jane@example.com", email_verified=True),
    }
    monkeypatch.setattr("app.users.Users.find", lambda _, user_id: known.get(user_id))
    return known


@pytest.fixture
def john(app: Flask) -> dict[str, str]:  # noqa: ARG001  it says where sessions are
    """Headers of a user's session."""
    return logged_in(7)


@pytest.fixture
def jane(app: Flask) -> dict[str, str]:  # noqa: ARG001  it says where sessions are
    """Headers of another user's session."""
    return logged_in(8)


def logged_in(user_id: int) -> dict[str, str]:
    """Headers of a session of that user, as User Management would begin it."""
    session = SessionStore(get_session_client()).create(user_id, {"role": "user"})
    return {"Authorization": f"Bearer {session.session_id}"}


def work_off(mine: Services) -> None:
    """Make, one after the other and in here, an attempt at all that is due."""
    runner = JobRunner(mine.jobs, lambda run: deliveries.deliver(run, mine))
    while due := _due(mine):
        for notification_id in due:
            runner.do(notification_id)


def _due(mine: Services) -> Sequence[int]:
    with mine.database.read() as tx:
        return tx.scalars(
            select(Notification.id).where(
                Notification.status == "queued", Notification.due_at <= datetime.now(UTC)
            )
        ).all()


def mails_in(folder: Path) -> list[EmailMessage]:
    """The mails that were written to a DATA_DIR."""
    files = sorted((folder / "mail").glob("*.eml"))
    return [message_from_bytes(file.read_bytes(), policy=policy.default) for file in files]
