"""The whole portal over PostgreSQL and one Redis: what `costs` measures."""

import contextlib
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from sqlalchemy import Engine, NullPool, create_engine, text

from common.pyportal_common.cache_handlers import SessionStore
from common.pyportal_common.redis_server import RedisServer, free_port
from common.pyportal_common.testing.postgres import postgres_binaries, running_postgres

from .load import request
from .rows import Rows
from .servers import (
    NOTIFICATION,
    TASKPROCESSING,
    USERMANAGEMENT,
    connected,
    migrate,
    running,
    serving,
    temporary_redis,
    wait_until,
)
from .taskprocessing import create_database
from .usermanagement import API, PASSWORD, Users, new_name, registration

SERVICES = {
    "usermanagement": USERMANAGEMENT,
    "taskprocessing": TASKPROCESSING,
    "notification": NOTIFICATION,
}
_TOKENS = {name: f"costs-of-{name}-service" for name in SERVICES}
_UNLIMITED = ("REGISTER", "LOGIN", "LOGIN_FAILURES", "DELIVERIES")


@dataclass
class Portal:
    """The services, each under so many workers of gunicorn. `pids` are those of all processes."""

    server: RedisServer
    folder: Path
    urls: Mapping[str, str]  # of the databases
    ports: Mapping[str, int]
    variables: Mapping[str, Mapping[str, str]]
    gunicorn_workers: int
    pids: list[int] = field(default_factory=list)

    @cached_property
    def engines(self) -> dict[str, Engine]:
        """The databases, by their services."""
        return {name: create_engine(url, poolclass=NullPool) for name, url in self.urls.items()}

    @contextlib.contextmanager
    def serving(self, ports: Mapping[str, int]) -> Iterator[None]:
        """A gunicorn of each service runs on its port during the block."""
        with ExitStack() as stack:
            started = [
                stack.enter_context(
                    serving(
                        "wsgi",
                        self.variables[name],
                        port,
                        workers=self.gunicorn_workers,
                        directory=SERVICES[name],
                    )
                )
                for name, port in ports.items()
            ]
            self.pids += started
            yield
            self.pids[:] = [pid for pid in self.pids if pid not in started]

    @contextlib.contextmanager
    def workers(self) -> Iterator[None]:
        """Two workers run during the block: of tasks and of notifications."""
        with ExitStack() as stack:
            started = [
                stack.enter_context(
                    running(["app.worker"], self.variables[name], directory=SERVICES[name])
                ).pid
                for name in ("taskprocessing", "notification")
            ]
            self.pids += started
            wait_until(self._workers_run, "The workers did not start.")
            yield
            self.pids[:] = [pid for pid in self.pids if pid not in started]

    def _workers_run(self) -> bool:
        """Whether both have shown a sign of life. A worker that stops deletes its row."""
        query = "SELECT count(*) FROM workers"
        return all(self.rows_of(each, query)[0][0] for each in ("taskprocessing", "notification"))

    def add_users(self, count: int) -> tuple[str, range]:
        """Add copies of a new user. Returns what their names begin with, and their ids."""
        users, name = Users(self.ports["usermanagement"]), new_name()
        users.timed("POST", f"{API}/registerUser", registration(name), status=201)
        with self.engines["usermanagement"].begin() as connection:
            own = connection.execute(
                text("SELECT * FROM users WHERE username = :name"), {"name": name}
            ).mappings()
            row = dict(own.one())
            first = int(row.pop("id"))
            columns = ", ".join(row)
            copied = ", ".join(_copied(column, name) for column in row)
            connection.execute(
                text(
                    f"INSERT INTO users ({columns}) SELECT {copied}"
                    " FROM users, generate_series(1, :count) AS n WHERE username = :name"
                ),
                {"name": name, "count": count},
            )
            last = connection.scalar(text("SELECT max(id) FROM users"))
            connection.execute(text("ANALYZE users"))
        return name, range(first + 1, int(last or 0) + 1)

    def sessions(self, user_ids: Sequence[int]) -> list[dict[str, str]]:
        """Headers of a new session of each."""
        with connected(self.server) as client:
            store = SessionStore(client)
            found = [store.create(each, user_data(each)) for each in user_ids]
        return [{"Authorization": f"Bearer {each.session_id}"} for each in found]

    def vacuum(self) -> None:
        """Leave nothing to do for autovacuum."""
        for engine in self.engines.values():
            with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
                connection.execute(text("VACUUM ANALYZE"))

    def rows_of(self, service: str, query: str) -> list[tuple[int, ...]]:
        """What a query of integers finds."""
        with self.engines[service].connect() as connection:
            return [tuple(row) for row in connection.execute(text(query))]


def user_data(user_id: int) -> dict[str, str]:
    """The data in a session, as long as that of a login."""
    return {"username": f"u{user_id:012}", "role": "user"}


def login(name: str) -> bytes:
    """A request that logs a user in."""
    body = json.dumps({"username": name, "password": PASSWORD})
    return request("POST", f"{API}/login", {}, body)


def notified(portal: Portal) -> int:
    """How many users have been notified of their tasks."""
    query = (
        "SELECT count(*) FROM notifications"
        " WHERE finished_at IS NOT NULL AND source = 'taskprocessing'"
    )
    return portal.rows_of("notification", query)[0][0]


def _copied(column: str, name: str) -> str:
    if column in {"username", "username_key"}:
        return f"'{name}' || n"
    if column in {"email", "email_key"}:
        return f"'{name}' || n || '@example.com'"
    return column


@contextlib.contextmanager
def portal(*, gunicorn_workers: int = 2) -> Iterator[Portal]:
    """The portal runs during the block, without workers. Ends the program without PostgreSQL."""
    binaries = postgres_binaries()
    if binaries is None:
        raise SystemExit("There is no PostgreSQL on this machine.")
    with (
        temporary_redis() as (server, folder),
        running_postgres(binaries, as_in_production=True) as url,
    ):
        ports = {name: free_port() for name in SERVICES}
        urls = {name: create_database(url, f"costs_{name}") for name in SERVICES}
        variables = {
            name: _variables(name, number, server, folder, urls[name], ports)
            for number, name in enumerate(SERVICES)
        }
        for name, directory in SERVICES.items():
            migrate(directory, variables[name])
        found = Portal(server, folder, urls, ports, variables, gunicorn_workers)
        with found.serving(ports):
            Rows(found.engines["taskprocessing"]).add_flights()
            yield found


def _variables(
    name: str,
    redis_db: int,
    server: RedisServer,
    folder: Path,
    url: str,
    ports: Mapping[str, int],
) -> dict[str, str]:
    urls = {f"{each.upper()}_URL": f"http://127.0.0.1:{port}" for each, port in ports.items()}
    return {
        **urls,
        "DATABASE_URL": url,
        "DATA_DIR": str(folder),
        "REDIS_URL": server.url,
        "REDIS_DB": str(redis_db),
        "SERVICE_TOKEN": _TOKENS[name],
        "SERVICE_TOKENS": ",".join(":".join(pair) for pair in _TOKENS.items()),
        "LOG_LEVEL": "ERROR",
        **{f"RATE_LIMIT_{limit}": "1000000/60" for limit in _UNLIMITED},
    }
