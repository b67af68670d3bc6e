"""Who answers a request for a user: started, checked, and measured."""

import json
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field
from itertools import cycle, takewhile
from pathlib import Path
from statistics import median, quantiles
from typing import Any, Self

import redis
from common.pyportal_common.redis_server import RedisServer

from .load import Run, ask, load, request
from .servers import ROOT, gunicorn
from .service import Users, service

PEERS = ROOT / ".venv" / "peers"

_ROUNDS = 7
_SECONDS = 1.0  # of a round of one contender
_CONNECTIONS = 8
_COUNTED = 50  # requests

# What each client may, of so many clients that none comes near it.
_LIMIT, _WINDOW = 300, 60
_CLIENTS = [f"10.0.{n // 250}.{n % 250 + 1}" for n in range(1000)]


@dataclass
class Contender:
    """A server of the endpoint, and what it came to. `session` is the header that authenticates."""

    name: str
    port: int
    user: dict[str, Any]
    session: dict[str, str]
    trips: float = 0.0
    runs: list[Run] = field(default_factory=list)

    def message(self, client: str, session: dict[str, str] | None = None) -> bytes:
        """A request for the user by the client of this address, as a proxy passes it on."""
        headers = self.session if session is None else session
        path = f"/api/v1/airliner/users/{self.user['id']}"
        return request("GET", path, {"X-Forwarded-For": client, **headers})

    def status(self, client: str, session: dict[str, str] | None = None) -> int:
        """The status of an answer."""
        return ask(self.port, self.message(client, session))[0].status

    @property
    def rate(self) -> float:
        """Requests a second: the median of the rounds."""
        return median(run.rate for run in self.runs)

    def ratio_to(self, floor: Self) -> float:
        """The rate as a share of the other's in the same round: the median of those."""
        return median(a.rate / b.rate for a, b in zip(self.runs, floor.runs, strict=True))

    @property
    def client_us(self) -> float:
        """What the client that measures takes of a core, a request."""
        requests = sum(len(run.latencies) for run in self.runs)
        return sum(run.client_seconds for run in self.runs) / requests * 1e6

    def latency_ms(self, percentile: int) -> float:
        """Of all requests."""
        times = [seconds for run in self.runs for seconds in run.latencies]
        return quantiles(times, n=100)[percentile - 1] * 1000


def measure(contenders: list[Contender], server: RedisServer) -> None:
    """Check each, count its round trips, and time all in turns: noise hits them alike."""
    for contender in contenders:
        _check(contender)
        contender.trips = _trips(contender, server)
    requests = {one.name: cycle([one.message(client) for client in _CLIENTS]) for one in contenders}
    for _ in range(_ROUNDS):
        for one in contenders:
            one.runs.append(
                load(one.port, requests[one.name], connections=_CONNECTIONS, seconds=_SECONDS)
            )


def ours(stack: ExitStack, server: RedisServer, folder: Path) -> tuple[Users, Contender]:
    """User Management, with a user who has logged in."""
    limited = {"RATE_LIMIT_SHOW_USER": f"{_LIMIT}/{_WINDOW}", "PROXY_HOPS": "1"}
    users = stack.enter_context(service(server, folder, "benchmarks.contenders.ours", limited))
    users.register()
    body = json.dumps({"username": "user0", "password": "correct-horse-battery"})
    answer = json.loads(users.request("POST", "/api/v1/airliner/login", body)[1])
    session = {"Authorization": f"Bearer {answer['session_id']}"}
    return users, Contender("User Management", users.port, answer["user"], session)


def bare(stack: ExitStack, user: dict[str, Any]) -> Contender:
    """A Flask route that knows its answer."""
    variables = {"USER_JSON": json.dumps(user), "LOG_LEVEL": "ERROR"}
    port = stack.enter_context(_of_peers("bare", variables))
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
        "LOG_LEVEL": "ERROR",
    }
    port = stack.enter_context(_of_peers("extensions", variables))
    answer, _ = ask(port, request("POST", f"/login/{user['id']}", {"Content-Length": "0"}))
    session = {"Cookie": answer.headers["Set-Cookie"].partition(";")[0]}
    return Contender(f"the extensions, {strategy}", port, user, session)


def _of_peers(name: str, variables: dict[str, str]) -> AbstractContextManager[int]:
    python = PEERS / "bin" / "python"
    return gunicorn(f"benchmarks.contenders.{name}", variables, python=python)


def _check(contender: Contender) -> None:
    """That it does the whole job: nobody is timed on an error page, or on a limit that is none."""
    answer, body = ask(contender.port, contender.message("10.1.0.1"))
    if answer.status != 200 or json.loads(body) != {"user": contender.user}:
        raise SystemExit(f"{contender.name} answers {answer.status}: {body!r}")
    if not contender.session:
        return
    if (status := contender.status("10.1.0.1", {})) != 401:
        raise SystemExit(f"{contender.name} answers {status} without a session")
    # A fixed window may end in between and admit as many again.
    statuses = (contender.status("10.1.0.2") for _ in range(2 * _LIMIT + 1))
    admitted = list(takewhile(lambda status: status == 200, statuses))
    if not _LIMIT <= len(admitted) <= 2 * _LIMIT:
        raise SystemExit(f"{contender.name} admits {len(admitted)} requests, and not {_LIMIT}")
    if (status := contender.status("10.1.0.2")) != 429:
        raise SystemExit(f"{contender.name} answers {status} over the limit")


def _trips(contender: Contender, server: RedisServer) -> float:
    """Redis round trips a request: how often the server had something to read.

    Of requests one after the other, whose commands and pipelines are sent in one write each, and
    after others, so that no connection is new.
    """
    with redis.Redis(port=server.port) as client:

        def reads() -> int:
            return int(client.info("stats")["total_reads_processed"])

        before = reads()
        for _ in range(_COUNTED):
            contender.status("10.1.0.3")
        return (reads() - before - 1) / _COUNTED  # less the second INFO itself
