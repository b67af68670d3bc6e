"""Task Processing over one SQL database, with its queue and its workers."""

import contextlib
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import create_engine, make_url, text

from common.pyportal_common.db.engines import open_engine
from common.pyportal_common.jobs import JobQueue, QueueSettings
from common.pyportal_common.jobs.store import Due
from common.pyportal_common.redis_server import RedisServer
from common.pyportal_common.testing.postgres import postgres_binaries, running_postgres

from .servers import TASKPROCESSING, migrate, running
from .task_rows import Rows

_TIME_LIMIT_SECONDS = 30


@dataclass
class TaskProcessing:
    """The service over one database. `variables` are the environment of its processes."""

    name: str
    variables: Mapping[str, str]
    rows: Rows
    queue: JobQueue

    def send(self, ids: list[int]) -> None:
        """Send these tasks to its workers."""
        for task_id in ids:
            if not self.queue.send(Due("tasks", task_id, "normal", _TIME_LIMIT_SECONDS)):
                raise SystemExit("Redis does not answer.")

    def worker(self) -> AbstractContextManager[object]:
        """One worker process runs during the block."""
        return running(
            ["benchmarks.contenders.tasks_worker"], self.variables, directory=TASKPROCESSING
        )


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
def taskprocessing(
    name: str, url: str, server: RedisServer, *, db: int
) -> Iterator[TaskProcessing]:
    """The service without tasks at `url`. It caches in Redis database `db`; its queue is in the
    next one.
    """
    variables = {
        "DATABASE_URL": url,
        "REDIS_URL": server.url,
        "REDIS_DB": str(db),
        "QUEUE_REDIS_DB": str(db + 1),
        "SESSION_REDIS_DB": "0",
        "RATE_LIMIT_TASKS": "1000000000/60",
        "LOG_LEVEL": "ERROR",
    }
    migrate(TASKPROCESSING, variables)
    engine = open_engine(url, pool_size=2)
    settings = QueueSettings.load(redis_url=f"{server.url}/{db + 1}", _env_file=None)
    queue = JobQueue("taskprocessing", settings)
    rows = Rows(engine)
    rows.add_flights()
    try:
        yield TaskProcessing(name, variables, rows, queue)
    finally:
        queue.close()
        engine.dispose()
