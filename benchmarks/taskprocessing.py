"""Task Processing for benchmarks: over a database of its own, with the servers that it needs."""

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import create_engine, make_url, text

from common.pyportal_common.db.engines import open_engine
from common.pyportal_common.jobs import JobQueue, QueueSettings
from common.pyportal_common.jobs.store import Due
from common.pyportal_common.redis_server import RedisServer
from common.pyportal_common.testing.postgres import postgres_binaries, running_postgres

from .servers import ROOT
from .task_rows import Rows

SERVICE = ROOT / "taskprocessing-service"

_END_TIMEOUT = 30.0  # seconds


@dataclass
class Portal:
    """The service over one database. `variables` are those of its processes."""

    name: str
    variables: Mapping[str, str]
    rows: Rows
    queue: JobQueue

    def send(self, ids: list[int]) -> None:
        """Tell its workers of these tasks."""
        for task_id in ids:
            if not self.queue.send(Due("tasks", task_id, "normal", 30)):
                raise SystemExit("Redis does not answer")

    def worker(self) -> contextlib.AbstractContextManager[subprocess.Popen[bytes]]:
        """One worker process, until the block ends."""
        return running("benchmarks.contenders.tasks_worker", self.variables, directory=SERVICE)


@contextlib.contextmanager
def databases(folder: Path) -> Iterator[dict[str, str]]:
    """A SQLite file and a PostgreSQL that syncs its commits, as URLs by name."""
    binaries = postgres_binaries()
    found = {"SQLite": f"sqlite:///{folder}/tasks.sqlite3"}
    with ExitStack() as stack:
        if binaries is not None:
            found["PostgreSQL"] = stack.enter_context(running_postgres(binaries, fsync=True))
        yield found


def another(url: str, name: str) -> str:
    """Another database, beside the one that the URL names."""
    there = make_url(url)
    if there.get_backend_name() == "sqlite":
        return f"{url}.{name}"
    engine = create_engine(url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
    engine.dispose()
    return there.set(database=name).render_as_string(hide_password=False)


@contextlib.contextmanager
def portal(name: str, url: str, server: RedisServer, *, db: int) -> Iterator[Portal]:
    """The service with no tasks yet at `url`. It caches in Redis `db`, and queues in the next."""
    variables = {
        "DATABASE_URL": url,
        "REDIS_URL": server.url,
        "REDIS_DB": str(db),
        "QUEUE_REDIS_DB": str(db + 1),
        "SESSION_REDIS_DB": "0",
        "RATE_LIMIT_TASKS": "1000000000/60",
        "LOG_LEVEL": "ERROR",
    }
    upgrade = [sys.executable, "-m", "flask", "--app", "wsgi", "db", "upgrade"]
    subprocess.run(upgrade, cwd=SERVICE, env={**os.environ, **variables}, check=True)
    engine = open_engine(url, pool_size=2)
    settings = QueueSettings.load(redis_url=f"{server.url}/{db + 1}", _env_file=None)
    queue = JobQueue("taskprocessing", settings)
    rows = Rows(engine)
    rows.add_flights()
    try:
        yield Portal(name, variables, rows, queue)
    finally:
        queue.close()
        engine.dispose()


@contextlib.contextmanager
def running(
    module: str, variables: Mapping[str, str], *, directory: Path = ROOT, **options: Any
) -> Iterator[subprocess.Popen[bytes]]:
    """`python -m module`, until the block ends."""
    process = subprocess.Popen(
        [sys.executable, "-m", module],
        cwd=directory,
        env={**os.environ, **variables},
        **options,
    )
    try:
        yield process
    finally:
        process.terminate()
        process.wait(_END_TIMEOUT)
