"""The applications that serve a user: started, checked, and measured."""

import json
import sys
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import cycle, takewhile
from pathlib import Path
from typing import Any

import redis

from common.pyportal_common.redis_server import RedisServer

from .load import Run, load, request, send
from .scale import Scale
from .servers import ROOT, gunicorn
from .usermanagement import PASSWORD, Users, usermanagement

PEERS = ROOT / ".venv" / "peers"

_CONNECTIONS = 8
_COUNTED = 50  # requests, to count round trips

# The limit of each client, and so many clients that none comes near it.
_LIMIT, _WINDOW = 300, 60
_CLIENTS = [f"10.0.{n // 250}.{n % 250 + 1}" for n in range(1000)]


@dataclass
class Contender:
    """One application, and its results. `session` is the header that authenticates."""

    name: str
    port: int
    user: dict[str, Any]
    session: dict[str, str]
    trips: float = 0.0
    runs: list[Run] = field(default_factory=list)

    def message(self, client: str, session: dict[str, str] | None = None) -> bytes:
        """A request for the user, from the client of this address, as a proxy forwards it."""
        headers = self.session if session is None else session
        path = f"/api/v1/airliner/users/{self.user['id']}"
        return request("GET", path, {"X-Forwarded-For": client, **headers})

    def status(self, client: str, session: dict[str, str] | None = None) -> int:
        """The status of a response."""
        return send(self.port, self.message(client, session))[0].status

    @property
    def client_us(self) -> float:
        """The processor time that the measuring client uses for one request, in µs."""
        requests = sum(len(run.latencies) for run in self.runs)
        return sum(run.client_seconds for run in self.runs) / requests * 1e6


def measure(contenders: list[Contender], server: RedisServer, scale: Scale) -> None:
    """Check each, count its round trips, and measure all in turns: noise affects all alike."""
    for contender in contenders:
        _check(contender)
        contender.trips = _trips(contender, server)
    requests = {one.name: cycle([one.message(client) for client in _CLIENTS]) for one in contenders}
    for _ in range(scale.load_rounds):
        for one in contenders:
            run = load(
                one.port,
                requests[one.name],
                connections=_CONNECTIONS,
                seconds=scale.load_seconds,
            )
            one.runs.append(run)


def ours(stack: ExitStack, server: RedisServer, folder: Path) -> tuple[Users, Contender]:
    """User Management, with a user who has logged in."""
    variables = {"RATE_LIMIT_SHOW_USER": f"{_LIMIT}/{_WINDOW}", "PROXY_HOPS": "1"}
    users = stack.enter_context(
        usermanagement(server, folder, "benchmarks.contenders.ours", variables)
    )
    users.register()
    body = json.dumps({"username": "user0", "password": PASSWORD})
    login = json.loads(users.request("POST", "/api/v1/airliner/login", body)[1])
    session = {"Authorization": f"Bearer {login['session_id']}"}
    contender = Contender("User Management", users.port, login["user"], session)
    _, shown = send(users.port, contender.message("10.1.0.0"))
    contender.user = json.loads(shown)["user"]
    return users, contender


def bare(stack: ExitStack, user: dict[str, Any]) -> Contender:
    """A Flask route that returns a constant."""
    variables = {"RESPONSE_JSON": json.dumps({"user": user}), "LOG_LEVEL": "ERROR"}
    port = stack.enter_context(
        gunicorn("benchmarks.contenders.bare", variables, python=_python_of_peers())
    )
    return Contender("a bare Flask route", port, user, {})


def extensions(
    stack: ExitStack,
    server: RedisServer,
    folder: Path,
    user: dict[str, Any],
    *,
    strategy: str,
    db: int,
) -> Contender:
    """The extensions, over the users that our service has written."""
    variables = {
        "DATABASE_URL": f"sqlite:///{folder}/usermanagement.sqlite3",
        "REDIS_URL": f"{server.url}/{db}",
        "LIMIT": f"{_LIMIT} per {_WINDOW} seconds",
        "LIMIT_STRATEGY": strategy,
        "USER_FIELDS": ",".join(user),
        "LOG_LEVEL": "ERROR",
    }
    port = stack.enter_context(
        gunicorn("benchmarks.contenders.extensions", variables, python=_python_of_peers())
    )
    response, _ = send(port, request("POST", f"/login/{user['id']}", {"Content-Length": "0"}))
    session = {"Cookie": response.headers["Set-Cookie"].partition(";")[0]}
    return Contender(f"the extensions, {strategy}", port, user, session)


def _python_of_peers() -> Path | str:
    python = PEERS / "bin" / "python"
    return python if python.exists() else sys.executable


def _check(contender: Contender) -> None:
    """Check that it does the whole job: an error page or a missing limit would be fast."""
    response, body = send(contender.port, contender.message("10.1.0.1"))
    if response.status != 200 or json.loads(body) != {"user": contender.user}:
        raise SystemExit(
            f"{contender.name} answers {response.status} {body!r}, "
            f"and not the user {contender.user}"
        )
    if not contender.session:
        return
    if (status := contender.status("10.1.0.1", {})) != 401:
        raise SystemExit(f"{contender.name} answers {status} without a session.")
    # A fixed window may end during the check, and then admits as many again.
    statuses = (contender.status("10.1.0.2") for _ in range(2 * _LIMIT + 1))
    admitted = len(list(takewhile(lambda status: status == 200, statuses)))
    if not _LIMIT <= admitted <= 2 * _LIMIT:
        raise SystemExit(f"{contender.name} admits {admitted} requests, and not {_LIMIT}.")
    if (status := contender.status("10.1.0.2")) != 429:
        raise SystemExit(f"{contender.name} answers {status} over the limit.")


def _trips(contender: Contender, server: RedisServer) -> float:
    """Redis round trips a request: how often the server had something to read.

    The requests are sent one after the other, so each command or pipeline is one read. No
    connection is new.
    """
    with redis.Redis(port=server.port) as client:

        def reads() -> int:
            return int(client.info("stats")["total_reads_processed"])

        before = reads()
        for _ in range(_COUNTED):
            contender.status("10.1.0.3")
        return (reads() - before - 1) / _COUNTED  # without the second INFO itself
