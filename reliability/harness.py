"""A service with gunicorn and two workers, its clients, and the faults: tasks and notifications."""

import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, Generic, TypeVar

from sqlalchemy import Engine, String, column, create_engine, select, table

from common.pyportal_common.db.migrations import migrate
from common.pyportal_common.redis_server import RedisServer, free_port

from .faults import Faults, Injection
from .http_client import ClientLog
from .journal import Fault, read_faults
from .processes import Processes, gunicorn, python, service_variables
from .servers import empty_database, running_redis
from .settings import RunSettings, use_service

CACHE_BOUND = 3.0  # seconds for which HTTP may show a stale value, see README.md

_CLIENTS = 8  # threads
_CLIENT_SHARE = 0.95  # of the time of the faults, over which clients spread their requests
_PAUSES = (0.2, 0.5, 1.0, 2.0)  # seconds between faults
_START = 30.0  # seconds for the service to start
_FINISH = 120.0  # seconds after the last fault for all jobs to end
_TERMINATE = 15.0  # seconds for processes to end after SIGTERM

State = TypeVar("State")


@dataclass(frozen=True)
class Outcome(Generic[State]):
    """The result of a run. Times are seconds, counted from the last fault except `took`."""

    log: ClientLog
    state: State
    faults: list[Fault]
    violations: list[str]
    took: float
    until_accepted: float
    until_final: float | None  # None if some job did not end


class ServiceRun(ABC, Generic[State]):
    """One run. A subclass names the service, and has its clients and checks."""

    service: ClassVar[str]
    jobs: ClassVar[Sequence[str]]  # the tables
    final: ClassVar[frozenset[str]]  # the statuses of jobs that have ended
    receivers: ClassVar[Sequence[str]] = ()  # of notifications: further processes

    def __init__(self, settings: RunSettings, requests: int) -> None:
        self.settings = settings
        self.requests = requests
        self.port = free_port()
        self.log = ClientLog()
        self._journal = settings.journal("main")
        self._processes = Processes()

    @abstractmethod
    def variables(self) -> dict[str, str]:
        """The environment variables of the processes."""

    @abstractmethod
    def is_ready(self, redis: RedisServer) -> bool:
        """Whether the service has started and everything that the clients need is there."""

    @abstractmethod
    def client_loop(self, thread: int, turns: Iterator[int]) -> None:
        """What a client does: `turns` yields the number of each of its requests when it is due."""

    @abstractmethod
    def check(self, accepted: Sequence[Any], state: State) -> list[str]:
        """What is wrong, one sentence each."""

    @abstractmethod
    def read_state(self, engine: Engine) -> State:
        """What SQL and HTTP show."""

    def injections(self, faults: Faults) -> list[Injection]:
        """The faults of the run."""
        pause_longer_than_a_lease = partial(faults.pause, "worker", shortest=2.4, longest=4.0)
        return [
            Injection("worker-killed", partial(faults.kill, "worker"), 2),
            Injection("worker-hangs", pause_longer_than_a_lease, 2),
            Injection("redis-killed", faults.restart_redis),
            Injection("redis-killed:stays-down", faults.stop_redis),
            Injection("redis-hangs", faults.hang_redis),
            Injection("hints-lost", faults.delete_hints),
        ]

    def execute(self) -> Outcome[State]:
        """Start everything, run it under faults, and stop everything."""
        settings, service = self.settings, use_service(self.service)
        with (
            empty_database(settings.folder, settings.database) as url,
            running_redis(settings.folder) as redis,
        ):
            migrate(url, service / "migrations")
            engine = create_engine(url)
            try:
                self._start(service, url, redis)
                if not self._processes.wait_until(lambda: self.is_ready(redis), _START):
                    raise RuntimeError("the service does not start")
                self.log.responses.clear()
                return self._run(engine, redis)
            finally:
                engine.dispose()
                self._processes.terminate(_TERMINATE)

    def _start(self, service: Path, url: str, redis: RedisServer) -> None:
        variables = {
            **service_variables(service, url, redis.url, self.port),
            "WORKER_THREADS": "4",
            "WORKER_GRACE_SECONDS": "5",
            **self.variables(),
        }
        commands = {
            **{role: ("reliability.notifications.receivers", role) for role in self.receivers},
            "web": gunicorn(service, "reliability.wsgi"),
            "worker0": ("reliability.worker",),
            "worker1": ("reliability.worker",),
        }
        for role, command in commands.items():
            self._processes.start(role, python(self.settings, variables, "-m", *command))

    def _run(self, engine: Engine, redis: RedisServer) -> Outcome[State]:
        began = time.monotonic()
        rng = self.settings.random_for("faults")
        faults = Faults(redis, self._processes, self._journal, rng, pauses=_PAUSES)
        self.settings.arm()
        clients = self._start_clients()
        until = began + self.settings.seconds
        faults.inject(self.injections(faults), lambda: time.monotonic() < until)
        self.settings.disarm()
        last_fault = time.monotonic()
        self._processes.wait_until(
            lambda: not any(client.is_alive() for client in clients), float("inf")
        )
        until_accepted = time.monotonic() - last_fault
        is_final = self._processes.wait_until(lambda: self._all_final(engine), _FINISH)
        until_final = time.monotonic() - last_fault if is_final else None
        state = self._settled_state(engine)
        took = time.monotonic() - began
        violations = [
            *(f"a request was never accepted: {request}" for request in self.log.rejected),
            *self.check(self.log.accepted, state),
            *(f"{name} did not stop cleanly" for name in self._processes.terminate(_TERMINATE)),
        ]
        return Outcome(
            log=self.log,
            state=state,
            faults=read_faults(self.settings.folder),
            violations=violations,
            took=took,
            until_accepted=until_accepted,
            until_final=until_final,
        )

    def _start_clients(self) -> list[threading.Thread]:
        """Threads that share the requests, evenly over the time of the faults."""
        began = time.monotonic()
        interval = _CLIENT_SHARE * self.settings.seconds / self.requests

        def turns(thread: int) -> Iterator[int]:
            for number in range(thread, self.requests, _CLIENTS):
                time.sleep(max(0, began + interval * number - time.monotonic()))
                yield number

        clients = [
            threading.Thread(target=self.client_loop, args=(thread, turns(thread)))
            for thread in range(_CLIENTS)
        ]
        for client in clients:
            client.start()
        return clients

    def _all_final(self, engine: Engine) -> bool:
        with engine.connect() as connection:
            for name in self.jobs:
                status = column("status", String)
                found = connection.scalars(select(status).select_from(table(name, status)))
                if not self.final.issuperset(found):
                    return False
        return True

    def _settled_state(self, engine: Engine) -> State:
        """The state, as soon as HTTP shows what SQL has, or when it can no longer be stale."""
        deadline = time.monotonic() + CACHE_BOUND
        while True:
            state = self.read_state(engine)
            if not self.check([], state) or time.monotonic() > deadline:
                return state
