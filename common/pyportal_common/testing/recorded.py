"""A recorded table of requests and their replies: subclass `RecordedReplies`.

It shows that a change of how replies are made changes none. To record a table again, delete its
file and run the test twice: the difference of the file is what changed for clients.
"""

# ruff: noqa: S101  assertions: these are tests

import json
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from ..cache_handlers import RedisClient, SessionStore, get_session_client
from ..redis_server import RedisServer
from .kit import API
from .plugin import settings_for

MOMENT = datetime(2026, 1, 31, 9, 30, 15, 123456, tzinfo=UTC)
"""When everything in a table happened, so that bodies and their tags are always the same."""

SESSIONS: dict[str, tuple[int | str, str]] = {
    "john": (7, "user"),
    "jane": (8, "user"),
    "admin": (1, "admin"),
    "guest": ("x", "user"),
}
"""The sessions of a table, by their ids: the user and the role of each."""

_VARYING = {"Date", "X-RateLimit-Reset", "Retry-After"}  # they depend on the time of the run


@dataclass(frozen=True)
class Recorded:
    """A request of a table. `session` is sent as a bearer token."""

    name: str
    path: str
    session: str | None = "john"
    method: str = "GET"
    headers: dict[str, str] = field(default_factory=dict)

    def sent_by(self, client: FlaskClient, tags: dict[str, str]) -> dict[str, Any]:
        """The reply, with its body as text. `tags` are the latest ETags of the paths."""
        headers = {"X-Request-ID": "recorded", **self.headers}
        if self.session is not None:
            headers["Authorization"] = f"Bearer {self.session}"
        if "{tag}" in headers.get("If-None-Match", ""):
            headers["If-None-Match"] = headers["If-None-Match"].format(tag=tags[self.path])
        response = client.open(
            self.path if self.path.startswith("/docs") else API + self.path,
            method=self.method,
            headers=headers,
            environ_base={"REMOTE_ADDR": "10.0.0.7"},
        )
        if "ETag" in response.headers:
            tags[self.path] = response.headers["ETag"]
        found = sorted((name, _comparable(name, value)) for name, value in response.headers)
        return {
            "request": f"{self.name}: {self.method} {self.path}",
            "status": response.status,
            "headers": [f"{name}: {value}" for name, value in found],
            "body": re.sub('(?<="retry_after":)[0-9]+', "0", response.get_data(as_text=True)),
        }


def _comparable(name: str, value: str) -> str:
    if name in _VARYING:
        return "varies"
    return ", ".join(sorted(value.split(", "))) if name == "Allow" else value


def cookie(session: str) -> dict[str, str]:
    """The header of a session cookie."""
    return {"Cookie": f"__Host-session={session}"}


def reads_of(path: str, *, missing: str, other: str | None = "jane") -> Iterator[Recorded]:
    """What every route that shows one object is asked, in this order: a miss comes first.

    `missing` is the path of an object that does not exist; `other` may not see the object.
    """
    yield Recorded("miss", path)
    yield Recorded("hit", path)
    yield Recorded("hit by cookie", path, None, headers=cookie("john"))
    yield Recorded("cookie and the same token", path, headers=cookie("john"))
    yield Recorded("cookie and another token", path, headers=cookie("jane"))
    yield Recorded("head", path, method="HEAD")
    yield Recorded("options", path, None, method="OPTIONS")
    yield Recorded("not found", missing)
    yield Recorded("not found, cached", missing)
    yield Recorded("admin", path, "admin")
    yield Recorded("no user of this portal", path, "guest")
    if other is not None:
        yield Recorded("another user's", path, other)
    yield Recorded("no session", path, None)
    yield Recorded("unknown session", path, "unknown")
    yield Recorded("unknown service token", path, headers={"X-Service-Token": "unknown"})
    yield Recorded("problem details", missing, headers={"Accept": "application/problem+json"})
    yield Recorded("unknown parameter", f"{path}?a=1")
    yield Recorded("another method", path, method="POST")
    for number in ("0", "01", "9" * 19, "x", "%2e%2e"):
        yield Recorded("odd id", path.replace("/7", f"/{number}", 1))


def conditional_reads_of(path: str) -> Iterator[Recorded]:
    """What a route with an ETag is asked after `reads_of`."""
    for name, tag in {
        "unchanged": "{tag}",
        "unchanged, by a list": 'W/"other", {tag}',
        "any": "*",
        "another": '"other"',
    }.items():
        yield Recorded(name, path, headers={"If-None-Match": tag})
    yield Recorded("unchanged, head", path, method="HEAD", headers={"If-None-Match": "{tag}"})
    yield Recorded("a precondition", path, headers={"If-Match": '"other"'})


class RecordedReplies(ABC):
    """Replays a table, and compares status, headers and body byte for byte.

    The subclass fills the database with rows of fixed ids and times.
    """

    table: Path
    """The file of the table."""

    @abstractmethod
    def requests(self) -> Iterable[Recorded]:
        """The requests, in order."""

    @pytest.fixture(params=["together"])
    def placement(
        self,
        request: pytest.FixtureRequest,
        monkeypatch: pytest.MonkeyPatch,
        redis_server: RedisServer,
        start_redis: Callable[..., RedisServer],
    ) -> str:
        """The URL of the server, where sessions are placed by the test's parameter."""
        if request.param == "another database":
            monkeypatch.setenv("SESSION_REDIS_DB", "5")
        if request.param == "another server":
            monkeypatch.setenv("SESSION_REDIS_URL", start_redis().url)
        if request.param != "without SELECT":
            return redis_server.url
        server = start_redis()
        client = RedisClient.connect(settings_for(server), db=0)
        client.execute("ACL", "SETUSER", "narrow", "on", ">secret", "~*", "+@all", "-select")
        client.close()
        return server.url.replace("//", "//narrow:secret@")

    @pytest.fixture
    def rows(self) -> None:
        """Inserts what the requests read."""
        raise NotImplementedError

    @pytest.fixture
    def recorded_app(self, app: Flask) -> Flask:
        """The app that is asked."""
        return app

    @pytest.mark.parametrize(
        "placement",
        ["together", "another database", "another server", "without SELECT"],
        indirect=True,
    )
    @pytest.mark.usefixtures("rows")
    def test_replies_are_those_of_the_recorded_table(self, recorded_app: Flask) -> None:
        store = SessionStore(get_session_client())
        for session_id, (user_id, role) in SESSIONS.items():
            store.create(user_id, {"role": role}, session_id=session_id)
        client, tags = recorded_app.test_client(use_cookies=False), dict[str, str]()

        replies = [each.sent_by(client, tags) for each in self.requests()]

        if not self.table.exists():
            self.table.write_text(json.dumps(replies, indent=1) + "\n", "utf-8")
            pytest.fail(f"recorded {len(replies)} replies in {self.table.name}: look at them")
        for reply, expected in zip(replies, json.loads(self.table.read_text()), strict=True):
            assert reply == expected
