"""Notification over a real Redis and a real SQL database: see the plugin `testing.kit`."""

import json
from collections.abc import Callable
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest
from flask import Flask

from app import MIGRATIONS, create_app
from app.services import NAME, Services
from app.settings import NotificationSettings
from app.users import User
from common.pyportal_common.outbound import CircuitBreakers
from common.pyportal_common.testing.kit import API, ServiceUnderTest, session_headers
from common.pyportal_common.testing.raw_servers import Conversation, RawServer

from .sender import Sender

TOKEN = "a-token-of-user-management"

WELCOME: dict[str, Any] = {
    "channel": "email",
    "userId": 7,
    "recipient": "john@example.com",
    "template": "welcome",
    "data": {
        "username": "john_doe",
        "firstName": "John",
        "verifyUrl": "http://localhost:5001/app/verify#token=abc",
    },
}
DONE: dict[str, Any] = {
    "channel": "email",
    "userId": 7,
    "template": "task_completed",
    "data": {
        "taskId": 42,
        "taskReference": "TASK-8F3K2M9QXA",
        "taskType": "flight_booking",
        "details": {
            "flightId": 7,
            "flightNumber": "PY101",
            "origin": "ZRH",
            "destination": "LIS",
            "departsAt": "2030-01-31T12:00:00Z",
            "seats": 2,
        },
    },
}
NOTE: dict[str, Any] = {"channel": "email", "subject": "Admission", "message": "It is gate 7."}

Headers = dict[str, str]
MakeApp = Callable[..., Flask]
Serve = Callable[..., RawServer]
Users = dict[int, User]


def create(settings: NotificationSettings) -> Flask:
    """The app. A mail server or a webhook that did not answer is called again immediately."""
    breakers = CircuitBreakers(pause_seconds=0)
    return create_app(settings, Services(settings, breakers=breakers))


def services_of(app: Flask) -> Services:
    """The dependencies of an app."""
    found: Services = app.extensions[NAME]
    return found


@pytest.fixture(scope="session")
def service() -> ServiceUnderTest:
    """Notification, with a token for User Management. E-mails are files."""
    return ServiceUnderTest(
        name=NAME,
        migrations=MIGRATIONS,
        load=NotificationSettings.load,
        create=create,
        close=lambda app: services_of(app).close(),
        defaults={"service_tokens": f"usermanagement:{TOKEN}"},
    )


@pytest.fixture(autouse=True)
def patience_with_redis(monkeypatch: pytest.MonkeyPatch) -> None:
    """Half a second of a busy machine would count as an outage of Redis, and be a 503."""
    for name in ("REDIS_CONNECT_TIMEOUT", "REDIS_READ_TIMEOUT", "REDIS_POOL_TIMEOUT"):
        monkeypatch.setenv(name, "10")


@pytest.fixture
def users(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> Users:
    """The users of a User Management that runs for this test: John and Jane, both verified."""
    known = {
        7: User("john@example.com", email_verified=True),
        8: User("jane@example.com", email_verified=True),
    }

    def talk(client: Conversation) -> None:
        method, path, _ = client.hear().decode().split(maxsplit=2)
        collection, _, user_id = path.rpartition("/")
        is_user = (method, collection) == ("GET", f"{API}/users") and user_id.isdigit()
        user = known.get(int(user_id)) if is_user else None
        shown = user and {"email": user.email, "emailVerified": user.email_verified}
        body = json.dumps({"user": shown})
        status = "200 OK" if user else "404 Not Found"
        client.say(f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode())

    monkeypatch.setenv("USERMANAGEMENT_URL", serve(talk).url.rstrip("/"))
    return known


@pytest.fixture
def app(make_app: MakeApp, users: Users) -> Flask:  # noqa: ARG001  User Management runs
    """The service with its test defaults."""
    return make_app()


@pytest.fixture
def services(app: Flask) -> Services:
    """The dependencies of `app`."""
    return services_of(app)


@pytest.fixture
def sender(app: Flask) -> Sender:
    """A sender of notifications."""
    return Sender(app)


@pytest.fixture
def john(app: Flask) -> Headers:  # noqa: ARG001  defines where sessions are
    """Headers of a session of user 7."""
    return session_headers(7)


@pytest.fixture
def jane(app: Flask) -> Headers:  # noqa: ARG001  defines where sessions are
    """Headers of a session of user 8."""
    return session_headers(8)


def mails_in(folder: Path) -> list[EmailMessage]:
    """The e-mails that were written to a DATA_DIR."""
    files = sorted((folder / "mail").glob("*.eml"))
    return [message_from_bytes(file.read_bytes(), policy=policy.default) for file in files]


@pytest.fixture
def some_job_id(sender: Sender) -> int:
    """The id of a notification."""
    return int(sender.accept(WELCOME)["notificationId"])
