"""The service over a real Redis and a real SQL database, SQLite and PostgreSQL in turn."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from app import MIGRATIONS, create_app
from app.context import Collaborators
from app.models import Base
from app.settings import UserManagementSettings
from common.pyportal_common.cache_handlers import RateLimit
from common.pyportal_common.db import Database
from common.pyportal_common.embedded import RedisServer
from common.pyportal_common.migrations import migrate

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
    with database.begin() as session:
        for table in reversed(Base.metadata.sorted_tables):
            session.execute(table.delete(), execution_options={"cache_keys": ()})
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
            **settings,
        }
        app = create_app(UserManagementSettings.load(database_url=migrated_url, **given))
        made.append(app)
        return app

    yield make
    for app in made:
        collaborators: Collaborators = app.extensions["usermanagement"]
        collaborators.database.close()


@pytest.fixture
def app(make_app: Callable[..., Flask]) -> Flask:
    """The service with its defaults."""
    return make_app()


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
