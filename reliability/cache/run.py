"""One run: the servers, the users, the processes, the faults."""

import contextlib
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from app.models import User
from common.pyportal_common.db import Database
from common.pyportal_common.db.migrations import migrate
from common.pyportal_common.redis_server import RedisServer, embedded_server, redis_server_on_path
from common.pyportal_common.testing.postgres import postgres_binaries, running_postgres
from common.pyportal_common.testing.relay import Relay

from . import workers
from .faults import Faults
from .history import History, load
from .journal import Journal, now
from .processes import Processes
from .setting import Setting, address

MIGRATIONS = Path(__file__).parent.parent / "usermanagement-service" / "migrations"

_USERS = 300
_RECOVERY = 4.0  # seconds without faults at the end, at most
_LATE = 15.0  # seconds until a process counts as hanging


def run(*, seconds: float, seed: int, database: str, plain: bool) -> History:
    """Do it, and return what happened."""
    with tempfile.TemporaryDirectory(prefix="pyportal-stress-") as name:
        folder = Path(name)
        with _sql(database, folder) as url, _redis(folder) as redis:
            _create_users(url)
            setting = Setting(
                database_url=url,
                redis_port=redis.port,
                folder=folder,
                plain=plain,
                users=_USERS,
                seed=seed,
                until=time.monotonic() + seconds,
            )
            _let_live(setting, redis)
            _look_last(setting)
        return load(folder)


def _let_live(setting: Setting, redis: RedisServer) -> None:
    """Start everything, and return when all has ended and been read once more."""
    journal = Journal(setting.folder / "main.journal")
    processes = Processes(journal)
    journal.note("began", now())
    _start(setting, processes)
    chance = setting.random_for("faults")
    recovery = min(_RECOVERY, (setting.until - time.monotonic()) / 3)
    Faults(redis, processes, journal, chance).inject(setting.until - recovery)
    for name in processes.join(max(0.0, setting.until - time.monotonic()) + _LATE):
        journal.note("broken", now(), f"{name} did not end")
    processes.start("last", lambda name: workers.read_all(setting, name, redis.port))
    processes.join(2 * _LATE)
    journal.note("ended", now())


def _start(setting: Setting, processes: Processes) -> None:
    relay = Relay(setting.redis_port)

    def relaying(name: str) -> None:
        relay.run(Journal(setting.folder / f"{name}.journal"), setting.random_for(name), until)

    until = setting.until
    processes.start("relay", relaying)
    processes.start("watcher", partial(workers.watch_sql, setting))
    port = setting.redis_port
    for number in range(4):
        processes.start(f"reader{number}", lambda name: workers.read(setting, name, port))
    for number in range(3):
        processes.start(f"writer{number}", lambda name: workers.write(setting, name, port))
    processes.start("strict", lambda name: workers.write_strictly(setting, name, port))
    processes.start("slow", lambda name: workers.write_slowly(setting, name, port))
    processes.start("mixed", lambda name: workers.mix(setting, name, relay.port))


def _create_users(url: str) -> None:
    migrate(url, MIGRATIONS)
    database = Database(url)
    moment = datetime.now(UTC)
    with database.begin() as tx:
        for user_id in range(1, _USERS + 1):
            email = address(user_id, 0)
            tx.add(
                User(
                    id=user_id,
                    username=f"stress{user_id}",
                    username_key=f"stress{user_id}",
                    email=email,
                    email_key=email,
                    first_name="0",
                    last_name="start",
                    password_hash="none",
                    created_at=moment,
                    updated_at=moment,
                )
            )
    database.close()


def _look_last(setting: Setting) -> None:
    """What is committed in the end: `load` goes back from there."""
    database = Database(setting.database_url)
    journal = Journal(setting.folder / "final.journal")
    workers.look(database, journal, {}, last_id=setting.users)
    database.close()


@contextlib.contextmanager
def _redis(folder: Path) -> Iterator[RedisServer]:
    binary = redis_server_on_path() or embedded_server()
    if binary is None:
        raise SystemExit("no Redis server on this machine")
    server = RedisServer(binary, folder / "redis")
    server.start()
    try:
        yield server
    finally:
        server.kill()


@contextlib.contextmanager
def _sql(database: str, folder: Path) -> Iterator[str]:
    if database == "sqlite":
        yield f"sqlite:///{folder / 'users.sqlite3'}"
        return
    binaries = postgres_binaries()
    if binaries is None:
        raise SystemExit("no PostgreSQL on this machine")
    with running_postgres(binaries) as url:
        yield url
