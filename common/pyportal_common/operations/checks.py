"""What `doctor` checks of the service itself: versions, SQL, jobs, invalidations, disk."""

import platform
import shutil
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import sqlalchemy
from sqlalchemy import text as sql

from .. import __version__
from ..db import Database
from ..findings import Finding
from ..jobs.services import BaseServices

MAX_SKEW_SECONDS = 2.0

_OLDEST_POSTGRESQL = (14,)
_OLDEST_SQLITE = (3, 35)  # RETURNING
_MIN_FREE = 0.05  # as the alert has it

_REMEDIES = {
    ("workers", "none"): "start a worker",
    ("workers", "silent"): "restart the worker that hangs: see `redis` and `sql`",
    ("jobs", "late"): "start more workers, or look at the failed jobs",
    ("jobs", "paused"): "`jobs resume` when the reason is gone",
    ("messages", "refused"): "see `outbox list`",
}


def check_versions() -> Iterator[Finding]:
    """The releases of this process."""
    ours = f"pyportal {__version__}, Python {platform.python_version()}"
    yield Finding("versions", "ok", f"{ours}, SQLAlchemy {sqlalchemy.__version__}")


def sql_version(name: str, version: tuple[int, ...]) -> Iterator[Finding]:
    """Whether the release of a SQL server is supported."""
    oldest = _OLDEST_POSTGRESQL if name == "postgresql" else _OLDEST_SQLITE
    if version < oldest:
        text = f"is {name} {_dotted(version)}, but {_dotted(oldest)} is the oldest supported"
        yield Finding("sql", "wrong", text, "upgrade it")


def sql_clock(now: datetime) -> Iterator[Finding]:
    """Whether the clock of the SQL server is ours."""
    skew = abs((datetime.now(UTC) - now).total_seconds())
    if skew > MAX_SKEW_SECONDS:
        yield Finding("sql", "wrong", f"its clock is {skew:.0f} s off ours", "synchronize clocks")


def check_sql(database: Database) -> Iterator[Finding]:
    """Whether SQL answers, and the version and the clock of a server."""
    dialect = database.engine.dialect
    began = time.monotonic()
    with database.read() as tx:
        tx.execute(sql("SELECT 1"))
        took = (time.monotonic() - began) * 1000
        now = tx.scalar(sql("SELECT now()")) if dialect.name == "postgresql" else None
    version = tuple(int(number) for number in dialect.server_version_info or ())
    yield Finding("sql", "ok", f"{dialect.name} {_dotted(version)} answers", milliseconds=took)
    yield from sql_version(dialect.name, version)
    if now is not None:
        yield from sql_clock(now)


def check_migrations(database: Database, migrations: Path) -> Iterator[Finding]:
    """Whether the schema is that of this release."""
    from ..db.migrations import revisions

    current, newest = revisions(database, migrations)
    if current == newest:
        yield Finding("migrations", "ok", f"the schema is at {current}")
    else:
        text = f"the schema is at {current or 'nothing'}, but this release needs {newest}"
        yield Finding("migrations", "wrong", text, "run `flask --app wsgi db upgrade`")


def check_jobs(services: BaseServices) -> Iterator[Finding]:
    """What /health says about workers, jobs and messages."""
    services.monitor.report()  # raises what `states` hides
    for check, state in services.monitor.states().items():
        if state == "ok":
            yield Finding(check, "ok", "")
        else:
            yield Finding(check, "wrong", state, _REMEDIES.get((check, state), ""))


def check_invalidations(database: Database) -> Iterator[Finding]:
    """Whether Redis removes what commits have changed."""
    if database.invalidations is None:
        return
    failing = database.invalidations.records.failing(limit=1000)
    if failing:
        text = f"Redis refuses {len(failing)} of them: {failing[0].reason}"
        yield Finding("invalidations", "wrong", text, "see `db failing-invalidations`")
    else:
        yield Finding("invalidations", "ok", "")


def check_disk(folder: Path) -> Iterator[Finding]:
    """The free space at DATA_DIR, which a service with PostgreSQL need not have created."""
    existing = next(each for each in (folder, *folder.parents) if each.is_dir())
    usage = shutil.disk_usage(existing)
    text = f"{usage.free / 2**30:.1f} GiB ({usage.free / usage.total:.0%}) are free at DATA_DIR"
    if usage.free < _MIN_FREE * usage.total:
        yield Finding("disk", "wrong", text, "delete files, or enlarge the disk")
    else:
        yield Finding("disk", "ok", text)


def _dotted(version: tuple[int, ...]) -> str:
    return ".".join(map(str, version))
