"""The applications that serve users: each is started, and checked to do the whole job."""

import json
import sqlite3
import sys
from collections.abc import Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from itertools import takewhile
from pathlib import Path

from common.pyportal_common.cache_handlers import SessionStore
from common.pyportal_common.redis_server import RedisServer

from .load import Run, request, send
from .servers import PEERS, connected, gunicorn
from .usermanagement import API, Users, new_name, usermanagement

BARE, OURS, EXTENSIONS = "a bare Flask route", "User Management", "the extensions"

_WINDOW = 60  # seconds, of RATE_LIMIT_READS
_DB_OF_EXTENSIONS = 1


@dataclass
class Application:
    """One application under so many workers, and what was measured.

    Each message is from another user, who is logged in and reads their own data.
    """

    name: str
    workers: int
    port: int
    messages: Sequence[bytes]
    trips: float = 0.0
    runs: list[Run] = field(default_factory=list)  # saturated
    paced: list[Run] = field(default_factory=list)

    def answer(self, message: bytes) -> tuple[int, bytes]:
        """The status and the body of a response."""
        response, body = send(self.port, message)
        return response.status, body


def start(
    stack: ExitStack, server: RedisServer, folder: Path, workers: Sequence[int], clients: int
) -> list[Application]:
    """Start all with each number of workers. Those of the peers only where they are installed.

    Applications of one name share their database and their sessions.
    """
    portals = {each: _port_of_portal(stack, server, folder, each) for each in workers}
    ids = _add_users(folder, portals[workers[0]], clients + 1)
    ours = _messages(ids, _sessions(server, ids))
    applications = [Application(OURS, each, port, ours) for each, port in portals.items()]
    shown = _check(applications[0])
    bare = {"RESPONSE_JSON": shown.decode(), "LOG_LEVEL": "ERROR"}
    for each in workers:
        port = _port(stack, "bare", bare, each)
        applications.append(Application(BARE, each, port, ours))
    if PEERS.is_dir():
        applications += _extensions(stack, server, folder, workers, ids, applications[0])
    for one in applications:
        one.messages = one.messages[:-1]  # the last user has spent the limit in the check
    return applications


def read_requests(server: RedisServer, folder: Path, port: int, clients: int) -> list[bytes]:
    """Requests of so many users, who are logged in and read their own data."""
    ids = _add_users(folder, port, clients)
    return _messages(ids, _sessions(server, ids))


def _extensions(
    stack: ExitStack,
    server: RedisServer,
    folder: Path,
    workers: Sequence[int],
    ids: Sequence[int],
    ours: Application,
) -> list[Application]:
    """The extensions, over the users that our service has written."""
    body = json.loads(ours.answer(ours.messages[0])[1])
    variables = {
        "DATABASE_URL": f"sqlite:///{folder}/usermanagement.sqlite3",
        "REDIS_URL": f"{server.url}/{_DB_OF_EXTENSIONS}",
        "LIMIT": f"{_limit_of(ours)} per {_WINDOW} seconds",
        "USER_FIELDS": ",".join(body["user"]),
        "LOG_LEVEL": "ERROR",
    }
    ports = {each: _port(stack, "extensions", variables, each) for each in workers}
    messages = _messages(ids, [_cookie(ports[workers[0]], user_id) for user_id in ids])
    found = [Application(EXTENSIONS, each, port, messages) for each, port in ports.items()]
    _check(found[0])
    for mine, theirs in zip(ours.messages[:3], messages[:3], strict=True):
        if json.loads(ours.answer(mine)[1]) != json.loads(found[0].answer(theirs)[1]):
            raise SystemExit("The extensions do not return the same as User Management.")
    return found


def _port_of_portal(stack: ExitStack, server: RedisServer, folder: Path, workers: int) -> int:
    return stack.enter_context(usermanagement(server, folder, workers=workers)).port


def _port(stack: ExitStack, module: str, variables: dict[str, str], workers: int) -> int:
    python = PEERS / "bin" / "python" if PEERS.is_dir() else sys.executable
    name = f"benchmarks.contenders.{module}"
    return stack.enter_context(gunicorn(name, variables, workers=workers, python=python))


def _add_users(folder: Path, port: int, count: int) -> list[int]:
    """The ids of so many users: copies of one who registers, so that none takes 30 ms."""
    name = Users(port).register()
    with closing(sqlite3.connect(folder / "usermanagement.sqlite3")) as database, database:
        database.row_factory = sqlite3.Row
        found = database.execute("SELECT * FROM users WHERE username = ?", [name]).fetchone()
        row = dict(found)
        ids = [int(row.pop("id"))]
        for _ in range(count - 1):
            other = new_name()
            email = f"{other}@example.com"
            names = {"username": other, "username_key": other, "email": email, "email_key": email}
            ids.append(_insert(database, {**row, **names}))
    return ids


def _insert(database: sqlite3.Connection, row: dict[str, object]) -> int:
    columns, marks = ", ".join(row), ", ".join("?" * len(row))
    cursor = database.execute(f"INSERT INTO users ({columns}) VALUES ({marks})", [*row.values()])
    return int(cursor.lastrowid or 0)


def _sessions(server: RedisServer, ids: Sequence[int]) -> list[dict[str, str]]:
    with connected(server) as client:
        store = SessionStore(client)
        found = [store.create(each, {"username": f"u{each}", "role": "user"}) for each in ids]
    return [{"Authorization": f"Bearer {session.session_id}"} for session in found]


def _cookie(port: int, user_id: int) -> dict[str, str]:
    response, _ = send(port, request("POST", f"/login/{user_id}", {"Content-Length": "0"}))
    return {"Cookie": response.headers["Set-Cookie"].partition(";")[0]}


def _messages(ids: Sequence[int], sessions: Sequence[dict[str, str]]) -> list[bytes]:
    pairs = zip(ids, sessions, strict=True)
    return [request("GET", f"{API}/users/{user_id}", session) for user_id, session in pairs]


def _limit_of(application: Application) -> int:
    """The limit that the application reports."""
    return int(send(application.port, application.messages[0])[0].headers["X-RateLimit-Limit"])


def _check(application: Application) -> bytes:
    """Check that it does the whole job: an error page or a missing limit would be fast.

    Returns a body. The limit of the last user is spent.
    """
    status, body = application.answer(application.messages[0])
    if status != 200:
        raise SystemExit(f"{application.name} answers {status} {body!r}.")
    path = application.messages[0].split()[1].decode()
    if (status := application.answer(request("GET", path, {}))[0]) != 401:
        raise SystemExit(f"{application.name} answers {status} without a session.")
    limit = _limit_of(application)
    statuses = (application.answer(application.messages[-1])[0] for _ in range(limit + 1))
    admitted = len(list(takewhile(lambda status: status == 200, statuses)))
    if admitted != limit:
        raise SystemExit(f"{application.name} admits {admitted} requests, and not {limit}.")
    return body
