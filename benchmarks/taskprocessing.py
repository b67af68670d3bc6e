"""Task Processing over one SQL database, on a Redis server of its own, with its workers."""

import contextlib
import json
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path

from sqlalchemy import create_engine, make_url, text

from common.pyportal_common.cache_handlers import SessionStore
from common.pyportal_common.db.engines import open_engine
from common.pyportal_common.redis_server import RedisServer
from common.pyportal_common.testing.postgres import postgres_binaries, running_postgres

from .load import request
from .rows import Rows
from .servers import TASKPROCESSING, connected, gunicorn, migrate, running, temporary_redis

_USERS = 100


@dataclass
class TaskProcessing:
    """The service over one database. `variables` are the environment of its processes."""

    name: str
    variables: Mapping[str, str]
    rows: Rows
    server: RedisServer

    def worker(self) -> AbstractContextManager[object]:
        """One worker process runs during the block."""
        return running(
            ["benchmarks.contenders.tasks_worker"], self.variables, directory=TASKPROCESSING
        )

    def web(self, *, workers: int) -> AbstractContextManager[int]:
        """gunicorn runs during the block, at this port."""
        return gunicorn("wsgi", self.variables, workers=workers, directory=TASKPROCESSING)

    def bookings(self) -> Iterator[bytes]:
        """Requests for a seat, without end, by each of many users, who have logged in."""
        requests = []
        with connected(self.server) as client:
            sessions = SessionStore(client)
            for user in range(1, _USERS + 1):
                session = sessions.create(user, {"username": f"user{user}", "role": "user"})
                headers = {"Authorization": f"Bearer {session.session_id}"}
                parameters = {"flightId": user, "seats": 1}
                body = json.dumps({"taskType": "flight_booking", "parameters": parameters})
                requests.append(request("POST", "/api/v1/airliner/tasks", headers, body))
        return cycle(requests)


@contextlib.contextmanager
def databases(folder: Path) -> Iterator[dict[str, str]]:
    """URLs by name: a SQLite file, and PostgreSQL where it is installed, with synced commits."""
    binaries = postgres_binaries()
    urls = {"SQLite": f"sqlite:///{folder}/tasks.sqlite3"}
    with ExitStack() as stack:
        if binaries is not None:
            urls["PostgreSQL"] = stack.enter_context(
                running_postgres(binaries, as_in_production=True)
            )
        yield urls


def create_database(url: str, name: str) -> str:
    """The URL of a new database beside the one at `url`."""
    beside = make_url(url)
    if beside.get_backend_name() == "sqlite":
        return f"{url}.{name}"
    engine = create_engine(url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
    engine.dispose()
    return beside.set(database=name).render_as_string(hide_password=False)


@contextlib.contextmanager
def taskprocessing(name: str, url: str, *, receiver: int = 9) -> Iterator[TaskProcessing]:
    """The service without tasks at `url`. `receiver` is the port that gets its notifications."""
    with temporary_redis() as (server, _):
        variables = {
            "DATABASE_URL": url,
            "REDIS_URL": server.url,
            "REDIS_DB": "1",
            "NOTIFICATION_URL": f"http://127.0.0.1:{receiver}",
            "SERVICE_TOKEN": "benchmarks-of-tasks",
            "RATE_LIMIT_TASKS": "1000000000/60",
            "LOG_LEVEL": "ERROR",
        }
        migrate(TASKPROCESSING, variables)
        engine = open_engine(url, pool_size=2, statement_seconds=None)
        rows = Rows(engine)
        rows.add_flights()
        try:
            yield TaskProcessing(name, variables, rows, server)
        finally:
            engine.dispose()
