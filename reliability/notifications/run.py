"""One run: the servers, the clients, the faults, and the wait for the end."""

import os
import secrets
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy import create_engine

from common.pyportal_common.db.migrations import migrate
from common.pyportal_common.redis_server import RedisServer, free_port

from ..faults import Faults
from ..http_client import call
from ..processes import Processes
from ..servers import a_database, a_redis, comes_true
from ..setting import ROOT, Setting
from .arrivals import read_all
from .check import check
from .clients import Clients, Told
from .state import State, read_rows, unfinished

SERVICE = ROOT / "notification-service"

_START = 30.0  # seconds
_LONGEST = 120.0  # seconds after the last fault
_OLD = 3.0  # seconds that a cached value may be old: see stress/README.md
_SHORTEST_HANG = 0.5  # seconds


@dataclass(frozen=True)
class Outcome:
    """What came of it. Times are seconds."""

    told: Told
    state: State
    faults: Counter[str]
    took: float
    until_accepted: float  # from the last fault on
    until_final: float | None  # the same; None where that never came
    ended_badly: list[str]


@dataclass(frozen=True)
class Ports:
    """Where everything listens."""

    web: int
    smtp: int
    endpoint: int


def run(setting: Setting, number: int, *, postgres: bool) -> Outcome:
    """Have so many notifications taken on and delivered, and return what came of it."""
    ports = Ports(free_port(), free_port(), free_port())
    token = secrets.token_hex(16)
    with (
        a_database(setting.folder, postgres=postgres) as url,
        a_redis(setting.folder) as redis,
    ):
        migrate(url, SERVICE / "migrations")
        where = {"REDIS_URL": redis.url, "DATABASE_URL": url}
        processes = Processes(setting, {**where, **_variables(ports, token)})
        try:
            processes.start("smtp", "chaos.notifications.mail_server")
            processes.start("endpoint", "chaos.notifications.endpoint")
            processes.start_web(SERVICE)
            for worker in range(2):
                processes.start(f"worker{worker}", "chaos.notifications.worker")
            _await_service(ports.web)
            return _live(setting, number, url, redis, processes, ports, token)
        finally:
            processes.close()


def _live(
    setting: Setting,
    number: int,
    url: str,
    redis: RedisServer,
    processes: Processes,
    ports: Ports,
    token: str,
) -> Outcome:
    began = time.monotonic()
    setting.arm()
    clients = Clients(
        port=ports.web,
        token=token,
        endpoint=f"http://127.0.0.1:{ports.endpoint}/hook",
        number=number,
        seconds=setting.seconds,
        seed=setting.seed,
    )
    chance = setting.random_for("faults")
    more = [
        fault(processes, name, chance.uniform(_SHORTEST_HANG, 2))
        for name in ("smtp", "endpoint")
        for fault in (_killing, _hanging)
    ]
    faults = Faults(redis, processes, chance, more=more)
    faults.inject(began + setting.seconds)
    setting.disarm()
    last_fault = time.monotonic()
    clients.join()
    until_accepted = time.monotonic() - last_fault
    engine = create_engine(url)
    is_final = comes_true(lambda: unfinished(engine) == 0, _LONGEST)
    until_final = time.monotonic() - last_fault if is_final else None
    state = State(read_rows(engine), list(read_all(setting.folder)))
    engine.dispose()
    _look(state, ports.web, token)
    return Outcome(
        told=clients.told,
        state=state,
        faults=faults.counts + Counter(setting.deaths()),
        took=time.monotonic() - began,
        until_accepted=until_accepted,
        until_final=until_final,
        ended_badly=processes.close(),
    )


def _killing(processes: Processes, name: str, _seconds: float) -> Callable[[], str]:
    def kill() -> str:
        processes.kill(name)
        return f"{name}-killed"

    return kill


def _hanging(processes: Processes, name: str, seconds: float) -> Callable[[], str]:
    def hang() -> str:
        pid = processes.stop(name)
        time.sleep(seconds)
        processes.go_on(name, pid)
        return f"{name}-hangs"

    return hang


def _await_service(port: int) -> None:
    """RuntimeError where it does not start."""
    if not comes_true(lambda: call(port, "GET", "/nothing", "").status == 404, _START):
        raise RuntimeError("the service does not start")


def _look(state: State, port: int, token: str) -> None:
    """At HTTP, until it shows what SQL has, but not for longer than it may be old."""
    until = time.monotonic() + _OLD
    while True:
        for row in state.rows:
            path = f"/notifications/{row.id}/status"
            state.shown[row.id] = call(port, "GET", path, token, by_service=True).body
        if not check([], state) or time.monotonic() > until:
            return


def _variables(ports: Ports, token: str) -> dict[str, str]:
    return {
        "PYTHONPATH": os.pathsep.join([str(ROOT), str(SERVICE)]),
        "BIND": f"127.0.0.1:{ports.web}",
        "SERVICE_TOKENS": f"chaos:{token}",
        "SMTP_HOST": "127.0.0.1",
        "SMTP_PORT": str(ports.smtp),
        "SMTP_SECURITY": "none",
        "ENDPOINT_PORT": str(ports.endpoint),
        "WEBHOOK_SECRET": token,
        "WEBHOOK_NETWORKS": "127.0.0.0/8",
        "RATE_LIMIT_NOTIFICATIONS": "100000/60",
        "RATE_LIMIT_DELIVERIES": "100000/60",
        "DELIVERY_ATTEMPTS": "1000",  # none shall fail because all was down for long
        "DELIVERY_BACKOFF_SECONDS": "0.1",
        "DELIVERY_TIMEOUT_SECONDS": "1",
        "JOB_LEASE_SECONDS": "1",
        "JOB_RESEND_SECONDS": "1",
    }
