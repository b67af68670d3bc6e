"""The service over a real Redis and a real SQL database: see the plugin `testing.kit`."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from argon2 import PasswordHasher
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import func, select

from app import MIGRATIONS, create_app
from app.models import Message, User
from app.passwords.hashing import Hasher
from app.services import NAME, Services
from app.settings import UserManagementSettings
from common.pyportal_common.cache_handlers import RateLimit, RedisUnavailable
from common.pyportal_common.db import Database
from common.pyportal_common.jobs.outbox import NOTIFICATIONS
from common.pyportal_common.outbound import CircuitBreakers
from common.pyportal_common.testing.kit import (
    API,
    ServiceUnderTest,
    bearer,
    deliver_messages,
    json_of,
)

REGISTER = f"{API}/registerUser"
LOGIN = f"{API}/login"
FORGOT = f"{API}/password/forgot"
FACTOR_KEYS = "dGhlIHRlc3RzJyBrZXkgb2Ygc2Vjb25kIGZhY3RvcnM="
NEW_PASSWORD = "another-horse-battery"

Headers = dict[str, str]
Json = dict[str, Any]

JOHN: Json = {
    "username": "john_doe",
    "email": "john@example.com",
    "password": "correct-horse-battery",
    "firstName": "John",
    "lastName": "Doe",
    "dateOfBirth": "1990-01-01",
}
JANE = {**JOHN, "username": "jane_doe", "email": "jane@example.com"}
CREDENTIALS = {"username": JOHN["username"], "password": JOHN["password"]}

LogIn = Callable[[], str]
MakeApp = Callable[..., Flask]


QUICK = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)


def create(settings: UserManagementSettings, hasher: Hasher | None = None) -> Flask:
    """The app. A service that failed once is called again at once, and hashes are little work."""
    breakers = CircuitBreakers(pause_seconds=0)
    hasher = hasher or Hasher(concurrency=settings.hash_concurrency, argon2=QUICK)
    return create_app(settings, Services(settings, breakers=breakers, hasher=hasher))


def services_of(app: Flask) -> Services:
    """The dependencies of an app."""
    found: Services = app.extensions[NAME]
    return found


@pytest.fixture(scope="session")
def service() -> ServiceUnderTest:
    """User Management, without limits per client unless a test sets them."""
    limits = [
        RateLimit("register", 100_000, 60),
        RateLimit("login", 100_000, 60),
        RateLimit("verification", 100_000, 60),
        RateLimit("email-changes", 100_000, 60),
        RateLimit("forgot", 100_000, 60, on_error="closed"),
        RateLimit("reset", 100_000, 60),
        RateLimit("reads", 100_000, 60),
        RateLimit("challenges", 100_000, 60),
        RateLimit("factors", 100_000, 60),
    ]
    return ServiceUnderTest(
        name=NAME,
        migrations=MIGRATIONS,
        load=UserManagementSettings.load,
        create=create,
        close=lambda app: services_of(app).close(),
        defaults={"factor_keys": FACTOR_KEYS}
        | {f"rate_limit_{limit.name.replace('-', '_')}": limit for limit in limits},
    )


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    """The service's database, without a cache."""
    database = Database(database_url)
    yield database
    database.close()


@pytest.fixture
def services(app: Flask) -> Services:
    """The dependencies of `app`."""
    return services_of(app)


@pytest.fixture
def john(client: FlaskClient) -> Json:
    """A registered user, as the API shows him."""
    return register(client)


@pytest.fixture
def log_in(client: FlaskClient, john: Json) -> LogIn:  # noqa: ARG001  he logs in
    """Logs John in again with each call, and returns the session id."""
    return lambda: session_of(client)


@pytest.fixture
def headers(log_in: LogIn) -> Headers:
    """Headers of a session of John."""
    return bearer(log_in())


RevocationsFail = Callable[[], AbstractContextManager[None]]


@pytest.fixture
def revocations_fail(services: Services, monkeypatch: pytest.MonkeyPatch) -> RevocationsFail:
    """A context in which Redis does not accept the revocations of sessions."""

    def fail(*_: Any, **__: Any) -> None:
        raise RedisUnavailable("made for this test")

    @contextmanager
    def failing() -> Iterator[None]:
        with monkeypatch.context() as patch:
            patch.setattr(services.session_store, "revoke_as", fail)
            yield

    return failing


def register(client: FlaskClient, body: Json = JOHN) -> Json:
    """Register a user, as the API shows them."""
    user: Json = json_of(client.post(REGISTER, json=body))["user"]
    return user


def session_of(
    client: FlaskClient, username: str = "john_doe", password: str = JOHN["password"]
) -> str:
    """The id of a new session."""
    response = client.post(LOGIN, json={"username": username, "password": password})
    return str(json_of(response)["session_id"])


def age_login(services: Services, headers: Headers, seconds: int = 301) -> None:
    """Make the login of a session older."""
    session_id = headers["Authorization"].removeprefix("Bearer ")
    client, key = services.session_store.client, f"session:{session_id}"
    text, left_ms = client.get_with_ttl(key)
    assert text is not None
    document = json.loads(text)
    older = text.replace(
        f'"auth_at":{document["auth_at"]}', f'"auth_at":{document["auth_at"] - seconds * 1000}'
    )
    client.set(key, older, ttl=left_ms / 1000)


def user_path(user: Json, *more: str) -> str:
    """The path of a user, or of something that belongs to the user."""
    return "/".join([f"{API}/users/{user['id']}", *more])


def users_in(database: Database) -> int:
    """The number of users."""
    with database.read() as tx:
        return tx.scalar(select(func.count()).select_from(User)) or 0


def messages_in(services: Services) -> list[Message]:
    """The messages of the outbox, oldest first."""
    with services.database.read() as tx:
        return list(tx.scalars(select(Message).order_by(Message.id)))


def mails_in(services: Services, template: str | None = None) -> list[Json]:
    """The bodies of undelivered e-mails, of all templates or one."""
    bodies = [each.body for each in messages_in(services) if each.path == NOTIFICATIONS]
    return [body for body in bodies if body and template in (None, body["template"])]


def token_in(mail: Json) -> str:
    """The token of the link in an e-mail."""
    (url,) = [value for name, value in mail["data"].items() if name.endswith("Url")]
    return str(url).partition("#token=")[2]


def deliver_all(services: Services) -> None:
    """Deliver every message that is due, in this thread."""
    deliver_messages(services.outbox)


@dataclass
class Receiver:
    """Stands in for the other services: records each POST, and responds with `status`."""

    status: int = 202
    paths: list[str] = field(default_factory=list)
    bodies: list[Any] = field(default_factory=list)
    headers: list[Headers] = field(default_factory=list)
    before_response: Callable[[], object] = lambda: None


@pytest.fixture
def receiver(monkeypatch: pytest.MonkeyPatch) -> Iterator[Receiver]:
    """Receives the messages of an app that is made after it."""
    found = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            raw = self.rfile.read(int(self.headers["Content-Length"]))
            found.paths.append(self.path)
            found.bodies.append(json.loads(raw))
            found.headers.append(dict(self.headers))
            found.before_response()
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
